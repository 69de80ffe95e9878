"""Rays against the ground's height field, as numba kernels.

Legend: ``heights_hw`` and ``frame_3`` are those of `terrain.Terrain`: heights at the corners of square cells [m], and x, y of
the first and the size of a cell. On flat ground nothing here is called for a pixel: a plane has a closed form.
"""

from __future__ import annotations

import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.solids import F32, MISS, helper

MAX_STEPS = 64
CLOSE_M = 0.003  # a step shorter than this is the last
FARTHEST_M = 1500.0


@helper
def ground_at(heights_hw: F32, frame_3: Array, x: float, y: float) -> tuple[float, float, float]:
    """Height of the ground at a place in map [m], and its slopes along x and y."""
    size = frame_3[2]
    gx, gy = (x - frame_3[0]) / size, (y - frame_3[1]) / size
    cx = min(max(gx, 0.0), heights_hw.shape[1] - 1.000001)
    cy = min(max(gy, 0.0), heights_hw.shape[0] - 1.000001)
    j, i = np.uint64(cx), np.uint64(cy)
    fx, fy = cx - j, cy - i
    low, east = heights_hw[i, j], heights_hw[i, j + np.uint64(1)]
    north, far = heights_hw[i + np.uint64(1), j], heights_hw[i + np.uint64(1), j + np.uint64(1)]
    slope_x = ((east - low) * (1.0 - fy) + (far - north) * fy) / size
    slope_y = ((north - low) * (1.0 - fx) + (far - east) * fx) / size
    height = (low * (1.0 - fx) + east * fx) * (1.0 - fy) + (north * (1.0 - fx) + far * fx) * fy
    return height, slope_x if cx == gx else 0.0, slope_y if cy == gy else 0.0


@helper
def meet_plane(height_m: float, dz: float) -> float:
    """Distance at which a ray from this height above flat ground meets it; MISS along and above the horizon."""
    return height_m / -dz if dz < -1e-4 else float(MISS)


@helper
def meet_ground(
    heights_hw: F32, frame_3: Array, x: float, y: float, z: float, dx: float, dy: float, dz: float, start: float
) -> float:
    """Distance at which a ray meets the ground; MISS where it leaves the world first.

    Newton's steps on the height above the ground, each at most a cell or a tenth of the way, so that no crest is jumped over.

    Args:
        start: distance at which the ray is still above the ground: that of a steeper ray beside it, or 0.
    """
    t, run = start, np.sqrt(dx * dx + dy * dy) + 1e-9
    for _ in range(MAX_STEPS):
        height, slope_x, slope_y = ground_at(heights_hw, frame_3, x + t * dx, y + t * dy)
        gap = z + t * dz - height
        longest = max(frame_3[2] / run, 0.1 * t)
        sink = slope_x * dx + slope_y * dy - dz
        step = gap / sink if sink > 1e-6 else longest
        t += min(max(step, -longest), longest)
        if abs(step) < CLOSE_M:
            return float(t)
        if t > FARTHEST_M:
            break
    return float(MISS)
