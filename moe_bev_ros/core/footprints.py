"""Rectangles on the ground: ``x, y, length, width, yaw`` [m, rad] of their centre, in any frame; shapes broadcast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array

BOX_COLUMNS = (0, 1, 3, 4, 6)  # of x, y, z, length, width, height, yaw


def footprints_of(boxes_n7: NDArray[Any]) -> Array:
    """(N, 5) footprints of boxes ``x, y, z, length, width, height, yaw``."""
    return np.asarray(boxes_n7, float).reshape(-1, 7)[:, BOX_COLUMNS]


def corners_of(rectangles_n5: Array) -> Array:
    """(..., 4, 2) corners: front left, front right, rear right, rear left."""
    x, y, length, width, yaw = np.moveaxis(rectangles_n5, -1, 0)
    along = 0.5 * length[..., None] * (1.0, 1.0, -1.0, -1.0)
    across = 0.5 * width[..., None] * (1.0, -1.0, -1.0, 1.0)
    cos, sin = np.cos(yaw)[..., None], np.sin(yaw)[..., None]
    return np.stack([x[..., None] + cos * along - sin * across, y[..., None] + sin * along + cos * across], axis=-1)


def overlap(first_n5: Array, second_n5: Array) -> NDArray[np.bool_]:
    """Whether two rectangles share ground; touching does not count. Separating axis theorem, with half extents."""
    dx, dy = second_n5[..., 0] - first_n5[..., 0], second_n5[..., 1] - first_n5[..., 1]
    turn = second_n5[..., 4] - first_n5[..., 4]
    cos, sin = np.abs(np.cos(turn)), np.abs(np.sin(turn))
    length_a, width_a, length_b, width_b = (0.5 * box[..., column] for box in (first_n5, second_n5) for column in (2, 3))
    result = np.ones(np.broadcast_shapes(dx.shape, turn.shape), np.bool_)
    for yaw, ahead, aside in (
        (first_n5[..., 4], length_a + length_b * cos + width_b * sin, width_a + length_b * sin + width_b * cos),
        (second_n5[..., 4], length_b + length_a * cos + width_a * sin, width_b + length_a * sin + width_a * cos),
    ):
        axis_x, axis_y = np.cos(yaw), np.sin(yaw)
        result &= np.abs(dx * axis_x + dy * axis_y) < ahead
        result &= np.abs(dy * axis_x - dx * axis_y) < aside
    return result
