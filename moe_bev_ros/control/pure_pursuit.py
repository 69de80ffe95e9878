"""Pure pursuit: steer along the arc that leads from the rear axle to a point ahead on the path.

Coulter, "Implementation of the Pure Pursuit Path Tracking Algorithm", CMU-RI-TR-92-01. Chosen because it stays stable
with a coarse or jumping path, and has one thing to tune: the distance of the point, which grows with speed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.se3 import Array, wrap_angle


@dataclass(frozen=True)
class PathFit:
    """Where the vehicle is beside its path.

    Attributes:
        along_m: arc length from the first point to the foot of the perpendicular; beyond the ends it goes on straight.
        lateral_m: of the vehicle relative to the path, left positive.
        yaw_error_rad: of the vehicle relative to the path.
    """

    along_m: float
    lateral_m: float
    yaw_error_rad: float


def arc_lengths(path_n3: Array) -> Array:
    """(N,) distance along the path x, y, yaw [m, m, rad] from its first point [m]."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path_n3[:, :2], axis=0).T))])


def point_at(path_n3: Array, along_m: float) -> Array:
    """(3,) x, y, yaw at an arc length; beyond both ends the path goes on straight along its yaw there."""
    lengths_n = arc_lengths(path_n3)
    inside_m = float(np.clip(along_m, 0.0, lengths_n[-1]))
    yaws_n = np.unwrap(path_n3[:, 2])
    x, y, yaw = (float(np.interp(inside_m, lengths_n, column)) for column in (path_n3[:, 0], path_n3[:, 1], yaws_n))
    beyond_m = along_m - inside_m
    return np.array([x + beyond_m * np.cos(yaw), y + beyond_m * np.sin(yaw), yaw])


def fit(path_n3: Array, pose_3: Array) -> PathFit:
    """Project a pose x, y, yaw onto the path; both in the same frame [m, m, rad]."""
    lengths_n = arc_lengths(path_n3)
    starts_n2, steps_n2 = path_n3[:-1, :2], np.diff(path_n3[:, :2], axis=0)
    squares_n = np.maximum(np.sum(steps_n2**2, axis=1), 1e-12)
    shares_n = np.clip(np.sum((pose_3[:2] - starts_n2) * steps_n2, axis=1) / squares_n, 0.0, 1.0)
    feet_n2 = starts_n2 + shares_n[:, None] * steps_n2
    best = int(np.argmin(np.sum((feet_n2 - pose_3[:2]) ** 2, axis=1)))
    along_m = float(lengths_n[best] + shares_n[best] * np.sqrt(squares_n[best]))
    foot_3 = point_at(path_n3, along_m)
    dx, dy = pose_3[:2] - foot_3[:2]
    forward_m = float(np.cos(foot_3[2]) * dx + np.sin(foot_3[2]) * dy)
    before_start, after_end = along_m <= 0.0 and forward_m < 0.0, along_m >= lengths_n[-1] and forward_m > 0.0
    return PathFit(
        along_m=along_m + forward_m if before_start or after_end else along_m,
        lateral_m=float(-np.sin(foot_3[2]) * dx + np.cos(foot_3[2]) * dy),
        yaw_error_rad=wrap_angle(float(pose_3[2] - foot_3[2])),
    )


def steering_angle_rad(path_n3: Array, pose_3: Array, along_m: float, *, lookahead_m: float, wheelbase_m: float) -> float:
    """Steering angle of the virtual front wheel, left positive [rad].

    Args:
        path_n3: (N, 3) x, y, yaw, N >= 2.
        pose_3: x, y, yaw of the rear axle in the frame of the path.
        along_m: arc length of the vehicle's foot point, from ``fit``.
        lookahead_m: arc length from the foot point to the point that is pursued.
        wheelbase_m: distance between the axles.
    """
    target_3 = point_at(path_n3, along_m + lookahead_m)
    dx, dy = target_3[:2] - pose_3[:2]
    distance_m = max(float(np.hypot(dx, dy)), 1e-3)
    bearing_rad = wrap_angle(float(np.arctan2(dy, dx) - pose_3[2]))
    return float(np.arctan2(2.0 * wheelbase_m * np.sin(bearing_rad), distance_m))
