"""A LiDAR sweep as a map of pillars: what the network's LiDAR encoder reads.

Statistics a pillar instead of learned point features (Lang et al. 2019, PointPillars): they cost one pass over the points and
leave an input of fixed shape.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.model.config import AGE_CHANNELS, PILLAR_CHANNELS

MIN_Z_M, MAX_Z_M = -2.0, 5.0
BIN_BOTTOM_M, BIN_M, NUM_BINS = -0.5, 0.5, 8
FIRST_BIN = PILLAR_CHANNELS - NUM_BINS
METRES, LOGS = np.float32(1 / 4), np.float32(1 / 4)  # bring the channels to about 1


def pillar_map(
    points_n5: NDArray[np.float32], half_m: float, pillar_m: float, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """(16, S, S) float32 map of the square of +-half_m around base_link; row 0 at the smallest y, column 0 at the smallest x.

    Channels: 0 log1p(points) / 4; 1, 2 mean offset from the pillar's centre in x, y [pillars]; 3, 4, 5 largest, smallest, mean
    z [4 m]; 6, 7 mean, largest intensity; 8..15 log1p(points) / 4 of height bins of 0.5 m from -0.5 to 3.5 m, the first and the
    last with what is below and above. All 0 where there is no point.

    Args:
        points_n5: x, y, z [m, base_link], intensity [0..1], time; points below -2 m, above 5 m or not finite are left out.
        out: filled and returned, instead of a new array.
    """
    side = round(2 * half_m / pillar_m)
    if out is None:
        out = np.empty((PILLAR_CHANNELS, side, side), np.float32)
    elif out.shape != (PILLAR_CHANNELS, side, side) or out.dtype != np.float32 or not out.flags.c_contiguous:
        raise ValueError(f'out must be contiguous float32 of {(PILLAR_CHANNELS, side, side)}, got {out.dtype} {out.shape}')
    out.fill(0.0)
    _accumulate(np.ascontiguousarray(points_n5, np.float32), half_m, 1.0 / pillar_m, out)
    _finish(out.reshape(PILLAR_CHANNELS, side * side))
    return out


def age_map(points_n5: NDArray[np.float32], half_m: float, pillar_m: float) -> NDArray[np.float32]:
    """(2, S, S) float32 mean age and age of the newest of the points that `pillar_map` counts in a pillar [s]; 0 where none.

    Args:
        points_n5: as there; the last column is minus the age.
    """
    side = round(2 * half_m / pillar_m)
    sums, newest = np.zeros((2, side, side), np.float32), np.full((side, side), np.inf, np.float32)
    _accumulate_ages(np.ascontiguousarray(points_n5, np.float32), half_m, 1.0 / pillar_m, sums, newest)
    held = sums[1] > 0
    out = np.zeros((AGE_CHANNELS, side, side), np.float32)
    np.divide(sums[0], sums[1], out=out[0], where=held)
    out[1][held] = newest[held]
    return out


@njit(cache=True, nogil=True, error_model='numpy')
def _is_inside(x, y, z, intensity, side):  # type: ignore[no-untyped-def]
    """Written so that NaN is not inside."""
    return (x >= 0.0) & (x < side) & (y >= 0.0) & (y < side) & (z >= MIN_Z_M) & (z <= MAX_Z_M) & np.isfinite(intensity)


@njit(cache=True, nogil=True, error_model='numpy')
def _accumulate_ages(points_n5, half_m, pillars_per_m, sums, newest):  # type: ignore[no-untyped-def]
    for i in range(points_n5.shape[0]):
        x, y = (points_n5[i, 0] + half_m) * pillars_per_m, (points_n5[i, 1] + half_m) * pillars_per_m
        if not _is_inside(x, y, points_n5[i, 2], points_n5[i, 3], newest.shape[0]):
            continue
        row, column, age = int(y), int(x), -points_n5[i, 4]
        sums[0, row, column] += age
        sums[1, row, column] += np.float32(1.0)
        newest[row, column] = min(newest[row, column], age)


@njit(cache=True, nogil=True, error_model='numpy')
def _accumulate(points_n5, half_m, pillars_per_m, out):  # type: ignore[no-untyped-def]
    """Counts, sums and extremes of every pillar, in the channels of their means and logarithms."""
    side = out.shape[1]
    for i in range(points_n5.shape[0]):
        x, y = (points_n5[i, 0] + half_m) * pillars_per_m, (points_n5[i, 1] + half_m) * pillars_per_m
        z, intensity = points_n5[i, 2], points_n5[i, 3]
        if not _is_inside(x, y, z, intensity, side):
            continue
        row, column = int(y), int(x)
        first = out[0, row, column] == 0.0
        out[0, row, column] += np.float32(1.0)
        out[1, row, column] += np.float32(x - column - 0.5)
        out[2, row, column] += np.float32(y - row - 0.5)
        out[3, row, column] = z if first else max(z, out[3, row, column])
        out[4, row, column] = z if first else min(z, out[4, row, column])
        out[5, row, column] += z
        out[6, row, column] += intensity
        out[7, row, column] = intensity if first else max(intensity, out[7, row, column])
        height = (z - BIN_BOTTOM_M) / BIN_M
        out[FIRST_BIN + int(min(max(height, 0.0), NUM_BINS - 1.0)), row, column] += np.float32(1.0)


@njit(cache=True, nogil=True, error_model='numpy')
def _finish(map_pc):  # type: ignore[no-untyped-def]
    """Turn sums into means and counts into logarithms."""
    for cell in range(map_pc.shape[1]):
        count = map_pc[0, cell]
        if count == 0.0:
            continue
        share = np.float32(1.0) / count
        map_pc[0, cell] = LOGS * np.log1p(count)
        map_pc[1, cell] *= share
        map_pc[2, cell] *= share
        map_pc[3, cell] *= METRES
        map_pc[4, cell] *= METRES
        map_pc[5, cell] *= METRES * share
        map_pc[6, cell] *= share
        for channel in range(FIRST_BIN, PILLAR_CHANNELS):
            if map_pc[channel, cell] != 0.0:
                map_pc[channel, cell] = LOGS * np.log1p(map_pc[channel, cell])
