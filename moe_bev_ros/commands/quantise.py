"""``moe-bev quantise``: INT8 engines of a trained network, with what they lose, or the layers that lose most."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.engine.shipped import WEIGHTS
from moe_bev_ros.runtime.environment import config_dir

if TYPE_CHECKING:
    from moe_bev_ros.evaluation.quantisation.runs import Plan
    from moe_bev_ros.learning.layer_errors import Sensitivity

RESAMPLES = 1000
WHAT = 'all: every row and the engine (default); engine: only that; sensitivity: rank the layers by what each costs alone'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The network, the data, the budget, and where everything goes."""
    parser.add_argument('what', nargs='?', default='all', choices=('all', 'engine', 'sensitivity'), help=WHAT)
    parser.add_argument('--weights', type=Path, default=WEIGHTS, metavar='F', help='default: those that ship')
    parser.add_argument('--policy', type=Path, metavar='F', help='of the layers; default config/quantisation/<profile>.yaml')
    parser.add_argument('--data', type=Path, required=True, metavar='DIR', help='root of the tree to calibrate and train on')
    parser.add_argument('--split', default='', metavar='NAME', help='of that tree; default: every scene')
    parser.add_argument('--calibration-frames', type=int, default=128, metavar='N', help='default %(default)s')
    parser.add_argument(
        '--frames', type=int, default=4000, metavar='N', help='that a trained row learns from; default %(default)s'
    )
    parser.add_argument('--rate', type=float, default=1e-4, metavar='X', help='of the training, at first; default %(default)s')
    parser.add_argument('--distillation', type=float, default=1.0, metavar='X', help='weight of it; default %(default)s')
    parser.add_argument(
        '--grid', type=float, default=1.0, metavar='X', help='pull of weights to their grid; default %(default)s'
    )
    parser.add_argument('--config', type=Path, metavar='F', help='of the training; default config/training/<profile>.yaml')
    parser.add_argument('--judge-data', type=Path, metavar='DIR', help='root of the tree to judge on')
    parser.add_argument('--judge-split', default='', metavar='NAME', help='of that tree; default: every scene')
    parser.add_argument('--scenes', type=int, metavar='N', help='only the first N scenes of that split')
    parser.add_argument('--rows', nargs='+', default=[], metavar='ROW', help='only these, and FP32')
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='default %(default)s')
    parser.add_argument('--threads', type=int, default=1, metavar='N', help='of the training; default %(default)s')
    parser.add_argument('--train-workers', type=int, default=0, metavar='N', help='that make frames; default %(default)s')
    parser.add_argument('--workers', type=int, default=1, metavar='N', help='that judge scenes; default %(default)s')
    parser.add_argument('--resamples', type=int, default=RESAMPLES, metavar='N', help='for the intervals; default %(default)s')
    parser.add_argument('--out', type=Path, default=Path('out/quantise'), metavar='DIR', help='default %(default)s')
    parser.add_argument('--json', type=Path, metavar='F', help='write the table, or the layers, to this file too')


def run(args: argparse.Namespace) -> int:
    """Do what is not finished yet, then print it."""
    _check(args)
    from moe_bev_ros.evaluation.quantisation.runs import Quantisation, chosen_rows

    rows = chosen_rows(args.rows)
    quantisation = Quantisation(_plan(args), _print)
    if args.what == 'sensitivity':
        return _rank(quantisation.sensitivities(), args.json)
    if args.what == 'engine':
        _print(f'engine: {quantisation.engine()}')
        return 0
    if not quantisation.plan.scenes:
        raise InputError('there is nothing to judge on; give --judge-data, and a split that has a scene')
    summary = quantisation.summary(rows)
    from moe_bev_ros.evaluation.quantisation.tables import quantisation as table

    _print(table({'quantisation': summary}))
    if args.json:
        write_json(args.json, summary)
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    from moe_bev_ros.datasets.nuscenes_tree import open_tree
    from moe_bev_ros.evaluation.quantisation.runs import Plan
    from moe_bev_ros.learning.calibration_set import calibration_set
    from moe_bev_ros.learning.quantisation_policy import load_policy
    from moe_bev_ros.learning.train_config import load_train_config
    from moe_bev_ros.model.weights_file import load_weights

    name = load_weights(args.weights).config.name
    policy_path = args.policy or config_dir() / 'quantisation' / f'{name}.yaml'
    tree = open_tree(args.data)
    calibration = calibration_set(tree, args.split, args.calibration_frames, args.seed)
    for warning in calibration.warnings:
        _print(f'warning: {warning}')
    judged = open_tree(args.judge_data) if args.judge_data else tree
    config = args.config or config_dir() / 'training' / f'{name}.yaml'
    budget = {'num_frames': args.frames, 'rate': args.rate, 'seed': args.seed, 'warm_up_share': 0.05, 'decay_share': 0.95}
    return Plan(
        args.weights,
        load_policy(policy_path),
        policy_path,
        calibration,
        load_train_config(config, threads=args.threads, workers=args.train_workers, **budget),
        args.distillation,
        args.grid,
        tree,
        args.split,
        judged,
        tuple(judged.scenes(args.judge_split)[: args.scenes]) if args.judge_data else (),
        args.out,
        args.workers,
        args.resamples,
    )


def _rank(found: Sequence[Sensitivity], path: Path | None) -> int:
    for one in found:
        _print(f'{one.layer:52} loss {one.loss:+.4f}   signal to error {one.error_db:.1f} dB')
    if path:
        write_json(path, [vars(one) for one in found])
    return 0


def _check(args: argparse.Namespace) -> None:
    for name in ('frames', 'scenes', 'threads', 'workers', 'resamples'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f'--{name} {value}; give 1 or more')


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
    sys.stdout.flush()
