"""How far the laser sees in every direction, so that no box is put where it looked through.

For each bearing the nearest obstacle is kept. A place nearer than that has been seen through at the height of obstacles, so no
solid road user stands there. Where nothing came back at all, nothing is known.

Letters: n points, b bearings, k boxes, p places in a box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NUM_BEARINGS = 720
MARGIN_M = 0.4
# Places inside a box, as shares of its length and width; its rim is left out, as boxes are never exact.
_SHARES = np.linspace(-0.38, 0.38, 7)
_PLACES_P2 = np.stack(np.meshgrid(_SHARES, _SHARES[::2]), axis=-1).reshape(-1, 2).astype(np.float32)


@dataclass(frozen=True)
class Sight:
    """Free distance by bearing.

    Attributes:
        free_b: (NUM_BEARINGS,) distance from base_link up to which the view is free [m]; 0 where nothing is known.
    """

    free_b: Floats

    @staticmethod
    def of(xy_n2: Floats, is_obstacle_n: NDArray[np.bool_]) -> Sight:
        """From the points of a sweep in base_link."""
        bearing_n, range_n = _bearing(xy_n2), np.hypot(xy_n2[:, 0], xy_n2[:, 1])
        farthest_b = np.zeros(NUM_BEARINGS, np.float32)
        np.maximum.at(farthest_b, bearing_n, range_n)
        nearest_b = np.full(NUM_BEARINGS, np.inf, np.float32)
        np.minimum.at(nearest_b, bearing_n[is_obstacle_n], range_n[is_obstacle_n])
        free_b = np.minimum(nearest_b, farthest_b)
        return Sight(np.minimum(free_b, np.minimum(np.roll(free_b, 1), np.roll(free_b, -1))))

    def seen_through(self, rectangles_k5: Floats) -> Floats:
        """(K,) share of each rectangle (x, y, length, width, yaw) that lies in front of what was hit behind it."""
        cos_k, sin_k = np.cos(rectangles_k5[:, 4]), np.sin(rectangles_k5[:, 4])
        along_kp = rectangles_k5[:, 2:3] * _PLACES_P2[:, 0]
        across_kp = rectangles_k5[:, 3:4] * _PLACES_P2[:, 1]
        x_kp = rectangles_k5[:, :1] + along_kp * cos_k[:, None] - across_kp * sin_k[:, None]
        y_kp = rectangles_k5[:, 1:2] + along_kp * sin_k[:, None] + across_kp * cos_k[:, None]
        free_kp = self.free_b[_bearing(np.stack([x_kp, y_kp], axis=-1))]
        return np.asarray((np.hypot(x_kp, y_kp) + MARGIN_M < free_kp).mean(axis=1), np.float32)


def _bearing(xy: Floats) -> NDArray[np.int64]:
    turn = np.arctan2(xy[..., 1], xy[..., 0]) / (2 * np.pi) + 0.5
    return np.minimum((turn * NUM_BEARINGS).astype(np.int64), NUM_BEARINGS - 1)
