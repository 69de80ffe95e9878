"""Where base_link was while a sweep was taken, from the odometry's poses around it."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.se3 import Array, interpolate, inverse, se3_from_xy_yaw

KEEP_S = 3.0


class OdometryBuffer:
    """The odometry of the last seconds.

    Args:
        extrapolation_s: how far before the first and behind the last pose the motion may be continued with constant speed
            and yaw rate. A sweep that ends now is usually a little newer than the newest odometry.
        gap_s: largest distance in time of two poses between which the motion may be interpolated.
    """

    def __init__(self, extrapolation_s: float = 0.1, gap_s: float = 0.6) -> None:
        self.extrapolation_s = extrapolation_s
        self.gap_s = gap_s
        self._samples: list[EgoMotion] = []
        self._stamps_ns: list[int] = []

    def __len__(self) -> int:
        return len(self._samples)

    def clear(self) -> None:
        """Forget every pose: time has jumped."""
        self._samples, self._stamps_ns = [], []

    def add(self, ego: EgoMotion) -> None:
        """Take a pose that is newer than the last; a pose in another fixed frame starts anew, an older one is ignored."""
        if self._samples and self._samples[-1].frame_id != ego.frame_id:
            self.clear()
        if self._stamps_ns and ego.stamp_ns <= self._stamps_ns[-1]:
            return
        self._samples.append(ego)
        self._stamps_ns.append(ego.stamp_ns)
        num_old = bisect_left(self._stamps_ns, ego.stamp_ns - int(KEEP_S * 1e9))
        del self._samples[:num_old], self._stamps_ns[:num_old]

    def gap(self, start_ns: int, end_ns: int) -> str:
        """Why the motion between two times is not known; empty where it is."""
        if not self._samples:
            return 'no odometry yet'
        limit_ns = int(self.extrapolation_s * 1e9)
        if end_ns - self._stamps_ns[-1] > limit_ns:
            return f'the newest odometry is more than {self.extrapolation_s} s older than the sweep'
        if self._stamps_ns[0] - start_ns > limit_ns:
            return f'the sweep began more than {self.extrapolation_s} s before the first odometry'
        stamps = [sample.stamp_ns for sample in self._around(start_ns, end_ns)]
        widest_s = max(np.diff(stamps), default=0) * 1e-9
        return f'odometry is missing for more than {self.gap_s} s' if widest_s > self.gap_s else ''

    def at(self, stamp_ns: int) -> EgoMotion | None:
        """The motion at a stamp, between two poses or continued from the nearest; None where ``gap`` says why not."""
        if self.gap(stamp_ns, stamp_ns):
            return None
        knots = self._around(stamp_ns, stamp_ns)
        nearest = min(knots, key=lambda sample: abs(sample.stamp_ns - stamp_ns))
        if knots[0].stamp_ns <= stamp_ns <= knots[-1].stamp_ns and len(knots) > 1:
            fraction = (stamp_ns - knots[0].stamp_ns) / (knots[-1].stamp_ns - knots[0].stamp_ns)
            pose = interpolate(knots[0].odom_se3_base_link, knots[-1].odom_se3_base_link, fraction)
        else:
            pose = _continued(nearest, (stamp_ns - nearest.stamp_ns) * 1e-9)
        return replace(nearest, stamp_ns=stamp_ns, odom_se3_base_link=pose)

    def poses(self, stamp_ns: int, times_s_t: Array) -> Array:
        """Poses of base_link during a sweep.

        Args:
            times_s_t: (T,) times relative to ``stamp_ns`` [s]; the caller has asked ``gap`` about them and the stamp itself.

        Returns:
            (T, 4, 4) base_link(stamp)_se3_base_link(time).
        """
        times = np.concatenate([[0.0], times_s_t])
        first_s, last_s = float(times.min()), float(times.max())
        knots = self._around(stamp_ns + int(first_s * 1e9), stamp_ns + int(last_s * 1e9))
        knot_times = [(knot.stamp_ns - stamp_ns) * 1e-9 for knot in knots]
        knot_poses = [knot.odom_se3_base_link for knot in knots]
        if first_s <= knot_times[0]:
            knot_poses.insert(0, _continued(knots[0], first_s - 1e-3 - knot_times[0]))
            knot_times.insert(0, first_s - 1e-3)
        if last_s >= knot_times[-1]:
            knot_poses.append(_continued(knots[-1], last_s + 1e-3 - knot_times[-1]))
            knot_times.append(last_s + 1e-3)
        odom_se3_base = _interpolated(np.array(knot_times), np.array(knot_poses), times)
        relative: Array = inverse(odom_se3_base[0]) @ odom_se3_base[1:]
        return relative

    def _around(self, start_ns: int, end_ns: int) -> list[EgoMotion]:
        first = max(bisect_right(self._stamps_ns, start_ns) - 1, 0)
        last = min(bisect_left(self._stamps_ns, end_ns), len(self._samples) - 1)
        return self._samples[min(first, last) : max(first, last) + 1]


def _continued(ego: EgoMotion, duration_s: float) -> Array:
    """The pose after (or before) a pose, with constant speed and yaw rate."""
    yaw = ego.yaw_rate_radps * duration_s
    distance = ego.speed_mps * duration_s
    chord = distance * math.sin(yaw / 2) / (yaw / 2) if abs(yaw) > 1e-9 else distance
    return ego.odom_se3_base_link @ se3_from_xy_yaw(chord * math.cos(yaw / 2), chord * math.sin(yaw / 2), yaw)


def _interpolated(knot_times_k: Array, knot_poses_k44: Array, times_t: Array) -> Array:
    """Poses at times: straight lines for the position, constant rates for the rotation."""
    poses = np.tile(np.eye(4), (len(times_t), 1, 1))
    poses[:, :3, :3] = Slerp(knot_times_k, Rotation.from_matrix(knot_poses_k44[:, :3, :3]))(times_t).as_matrix()
    for axis in range(3):
        poses[:, axis, 3] = np.interp(times_t, knot_times_k, knot_poses_k44[:, axis, 3])
    return poses
