"""``moe-bev model``: what the networks are made of, and what they would take on an Orin."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moe_bev_ros.core.files import write_json
from moe_bev_ros.model.config import profile


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two subcommands."""
    subparsers = parser.add_subparsers(dest='about', required=True, metavar='WHAT')
    text = 'multiply-adds, parameters and bytes of each stage and expert, and what a DLA could take'
    describe = subparsers.add_parser('describe', help=text, description=text)
    describe.add_argument('--profile', default='tiny', help='tiny, orin_nx, orin_agx, or one with _dense (default tiny)')
    text = 'predicted ms of each stage at each power mode, from counted work and published limits'
    roofline = subparsers.add_parser('roofline', help=text, description=text)
    roofline.add_argument('--profile', nargs='+', default=['orin_nx', 'orin_agx'], help='default: orin_nx orin_agx')
    for subparser in (describe, roofline):
        subparser.add_argument('--json', type=Path, metavar='F', help='also write the figures to this file')


def run(args: argparse.Namespace) -> int:
    """Print the table of a profile."""
    return _describe(args) if args.about == 'describe' else _roofline(args)


def _describe(args: argparse.Namespace) -> int:
    config = profile(args.profile)
    from moe_bev_ros.model.description import describe

    description = describe(config)
    sys.stdout.write(description.text() + '\n')
    if args.json is not None:
        write_json(args.json, description.values())
    return 0


def _roofline(args: argparse.Namespace) -> int:
    from moe_bev_ros.evaluation.bench import roofline

    results = roofline.values([profile(name) for name in args.profile])
    for table in roofline.tables(results):
        sys.stdout.write(table.text() + '\n\n')
    sys.stdout.write(roofline.note(results) + '\n')
    if args.json is not None:
        write_json(args.json, results)
    return 0
