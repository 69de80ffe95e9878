"""``moe-bev train``: train a network on the simulated world."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to train, how long, and where to."""
    parser.add_argument('--profile', choices=['pillars'], default='pillars', help='pillars: the plain LiDAR yardstick')
    parser.add_argument('--samples', type=int, default=5600, help='samples that the network sees (default 5600)')
    parser.add_argument('--seed', type=int, default=0, help='of weights and order (default 0)')
    parser.add_argument('--threads', type=int, default=1, help='of the network; the world runs beside it (default 1)')
    parser.add_argument('--out', type=Path, default=Path('out/train'), help='checkpoint and weights (default out/train)')


def run(args: argparse.Namespace) -> int:
    """Train, or go on where the checkpoint in ``--out`` stands."""
    from moe_bev_ros.learning.train_pillars import TrainConfig, train

    config = TrainConfig(num_samples=args.samples, seed=args.seed, threads=args.threads)
    weights = train(config, args.out, _print)
    _print(f'weights: {weights}')
    return 0


def _print(line: str) -> None:
    sys.stdout.write(line + '\n')
    sys.stdout.flush()
