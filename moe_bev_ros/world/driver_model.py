"""How drivers choose acceleration and lane.

IDM: Treiber, Hennecke, Helbing, "Congested traffic states in empirical observations and microscopic simulations", Phys. Rev. E
62 (2000). MOBIL: Kesting, Treiber, Helbing, "General lane-changing model MOBIL for car-following models", TRR 1999 (2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array


@dataclass(frozen=True)
class IntelligentDriver:
    """Parameters of the intelligent driver model, the same for all drivers but for the speed that each desires."""

    headway_s: float = 1.4
    standstill_gap_m: float = 2.5
    acceleration_mps2: float = 1.6
    braking_mps2: float = 2.5
    hardest_braking_mps2: float = 7.0

    def accelerations(self, speeds_n: Array, desired_n: Array, gaps_n: Array, leader_speeds_n: Array) -> Array:
        """(N,) accelerations [m/s2] behind leaders; a gap may be infinite."""
        closing = speeds_n - np.where(np.isfinite(gaps_n), leader_speeds_n, 0.0)
        dynamic = speeds_n * closing / (2 * np.sqrt(self.acceleration_mps2 * self.braking_mps2))
        wanted = self.standstill_gap_m + np.maximum(0.0, speeds_n * self.headway_s + dynamic)
        ratio = speeds_n / np.maximum(desired_n, 0.1)
        free = np.where(ratio <= 1.0, 1.0 - ratio**4, -np.minimum(ratio - 1.0, 1.0) * 2.0)
        value = self.acceleration_mps2 * (free - (wanted / np.maximum(gaps_n, 0.1)) ** 2)
        return np.asarray(np.clip(value, -self.hardest_braking_mps2, self.acceleration_mps2))


@dataclass(frozen=True)
class LaneChangeModel:
    """Parameters of MOBIL; the bias is positive for a change to the right, where one shall drive."""

    politeness: float = 0.3
    threshold_mps2: float = 0.25
    safe_braking_mps2: float = 2.5
    bias_right_mps2: float = 0.1

    def wants(
        self, gain_n: Array, follower_before_n: Array, follower_after_n: Array, to_right_n: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which changes are safe and worth it.

        Args:
            gain_n: own acceleration after the change less that before it.
            follower_before_n, follower_after_n: acceleration of the one who would be behind.
        """
        safe = follower_after_n > -self.safe_braking_mps2
        bias = np.where(to_right_n, self.bias_right_mps2, -self.bias_right_mps2)
        worth = gain_n + self.politeness * (follower_after_n - follower_before_n) + bias > self.threshold_mps2
        return np.asarray(safe & worth)
