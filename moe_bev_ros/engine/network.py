"""The BEV network, whatever it runs on: what an engine asks of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.perception.centre_boxes import CentreMaps
from moe_bev_ros.perception.network_inputs import NetworkArrays

F32 = NDArray[np.float32]
Clock = Callable[[str], None]


@dataclass(frozen=True)
class Encoded:
    """One frame as the encoders see it.

    Attributes:
        values: by name, in the form of the network that made them; no other network can read them.
    """

    values: Mapping[str, Any]


class NetworkOutputs(NamedTuple):
    """One step.

    Attributes:
        maps: what is said of every cell.
        road_khw: (5, H, W) logits in the order of ROAD_CLASSES.
        num_key_points: image blocks that were looked at, over all cameras.
        num_pairs: of a patch and an expert that were computed.
    """

    maps: CentreMaps
    road_khw: F32
    num_key_points: int
    num_pairs: int


class Network(Protocol):
    """A network with its memory; its name is that of the engine which runs it.

    ``encode`` and ``conclude`` may run in two threads at once, for consecutive frames. What ``encode`` gave is valid until the
    second ``encode`` after it begins, what ``conclude`` gave until the next ``conclude``: two sets of buffers are enough for a
    pipeline of two stages.
    """

    name: str
    config: ModelConfig

    @property
    def memory_bytes(self) -> int:
        """Of the temporal memory."""
        ...

    def drop_memory(self) -> None:
        """Begin the memory anew."""
        ...

    def encode(self, arrays: NetworkArrays, experts: tuple[str, ...], clock: Clock) -> Encoded:
        """What needs nothing of earlier frames: the encoders that these frame experts read."""
        ...

    def conclude(self, encoded: Encoded, motion_33: F32, dt_s: float, experts: tuple[str, ...], clock: Clock) -> NetworkOutputs:
        """The rest, with the memory of the frames before, which this one becomes part of.

        Args:
            motion_33: SE2 that moves points from the base_link of the frame that was concluded last to the present one [m].
            dt_s: since that frame; 0: there was none, and the memory is ignored.
            experts: those that ``encoded`` was made for.
        """
        ...
