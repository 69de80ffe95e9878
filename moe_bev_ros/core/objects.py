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


FORECAST_STEP_S = 0.5  # between two positions of a forecast


@dataclass(frozen=True)
class Detections:
    """What an engine found in one frame, in base_link.

    Attributes:
        boxes_n7: (N, 7) float32 [m, rad].
        labels_n: (N,) uint8, values of Label.
        scores_n: (N,) float32 in [0, 1].
        velocities_n2: (N, 2) float32 over ground in base_link's axes [m/s]; NaN: not measured.

    What not every engine tells, and is None where it does not:
        attributes_n: (N,) uint8 indices of core.attributes.ATTRIBUTES; NO_ATTRIBUTE for none.
        covariances_n44: (N, 4, 4) float32 of (x, y, vx, vy) [m, m/s].
        hidden_n: (N,) bool: there, but out of sight now.
        futures_nmt2: (N, M, T, 2) float32 positions in base_link [m] of M possible futures, every FORECAST_STEP_S from now on.
        probabilities_nm: (N, M) float32 of these futures.
    """

    boxes_n7: NDArray[np.float32]
    labels_n: NDArray[np.uint8]
    scores_n: NDArray[np.float32]
    velocities_n2: NDArray[np.float32]
    attributes_n: NDArray[np.uint8] | None = None
    covariances_n44: NDArray[np.float32] | None = None
    hidden_n: NDArray[np.bool_] | None = None
    futures_nmt2: NDArray[np.float32] | None = None
    probabilities_nm: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        num = len(self.labels_n)
        for name, value, shape in (
            ('boxes_n7', self.boxes_n7, (num, 7)),
            ('labels_n', self.labels_n, (num,)),
            ('scores_n', self.scores_n, (num,)),
            ('velocities_n2', self.velocities_n2, (num, 2)),
            ('attributes_n', self.attributes_n, (num,)),
            ('covariances_n44', self.covariances_n44, (num, 4, 4)),
            ('hidden_n', self.hidden_n, (num,)),
        ):
            if value is not None and value.shape != shape:
                raise ValueError(f'{name} must be {shape}, got {value.shape}')
        futures, probabilities = self.futures_nmt2, self.probabilities_nm
        if (futures is None) != (probabilities is None):
            raise ValueError('futures_nmt2 and probabilities_nm come together')
        if futures is not None and probabilities is not None:
            if futures.ndim != 4 or futures.shape[0] != num or futures.shape[3] != 2:
                raise ValueError(f'futures_nmt2 must be ({num}, M, T, 2), got {futures.shape}')
            if probabilities.shape != futures.shape[:2]:
                raise ValueError(f'probabilities_nm must be {futures.shape[:2]}, got {probabilities.shape}')

    @staticmethod
    def empty() -> Detections:
        """No detection at all."""
        return Detections(
            np.zeros((0, 7), np.float32), np.zeros(0, np.uint8), np.zeros(0, np.float32), np.zeros((0, 2), np.float32)
        )

    def __len__(self) -> int:
        return len(self.labels_n)

    @property
    def is_hidden_n(self) -> NDArray[np.bool_]:
        """(N,) what is out of sight; nothing, where the engine does not tell."""
        return np.zeros(len(self), bool) if self.hidden_n is None else self.hidden_n


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
