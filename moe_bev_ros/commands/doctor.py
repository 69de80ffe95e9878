"""``moe-bev doctor``: gathers facts about this machine and prints one judged line for each."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.runtime.doctor import (
    Check,
    Level,
    check_abandoned,
    check_calibration,
    check_clock,
    check_cores,
    check_engine,
    check_engines,
    check_image_size,
    check_messages,
    check_profile,
    check_python,
    check_rclpy,
    check_receive_buffer,
    node_params,
)
from moe_bev_ros.runtime.environment import config_dir, transport_profile
from moe_bev_ros.runtime.shared_memory import abandoned_segments

if TYPE_CHECKING:
    from moe_bev_ros.engine.base import EngineSettings

ENGINE_MODULES = ('torch', 'onnxruntime', 'openvino', 'tensorrt')
ENGINE_PARAMS = {'precision': 'auto', 'device': 'auto', 'engine_dir': ''}  # of bev_node, with their defaults
CLOCK_WATCH_S = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``moe-bev doctor``."""
    parser.add_argument(
        '--params',
        type=Path,
        help='parameter file of your cameras and engine; they have to fit each other (default: the shipped ones)',
    )


def run(args: argparse.Namespace) -> int:
    """Print all checks; 1 when one of them failed."""
    checks = gather(args.params)
    for check in checks:
        print(check)  # noqa: T201
    return 1 if any(check.level is Level.FAIL for check in checks) else 0


def gather(params_file: Path | None = None) -> list[Check]:
    """All checks of this machine.

    Raises:
        InputError: ``params_file`` cannot be read.
    """
    versions = {name: _version(name) for name in ENGINE_MODULES}
    cameras = _params('camera_node', params_file)
    return [
        check_python(sys.version_info[:2]),
        _rclpy(),
        check_messages(_import_problem('moe_bev_ros.msg')),
        *check_profile(os.environ, transport_profile(os.environ)[1], _free_shared_memory()),
        check_abandoned(len(abandoned_segments())),
        check_receive_buffer(_receive_buffer()),
        *check_calibration(cameras),
        *check_engines(versions, _cuda() if versions['torch'] else None),
        *_engines(_params('bev_node', params_file), cameras),
        check_cores(len(os.sched_getaffinity(0)), os.getloadavg()[0]),
        _clock(),
    ]


def _rclpy() -> Check:
    problem = _import_problem('rclpy')
    if problem:
        return check_rclpy(None, None, None, problem)
    from rclpy.utilities import get_rmw_implementation_identifier

    return check_rclpy(_rclpy_version(), os.environ.get('ROS_DISTRO'), get_rmw_implementation_identifier())


def _rclpy_version() -> str:
    return _distribution_version('rclpy') or _distribution_version('ros-rclpy') or '0'


def _distribution_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_problem(module: str) -> str:
    try:
        importlib.import_module(module)
    except ImportError as err:
        return str(err)
    return ''


def _version(module: str) -> str | None:
    if _import_problem(module):
        return None
    return str(getattr(sys.modules[module], '__version__', 'of unknown version'))


def _cuda() -> str | None:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def _free_shared_memory() -> int | None:
    return shutil.disk_usage('/dev/shm').free if Path('/dev/shm').is_dir() else None


def _receive_buffer() -> int | None:
    try:
        return int(Path('/proc/sys/net/core/rmem_max').read_text())
    except OSError:
        return None


def _clock() -> Check:
    wall_s, monotonic_s = time.time(), time.monotonic()
    time.sleep(CLOCK_WATCH_S)
    return check_clock(time.time() - wall_s, time.monotonic() - monotonic_s, time.gmtime().tm_year)


def _engines(params: Mapping[str, object], cameras: Mapping[str, object]) -> list[Check]:
    """Builds every engine as bev_node does; of run-times that are not chosen it only asks whether they are there."""
    from moe_bev_ros.engine.base import EngineError, EngineSettings  # with numba and torch, where it is
    from moe_bev_ros.engine.engines import ENGINES, RUN_TIMES

    chosen = str(params.get('engine', ''))
    checks = (
        [] if chosen in ENGINES else [check_engine(chosen, f'there is none; one of {", ".join(ENGINES)}', None, is_chosen=True)]
    )
    for name, build in ENGINES.items():
        size, problem, is_built = None, '', name == chosen or name not in RUN_TIMES
        try:
            if is_built:
                size = build(_settings(params) if name == chosen else EngineSettings()).image_size
            else:
                RUN_TIMES[name](EngineSettings())
        except EngineError as err:
            problem = str(err)
        checks.append(check_engine(name, problem, size, is_chosen=name == chosen, is_built=is_built))
        checks += check_image_size(name, size, cameras) if name == chosen else []
    return checks


def _settings(params: Mapping[str, object]) -> EngineSettings:
    from moe_bev_ros.engine.base import EngineSettings

    precision, device, folder = (str(params.get(name) or default) for name, default in ENGINE_PARAMS.items())
    return EngineSettings(precision=precision, device=device, engine_dir=Path(folder) if folder else None)


def _params(node: str, params_file: Path | None) -> dict[str, object]:
    """The shipped values with the user's laid over them, as the node gets them."""
    shipped = _read_params(config_dir() / f'{node}.param.yaml', node)
    return {**shipped, **_read_params(params_file, node)} if params_file else shipped


def _read_params(path: Path, node: str) -> dict[str, object]:
    try:
        return dict(node_params(yaml.safe_load(path.read_text()), node))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise InputError(f'{path}: cannot be read as a parameter file: {err}') from err
