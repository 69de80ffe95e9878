"""``moe-bev world``: write data sets of the simulated world, look at one, and say how hard it is."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from moe_bev_ros.commands.image_size import image_size
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_text
from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.se3 import transform_points
from moe_bev_ros.datasets.frames import read_frames
from moe_bev_ros.datasets.frames_to_tree import write_frames_tree
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.datasets.scenario_check import scenario_facts
from moe_bev_ros.datasets.tree_statistics import tree_statistics
from moe_bev_ros.datasets.worker_processes import run_jobs
from moe_bev_ros.datasets.world_runs import Moment, WorldRun, num_ticks
from moe_bev_ros.datasets.world_scene import SceneJob, stored_points, write_scene
from moe_bev_ros.evaluation.pictures import Snapshot, draw_frame
from moe_bev_ros.world.autopilot import true_scene
from moe_bev_ros.world.conditions import CONDITIONS
from moe_bev_ros.world.lanelet_files import first_node, read_network
from moe_bev_ros.world.network import RoadNetwork
from moe_bev_ros.world.recorded_tracks import read_tracks, recording_seed
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import NUSCENES_RIG
from moe_bev_ros.world.scenario import LOG_REPLAY, ON_MAP, Scenario, draw_scenario, map_scenario, replay_scenario
from moe_bev_ros.world.scenario_kinds import KINDS
from moe_bev_ros.world.splits import SPLITS, seeds_of

SHOW_SIZE = (704, 256)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Four verbs: write, from-frames, stats and show."""
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    write = verbs.add_parser(
        'write', help='drive scenes of a split and write them as a nuScenes tree; goes on where it was broken off'
    )
    what = write.add_mutually_exclusive_group(required=True)
    what.add_argument('--split', choices=sorted(SPLITS))
    what.add_argument('--tracks', type=Path, nargs='+', metavar='FILE', help='recorded drives (.npz), into split world_replay')
    write.add_argument('--scenes', type=int, help='the first so many seeds of the split')
    write.add_argument('--out', type=Path, required=True, help='root of the tree; its tables go to v1.0-world')
    write.add_argument('--image-size', type=image_size, default=(704, 256), help='width x height (default 704x256)')
    write.add_argument('--seconds', type=float, default=20.0, help='length of a scene (default 20)')
    write.add_argument('--kind', choices=KINDS, default='', help='of every scene, instead of all in turn')
    write.add_argument('--map', type=Path, metavar='FILE', help='Lanelet2 map to drive on freely, instead of drawn roads')
    write.add_argument('--condition', choices=CONDITIONS, default='', help='of every scene, instead of drawn ones')
    write.add_argument('--workers', type=int, default=os.cpu_count() or 1, help='processes (default: one a core)')
    frames = verbs.add_parser('from-frames', help='add recorded frames to a nuScenes tree (version v1.0-frames)')
    frames.add_argument('folder', type=Path, help='as for `moe-bev bag from-frames`, with ego poses')
    frames.add_argument('--out', type=Path, required=True, help='root of the tree')
    stats = verbs.add_parser('stats', help='how hard a data set is, and the digest of its scenarios')
    stats.add_argument('--data', type=Path, required=True, help='root of the tree')
    stats.add_argument('--version', default='', help='where there are several')
    stats.add_argument('--split', default='', help='such as world_test (default: all scenes)')
    stats.add_argument('--json', type=Path, help='write the numbers there too')
    show = verbs.add_parser('show', help='one picture of a scene: six cameras, and LiDAR and truth from above')
    what = show.add_mutually_exclusive_group(required=True)
    what.add_argument('--seed', type=int)
    what.add_argument('--tracks', type=Path, metavar='FILE', help='a recorded drive (.npz) instead')
    show.add_argument('--kind', choices=KINDS, default='')
    show.add_argument('--map', type=Path, metavar='FILE', help='Lanelet2 map to drive on freely, instead of drawn roads')
    show.add_argument('--condition', choices=CONDITIONS, default='')
    show.add_argument('--at', type=float, default=4.0, help='seconds after the start (default 4)')
    show.add_argument('--out', type=Path, required=True, help='a .jpg or .png file')


def run(args: argparse.Namespace) -> int:
    """Returns 0."""
    if args.verb == 'write':
        return _write(args)
    if args.verb == 'from-frames':
        name = write_frames_tree(read_frames(args.folder), args.out)
        sys.stdout.write(f'{args.out}: recorded frames of {name}, tree written here\n')
        return 0
    return _stats(args) if args.verb == 'stats' else _show(args)


def _write(args: argparse.Namespace) -> int:
    if args.seconds < 1.0 or args.workers < 1:
        raise InputError('--seconds must be at least 1, and --workers too')
    settings = {
        'image_size': list(args.image_size),
        'seconds': args.seconds,
        'kind': LOG_REPLAY if args.tracks else f'{ON_MAP} {args.map.name}' if args.map else args.kind or 'all in turn',
        'condition': args.condition or 'drawn',
    }
    jobs = _replay_jobs(args, settings) if args.tracks else _drawn_jobs(args, settings)
    writer = TreeWriter(args.out, settings)
    with writer.alone():
        missing = [job for job in jobs if not writer.has_scene(job.name)]
        start_s = time.perf_counter()
        _run_all(jobs, missing, writer, args.workers)
        seconds = time.perf_counter() - start_s
        num_scenes = len(writer.merge())
    frames = sum(num_ticks(job.seconds) for job in missing)
    speed = f', {frames / seconds:.1f} frames/s' if frames else ''
    sys.stdout.write(f'{args.out}: {len(missing)} scenes written{speed}; {num_scenes} in the tree\n')
    return 0


def _drawn_jobs(args: argparse.Namespace, settings: dict[str, Any]) -> list[SceneJob]:
    if args.scenes is None:
        raise InputError('--split needs --scenes; say how many')
    if args.map is not None:
        _check_map(args)
    drawn = (args.kind, args.condition, args.image_size, args.seconds, settings)
    seeds = seeds_of(args.split, args.scenes)
    return [SceneJob(args.out, args.split, seed, *drawn, lanelet2=args.map) for seed in seeds]


def _replay_jobs(args: argparse.Namespace, settings: dict[str, Any]) -> list[SceneJob]:
    """One scene a recording, none longer than it; all are read once before anything is written."""
    if args.kind or args.scenes is not None:
        raise InputError('--tracks replays each file once; leave out --kind and --scenes')
    if len({path.stem for path in args.tracks}) < len(args.tracks):
        raise InputError('two files of --tracks have one name, which names their scenes; rename one')
    jobs = []
    for path in args.tracks:
        seconds = min(args.seconds, read_tracks(path).duration_s)
        if seconds < 1.0:
            raise InputError(f'{path}: lasts {seconds:g} s; a scene needs at least 1 s')
        drawn = (LOG_REPLAY, args.condition, args.image_size, seconds, settings)
        jobs.append(SceneJob(args.out, 'replay', recording_seed(path), *drawn, path))
    return jobs


def _run_all(jobs: list[SceneJob], missing: list[SceneJob], writer: TreeWriter, workers: int) -> None:
    from tqdm import tqdm  # of the evaluation extra; the other verbs do without

    try:
        with tqdm(total=len(jobs), initial=len(jobs) - len(missing), unit='scene') as bar:
            for _ in run_jobs(write_scene, missing, workers):
                bar.update()
    except KeyboardInterrupt:
        whole = sum(writer.has_scene(job.name) for job in jobs)
        sys.stderr.write(f'{writer.root}: {whole} of {len(jobs)} scenes are whole; the same command goes on from there\n')
        raise


def _stats(args: argparse.Namespace) -> int:
    tree = open_tree(args.data, args.version)
    scenes = tree.scenes(args.split)
    text = json.dumps({**tree_statistics(tree, scenes), **scenario_facts(tree, scenes)}, indent=1) + '\n'
    if args.json:
        write_text(args.json, text)
    sys.stdout.write(text)
    return 0


def _show(args: argparse.Namespace) -> int:
    if args.out.suffix not in ('.jpg', '.png'):
        raise InputError(f'{args.out}: give a name that ends in .jpg or .png')
    if args.at < 0.0:
        raise InputError(f'--at {args.at:g} lies before the start; give 0 or more')
    rig = replace(NUSCENES_RIG, image_width=SHOW_SIZE[0], image_height=SHOW_SIZE[1])
    run = WorldRun(_shown(args), rig, threads=os.cpu_count() or 1)
    try:
        tick = round(10 * args.at)
        moment = next(run.drive(tick + 1, tick))  # the world stays at this moment, which the truth is asked for below
        picture_hw3 = draw_frame(_snapshot(run, moment, rig))
    finally:
        run.close()
    if not cv2.imwrite(str(args.out), cv2.cvtColor(picture_hw3, cv2.COLOR_RGB2BGR)):
        raise InputError(f'{args.out}: cannot be written; give a folder that is there, and make room')
    scenario, name = run.scenario, args.tracks or f'seed {args.seed}'
    facts = f'{scenario.kind}, {scenario.scene.condition.name}, {scenario.style}, {len(moment.actors)} road users'
    sys.stdout.write(f'{args.out}: {name} after {args.at:g} s: {facts}\n')
    return 0


def _check_map(args: argparse.Namespace) -> RoadNetwork:
    if args.kind or args.tracks is not None:
        raise InputError('--map is driven freely; leave out --kind and --tracks')
    return read_network(args.map, first_node(args.map))


def _shown(args: argparse.Namespace) -> Scenario:
    if args.map is not None:
        return map_scenario(_check_map(args), args.seed, condition=args.condition)
    if args.tracks is None:
        return draw_scenario(args.seed, kind=args.kind, condition=args.condition)
    if args.kind:
        raise InputError('--tracks replays what was recorded; leave out --kind')
    return replay_scenario(read_tracks(args.tracks), recording_seed(args.tracks), condition=args.condition)


def _snapshot(run: WorldRun, moment: Moment, rig: Rig) -> Snapshot:
    size, num = (rig.image_width, rig.image_height), len(rig.cameras)
    cameras = CameraImages(
        moment.sensed.images_nhw3,
        np.array([camera.intrinsics_33(*size) for camera in rig.cameras], np.float32),
        np.array([camera.base_link_se3_camera for camera in rig.cameras]),
        np.ones(num, bool),
        tuple(camera.name for camera in rig.cameras),
    )
    points_n5 = stored_points(moment, rig)
    points_n5[:, :3] = transform_points(rig.lidar.base_link_se3_lidar, points_n5[:, :3])
    points_n5[:, 3] /= 255.0
    truth = true_scene(run.world)
    speed_mps, time_s = moment.ego.speed_mps, run.world.time_s
    return Snapshot(cameras, points_n5, truth.objects, None, None, speed_mps=speed_mps, time_s=time_s)
