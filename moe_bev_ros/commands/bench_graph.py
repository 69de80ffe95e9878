"""``moe-bev bench graph``: the whole graph on a bag at 10 Hz, from the sensor message to the VehicleCommand, in wall time."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from moe_bev_ros.commands.bench_network import CACHE
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.engine.base import PRECISIONS
from moe_bev_ros.evaluation.bench.graph import DENSE, ROWS, ratios

DOMAIN = 101  # where no vehicle and no test is


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev bench graph``."""
    parser.add_argument('--engine', default='', help='of bev_node (default: that of its parameter file)')
    parser.add_argument('--precision', choices=PRECISIONS, default='auto', help="of the engine's network (default auto)")
    parser.add_argument('--threads', type=int, default=0, help="of the engine (default: those of bev_node's parameter file)")
    parser.add_argument(
        '--in-turn', action='store_true', help='one frame after the other, where the engine could begin the next'
    )
    parser.add_argument('--seconds', type=float, default=300.0, help='of each row, at 10 frames a second (default 300)')
    parser.add_argument(
        '--rows',
        nargs='+',
        choices=ROWS,
        default=ROWS,
        metavar='ROW',
        help=f'of {", ".join(ROWS)}; each but the first takes 60 s at most',
    )
    parser.add_argument('--domain', type=int, default=DOMAIN, help=f'ROS domain, where nobody else is (default {DOMAIN})')
    parser.add_argument('--cache', type=Path, default=CACHE, metavar='DIR', help=f'for bags, 8 GB of them (default {CACHE})')
    parser.add_argument('--json', type=Path, metavar='F', help='also write the rows to this file')


def run(args: argparse.Namespace) -> int:
    """Returns 0; 130 where it was broken off."""
    from moe_bev_ros.commands.bench_graph_runs import measured_row, stack_of
    from moe_bev_ros.commands.running_stack import say
    from moe_bev_ros.evaluation.bench import network as bench_network
    from moe_bev_ros.evaluation.bench import tables as bench_tables

    if args.seconds < 1.0 or args.threads < 0:
        raise InputError(f'--seconds must be at least 1 and --threads at least 0, got {args.seconds:g} and {args.threads}')
    os.environ['ROS_DOMAIN_ID'] = str(args.domain)
    stack = stack_of(args)
    rows: list[dict[str, Any]] = []
    for name in args.rows:
        one = measured_row(name, args, stack)
        if one is None:
            return 130
        rows.append(one)
    results = {
        'engine': args.engine or 'of the parameter file',
        'precision': args.precision,
        'in_turn': args.in_turn,
        'machine': bench_network.machine(),
        'rows': rows,
        'dense_over': ratios(rows, DENSE),
    }
    if args.json is not None:
        write_json(args.json, results)
    say('\n'.join(table.text() + '\n' for table in bench_tables.graph_tables(results)))
    return 0
