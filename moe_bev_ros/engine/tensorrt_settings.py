"""TensorRT where it is installed, and what the plans of a vehicle are built for. This module loads without TensorRT."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.tensorrt_cache import Report

if TYPE_CHECKING:
    from moe_bev_ros.engine.tensorrt_runtime import TensorRT

PLANS = 'tensorrt'  # folder beside the ONNX files
FILE = 'settings.json'
CURE = (
    'on a Jetson it comes with JetPack: apt install python3-libnvinfer, and a virtual environment with --system-site-packages; '
    'elsewhere: pip install tensorrt, 10 or newer; or choose another engine'
)


@dataclass(frozen=True)
class VehicleSettings:
    """What `moe-bev build` was asked for, so that the nodes find the same plans.

    Attributes:
        dla_core: that takes ``dla_parts``; None: the GPU takes all.
        dla_parts: names of sub-engines.
    """

    dla_core: int | None = None
    dla_parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.dla_core is not None and self.dla_core < 0:
            raise InputError(f'DLA core {self.dla_core}; they are counted from 0')

    def dla_of(self, part: str) -> int | None:
        """The core that takes a sub-engine; None: the GPU does."""
        return self.dla_core if part in self.dla_parts else None


def load_vehicle_settings(folder: Path) -> VehicleSettings:
    """Of the folder of an exported network.

    Raises:
        EngineError: the file is broken.
    """
    path = folder / PLANS / FILE
    try:
        content = json.loads(path.read_text())
        return VehicleSettings(content['dla_core'], tuple(content['dla_parts']))
    except FileNotFoundError:
        return VehicleSettings()
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise EngineError(f'{path}: not what moe-bev build writes ({err}); remove it and run moe-bev build again') from err


def save_vehicle_settings(folder: Path, settings: VehicleSettings) -> None:
    """For the nodes.

    Raises:
        InputError: the file cannot be written.
    """
    write_json(folder / PLANS / FILE, asdict(settings))


def tensorrt_runtime(
    settings: EngineSettings, report: Report | None = None, vehicle: VehicleSettings | None = None
) -> TensorRT:
    """The run-time of this machine.

    Args:
        report: told in lines what is built; None: standard error.
        vehicle: None: those of the folder of the network.

    Raises:
        EngineError: TensorRT, torch or a GPU is missing, or the precision is none of its.
    """
    try:
        from moe_bev_ros.engine.tensorrt_runtime import TensorRT
    except ModuleNotFoundError as err:
        raise EngineError(f'engine tensorrt: {err}; {CURE}') from err
    return TensorRT(settings, report or _say, vehicle)


def _say(line: str) -> None:
    sys.stderr.write(f'tensorrt: {line}\n')
