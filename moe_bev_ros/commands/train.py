"""``moe-bev train``: train a network on the simulated world, or on a tree of recorded drives."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.runtime.environment import config_dir

if TYPE_CHECKING:
    from moe_bev_ros.learning.drives import Source
    from moe_bev_ros.learning.first_weights import Weights

PILLARS, LIGHTS = 'pillars', 'lights'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, on what, how long, and where to."""
    parser.add_argument(
        '--profile',
        default=PILLARS,
        help='tiny, orin_nx, orin_agx; lights: reads traffic lights; pillars: the plain LiDAR yardstick (default)',
    )
    parser.add_argument('--data', default='world', help='root of a nuScenes tree, or world: simulated on the fly (default)')
    parser.add_argument('--split', default='', help='of the tree (default: all its scenes)')
    parser.add_argument('--config', type=Path, help='YAML file (default: config/training/<profile>.yaml)')
    parser.add_argument('--first-weights', type=Path, help='safetensors to begin with (default: random weights)')
    parser.add_argument('--frames', type=int, help='that the network sees, instead of those of the file')
    parser.add_argument('--samples', type=int, default=5600, help='that the pillars see (default 5600)')
    parser.add_argument('--seed', type=int, help='of weights and order (default: as in the file, 0 for pillars)')
    parser.add_argument('--threads', type=int, help='of the network; data is made beside it (default: as in the file, 1)')
    parser.add_argument('--workers', type=int, help='processes that make frames (default: as in the file)')
    parser.add_argument('--out', type=Path, default=Path('out/train'), help='checkpoint and weights (default out/train)')


def run(args: argparse.Namespace) -> int:
    """Train, or go on where the checkpoint in ``--out`` stands."""
    if args.profile == PILLARS:
        return _train_pillars(args)
    if args.profile == LIGHTS:
        return _train_lights(args)
    from moe_bev_ros.learning.train import train
    from moe_bev_ros.learning.train_config import load_train_config
    from moe_bev_ros.model.config import profile

    model = profile(args.profile)
    path = args.config or config_dir() / 'training' / f'{args.profile.split("_dense")[0]}.yaml'
    given = {'num_frames': args.frames, 'seed': args.seed, 'threads': args.threads, 'workers': args.workers}
    config = load_train_config(path, **{name: value for name, value in given.items() if value is not None})
    source = _source(args, (model.image_width, model.image_height))
    weights = train(model, config, source, args.out, _print, _first_weights(args.first_weights))
    if weights is None:
        return 130
    _print(f'weights: {weights}')
    return 0


def _first_weights(path: Path | None) -> Weights | None:
    if path is None:
        return None
    from moe_bev_ros.model.weights_file import load_weights

    return load_weights(path).state_dict()


def _source(args: argparse.Namespace, image_size: tuple[int, int]) -> Source:
    if args.data == 'world':
        from moe_bev_ros.learning.world_drives import WorldSource

        return WorldSource(image_size)
    from moe_bev_ros.datasets.nuscenes_tree import open_tree
    from moe_bev_ros.learning.tree_drives import TreeSource

    return TreeSource(open_tree(Path(args.data)), args.split, image_size)


def _train_pillars(args: argparse.Namespace) -> int:
    _refuse_data(args)
    from moe_bev_ros.learning.train_pillars import TrainConfig, train

    config = TrainConfig(num_samples=args.samples, seed=args.seed or 0, threads=args.threads or 1)
    _print(f'weights: {train(config, args.out, _print)}')
    return 0


def _train_lights(args: argparse.Namespace) -> int:
    _refuse_data(args)
    from moe_bev_ros.learning.train_lights import LightTrainConfig, train_lights

    config = LightTrainConfig(seed=args.seed or 0, threads=args.threads or 1)
    _print(f'weights: {train_lights(config, args.out, _print)}')
    return 0


def _refuse_data(args: argparse.Namespace) -> None:
    if args.data != 'world':
        raise InputError(
            f'--data {args.data}: {args.profile} train on the world alone; leave --data out, or give another --profile'
        )


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
    sys.stdout.flush()
