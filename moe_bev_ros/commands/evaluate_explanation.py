"""``moe-bev evaluate explanation``: what in the images of a frame made the network see its objects, as a picture."""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

import cv2

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.objects import Label
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, open_tree
from moe_bev_ros.runtime.threads import limit_threads

CLASSES = tuple(label.name.lower() for label in Label if label is not Label.UNKNOWN)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which frame, which objects, and where the picture goes."""
    parser.add_argument('--data', type=Path, required=True, metavar='DIR', help='root of a nuScenes tree')
    parser.add_argument('--version', default='', help='of the tree, where it holds several, such as v1.0-mini')
    parser.add_argument('--scene', required=True, metavar='NAME', help='such as world-1000003')
    parser.add_argument('--frame', type=int, default=0, metavar='K', help='of the scene, 10 a second; default %(default)s')
    parser.add_argument('--label', choices=CLASSES, default='car', help='class of the objects; default %(default)s')
    parser.add_argument('--objects', type=int, default=5, metavar='N', help='the best so many; default %(default)s')
    parser.add_argument('--weights', type=Path, metavar='F', help='of the network; default: those that ship')
    parser.add_argument('--out', type=Path, required=True, metavar='PNG', help='the picture; it may show recorded data')


def run(args: argparse.Namespace) -> int:
    """Write the picture."""
    from moe_bev_ros.engine.base import EngineError  # torch takes a second
    from moe_bev_ros.engine.explanation import Subject, explain_frame
    from moe_bev_ros.engine.shipped import WEIGHTS
    from moe_bev_ros.engine.torch_network import torch_engine
    from moe_bev_ros.evaluation.perception.explanation_picture import draw_explanation

    if args.out.suffix not in ('.jpg', '.png'):
        raise InputError(f'{args.out}: give a name that ends in .jpg or .png')
    subject = Subject(Label[args.label.upper()], args.objects)
    limit_threads(1)
    try:
        engine = torch_engine(weights=args.weights or WEIGHTS)
        size = engine.config.image_width, engine.config.image_height
        frame = _frame(open_tree(args.data, args.version), args.scene, args.frame, size)
        detections = engine.step(frame, None).detections
    except EngineError as err:
        raise InputError(str(err)) from err
    picture_hw3 = draw_explanation(explain_frame(engine.network.model, frame, subject), frame, detections)
    if not cv2.imwrite(str(args.out), cv2.cvtColor(picture_hw3, cv2.COLOR_RGB2BGR)):
        raise InputError(f'{args.out}: cannot be written; give a folder that is there, and make room')
    sys.stdout.write(f'{args.out}: {args.label} in frame {args.frame} of {args.scene}\n')
    return 0


def _frame(tree: NuscenesTree, scene: str, index: int, size: tuple[int, int]) -> Frame:
    if scene not in tree.scenes():
        raise InputError(f'{tree.root}: no scene {scene!r}; the first of its scenes is {tree.scenes()[0]}')
    found = next(islice(tree.frames(scene, size), index, None), None) if index >= 0 else None
    if found is None:
        raise InputError(f'{scene}: no frame {index}; count them from 0, 10 a second')
    return found.frame
