"""``moe-bev export``: a network as ONNX files, one a sub-engine, for any run-time."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.manifest import Manifest, file_sha256
from moe_bev_ros.engine.shipped import FOLDER, cache_folder
from moe_bev_ros.model.config import profile

UNTRAINED = 'untrained'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev export``."""
    parser.add_argument('--profile', default='tiny', help='network whose shipped weights are exported (default tiny)')
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--weights', type=Path, metavar='F', help='these weights; they say themselves what network they are')
    which.add_argument(f'--{UNTRAINED}', action='store_true', help='random weights, to measure times of a profile without any')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder (default: in your cache, where engines look for it)')


def run(args: argparse.Namespace) -> int:
    """Export, and print what the folder holds."""
    weights = args.weights or FOLDER / f'{profile(args.profile).name}.safetensors'
    if args.untrained and args.out is None:
        raise InputError('engines take what lies in your cache for trained; give --out DIR beside --untrained')
    try:
        from moe_bev_ros.engine.export import export_engine
        from moe_bev_ros.model.bev_model import BevModel
        from moe_bev_ros.model.weights_file import load_weights
    except ModuleNotFoundError as err:
        raise InputError(f'{err}; pip install moe-bev-ros[torch,engines]') from err
    try:
        folder = args.out or cache_folder(weights)
    except EngineError as err:
        raise InputError(str(err)) from err
    if args.untrained:
        model, sha256 = BevModel(profile(args.profile)), UNTRAINED
    else:
        model, sha256 = load_weights(weights), file_sha256(weights)
    manifest = export_engine(model, sha256, folder)
    sys.stdout.write(_table(manifest, folder) + '\n')
    return 0


def _table(manifest: Manifest, folder: Path) -> str:
    rows = [f'{name:18}{(folder / part.file).stat().st_size / 1e6:8.2f} MB' for name, part in manifest.parts.items()]
    facts = f'{manifest.config.name}, {manifest.precision}, ONNX operator set {manifest.opset}'
    return '\n'.join([f'{folder}: {facts}', *rows])
