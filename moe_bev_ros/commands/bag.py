"""``moe-bev bag``: make a rosbag2 from recorded frames or a data set, turn one into a data set, and say what is in one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.datasets.bag_to_tree import write_bag_tree
from moe_bev_ros.datasets.bag_writer import STORAGES
from moe_bev_ros.datasets.frames import read_frames
from moe_bev_ros.datasets.frames_to_bag import write_frames_bag
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.tree_to_bag import write_scene_bag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Four verbs: from-frames, from-tree, to-tree and info."""
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    make = verbs.add_parser('from-frames', help='write recorded frames (nuScenes keyframes, a KITTI drive) as a rosbag2')
    make.add_argument('folder', type=Path, help='folder with frame.json, with 0/frame.json and so on, or with calibration.json')
    make.add_argument('out', type=Path, help='the bag to make')
    tree = verbs.add_parser('from-tree', help='write a scene of a nuScenes tree, of our world or a real one, as a rosbag2')
    tree.add_argument('data', type=Path, help='root of the tree')
    tree.add_argument('out', type=Path, help='the bag to make')
    tree.add_argument('--scene', required=True, help='its name, such as world-1000000 or scene-0061')
    tree.add_argument('--version', default='', help='where the tree has several, such as v1.0-mini')
    for maker in (make, tree):
        maker.add_argument('--storage', choices=sorted(STORAGES), default='sqlite3')
        maker.add_argument('--compressed', action='store_true', help='images as recorded (JPEG, PNG) instead of raw bgr8')
    back = verbs.add_parser('to-tree', help='write the sensor data of a rosbag2 as a nuScenes tree without boxes (v1.0-bag)')
    back.add_argument('bag', type=Path)
    back.add_argument('--out', type=Path, required=True, help='root of the tree')
    info = verbs.add_parser('info', help='topics, counts and QoS of a rosbag2, and what is wrong with it')
    info.add_argument('bag', type=Path)


def run(args: argparse.Namespace) -> int:
    """Returns 0, or 1 where the bag is damaged."""
    if args.verb == 'from-frames':
        folder = read_frames(args.folder)
        write_frames_bag(folder, args.out, storage=args.storage, compressed=args.compressed)
        sys.stdout.write(f'real frames of {folder.name}, bag written here\n')
        if folder.note:
            sys.stdout.write(f'note: {folder.note}\n')
        if not folder.has_odometry:
            sys.stdout.write('note: no ego poses were recorded, so the bag has no odometry\n')
        return _info(args.out)
    if args.verb == 'from-tree':
        form = {'storage': args.storage, 'compressed': args.compressed}
        write_scene_bag(open_tree(args.data, args.version), args.scene, args.out, **form)
        return _info(args.out)
    if args.verb == 'to-tree':
        sys.stdout.write(f'{args.out}: scene {write_bag_tree(args.bag, args.out)}\n')
        return 0
    return _info(args.bag)


def _info(path: Path) -> int:
    with BagReader(path) as bag:
        sys.stdout.write(f'{path}: {bag.num_messages} messages in {bag.duration_s:.2f} s from {bag.start_ns / 1e9:.6f} s on\n')
        for topic in bag.topics.values():
            qos = f'{"reliable" if topic.qos.reliable else "best effort"}{", latched" if topic.qos.transient_local else ""}'
            sys.stdout.write(f'  {topic.num_messages:6d}  {topic.name}  {topic.type_name}  ({qos}, depth {topic.qos.depth})\n')
        if bag.damage:
            sys.stdout.write(f'damage: {bag.damage}\n')
        return 1 if bag.damage else 0
