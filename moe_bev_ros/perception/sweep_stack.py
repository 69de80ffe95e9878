"""Several sweeps laid over one another in the newest base_link: what many LiDAR detectors have in place of a memory."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import Frame, LidarPoints
from moe_bev_ros.core.se3 import Array, transform_points

HALF_BYTES = 2  # of a number in FP16


@dataclass(frozen=True)
class _Sweep:
    """An earlier sweep as it was, and how its points come to the newest base_link."""

    stamp_ns: int
    points_n5: NDArray[np.float32]
    base_link_now_se3_then: Array


class SweepStack:
    """Keeps the last ``num`` sweeps; with 1 it gives frames back as they are."""

    def __init__(self, num: int) -> None:
        self._sweeps: deque[_Sweep] = deque(maxlen=max(0, num - 1))

    @property
    def held_bytes(self) -> int:
        """What the earlier sweeps of the next frame take in FP16: five numbers a point."""
        return HALF_BYTES * sum(sweep.points_n5.size for sweep in self._sweeps)

    def reset(self) -> None:
        """Forget earlier sweeps."""
        self._sweeps.clear()

    def add(self, frame: Frame, base_link_now_se3_before: Array | None) -> Frame:
        """The frame with the earlier sweeps among its points; the last column is then minus the age of a point's sweep [s].

        Args:
            base_link_now_se3_before: motion since the last frame; None: not known, earlier sweeps are forgotten.
        """
        if self._sweeps.maxlen == 0:
            return frame
        if base_link_now_se3_before is None:
            self._sweeps.clear()
        else:
            motion = base_link_now_se3_before
            moved = [replace(s, base_link_now_se3_then=motion @ s.base_link_now_se3_then) for s in self._sweeps]
            self._sweeps = deque(moved, self._sweeps.maxlen)
        if frame.lidar is None:
            return frame
        newest = _Sweep(frame.stamp_ns, frame.lidar.points_n5, np.eye(4))
        points_n5 = np.concatenate([_seen_at(frame.stamp_ns, sweep) for sweep in (newest, *self._sweeps)])
        self._sweeps.appendleft(newest)
        return replace(frame, lidar=LidarPoints(points_n5))


def _seen_at(stamp_ns: int, sweep: _Sweep) -> NDArray[np.float32]:
    points_n5 = sweep.points_n5.copy()
    if sweep.stamp_ns != stamp_ns:
        points_n5[:, :3] = transform_points(sweep.base_link_now_se3_then, points_n5[:, :3])
    points_n5[:, 4] = (sweep.stamp_ns - stamp_ns) * 1e-9
    return points_n5
