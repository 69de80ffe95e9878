"""``moe-bev evaluate perception``: an engine and the tracker on the scenes of a nuScenes tree, ours or a real one."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from moe_bev_ros.commands.image_size import image_size
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, open_tree
from moe_bev_ros.datasets.worker_processes import run_jobs
from moe_bev_ros.engine.base import Engine, EngineError, EngineSettings
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.evaluation.perception.judge import Judgement, judge
from moe_bev_ros.evaluation.perception.perceived import SeenScene, see_scene
from moe_bev_ros.evaluation.perception.report import perception_report
from moe_bev_ros.evaluation.perception.tables import overview, own_metrics
from moe_bev_ros.evaluation.report import write_report
from moe_bev_ros.evaluation.strata import RESAMPLES
from moe_bev_ros.runtime.threads import limit_threads

AGREE_WITHIN = 0.002  # of NDS, between this process and the nodes


@dataclass(frozen=True)
class _Job:
    root: str
    version: str
    scene: str
    engine: str
    image_size: tuple[int, int]
    keyframes_only: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The data, the engine, and where the figures go."""
    parser.add_argument('--data', type=Path, required=True, metavar='DIR', help='root of a nuScenes tree')
    parser.add_argument('--version', default='', help='of the tree, where it holds several, such as v1.0-mini')
    parser.add_argument('--engine', default='clustering', metavar='NAME', help=', '.join(sorted(ENGINES)))
    parser.add_argument('--split', default='', metavar='NAME', help='such as world_val or mini_val; default: every scene')
    parser.add_argument('--scenes', type=int, metavar='N', help='only the first N scenes of the split')
    parser.add_argument(
        '--image-size', type=image_size, default=(352, 128), metavar='WxH', help='that the engine gets: 352x128'
    )
    parser.add_argument('--keyframes-only', action='store_true', help='2 frames a second, as nuScenes alone would give')
    parser.add_argument('--tracking', action='store_true', help='AMOTA and its like too, which takes minutes for a whole split')
    parser.add_argument('--through-ros', action='store_true', help='play the scenes through the nodes too, and compare')
    parser.add_argument('--rate', type=float, default=0.5, help='speed of playing with --through-ros; default %(default)s')
    parser.add_argument('--resamples', type=int, default=RESAMPLES, metavar='N', help='for the intervals; default %(default)s')
    parser.add_argument('--json', type=Path, metavar='F', help='write the figures to this file')
    parser.add_argument('--out', type=Path, metavar='DIR', help='write report.html to this folder; it may show recorded data')
    parser.add_argument('--workers', type=int, default=2, metavar='N', help='processes; default %(default)s')


def run(args: argparse.Namespace) -> int:
    """Print the figures; 1 where the nodes do not agree with them."""
    _check(args)
    tree = open_tree(args.data, args.version)
    scenes = tree.scenes(args.split)[: args.scenes]
    seen = _see(tree, scenes, args)
    how = {'resamples': args.resamples, 'tracking_workers': args.workers if args.tracking else 0}
    judgement = judge(tree, seen, **how)
    facts = {'engine': args.engine, 'data': tree.version, 'split': args.split or 'all scenes'}
    facts |= {'rate_hz': 2.0 if args.keyframes_only else 10.0, 'image_size': list(args.image_size)}
    judgement.results.update(facts)
    agrees = True
    if args.through_ros:
        judgement.results['through_ros'] = _through_ros(tree, scenes, judgement, args)
        agrees = abs(judgement.results['through_ros']['nds_difference']) <= AGREE_WITHIN
    _print_tables(judgement.results)
    if args.json:
        write_json(args.json, judgement.results)
    if args.out:
        write_report(args.out / 'report.html', perception_report(tree, seen, judgement))
        _print(f'report: {args.out / "report.html"}')
    return 0 if agrees else 1


def _check(args: argparse.Namespace) -> None:
    if args.engine not in ENGINES:
        raise InputError(f'no engine {args.engine!r}; there are {", ".join(sorted(ENGINES))}')
    for name, least in (('workers', 1), ('resamples', 1), ('scenes', 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            raise InputError(f'--{name} {value}; give {least} or more')
    if not args.rate > 0.0:
        raise InputError(f'--rate {args.rate}; give a number above 0')
    if args.through_ros and args.keyframes_only:
        raise InputError('--through-ros plays every frame; leave --keyframes-only out')


def _see(tree: NuscenesTree, scenes: Sequence[str], args: argparse.Namespace) -> list[SeenScene]:
    """In the order of the scenes."""
    from tqdm import tqdm  # of the evaluation extra

    how = (args.engine, args.image_size, args.keyframes_only)
    jobs = [_Job(str(tree.root), tree.version, scene, *how) for scene in scenes]
    found = run_jobs(_see_one, jobs, args.workers) if args.workers > 1 else map(_see_one, jobs)
    by_name = {scene.name: scene for scene in tqdm(found, total=len(jobs), unit='scene')}
    return [by_name[scene] for scene in scenes]


def _see_one(job: _Job) -> SeenScene:
    limit_threads(1)
    tree, engine = _opened(job.root, job.version), _built(job.engine)
    return see_scene(tree, job.scene, engine, job.image_size, keyframes_only=job.keyframes_only)


@lru_cache(maxsize=1)
def _opened(root: str, version: str) -> NuscenesTree:
    """Once a process."""
    return open_tree(root, version)


@lru_cache(maxsize=1)
def _built(engine: str) -> Engine:
    """As bev_node builds it."""
    try:
        return ENGINES[engine](EngineSettings())
    except EngineError as err:
        raise InputError(str(err)) from err


def _through_ros(tree: NuscenesTree, scenes: Sequence[str], offline: Judgement, args: argparse.Namespace) -> dict[str, Any]:
    """The published objects' score, and how far it is from the one of this process."""
    from moe_bev_ros.commands.perceive_through_ros import see_scene_through_ros  # with rclpy

    seen, frames = [], {'in': 0, 'out': 0, 'dropped_by_policy': 0, 'lost': 0}
    with tempfile.TemporaryDirectory(prefix='moe_bev_through_ros_') as folder:
        for scene in scenes:
            work = (args.out / 'through_ros' if args.out else Path(folder)) / scene
            found, summary = see_scene_through_ros(tree, scene, args.engine, args.image_size, args.rate, work)
            seen.append(found)
            for name in frames:
                frames[name] += summary[name if name == 'dropped_by_policy' else f'frames_{name}']
    published = judge(tree, seen, resamples=1).results['published']
    difference = published['nds'] - offline.results['published']['nds']
    return {
        'nds': published['nds'],
        'mean_ap': published['mean_ap'],
        'offline_nds': offline.results['published']['nds'],
        'nds_difference': difference,
        'scenes': len(scenes),
        'frames': frames,
    }


def _print_tables(results: dict[str, Any]) -> None:
    for table in (overview([results]), own_metrics(results)):
        widths = [max(len(row[column]) for row in (table.columns, *table.rows)) for column in range(len(table.columns))]
        for row in (table.columns, *table.rows):
            _print('  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        _print('')
    if results['tracking']:
        _print(f'tracking metrics took {results["tracking"]["seconds"]:.0f} s')
    if 'through_ros' in results:
        ros = results['through_ros']
        verdict = 'agree' if abs(ros['nds_difference']) <= AGREE_WITHIN else f'differ by more than {AGREE_WITHIN}'
        _print(
            f'published NDS through ROS {ros["nds"]:.4f}, in one process {ros["offline_nds"]:.4f}: '
            f'difference {ros["nds_difference"]:+.4f}; they {verdict}'
        )
        _print('frames ' + ', '.join(f'{name.replace("_", " ")} {count}' for name, count in ros['frames'].items()))


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
