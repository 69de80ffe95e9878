"""Detections and tracks: boxes as (N, 7) arrays ``x, y, z, length, width, height, yaw`` with z at the centre."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Label(IntEnum):
    """nuScenes' ten detection classes; the numbers are those of Object.msg."""

    CAR = 0
    TRUCK = 1
    BUS = 2
    TRAILER = 3
    CONSTRUCTION_VEHICLE = 4
    PEDESTRIAN = 5
    MOTORCYCLE = 6
    BICYCLE = 7
    TRAFFIC_CONE = 8
    BARRIER = 9
    UNKNOWN = 255


@dataclass(frozen=True)
class Detections:
    """What an engine found in one frame, in base_link.

    Attributes:
        boxes_n7: (N, 7) float32 [m, rad].
        labels_n: (N,) uint8, values of Label.
        scores_n: (N,) float32 in [0, 1].
        velocities_n2: (N, 2) float32 over ground in base_link's axes [m/s]; NaN: not measured.
    """

    boxes_n7: NDArray[np.float32]
    labels_n: NDArray[np.uint8]
    scores_n: NDArray[np.float32]
    velocities_n2: NDArray[np.float32]

    def __post_init__(self) -> None:
        num = len(self.labels_n)
        for name, value, shape in (
            ('boxes_n7', self.boxes_n7, (num, 7)),
            ('labels_n', self.labels_n, (num,)),
            ('scores_n', self.scores_n, (num,)),
            ('velocities_n2', self.velocities_n2, (num, 2)),
        ):
            if value.shape != shape:
                raise ValueError(f'{name} must be {shape}, got {value.shape}')

    @staticmethod
    def empty() -> Detections:
        """No detection at all."""
        return Detections(
            np.zeros((0, 7), np.float32), np.zeros(0, np.uint8), np.zeros(0, np.float32), np.zeros((0, 2), np.float32)
        )

    def __len__(self) -> int:
        return len(self.labels_n)


@dataclass(frozen=True)
class Forecast:
    """One possible future: positions (T, 2) [m] at every ``time_step_s`` from now, in the frame of the object."""

    probability: float
    time_step_s: float
    positions_t2: NDArray[np.float32]


@dataclass(frozen=True)
class TrackedObject:
    """One road user.

    Attributes:
        box_7: x, y, z, length, width, height [m], yaw [rad].
        velocity_2: over ground [m/s], in the axes of the frame that holds the object.
        covariance_44: of (x, y, vx, vy) [m, m/s].
        age: frames since the track began.
        missed: frames since it was last detected.
    """

    track_id: int
    label: Label
    score: float
    box_7: NDArray[np.float32]
    velocity_2: NDArray[np.float32]
    covariance_44: NDArray[np.float32]
    yaw_rate_radps: float = 0.0
    age: int = 0
    missed: int = 0
    forecasts: tuple[Forecast, ...] = ()


@dataclass(frozen=True)
class Scene:
    """What is around the vehicle at a stamp, in base_link.

    Attributes:
        perception_valid: the engine had the sensors that it needs; where False, no object does not mean a free road.
    """

    stamp_ns: int
    objects: tuple[TrackedObject, ...]
    perception_valid: bool
    lidar_valid: bool
    camera_valid: bool
