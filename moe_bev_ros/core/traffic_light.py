"""A traffic light as it is reported: the one that planner, world and messages share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class LightState(IntEnum):
    """Numbers of TrafficLight.msg."""

    UNKNOWN = 0
    RED = 1
    AMBER = 2
    GREEN = 3


@dataclass(frozen=True)
class TrafficLight:
    """One light and its state.

    Attributes:
        element_id: Lanelet2 id of the regulatory element; 0: the position counts.
        stop_xy_m: where to stop, on the lane's centre, in the fixed frame (map, or the odometry's) [m].
    """

    element_id: int
    stop_xy_m: tuple[float, float]
    state: LightState


@dataclass(frozen=True)
class LightPlace:
    """One housing of a light, with its lamps above one another; a light may have several.

    Attributes:
        element_id, stop_xy_m: as in `TrafficLight`.
        centre_xyz_m: of the housing, in the fixed frame [m].
        yaw_rad: direction in which the lamps shine, in the fixed frame [rad].
        height_m: of the housing.
    """

    element_id: int
    stop_xy_m: tuple[float, float]
    centre_xyz_m: tuple[float, float, float]
    yaw_rad: float
    height_m: float

    def __post_init__(self) -> None:
        if not self.height_m > 0.0:
            raise ValueError(f'light {self.element_id}: height_m must be above 0, got {self.height_m}')
