"""``moe-bev build``: engines that must be built on the machine that runs them."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.manifest import Manifest
from moe_bev_ros.engine.shipped import network_folder
from moe_bev_ros.engine.tensorrt_settings import VehicleSettings, save_vehicle_settings, tensorrt_runtime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev build``."""
    parser.add_argument('--engine', required=True, choices=['tensorrt'], help='others need no building')
    parser.add_argument('--engine-dir', type=Path, metavar='DIR', help='exported network (default: the one that ships)')
    text = 'auto (FP16, and INT8 where the network was quantised), int8 or float32, as bev_node is given it (default auto)'
    parser.add_argument('--precision', default='auto', choices=['auto', 'int8', 'float32'], help=text)
    parser.add_argument('--dla', type=int, metavar='N', help='the core of this number takes the stages of convolutions')
    parser.add_argument('--check', action='store_true', help='only hold every operator against the tables; needs no TensorRT')


def run(args: argparse.Namespace) -> int:
    """Check or build; 1: the check found what TensorRT does not take."""
    settings = EngineSettings(precision=args.precision, engine_dir=args.engine_dir)
    vehicle = VehicleSettings(args.dla)
    try:
        manifest, folder = network_folder(settings)
        return _check(manifest, folder, settings) if args.check else _build(manifest, folder, settings, vehicle)
    except ModuleNotFoundError as err:
        raise InputError(f'{err}; pip install moe-bev-ros[torch]') from err
    except EngineError as err:
        raise InputError(str(err)) from err


def _check(manifest: Manifest, folder: Path, settings: EngineSettings) -> int:
    from moe_bev_ros.engine.tensorrt_check import HEADER, check_parts, tables

    _say(f'{folder}: {manifest.config.name}, {manifest.precision}')
    _say(HEADER)
    found = check_parts(_paths(manifest, folder), half=settings.precision != 'float32')
    for part in found:
        _say(part.text())
    for table in tables():
        _say(f'{table.device}: {table.version}, {next(iter(table.sources.values()))}')
    return int(any(part.problems for part in found))


def _build(manifest: Manifest, folder: Path, settings: EngineSettings, vehicle: VehicleSettings) -> int:
    """Open every sub-engine once, which builds what is not there yet, and shows that it loads."""
    if vehicle.dla_core is not None:
        vehicle = VehicleSettings(vehicle.dla_core, _dla_parts(manifest, folder))
    run_time = tensorrt_runtime(settings, _say, vehicle)
    for index, (name, part) in enumerate(manifest.parts.items(), 1):
        began_s = time.monotonic()
        run_time.open(part, folder / part.file)
        _say(f'{name}: ready, {index} of {len(manifest.parts)}, {time.monotonic() - began_s:.0f} s')
    save_vehicle_settings(folder, vehicle)
    return 0


def _dla_parts(manifest: Manifest, folder: Path) -> tuple[str, ...]:
    from moe_bev_ros.engine.tensorrt_check import check_parts

    return tuple(part.name for part in check_parts(_paths(manifest, folder)) if part.fits_dla)


def _paths(manifest: Manifest, folder: Path) -> list[Path]:
    return [folder / part.file for part in manifest.parts.values()]


def _say(line: str) -> None:
    sys.stdout.write(line + '\n')
    sys.stdout.flush()
