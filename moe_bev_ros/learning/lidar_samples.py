"""Sweeps of the world with their true boxes, made on the fly: the ego drives through a scenario with true objects.

What training sees never leaves its split: seeds are those of `world.splits`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.learning.centre_targets import Truth

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class LidarSample:
    """Stacked sweeps as the engine gets them, and what is there.

    Attributes:
        seed: the scenario that it comes from.
        points_n5: x, y, z [m, base_link], intensity [0..1], time relative to the stamp [s].
    """

    seed: int
    points_n5: F32
    truth: Truth

    def turned(self, angle_rad: float, *, mirrored: bool) -> LidarSample:
        """The same scene turned about base_link's z axis, after left and right have changed places with ``mirrored``."""
        side = np.float32(-1.0 if mirrored else 1.0)
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        turn_22 = np.array([[cos, sin], [-sin, cos]], np.float32)
        mirror_2 = np.array([1.0, side], np.float32)
        points, boxes = self.points_n5.copy(), self.truth.boxes_n7.copy()
        points[:, :2] = (points[:, :2] * mirror_2) @ turn_22
        boxes[:, :2] = (boxes[:, :2] * mirror_2) @ turn_22
        boxes[:, 6] = side * boxes[:, 6] + np.float32(angle_rad)
        velocities = (self.truth.velocities_n2 * mirror_2) @ turn_22
        return replace(self, points_n5=points, truth=replace(self.truth, boxes_n7=boxes, velocities_n2=velocities))
