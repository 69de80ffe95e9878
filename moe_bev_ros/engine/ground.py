"""Height of the ground around the vehicle, from one LiDAR sweep.

A polar grid as in Himmelsbach et al., "Fast segmentation of 3D point clouds for ground vehicles" (IV 2010): the lowest points
of each cell, followed outwards along each sector, are ground where they continue it with a plausible slope. As in Patchwork
(Lim et al., RA-L 2021) the rings widen with the distance and the sensor's height anchors the first one; here base_link does
that, since it lies on the ground. Slopes, curbs and sectors that an obstacle hides are bridged from the ring before and from
the neighbouring sectors.

Letters: s sectors, r rings, n points.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NUM_SECTORS = 120
MAX_SLOPE = 0.2
RING_EDGES_M = np.concatenate([np.arange(0, 10, 0.5), np.arange(10, 30, 1.0), np.arange(30, 104, 2.0)]).astype(np.float32)
_RING_CENTRES_M = (RING_EDGES_M[:-1] + RING_EDGES_M[1:]) / 2
_RING_STEP_M = 0.5
_RING_OF_STEP = (
    np.searchsorted(RING_EDGES_M, np.arange(0, RING_EDGES_M[-1], _RING_STEP_M, np.float32) + _RING_STEP_M / 2) - 1
).astype(np.int32)


@dataclass(frozen=True)
class Ground:
    """Ground heights in base_link.

    Attributes:
        height_sr: (NUM_SECTORS, rings) float32, z of the ground at each cell's centre [m].
        seen_sr: whether points of the ground itself were measured there.
    """

    height_sr: Floats
    seen_sr: NDArray[np.bool_]

    def height_at(self, xy_n2: Floats) -> Floats:
        """Ground height [m] at positions in base_link, linear along each sector."""
        sector_n, _, radius_n = polar_cells(xy_n2)
        position_n = np.interp(radius_n, _RING_CENTRES_M, np.arange(len(_RING_CENTRES_M))).astype(np.float32)
        inner_n = np.minimum(position_n.astype(np.int32), len(_RING_CENTRES_M) - 2)
        fraction_n = position_n - inner_n
        flat = self.height_sr.ravel()
        index_n = sector_n * self.height_sr.shape[1] + inner_n
        return np.asarray(flat[index_n] * (1 - fraction_n) + flat[index_n + 1] * fraction_n, np.float32)


def polar_cells(xy_n2: Floats) -> tuple[NDArray[np.int32], NDArray[np.int32], Floats]:
    """Sector, ring and radius [m] of positions in base_link; what lies beyond the last ring counts to it."""
    if not len(xy_n2):
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32)
    magnitude, angle = cv2.cartToPolar(np.ascontiguousarray(xy_n2[:, 0]), np.ascontiguousarray(xy_n2[:, 1]))
    radius_n = magnitude.ravel()
    sector_n = np.minimum((angle.ravel() * (NUM_SECTORS / (2 * np.pi))).astype(np.int32), NUM_SECTORS - 1)
    step_n = np.minimum((radius_n / _RING_STEP_M).astype(np.int32), len(_RING_OF_STEP) - 1)
    return sector_n, _RING_OF_STEP[step_n], radius_n


def estimate_ground(xyz_n3: Floats) -> Ground:
    """Follow the lowest points outwards from the vehicle.

    Args:
        xyz_n3: points in base_link [m], the vehicle's own body removed.
    """
    lowest_sr = _lowest(xyz_n3)
    height_sr, seen_sr = _follow_outwards(lowest_sr, _first_height(lowest_sr))
    wrapped = cv2.copyMakeBorder(height_sr, 2, 2, 2, 2, cv2.BORDER_REPLICATE)
    wrapped[:2, 2:-2], wrapped[-2:, 2:-2] = height_sr[-2:], height_sr[:2]
    smooth_sr = cv2.medianBlur(wrapped, 5)[2:-2, 2:-2]
    # A cell that sticks out of its neighbours was a low obstacle, or an echo from below the road.
    is_outlier_sr = np.abs(height_sr - smooth_sr) > 0.15
    return Ground(np.where(is_outlier_sr, smooth_sr, height_sr), seen_sr & ~is_outlier_sr)


def _lowest(xyz_n3: Floats) -> Floats:
    """(s, r) height of each cell's lowest points, but not of its very lowest where there are enough; inf: no point."""
    num_rings = len(_RING_CENTRES_M)
    sector_n, ring_n, _ = polar_cells(xyz_n3[:, :2])
    cell_n = sector_n.astype(np.int64) * num_rings + ring_n
    # One sort by cell, then height: millimetres in the low 20 bits.
    millimetres_n = (np.clip(xyz_n3[:, 2], -500, 500) * 1000 + 500_000).astype(np.int64)
    key_n = np.sort(cell_n << 20 | millimetres_n)
    cell_n = key_n >> 20
    count_c = np.bincount(cell_n, minlength=NUM_SECTORS * num_rings)
    first_c = np.cumsum(count_c) - count_c
    pick_c = np.minimum(first_c + np.minimum(count_c // 10, 5), len(key_n) - 1)
    height_c = ((key_n[pick_c] & 0xFFFFF) - 500_000).astype(np.float32) / 1000
    return np.where(count_c > 0, height_c, np.float32(np.inf)).reshape(NUM_SECTORS, num_rings)


def _first_height(lowest_sr: Floats) -> float:
    """Ground height beside the vehicle: 0, or what most near cells agree on where the calibration is a little off."""
    near = lowest_sr[:, RING_EDGES_M[:-1] < 8.0]
    near = near[np.abs(near) < 0.5]
    return float(np.median(near)) if near.size >= NUM_SECTORS // 4 else 0.0


def _follow_outwards(lowest_sr: Floats, first_height_m: float) -> tuple[Floats, NDArray[np.bool_]]:
    height_s = np.full(NUM_SECTORS, first_height_m, np.float32)
    slope_s = np.zeros(NUM_SECTORS, np.float32)
    gap_s = np.zeros(NUM_SECTORS, np.float32)  # distance since ground was last seen
    height_sr, seen_sr = np.empty_like(lowest_sr), np.zeros(lowest_sr.shape, bool)
    step_r = np.diff(_RING_CENTRES_M, prepend=0.0)
    for ring, step_m in enumerate(step_r):
        height_s = height_s + slope_s * step_m
        gap_s = gap_s + step_m
        error_s = lowest_sr[:, ring] - height_s
        tolerance_s = np.minimum(0.12 + 0.05 * gap_s, 0.35)
        seen_s = (error_s < tolerance_s) & (error_s > -2 * tolerance_s - 0.1)
        correction_s = np.where(seen_s, error_s, 0).astype(np.float32)
        height_s = height_s + 0.8 * correction_s
        slope_s = slope_s + 0.35 * correction_s / np.maximum(gap_s, 1.0)
        slope_s = np.clip(np.where(seen_s, slope_s, 0.9 * slope_s), -MAX_SLOPE, MAX_SLOPE).astype(np.float32)
        gap_s = np.where(seen_s, 0, gap_s).astype(np.float32)
        height_sr[:, ring], seen_sr[:, ring] = height_s, seen_s
    return height_sr, seen_sr
