"""Light on the ground as two maps from above, as numba kernels: what the sun does not reach, and what lamps shine on.

Legend: P parts, H W cells of a map; ``frame_3`` is x and y of the corner of cell (0, 0) in map, and a cell's size [m].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.parts import BASE, COS, CX, CY, CZ, HX, HY, HZ, SHAPE, SIN
from moe_bev_ros.world.solids import MISS, cast_row, helper, inlined, kernel, to_unit

# Columns of ``lamps_n6``: place in map [m], direction (0, 0: all around), distance at which half the light is left [m].
LAMP_X, LAMP_Y, LAMP_DX, LAMP_DY, LAMP_REACH, LAMP_STRENGTH = range(6)
CONE_COS = 0.9  # of a headlight, half angle
Bytes = NDArray[np.uint8]


@helper
def _span(low: float, high: float, origin: float, size: float, count: int) -> tuple[int, int]:
    """First and last cell (not counted in) that an interval touches."""
    return int(min(max((low - origin) / size, 0.0), count)), int(min(max((high - origin) / size + 1.0, 0.0), count))


@helper
def _shadow_box(part_k: Array, slope_x: float, slope_y: float) -> tuple[float, float, float, float]:
    """Bounds in map of a part's shadow on level ground at its BASE: x low, x high, y low, y high."""
    c, s = abs(part_k[COS]), abs(part_k[SIN])
    half_x, half_y = c * part_k[HX] + s * part_k[HY], s * part_k[HX] + c * part_k[HY]
    low, high = max(0.0, part_k[CZ] - part_k[HZ] - part_k[BASE]), part_k[CZ] + part_k[HZ] - part_k[BASE]
    x0, x1 = min(low * slope_x, high * slope_x), max(low * slope_x, high * slope_x)
    y0, y1 = min(low * slope_y, high * slope_y), max(low * slope_y, high * slope_y)
    return part_k[CX] - half_x + x0, part_k[CX] + half_x + x1, part_k[CY] - half_y + y0, part_k[CY] + half_y + y1


@kernel
def cast_shadows(parts_pk: Array, sun_3: Array, shadow_hw: Bytes, frame_3: Array) -> None:
    """Mark with 255 every cell of the ground whose way to the sun is blocked by a part; the others keep their value."""
    height, width = shadow_hw.shape
    size = frame_3[2]
    slope_x, slope_y = -sun_3[0] / sun_3[2], -sun_3[1] / sun_3[2]
    columns, best = np.arange(width).astype(np.float32), np.empty(width, np.float32)
    ids = np.empty(width, np.int32)
    for p in range(parts_pk.shape[0]):
        part = parts_pk[p]
        x0, x1, y0, y1 = _shadow_box(part, slope_x, slope_y)
        j0, j1 = _span(x0, x1, frame_3[0], size, width)
        i0, i1 = _span(y0, y1, frame_3[1], size, height)
        if j1 <= j0:
            continue
        d, step, rest = to_unit(part, sun_3[0], sun_3[1], sun_3[2]), to_unit(part, size, 0.0, 0.0), (0.0, 0.0, 0.0)
        for i in range(i0, i1):
            x, y = frame_3[0] + (j0 + 0.5) * size - part[CX], frame_3[1] + (i + 0.5) * size - part[CY]
            row = best[: j1 - j0]
            row[:] = MISS
            p_3 = to_unit(part, x, y, part[BASE] - 0.01 - part[CZ])
            cast_row(int(part[SHAPE]), p_3, step, d, rest, 0.0, columns, 0.0, row, ids, p)
            for j in range(row.shape[0]):
                if row[j] < MISS:
                    shadow_hw[i, j0 + j] = 255


@kernel
def cast_lamplight(lamps_n6: Array, lit_hw: Bytes, frame_3: Array) -> None:
    """Add the light of lamps to a map of the ground, 255 the most."""
    height, width = lit_hw.shape
    size = frame_3[2]
    for n in range(lamps_n6.shape[0]):
        x, y, along_x, along_y, reach, strength = lamps_n6[n]
        far, ahead = 2.5 * reach, along_x * along_x + along_y * along_y > 0.0
        j0, j1 = _span(x - far, x + far, frame_3[0], size, width)
        i0, i1 = _span(y - far, y + far, frame_3[1], size, height)
        for i in range(i0, i1):
            dy = frame_3[1] + (i + 0.5) * size - y
            for j in range(j0, j1):
                dx = frame_3[0] + (j + 0.5) * size - x
                square = dx * dx + dy * dy
                light = strength * max(0.0, 1.0 - square / (far * far)) / (1.0 + square / (reach * reach))
                if ahead:
                    cosine = (dx * along_x + dy * along_y) / np.sqrt(square + 0.01)
                    light *= min(1.0, max(0.0, (cosine - CONE_COS) / (0.98 - CONE_COS)))
                lit_hw[i, j] = min(255.0, lit_hw[i, j] + light)


@inlined
def sample(grid_hw: Bytes, frame_3: Array, x: float, y: float) -> float:
    """Bilinear value of a map at a place; 0 outside."""
    per_m = 1.0 / frame_3[2]
    gx, gy = (x - frame_3[0]) * per_m - 0.5, (y - frame_3[1]) * per_m - 0.5
    if (gx < 0.0) | (gy < 0.0) | (gx >= grid_hw.shape[1] - 1.0) | (gy >= grid_hw.shape[0] - 1.0):
        return 0.0
    j, i = np.uint64(gx), np.uint64(gy)
    fx, fy, one = gx - j, gy - i, np.uint64(1)
    top = grid_hw[i, j] * (1.0 - fx) + grid_hw[i, j + one] * fx
    bottom = grid_hw[i + one, j] * (1.0 - fx) + grid_hw[i + one, j + one] * fx
    return top * (1.0 - fy) + bottom * fy


def in_shadow(shadow_hw: Bytes, frame_3: Array, x: float, y: float) -> bool:
    """Whether the sun does not reach the ground at a place."""
    j, i = int((x - frame_3[0]) / frame_3[2]), int((y - frame_3[1]) / frame_3[2])
    return 0 <= i < shadow_hw.shape[0] and 0 <= j < shadow_hw.shape[1] and bool(shadow_hw[i, j])
