"""What every engine offers to the BEV node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.core.se3 import Array


class EngineError(RuntimeError):
    """An engine cannot be built or run; the message names the fact and the cure."""


@dataclass(frozen=True)
class BevGrid:
    """Which part of the ground an engine maps: a square around base_link that reaches ``half_m`` to every side [m]."""

    half_m: float = 50.0
    cell_m: float = 0.25

    @property
    def num_cells(self) -> int:
        """Cells along one side."""
        return round(2 * self.half_m / self.cell_m)


DEVICES = ('auto', 'cpu', 'gpu', 'npu')
PRECISIONS = ('auto', 'float32', 'bfloat16', 'int8')


@dataclass(frozen=True)
class EngineSettings:
    """What an engine is asked to keep to.

    Attributes:
        grid: of the map of engines that have no grid of their own.
        num_threads: of a network on the CPU.
        precision: of a network, one of PRECISIONS; auto: what the engine is best at without loss.
        device: one of DEVICES, of the network; auto: what the engine is best at.
        engine_dir: folder of an exported network; None: the one of the network that ships.
    """

    grid: BevGrid = BevGrid()
    num_threads: int = 1
    precision: str = 'auto'
    device: str = 'auto'
    engine_dir: Path | None = None


def computes_bfloat16() -> bool:
    """Whether this processor has instructions for bfloat16."""
    try:
        flags = Path('/proc/cpuinfo').read_text().split()
    except OSError:
        return False
    return bool({'avx512_bf16', 'amx_bf16', 'bf16'} & set(flags))


@dataclass(frozen=True)
class Segmentation:
    """A BEV map of occupancy.

    Attributes:
        occupancy_hw: (H, W) int8 as in nav_msgs/OccupancyGrid: 0 free .. 100 occupied, -1 unknown; row 0 at the smallest y.
        resolution_m: size of a cell [m].
        origin_xy_m: corner of cell (0, 0) in base_link [m].
        masks: (H, W) bool by class, of an engine that tells more: drivable, divider, crossing, stop_line, vehicles.
    """

    occupancy_hw: NDArray[np.int8]
    resolution_m: float
    origin_xy_m: tuple[float, float]
    masks: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineOutput:
    """What one step gave.

    Attributes:
        perception_valid: the frame held the sensors that this engine needs.
        stage_ms: wall time of each stage [ms], in order.
        experts: names of the frame experts that ran.
        memory_bytes: temporal memory held after the step.
        sparsity: shares of the work that was left out, by what was chosen among.
        warnings: what was lost or left out in this step, for the user to know.
    """

    detections: Detections
    perception_valid: bool
    segmentation: Segmentation | None = None
    stage_ms: dict[str, float] = field(default_factory=dict)
    experts: tuple[str, ...] = ()
    memory_bytes: int = 0
    sparsity: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class Engine(Protocol):
    """A perception engine with a memory.

    ``step`` is called with frames in rising stamps; ``reset`` after a jump of time.
    """

    name: str

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height of the images that it reads [pixels]; None: it reads none."""
        ...

    @property
    def least_scores(self) -> Mapping[Label, float]:
        """Objects with a lower score for their class are guesses: they count for an evaluation, and nobody brakes for them."""
        ...

    def step(self, frame: Frame, base_link_now_se3_before: Array | None) -> EngineOutput:
        """Detect the objects of one frame.

        Args:
            frame: the sensors that came in.
            base_link_now_se3_before: motion of base_link since the last frame (4 x 4); None when not known.
        """
        ...

    def reset(self) -> None:
        """Forget everything that came before."""
        ...
