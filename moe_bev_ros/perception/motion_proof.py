"""Whether a track really moves: both ends of its box must have moved, steadily and together.

A laser sees parts of things. As the vehicle drives on, more or less of a wall, a tree or a parked car comes into view, and the
middle of its box wanders; but then one end of the box stays, or both jump to and fro. So lines are fitted through the
positions of the front and of the rear end of the box along the supposed direction of motion, over the last measurements, and
the slower of the two must stand out of its own scatter.

Letters: k tracks, h measurements, oldest first; NaN where there is none yet.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array

KEPT = 12
TYPICAL_OF = 5
LEAST_COUNT = 4
LEAST_SHARE = 0.5  # of the speed that the slower end must have
SIGNIFICANT = 3.0  # standard errors
EDGE_NOISE_M = 0.05  # ends scatter at least so much; a few of them may agree by chance


def empty_history(num: int) -> Array:
    """(num, KEPT, 6) time [s], x, y, length, width [m], yaw [rad]."""
    return np.full((num, KEPT, 6), np.nan)


def remembered(history_kh6: Array, now_s: float, boxes_k5: Array) -> Array:
    """History with one more measurement (x, y, length, width, yaw) each; the oldest falls out."""
    rows_k6 = np.column_stack([np.full(len(boxes_k5), now_s), boxes_k5])
    return np.concatenate([history_kh6[:, 1:], rows_k6[:, None]], axis=1)


def typical_box(history_kh6: Array) -> Array:
    """(K, 5) x, y, length, width, yaw: of the last TYPICAL_OF measurements the one that is most like the others (the medoid).

    So a bad box now and then counts nothing, and place, size and heading belong together; means or medians of each would put
    a box where none was measured.
    """
    recent_5hk = np.ascontiguousarray(history_kh6[:, -TYPICAL_OF:, 1:].T)  # long rows: numpy is slow on short ones
    offset_5hik = np.abs(recent_5hk[:, :, None] - recent_5hk[:, None])
    turn_hik = np.abs((offset_5hik[4] + np.pi / 2) % np.pi - np.pi / 2)
    unlike_hik = offset_5hik[:4].sum(axis=0) + turn_hik * recent_5hk[2]
    unlike_hk = np.where(np.isfinite(recent_5hk[0]), np.nansum(unlike_hik, axis=1), np.inf)
    newest_first_hk = unlike_hk[::-1]
    best_k = len(unlike_hk) - 1 - newest_first_hk.argmin(axis=0)
    return np.asarray(recent_5hk[:, best_k, np.arange(len(best_k))].T)


def really_moves(history_kh6: Array, velocity_k2: Array, least_way_m_k: Array) -> NDArray[np.bool_]:
    """Whether the measurements support the velocities.

    Args:
        velocity_k2: what the filter believes, in the axes of the history [m/s].
        least_way_m_k: each end must have come so far within the history [m].
    """
    speed_k = np.hypot(velocity_k2[:, 0], velocity_k2[:, 1])
    cos_k, sin_k = (velocity_k2 / np.maximum(speed_k, 1e-6)[:, None]).T
    time, x, y, length, width, yaw = np.moveaxis(history_kh6, -1, 0)
    along = x * cos_k[:, None] + y * sin_k[:, None]
    turn = yaw - np.arctan2(sin_k, cos_k)[:, None]
    half = 0.5 * (length * np.abs(np.cos(turn)) + width * np.abs(np.sin(turn)))
    result = np.ones(len(history_kh6), bool)
    for end in (along + half, along - half):
        slope_k, error_k, span_k = _line(time, end)
        result &= (slope_k > LEAST_SHARE * speed_k) & (slope_k > SIGNIFICANT * error_k) & (slope_k * span_k > least_way_m_k)
    return result


def _line(time_kh: Array, value_kh: Array) -> tuple[Array, Array, Array]:
    """Slope of the best line through each row, its standard error, and the time that it spans; slope 0 for a few values."""
    is_known = np.isfinite(value_kh)
    count_k = is_known.sum(axis=1)
    time_kh, value_kh = np.where(is_known, time_kh, 0.0), np.where(is_known, value_kh, 0.0)
    divisor_k = np.maximum(count_k, 1)
    dt = np.where(is_known, time_kh - (time_kh.sum(axis=1) / divisor_k)[:, None], 0.0)
    dv = np.where(is_known, value_kh - (value_kh.sum(axis=1) / divisor_k)[:, None], 0.0)
    spread_k = np.maximum((dt * dt).sum(axis=1), 1e-9)
    slope_k = (dt * dv).sum(axis=1) / spread_k
    residual_kh = dv - slope_k[:, None] * dt
    variance_k = ((residual_kh**2).sum(axis=1) + 2 * EDGE_NOISE_M**2) / np.maximum(count_k - 2, 1)
    slope_k = np.where(count_k >= LEAST_COUNT, slope_k, 0.0)
    return slope_k, np.sqrt(variance_k / spread_k), dt.max(axis=1, initial=0.0) - dt.min(axis=1, initial=0.0)
