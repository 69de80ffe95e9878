"""``moe-bev evaluate experts``: what each choice of frame experts can do where, what the dispatcher makes of that, and what a
sensor that is lost in mid-drive takes away."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, open_tree
from moe_bev_ros.datasets.worker_processes import run_jobs
from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.capability import CAPABILITY, CLEAR_CONDITIONS, POOR_CONDITIONS, Capability, load_capability
from moe_bev_ros.engine.dispatcher import Dispatcher
from moe_bev_ros.engine.shipped import WEIGHTS
from moe_bev_ros.evaluation.experts.scores import (
    ChosenScene,
    capability_results,
    dispatch_results,
    judge_runs,
    loss_results,
)
from moe_bev_ros.evaluation.experts.tables import capability_picture, capability_table, dispatch_table, loss_table
from moe_bev_ros.evaluation.perception.judge import without_nan
from moe_bev_ros.evaluation.perception.perceived import traits_of
from moe_bev_ros.evaluation.perception.sensor_loss import LOSSES, RUNS, LossScene, see_loss
from moe_bev_ros.evaluation.report import Table
from moe_bev_ros.evaluation.strata import RESAMPLES
from moe_bev_ros.runtime.threads import limit_threads

if TYPE_CHECKING:
    from moe_bev_ros.engine.bev_engine import BevEngine
    from moe_bev_ros.evaluation.experts.runs import Chooser, SideBySide

CHOICES = ('camera', 'lidar', 'fused', 'poor_sight', 'fused+poor_sight', 'camera+lidar')
ALWAYS = ('fused', 'lidar', 'camera')  # what the dispatcher is compared with
RANDOM = 'random, the same choices'
SEED = 0
Found = TypeVar('Found')


@dataclass(frozen=True)
class _Job:
    """One scene.

    Attributes:
        turns: by name, choices that are made in turn; none: the dispatcher chooses.
        sensor, after_s: which one is lost, and when.
    """

    root: str
    version: str
    scene: str
    weights: Path
    capability: Path
    turns: Mapping[str, tuple[str, ...]]
    sensor: str = ''
    after_s: float = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The data, what is asked, and where the figures go."""
    parser.add_argument('--data', type=Path, required=True, metavar='DIR', help='root of a nuScenes tree')
    parser.add_argument('--version', default='', help='of the tree, where it holds several, such as v1.0-mini')
    parser.add_argument('--split', default='', metavar='NAME', help='world_val for the matrix; default: every scene')
    parser.add_argument('--scenes', type=int, metavar='N', help='only the first N scenes of the split')
    parser.add_argument('--weights', type=Path, metavar='F', help='of the network; default: those that ship')
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument('--dispatch', action='store_true', help='the dispatcher instead, against fixed and random choices')
    asked.add_argument('--lose', choices=sorted(LOSSES), help='instead: this sensor is lost in mid-drive')
    parser.add_argument('--after', type=float, default=3.0, metavar='S', help='seconds until --lose; default %(default)s')
    parser.add_argument(
        '--capability', type=Path, metavar='F', help='the matrix: written here for the engine; read with --dispatch and --lose'
    )
    parser.add_argument('--resamples', type=int, default=RESAMPLES, metavar='N', help='for the intervals; default %(default)s')
    parser.add_argument('--json', type=Path, metavar='F', help='write the figures to this file')
    parser.add_argument('--picture', type=Path, metavar='PNG', help='write the matrix as a picture')
    parser.add_argument('--workers', type=int, default=2, metavar='N', help='processes; default %(default)s')


def run(args: argparse.Namespace) -> int:
    """Print the figures."""
    _check(args)
    tree = open_tree(args.data, args.version)
    scenes = tree.scenes(args.split)[: args.scenes]
    if args.dispatch:
        results = _dispatch(tree, scenes, args)
        table = dispatch_table(results)
    elif args.lose:
        results = _loss(tree, scenes, args)
        table = loss_table([results])
    else:
        results = _matrix(tree, scenes, args)
        table = capability_table(results)
    if args.json:
        write_json(args.json, results)
    _print_table(table)
    return 0


def _check(args: argparse.Namespace) -> None:
    for name in ('workers', 'resamples', 'scenes'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f'--{name} {value}; give 1 or more')
    if not args.after > 0.0:
        raise InputError(f'--after {args.after:g}; give a number above 0')
    if args.picture and (args.dispatch or args.lose):
        raise InputError('--picture shows the matrix; leave --dispatch and --lose out')


def _matrix(tree: NuscenesTree, scenes: Sequence[str], args: argparse.Namespace) -> dict[str, Any]:
    traits = [traits_of(tree, scene) for scene in scenes]
    _check_conditions({item.get('condition', '') for item in traits})
    jobs = _jobs(tree, scenes, args, {choice: (choice,) for choice in CHOICES})
    runs = _by_name(_each(_see, jobs, args.workers))
    times_ms = _network(jobs[0].weights).network_ms(tree, scenes[0], CHOICES)
    results = capability_results(judge_runs(tree, scenes, runs), traits, times_ms, args.resamples)
    results = without_nan({**_facts(tree, scenes, args), **results})
    if args.capability:
        Capability(results['scores'], results['costs'])  # refuses what the engine would refuse
        write_json(args.capability, results)
    if args.picture:
        temporary = args.picture.with_name(f'.{args.picture.name}')
        temporary.write_bytes(capability_picture(results).png)
        temporary.replace(args.picture)
    return results


def _dispatch(tree: NuscenesTree, scenes: Sequence[str], args: argparse.Namespace) -> dict[str, Any]:
    costs = load_capability(args.capability or CAPABILITY).costs
    jobs = _jobs(tree, scenes, args, {'dispatcher': (), **{f'always {choice}': (choice,) for choice in ALWAYS}})
    runs = _by_name(_each(_see, jobs, args.workers))
    drawn = _shuffled([scene.choices for scene in runs['dispatcher']])
    jobs = [replace(job, turns={RANDOM: choices}) for job, choices in zip(jobs, drawn)]
    runs |= _by_name(_each(_see, jobs, args.workers))
    rows = dispatch_results(judge_runs(tree, scenes, runs), runs, costs, args.resamples)
    return without_nan({**_facts(tree, scenes, args), 'rows': rows})


def _loss(tree: NuscenesTree, scenes: Sequence[str], args: argparse.Namespace) -> dict[str, Any]:
    jobs = [replace(job, sensor=args.lose, after_s=args.after) for job in _jobs(tree, scenes, args, {})]
    found = _each(_see_loss, jobs, args.workers)
    runs = _by_name([scene.runs for scene in found])
    tables = judge_runs(tree, scenes, runs, lambda index, keyframe: keyframe.stamp_ns >= found[index].lost_ns)
    after = {
        'sensor': args.lose,
        'after_s': args.after,
        'keyframes': sum(k.stamp_ns >= scene.lost_ns for scene in found for k in scene.runs['lost'].keyframes),
        'frames_late': max(scene.frames_late for scene in found),
        'valid_share': sum(scene.valid_share for scene in found) / len(found),
    }
    return without_nan({**_facts(tree, scenes, args), **after, **loss_results(tables, args.resamples)})


def _facts(tree: NuscenesTree, scenes: Sequence[str], args: argparse.Namespace) -> dict[str, Any]:
    return {'data': tree.version, 'split': args.split or 'all scenes', 'scenes': len(scenes)}


def _check_conditions(conditions: set[str]) -> None:
    if not conditions & {*CLEAR_CONDITIONS} or not conditions & {*POOR_CONDITIONS}:
        raise InputError(
            f'scenes in the conditions {", ".join(sorted(conditions))} alone; the matrix needs some by day and some in '
            f'{", ".join(POOR_CONDITIONS)}: give more scenes'
        )


def _shuffled(choices: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The same choices in as many frames a scene, but each in some other frame of some scene."""
    drawn = np.random.default_rng(SEED).permutation([choice for scene in choices for choice in scene])
    ends = np.cumsum([len(scene) for scene in choices])
    return [tuple(map(str, part)) for part in np.split(drawn, ends[:-1])]


# In processes -----------------------------------------------------------------------------------------------------------


def _jobs(
    tree: NuscenesTree, scenes: Sequence[str], args: argparse.Namespace, turns: Mapping[str, tuple[str, ...]]
) -> list[_Job]:
    paths = args.weights or WEIGHTS, args.capability or CAPABILITY
    return [_Job(str(tree.root), tree.version, scene, *paths, turns) for scene in scenes]


def _each(work: Callable[[_Job], Found], jobs: Sequence[_Job], workers: int) -> list[Found]:
    """In the order of the jobs."""
    from tqdm import tqdm  # of the evaluation extra

    numbered = list(enumerate(jobs))
    found = run_jobs(partial(_numbered, work), numbered, workers) if workers > 1 else map(partial(_numbered, work), numbered)
    return [result for _, result in sorted(tqdm(found, total=len(jobs), unit='scene'), key=lambda pair: pair[0])]


def _numbered(work: Callable[[_Job], Found], job: tuple[int, _Job]) -> tuple[int, Found]:
    return job[0], work(job[1])


def _by_name(found: Sequence[Mapping[str, ChosenScene]]) -> dict[str, list[ChosenScene]]:
    return {name: [scene[name] for scene in found] for name in found[0]}


def _see(job: _Job) -> dict[str, ChosenScene]:
    from moe_bev_ros.evaluation.experts.runs import InTurn

    limit_threads(1)
    choosers: dict[str, Chooser] = {}
    for name, turns in job.turns.items():
        choosers[name] = InTurn(turns) if turns else Dispatcher(load_capability(job.capability))
    return _network(job.weights).see_scene(_opened(job.root, job.version), job.scene, choosers)


def _see_loss(job: _Job) -> LossScene:
    limit_threads(1)
    engines = _engines(job.weights, job.capability)
    return see_loss(_opened(job.root, job.version), job.scene, engines, job.sensor, job.after_s)


@lru_cache(maxsize=1)
def _opened(root: str, version: str) -> NuscenesTree:
    """Once a process."""
    return open_tree(root, version)


@lru_cache(maxsize=1)
def _network(weights: Path) -> SideBySide:

    from moe_bev_ros.evaluation.experts.runs import SideBySide
    from moe_bev_ros.model.weights_file import load_weights

    limit_threads(1)
    return SideBySide(load_weights(weights).channels_last())


@lru_cache(maxsize=1)
def _engines(weights: Path, capability: Path) -> dict[str, BevEngine[Any]]:
    from moe_bev_ros.engine.torch_network import torch_engine

    try:
        return {name: torch_engine(weights=weights, capability=capability) for name in RUNS}
    except EngineError as err:
        raise InputError(str(err)) from err


def _print_table(table: Table) -> None:
    widths = [max(len(row[column]) for row in (table.columns, *table.rows)) for column in range(len(table.columns))]
    for row in (table.columns, *table.rows):
        sys.stdout.write('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + '\n')
