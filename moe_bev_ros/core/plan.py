"""The timed plan that the planner hands to the controller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.se3 import Array

TRAJECTORY_COLUMNS = ('time_s', 'x', 'y', 'yaw', 'speed', 'acceleration', 'curvature')


@dataclass(frozen=True)
class Plan:
    """A trajectory in a fixed frame.

    Attributes:
        stamp_ns: stamp of the objects that it answers.
        frame_id: the fixed frame, that of the odometry.
        points_t7: (T, 7) columns TRAJECTORY_COLUMNS [s, m, m, rad, m/s, m/s2, 1/m]; T >= 2, or 0 for "no plan".
        stop: the plan is to stop, or to stay stopped.
        emergency: brake as hard as the vehicle can.
        reason: why it stops or slows; empty when driving freely.
        warnings: findings for the node to log.
    """

    stamp_ns: int
    frame_id: str
    points_t7: Array
    stop: bool = False
    emergency: bool = False
    reason: str = ''
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.points_t7.ndim != 2 or self.points_t7.shape[1] != len(TRAJECTORY_COLUMNS) or len(self.points_t7) == 1:
            raise ValueError(f'points_t7 must be (0 or >= 2, 7), got {self.points_t7.shape}')
        if not np.all(np.isfinite(self.points_t7)):
            raise ValueError('points_t7 must be finite')
