"""Batches of frames for streaming training: in each lane of a batch one drive plays after another.

Lane l of L plays drives l, l + L, … of an order that is drawn anew for each epoch, so what comes does not depend on how many
processes make it. Those processes know neither torch nor the tree: they get drives and give arrays, one message a time step.

Legend: B lanes, N cameras, H W image, h w blocks, Z heights, G inner cells a side, P channels of S pillars a side.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.learning.bev_targets import Targets
from moe_bev_ros.learning.drives import F32, Drive, Source
from moe_bev_ros.learning.lane_workers import LaneFrame, LanesHere, LaneWorker
from moe_bev_ros.model.config import ModelConfig


class Step(NamedTuple):
    """One time step of all lanes.

    Attributes:
        images: (B, N, H, W, 3) uint8 RGB; zero where a camera is not valid.
        camera_valid: (B, N) bool.
        lidar_valid: (B,) bool.
        depth: (B, N, h, w) float32.
        pixel, bin: (B, Z, G * G) int64.
        pillars: (B, P, S, S) float32.
        motion: (B, 3, 3) float32 SE2 from the frame before to this one.
        dt: (B,) float32 [s]; 0 at the first frame of a drive.
        targets: with B in front.
        conditions, kinds: of the scene in each lane.
    """

    images: NDArray[np.uint8]
    camera_valid: NDArray[np.bool_]
    lidar_valid: NDArray[np.bool_]
    depth: F32
    pixel: NDArray[np.int64]
    bin: NDArray[np.int64]
    pillars: F32
    motion: F32
    dt: F32
    targets: Targets
    conditions: tuple[str, ...]
    kinds: tuple[str, ...]


class Place(NamedTuple):
    """Where a lane is: frames that it has shown of which of its drives."""

    drive: int
    frame: int


class Streams:
    """Iterator of chunks: lists of `Step` in the order of time.

    Args:
        batch: lanes of this process.
        chunk: steps.
        workers: processes that make the arrays; 0: they are made here, when they are asked for.
        rank, world_size: this process among those that train together, which play different drives.
        start: where each lane goes on, as `state` of an earlier run says; None: at its first drive.

    Raises:
        InputError: from iterating: a worker failed or was killed; the text says why.
    """

    def __init__(
        self,
        source: Source,
        config: ModelConfig,
        batch: int,
        chunk: int,
        seed: int,
        workers: int,
        rank: int = 0,
        world_size: int = 1,
        start: Sequence[Place] | None = None,
    ) -> None:
        self._config, self._chunk = config, chunk
        num_lanes = batch * world_size
        order = DriveOrder(source, seed)
        self._places = list(start or [Place(0, 0)] * batch)
        lanes = [order.lane(rank * batch + lane, num_lanes, place.drive) for lane, place in enumerate(self._places)]
        num = min(workers, batch)
        shares = np.array_split(np.arange(batch), max(1, num))
        kind = LaneWorker if num else LanesHere
        self._makers = [
            kind(config, [lanes[lane] for lane in share], [self._places[lane].frame for lane in share]) for share in shares
        ]

    @property
    def state(self) -> tuple[Place, ...]:
        """The ``start`` of a run that goes on from here."""
        return tuple(self._places)

    def __iter__(self) -> Streams:
        return self

    def __next__(self) -> list[Step]:
        return [self._step() for _ in range(self._chunk)]

    def __enter__(self) -> Streams:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        for maker in self._makers:
            maker.close()

    def _step(self) -> Step:
        frames = [frame for maker in self._makers for frame in maker.frames()]
        for lane, frame in enumerate(frames):
            drive, seen = self._places[lane]
            begins = frame.dt == 0.0 and seen > 0
            self._places[lane] = Place(drive + 1, 1) if begins else Place(drive, seen + 1)
        return _stacked(frames, self._config)


class DriveOrder:
    """Which drive comes when: all of a source in an order that each epoch draws anew."""

    def __init__(self, source: Source, seed: int) -> None:
        self._source, self._seed = source, seed
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._lock = threading.Lock()  # lanes of several workers are asked from several threads

    def lane(self, lane: int, num_lanes: int, start: int) -> Iterator[Drive]:
        """The drives of one lane, without end."""
        number = lane + start * num_lanes
        while True:
            with self._lock:
                drive = self._source.drive(self.index(number), (self._seed, number))
            yield drive
            number += num_lanes

    def index(self, number: int) -> int:
        """Which of the source's drives is the one with this number."""
        epoch, place = divmod(number, self._source.num_drives)
        if epoch not in self._orders:
            drawn = np.random.default_rng((self._seed, epoch)).permutation(self._source.num_drives)
            self._orders = {key: order for key, order in self._orders.items() if key >= epoch - 1} | {epoch: drawn}
        return int(self._orders[epoch][place])


def _stacked(frames: Sequence[LaneFrame], config: ModelConfig) -> Step:
    num_pillars = config.num_pillars
    pillars = np.zeros((len(frames), len(frames[0].pillars), num_pillars**2), np.float32)
    for lane, frame in enumerate(frames):
        pillars[lane][:, frame.places] = frame.pillars
    return Step(
        np.stack([frame.images for frame in frames]),
        np.stack([frame.camera_valid for frame in frames]),
        np.array([frame.lidar_valid for frame in frames]),
        np.stack([frame.depth for frame in frames]),
        np.stack([frame.pixel for frame in frames]),
        np.stack([frame.bin for frame in frames]),
        pillars.reshape(len(frames), -1, num_pillars, num_pillars),
        np.stack([frame.motion for frame in frames]),
        np.array([frame.dt for frame in frames], np.float32),
        Targets(*(np.stack(values) for values in zip(*(frame.targets for frame in frames)))),
        tuple(frame.condition for frame in frames),
        tuple(frame.kind for frame in frames),
    )
