"""Bumps around the centres of boxes: what a centre-based detector's heat map shall look like."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

MIN_RADIUS_CELLS = 1.0


def peak_radius(lengths_n: NDArray[np.float32], widths_n: NDArray[np.float32], cell_m: float) -> NDArray[np.float32]:
    """Of the bump of a box of this size [cells]."""
    return np.maximum(np.float32(MIN_RADIUS_CELLS), 0.25 * np.hypot(lengths_n, widths_n) / np.float32(cell_m))


@njit(cache=True)
def draw_peaks(heat_khw, channels_n, rows_n, columns_n, radii_n, peak=1.0):  # type: ignore[no-untyped-def]
    """Raise Gaussian bumps of these radii (3 sigma) and this height around cells, in place; the higher value stays."""
    _, height, width = heat_khw.shape
    for n in range(len(channels_n)):
        reach = int(np.ceil(radii_n[n]))
        sigma = (2.0 * radii_n[n] + 1.0) / 6.0
        for row in range(max(0, rows_n[n] - reach), min(height, rows_n[n] + reach + 1)):
            for column in range(max(0, columns_n[n] - reach), min(width, columns_n[n] + reach + 1)):
                square = (row - rows_n[n]) ** 2 + (column - columns_n[n]) ** 2
                value = np.float32(peak * np.exp(-square / (2.0 * sigma * sigma)))
                if value > heat_khw[channels_n[n], row, column]:
                    heat_khw[channels_n[n], row, column] = value


@njit(cache=True)
def draw_boxes(map_hw, boxes_n7, value, cell_m, half_m):  # type: ignore[no-untyped-def]
    """Set the cells whose centre lies under a box to ``value``, in place, and at least the one under its own centre."""
    height, width = map_hw.shape
    for n in range(len(boxes_n7)):
        x, y, length, width_m, yaw = boxes_n7[n, 0], boxes_n7[n, 1], boxes_n7[n, 3], boxes_n7[n, 4], boxes_n7[n, 6]
        cos, sin, reach = np.cos(yaw), np.sin(yaw), 0.5 * np.hypot(length, width_m)
        own_row, own_column = int(np.floor((y + half_m) / cell_m)), int(np.floor((x + half_m) / cell_m))
        cells = int(np.ceil(reach / cell_m))
        for row in range(max(0, own_row - cells), min(height, own_row + cells + 1)):
            for column in range(max(0, own_column - cells), min(width, own_column + cells + 1)):
                dx, dy = (column + 0.5) * cell_m - half_m - x, (row + 0.5) * cell_m - half_m - y
                inside = abs(cos * dx + sin * dy) <= 0.5 * length and abs(cos * dy - sin * dx) <= 0.5 * width_m
                if inside or (row == own_row and column == own_column):
                    map_hw[row, column] = value
