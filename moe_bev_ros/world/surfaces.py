"""Colours of surfaces and sky before any light falls on them, as small numba kernels; `shading` lights them.

Colours are red, green, blue in 0..255. ``u`` is a place in a part's unit space (`solids`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.parts import BLUE, CX, GREEN, HX, HY, HZ, RED, TEXTURE
from moe_bev_ros.world.solids import Three, inlined, noise

STOREY_M, WINDOW_M, LEAF_M, STRIPE_M, LETTER_M = 3.1, 2.6, 0.16, 0.25, 0.11
PAINT_WHITE = 232.0
SHEEN = 0.05  # how far a plain surface mirrors the sky
COARSER = 1.96  # a pixel this many times a texel's area takes the next level
Four = tuple[float, float, float, float]


@inlined
def facade(part_k: Array, ux: float, uy: float, uz: float) -> Four:
    """Rows of windows; the last number is how far the surface mirrors the sky (0..1)."""
    red, green, blue = part_k[RED], part_k[GREEN], part_k[BLUE]
    along = ux * part_k[HX] if abs(ux) < 0.999 else uy * part_k[HY]
    column, row = along / WINDOW_M + 100.0, (uz + 1.0) * part_k[HZ] / STOREY_M
    fu, fv = column - np.floor(column), row - np.floor(row)
    if 0.27 < fu < 0.73 and 0.3 < fv < 0.8 and row < 2.0 * part_k[HZ] / STOREY_M - 0.5:
        lit = noise(int(column), int(row), int(part_k[CX]))
        return 66.0 + 50.0 * lit, 78.0 + 52.0 * lit, 92.0 + 50.0 * lit, 0.3
    band = 0.9 if fv < 0.07 else 1.0
    return red * band, green * band, blue * band, 0.0


@inlined
def foliage(part_k: Array, ux: float, uy: float, uz: float) -> Four:
    """Leaves, each of its own brightness, darker below."""
    x, y, z = ux * part_k[HX] / LEAF_M, uy * part_k[HY] / LEAF_M, uz * part_k[HZ] / LEAF_M
    leaf = 0.68 + 0.5 * noise(int(np.floor(x)) + 999, int(np.floor(y)) + 999, int(np.floor(z)) + 999) + 0.16 * uz
    return part_k[RED] * leaf, part_k[GREEN] * leaf, part_k[BLUE] * leaf, 0.0


@inlined
def stripes(part_k: Array, ux: float, uy: float, uz: float) -> Four:
    """Diagonal stripes of the part's colour and white."""
    along = (ux * part_k[HX] + uy * part_k[HY] + uz * part_k[HZ]) / STRIPE_M
    if along - np.floor(along) < 0.5:
        return PAINT_WHITE, PAINT_WHITE, PAINT_WHITE, 0.0
    return part_k[RED], part_k[GREEN], part_k[BLUE], 0.0


@inlined
def lettering(part_k: Array, ux: float, uy: float, uz: float) -> Four:
    """An advertisement: a picture above, lines of letters below, a frame around, in colours drawn from the part's place."""
    red, green, blue = part_k[RED], part_k[GREEN], part_k[BLUE]
    wide = uy if abs(ux) > 0.999 else ux
    half = part_k[HY] if abs(ux) > 0.999 else part_k[HX]
    if abs(wide) > 0.93 or abs(uz) > 0.93:
        return 0.4 * red, 0.4 * green, 0.4 * blue, 0.0
    key = int(part_k[CX] * 7.0)
    if uz > 0.1:
        spot = wide * wide + (uz - 0.5) * (uz - 0.5) < 0.12
        swap = noise(key, 1, 2)
        return (green, blue, red, 0.0) if spot else (red, green + (255.0 - green) * 0.4 * swap, blue, 0.0)
    column, row = wide * half / LETTER_M + 500.0, (uz + 1.0) * part_k[HZ] / (2.0 * LETTER_M) + 500.0
    ink = row - np.floor(row) < 0.55 and noise(int(column), int(row), key) < 0.7
    return (30.0, 30.0, 36.0, 0.0) if ink else (PAINT_WHITE, PAINT_WHITE, 220.0, 0.0)


@inlined
def surface(part_k: Array, ux: float, uy: float, uz: float, nz: float, up_sky: float) -> Four:
    """Colour of a part, and how far it mirrors the sky; ``up_sky`` is the z of the mirrored direction."""
    texture = int(part_k[TEXTURE])
    if texture == 1 and abs(nz) < 0.5:
        return facade(part_k, ux, uy, uz)
    if texture == 2:
        return foliage(part_k, ux, uy, uz)
    if texture == 3:
        return part_k[RED], part_k[GREEN], part_k[BLUE], 0.25 + 0.25 * max(0.0, up_sky)
    if texture == 4:
        return stripes(part_k, ux, uy, uz)
    if texture == 5:
        return lettering(part_k, ux, uy, uz)
    return part_k[RED], part_k[GREEN], part_k[BLUE], SHEEN


@inlined
def _lanes(texel_4: np.uint32) -> np.uint64:
    """Four bytes, each in 16 bits of its own: red, blue, green, reflectivity."""
    wide = np.uint64(texel_4)
    return (wide & np.uint64(0x00FF00FF)) | ((wide & np.uint64(0xFF00FF00)) << np.uint64(24))


@inlined
def texel(
    texels_p: NDArray[np.uint32], levels_l3: NDArray[np.int64], frame_3: Array, x: float, y: float, square_m2: float
) -> Three:
    """Colour of the ground at a place in map, from the level that fits; edge texels go on for ever. Weights have 8 bits.

    Args:
        texels_p: the pyramid of `ground.Ground`, a texel's four bytes in one number.
        levels_l3: start, height and width of each level.
        frame_3: x and y of the corner of texel (0, 0) in map, and its size [m].
        square_m2: area that the pixel covers.
    """
    level, size = 0, frame_3[2]
    while level + 1 < levels_l3.shape[0] and square_m2 > COARSER * size * size:
        level += 1
        size *= 2.0
    start, height, width = levels_l3[level, 0], levels_l3[level, 1], levels_l3[level, 2]
    inverse = 256.0 / size
    gx = min(max((x - frame_3[0]) * inverse - 128.0, 0.0), 256.0 * width - 257.0)
    gy = min(max((y - frame_3[1]) * inverse - 128.0, 0.0), 256.0 * height - 257.0)
    column, row, byte, whole, one = np.uint64(gx), np.uint64(gy), np.uint64(255), np.uint64(256), np.uint64(1)
    fx, fy = column & byte, row & byte
    a = np.uint64(start) + (row >> np.uint64(8)) * np.uint64(width) + (column >> np.uint64(8))
    b = a + np.uint64(width)
    w3 = (fx * fy) >> np.uint64(8)
    w1, w2 = fx - w3, fy - w3
    w0 = whole - fx - fy + w3
    near = _lanes(texels_p[a]) * w0 + _lanes(texels_p[a + one]) * w1
    total = near + _lanes(texels_p[b]) * w2 + _lanes(texels_p[b + one]) * w3
    lane, scale = np.uint64(0xFFFF), 1.0 / 256.0
    red, blue = float(total & lane) * scale, float((total >> np.uint64(16)) & lane) * scale
    return red, float((total >> np.uint64(32)) & lane) * scale, blue
