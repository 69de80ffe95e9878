"""Pure pursuit: steer along the arc that leads from the rear axle to a point ahead on the path.

Coulter, "Implementation of the Pure Pursuit Path Tracking Algorithm", CMU-RI-TR-92-01. Chosen because it stays stable
with a coarse or jumping path, and has one thing to tune: the distance of the point, which grows with speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from moe_bev_ros.control.limits import clipped
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
    steps_n2, lengths_n = path_n3[1:, :2] - path_n3[:-1, :2], np.zeros(len(path_n3))
    np.cumsum(np.hypot(steps_n2[:, 0], steps_n2[:, 1]), out=lengths_n[1:])
    return lengths_n


def point_at(path_n3: Array, along_m: float) -> Array:
    """(3,) x, y, yaw at an arc length; beyond both ends the path goes on straight along its yaw there."""
    return np.array(_point_at(path_n3, arc_lengths(path_n3), along_m))


def _point_at(path_n3: Array, lengths_n: Array, along_m: float) -> tuple[float, float, float]:
    inside_m = clipped(along_m, 0.0, float(lengths_n[-1]))
    after = min(max(int(lengths_n.searchsorted(inside_m, 'right')), 1), len(lengths_n) - 1)
    (x0, y0, yaw0), (x1, y1, yaw1) = path_n3[after - 1 : after + 1].tolist()
    start_m, end_m = lengths_n[after - 1 : after + 1].tolist()
    share = (inside_m - start_m) / (end_m - start_m) if end_m > start_m else 1.0
    yaw, beyond_m = yaw0 + share * wrap_angle(yaw1 - yaw0), along_m - inside_m
    return x0 + share * (x1 - x0) + beyond_m * math.cos(yaw), y0 + share * (y1 - y0) + beyond_m * math.sin(yaw), yaw


def fit(path_n3: Array, pose_3: Array) -> PathFit:
    """Project a pose x, y, yaw onto the path; both in the same frame [m, m, rad]."""
    lengths_n = arc_lengths(path_n3)
    x_n, y_n, (x, y, yaw) = path_n3[:-1, 0], path_n3[:-1, 1], pose_3.tolist()
    dx_n, dy_n = path_n3[1:, 0] - x_n, path_n3[1:, 1] - y_n
    squares_n = np.maximum(dx_n * dx_n + dy_n * dy_n, 1e-12)
    shares_n = np.minimum(np.maximum(((x - x_n) * dx_n + (y - y_n) * dy_n) / squares_n, 0.0), 1.0)
    away_x_n, away_y_n = x_n + shares_n * dx_n - x, y_n + shares_n * dy_n - y
    best = int((away_x_n * away_x_n + away_y_n * away_y_n).argmin())
    along_m = float(lengths_n[best] + shares_n[best] * math.sqrt(squares_n[best]))
    foot_x, foot_y, foot_yaw = _point_at(path_n3, lengths_n, along_m)
    cos, sin, dx, dy = math.cos(foot_yaw), math.sin(foot_yaw), x - foot_x, y - foot_y
    forward_m = cos * dx + sin * dy
    before_start, after_end = along_m <= 0.0 and forward_m < 0.0, along_m >= lengths_n[-1] and forward_m > 0.0
    return PathFit(
        along_m=along_m + forward_m if before_start or after_end else along_m,
        lateral_m=cos * dy - sin * dx,
        yaw_error_rad=wrap_angle(yaw - foot_yaw),
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
    target_x, target_y, _ = _point_at(path_n3, arc_lengths(path_n3), along_m + lookahead_m)
    x, y, yaw = pose_3.tolist()
    dx, dy = target_x - x, target_y - y
    bearing_rad = wrap_angle(math.atan2(dy, dx) - yaw)
    return math.atan2(2.0 * wheelbase_m * math.sin(bearing_rad), max(math.hypot(dx, dy), 1e-3))
