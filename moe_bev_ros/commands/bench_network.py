"""``moe-bev bench network``, or ``moe-bev bench`` alone: every engine of the network, against the dense twin in eager torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json

CACHE = Path('out') / 'bench'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev bench network``."""
    parser.add_argument('--profile', default='tiny', help='of the trained network that ships (default tiny)')
    parser.add_argument('--weights', type=Path, metavar='F', help='another network instead')
    parser.add_argument('--rounds', type=int, default=12, help='turns of every engine (default 12)')
    parser.add_argument('--threads', type=int, default=2, help='of every engine (default 2)')
    parser.add_argument(
        '--max-foreign', type=float, default=0.1, metavar='SHARE', help='a round beside which others used more is thrown away'
    )
    parser.add_argument('--int8', type=Path, metavar='DIR', help='quantised network (default: the one that ships)')
    parser.add_argument(
        '--cache', type=Path, default=CACHE, metavar='DIR', help=f'for frames and the dense twin (default {CACHE})'
    )
    parser.add_argument('--json', type=Path, metavar='F', help='also write the figures to this file')
    parser.add_argument('--picture', type=Path, metavar='PNG', help='also draw them')


def run(args: argparse.Namespace) -> int:
    """Returns 0, whatever the ratios are."""
    from moe_bev_ros.engine.shipped import int8_folder
    from moe_bev_ros.evaluation.bench import network as bench_network
    from moe_bev_ros.evaluation.bench import tables as bench_tables
    from moe_bev_ros.evaluation.bench.sources import prepare, shipped_weights

    if args.rounds < 1 or args.threads < 1 or not args.max_foreign > 0.0:
        raise InputError('--rounds and --threads must be at least 1, and --max-foreign above 0')
    weights = args.weights or shipped_weights(args.profile)
    sources = prepare(weights, args.int8 or int8_folder(weights), args.cache)
    chosen = bench_network.variants(sources, args.threads)
    results = bench_network.run(sources, chosen, args.rounds, args.max_foreign, _say)
    if args.json is not None:
        write_json(args.json, results)
    if args.picture is not None:
        bench_tables.network_picture(results).save(args.picture)
    _say(bench_tables.network_note(results))
    for table in bench_tables.network_tables(results):
        _say('\n' + table.text())
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + '\n')
    sys.stdout.flush()
