"""Oriented boxes around clusters of points seen from above.

L-shape fitting by search, with the closeness criterion: Zhang et al., "Efficient L-shape fitting for vehicle detection using
laser scanners" (IV 2017). A laser sees one or two sides of a vehicle, so the best heading is the one under which most
points lie close to an edge of their bounding rectangle; the smallest rectangle is often not that one. All clusters and headings
are searched at once.

Letters: c cells (points), k clusters, a headings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NUM_HEADINGS = 45
NEAREST_M = 0.1  # closer to an edge than this is as good as on it
MIN_SIDE_M = 0.15
_HEADINGS_A = np.arange(NUM_HEADINGS, dtype=np.float32) * np.float32(np.pi / 2 / NUM_HEADINGS)


def fit_rectangles(xy_c2: Floats, first_k: NDArray[np.int64]) -> Floats:
    """Fit a rectangle to each cluster.

    Args:
        xy_c2: positions [m], those of one cluster next to each other.
        first_k: index of each cluster's first position, rising, beginning with 0.

    Returns:
        (K, 5) x, y of the centre, length, width [m], yaw of the longer side in [-pi/2, pi/2) [rad].
    """
    if not len(first_k):
        return np.zeros((0, 5), np.float32)
    count_k = np.diff(first_k, append=len(xy_c2))
    cosine_a, sine_a = np.cos(_HEADINGS_A), np.sin(_HEADINGS_A)
    # Around each cluster's first point, so that float32 stays exact far from the vehicle too.
    origin_k2 = xy_c2[first_k]
    local_c2 = xy_c2 - np.repeat(origin_k2, count_k, axis=0)
    along_ca = local_c2[:, :1] * cosine_a + local_c2[:, 1:] * sine_a
    across_ca = local_c2[:, 1:] * cosine_a - local_c2[:, :1] * sine_a
    low1_ka, high1_ka = np.minimum.reduceat(along_ca, first_k), np.maximum.reduceat(along_ca, first_k)
    low2_ka, high2_ka = np.minimum.reduceat(across_ca, first_k), np.maximum.reduceat(across_ca, first_k)
    inside_ca = _depth(along_ca, low1_ka, high1_ka, count_k)
    np.minimum(inside_ca, _depth(across_ca, low2_ka, high2_ka, count_k), out=inside_ca)
    np.maximum(inside_ca, NEAREST_M, out=inside_ca)
    closeness_ka = np.add.reduceat(np.reciprocal(inside_ca, out=inside_ca), first_k)
    best_k = closeness_ka.argmax(axis=1)
    pick = (np.arange(len(first_k)), best_k)
    sides_k2 = np.column_stack([high1_ka[pick] - low1_ka[pick], high2_ka[pick] - low2_ka[pick]])
    middle_k2 = np.column_stack([high1_ka[pick] + low1_ka[pick], high2_ka[pick] + low2_ka[pick]]) / 2
    return _rectangles(origin_k2, middle_k2, sides_k2, _HEADINGS_A[best_k])


def _depth(value_ca: Floats, low_ka: Floats, high_ka: Floats, count_k: NDArray[np.int64]) -> Floats:
    """How far inside its cluster's extent each value lies."""
    to_high_ca = np.repeat(high_ka, count_k, axis=0)
    to_high_ca -= value_ca
    value_ca -= np.repeat(low_ka, count_k, axis=0)
    return np.minimum(to_high_ca, value_ca, out=to_high_ca)


def _rectangles(origin_k2: Floats, middle_k2: Floats, sides_k2: Floats, heading_k: Floats) -> Floats:
    cosine_k, sine_k = np.cos(heading_k), np.sin(heading_k)
    x_k = origin_k2[:, 0] + middle_k2[:, 0] * cosine_k - middle_k2[:, 1] * sine_k
    y_k = origin_k2[:, 1] + middle_k2[:, 0] * sine_k + middle_k2[:, 1] * cosine_k
    is_across_k = sides_k2[:, 1] > sides_k2[:, 0]
    yaw_k = heading_k - np.where(is_across_k, np.pi / 2, 0)
    length_k = np.maximum(sides_k2.max(axis=1), MIN_SIDE_M)
    width_k = np.maximum(sides_k2.min(axis=1), MIN_SIDE_M)
    return np.column_stack([x_k, y_k, length_k, width_k, yaw_k]).astype(np.float32)
