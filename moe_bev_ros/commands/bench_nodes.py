"""``moe-bev bench nodes``: what camera_node and lidar_node cost per image and per 100,000 points, on one thread."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import sys
from pathlib import Path

from moe_bev_ros.core.files import write_json

# The title of a group of rows, and the module of moe_bev_ros.evaluation.bench that measures it.
GROUPS = {'one image of 1600 x 900': 'images', '100,000 points': 'points'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev bench nodes``."""
    parser.add_argument('--repeats', type=int, default=50, help='how often each side is timed (default 50)')
    parser.add_argument('--json', type=Path, metavar='F', help='also write the rows to this file')


def run(args: argparse.Namespace) -> int:
    """Print a table per group."""
    from moe_bev_ros.evaluation.bench.timing import format_rows

    if args.repeats < 1:
        raise ValueError(f'--repeats must be at least 1, got {args.repeats}')
    report = {}
    for title, module in GROUPS.items():
        rows = importlib.import_module(f'moe_bev_ros.evaluation.bench.{module}').run(args.repeats)
        sys.stdout.write(f'{title}\n{format_rows(rows)}\n\n')
        report[title] = [dataclasses.asdict(row) for row in rows]
    if args.json is not None:
        write_json(args.json, report)
    return 0
