"""``moe-bev bench cost``: how the time of a frame grows with cameras, key points, experts, cells and points."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moe_bev_ros.commands.bench_network import CACHE
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json

SWEEPS = ('cameras', 'key_points', 'experts', 'cells', 'points')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev bench cost``."""
    parser.add_argument('--profile', default='tiny', help='around which sizes are varied (default tiny)')
    parser.add_argument('--sweeps', nargs='+', choices=SWEEPS, default=SWEEPS, metavar='SWEEP', help=f'of {", ".join(SWEEPS)}')
    parser.add_argument('--engine', choices=('onnxruntime', 'openvino'), default='', help='in FP32 (default: the faster one)')
    parser.add_argument('--rounds', type=int, default=4, help='turns of every size (default 4)')
    parser.add_argument('--threads', type=int, default=2, help='of every engine (default 2)')
    parser.add_argument(
        '--max-foreign', type=float, default=0.1, metavar='SHARE', help='a round beside which others used more is thrown away'
    )
    parser.add_argument('--cache', type=Path, default=CACHE, metavar='DIR', help=f'for networks and frames (default {CACHE})')
    parser.add_argument('--json', type=Path, metavar='F', help='also write the figures to this file')
    parser.add_argument('--picture', type=Path, metavar='PNG', help='also draw them')


def run(args: argparse.Namespace) -> int:
    """Returns 0."""
    from moe_bev_ros.evaluation.bench import cost as bench_cost
    from moe_bev_ros.evaluation.bench import tables as bench_tables
    from moe_bev_ros.model.config import profile

    if args.rounds < 1 or args.threads < 1 or not args.max_foreign > 0.0:
        raise InputError('--rounds and --threads must be at least 1, and --max-foreign above 0')
    config = profile(args.profile)
    known = bench_cost.sweeps_of(config)
    chosen = [known[name] for name in args.sweeps]
    results = bench_cost.run(config, chosen, args.threads, args.rounds, args.max_foreign, args.cache, _say, args.engine)
    if args.json is not None:
        write_json(args.json, results)
    if args.picture is not None:
        bench_tables.cost_picture(results).save(args.picture)
    for table in bench_tables.cost_tables(results):
        _say('\n' + table.text())
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + '\n')
    sys.stdout.flush()
