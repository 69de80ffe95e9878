"""``moe-bev model``: what the networks are made of."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moe_bev_ros.core.files import write_json
from moe_bev_ros.model.config import profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand so far."""
    subparsers = parser.add_subparsers(dest='about', required=True, metavar='WHAT')
    text = 'multiply-adds, parameters and bytes of each stage and expert, and what a DLA could take'
    describe = subparsers.add_parser('describe', help=text, description=text)
    describe.add_argument('--profile', default='tiny', help='tiny, orin_nx, orin_agx, or one with _dense (default tiny)')
    describe.add_argument('--json', type=Path, metavar='F', help='also write the figures to this file')


def run(args: argparse.Namespace) -> int:
    """Print the table of a profile."""
    config = profile(args.profile)
    from moe_bev_ros.model.description import describe

    description = describe(config)
    sys.stdout.write(description.text() + '\n')
    if args.json is not None:
        write_json(args.json, description.values())
    return 0
