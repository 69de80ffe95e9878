"""``moe-bev bench world``: frames per second of the simulated sensors on two threads."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev bench world``."""
    parser.add_argument('--seconds', type=float, default=20.0, help='how long to measure (default 20)')
    parser.add_argument('--json', type=Path, metavar='F', help='also write the numbers to this file')


def run(args: argparse.Namespace) -> int:
    """Print frames per second, the baseline and the time of each stage."""
    from moe_bev_ros.evaluation.bench import world as bench_world

    if args.seconds <= 0.0:
        raise InputError(f'--seconds must be above 0, got {args.seconds}; give how long to measure')
    report = bench_world.run(args.seconds)
    sys.stdout.write(report.text() + '\n')
    if args.json is not None:
        values = {**dataclasses.asdict(report), 'frames_per_s': report.frame.per_s}
        write_json(args.json, values)
    return 0
