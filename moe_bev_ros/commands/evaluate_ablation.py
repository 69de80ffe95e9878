"""``moe-bev evaluate ablation``: what each mechanism of the network is worth, by training and judging it without."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.evaluation.ablation.tables import ablation as table
from moe_bev_ros.evaluation.strata import RESAMPLES
from moe_bev_ros.runtime.environment import config_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The data, the budget, and where everything goes."""
    parser.add_argument('--data', type=Path, required=True, metavar='DIR', help='root of the nuScenes tree to judge on')
    parser.add_argument('--train-data', type=Path, required=True, metavar='DIR', help='root of the tree to train on')
    parser.add_argument('--split', default='', metavar='NAME', help='of the tree to judge on; default: every scene')
    parser.add_argument('--scenes', type=int, metavar='N', help='only the first N scenes of the split')
    parser.add_argument('--profile', default='tiny', metavar='NAME', help='of the reference; default %(default)s')
    parser.add_argument('--config', type=Path, metavar='F', help='of the training; default config/training/<profile>.yaml')
    parser.add_argument('--rows', nargs='+', default=[], metavar='ROW', help='rows, or parts: attention, routing, memory')
    parser.add_argument(
        '--base-frames', type=int, default=16000, metavar='N', help='of the common beginning; default %(default)s'
    )
    parser.add_argument(
        '--shared-weights', type=Path, metavar='F', help='whose encoders, frame experts and heads the common beginning takes'
    )
    parser.add_argument('--frames', type=int, default=8000, metavar='N', help='that each row learns from; default %(default)s')
    parser.add_argument('--seeds', type=_seeds, default=(0,), metavar='N,…', help='of each row; default 0')
    parser.add_argument('--threads', type=int, default=1, metavar='N', help='of the training; default %(default)s')
    parser.add_argument('--train-workers', type=int, default=1, metavar='N', help='that make frames; default %(default)s')
    parser.add_argument('--workers', type=int, default=1, metavar='N', help='that judge scenes; default %(default)s')
    parser.add_argument('--resamples', type=int, default=RESAMPLES, metavar='N', help='for the intervals; default %(default)s')
    parser.add_argument('--out', type=Path, default=Path('out/ablation'), metavar='DIR', help='default %(default)s')
    parser.add_argument('--json', type=Path, metavar='F', help='write the table to this file too')


def run(args: argparse.Namespace) -> int:
    """Train and judge what is not finished yet, then print the table."""
    from moe_bev_ros.datasets.nuscenes_tree import open_tree
    from moe_bev_ros.evaluation.ablation.runs import Plan, ablation, chosen_rows
    from moe_bev_ros.learning.train_config import load_train_config
    from moe_bev_ros.model.config import profile

    _check(args)
    config, tree = profile(args.profile), open_tree(args.data)
    path = args.config or config_dir() / 'training' / f'{args.profile}.yaml'
    plan = Plan(
        config,
        load_train_config(path, threads=args.threads, workers=args.train_workers),
        open_tree(args.train_data),
        tree,
        tuple(tree.scenes(args.split)[: args.scenes]),
        args.out,
        args.base_frames,
        args.frames,
        args.seeds,
        args.resamples,
        args.workers,
        args.shared_weights,
    )
    summary = ablation(plan, chosen_rows(config, args.rows), _print)
    if summary is None:
        return 130
    _print(table({'ablation': summary}))
    if args.json:
        write_json(args.json, summary)
    return 0


def _check(args: argparse.Namespace) -> None:
    for name in ('base_frames', 'frames', 'scenes', 'threads', 'workers', 'resamples'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f'--{name.replace("_", "-")} {value}; give 1 or more')


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(','))
    except ValueError as err:
        raise argparse.ArgumentTypeError(f'{text!r}; give whole numbers with commas between them') from err


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
    sys.stdout.flush()
