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
