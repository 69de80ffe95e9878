"""Camera images and shadows from one table of solids (`parts`), as fused numba kernels.

Every solid is tested only inside the rectangle of pixels that its box can cover; that is what makes a frame cheap. Kernels
release the GIL and are cached on disk. Legend: P parts, K columns of the table, H W image, L levels of the ground's pyramid.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.parts import BLUE, COS, CX, CY, CZ, GLOW, GREEN, HX, HY, HZ, RED, SHAPE, SIN, TEXTURE
from moe_bev_ros.world.solids import MISS, hit, noise, normal, to_unit

NEAR_M = 0.1
AMBIENT, DIFFUSE = 0.5, 0.62
HAZE_M = 260.0
F32 = NDArray[np.float32]


@njit(cache=True, nogil=True, fastmath=True)
def _rectangle(
    part_k: Array, origin_3: Array, rotation_33: Array, pinhole_4: Array, corners_83: Array
) -> tuple[float, float, float, float]:
    """Bounds in pixels of a part's box, cut at the near plane: u low, u high, v low, v high; empty where behind."""
    c, s = part_k[COS], part_k[SIN]
    for i in range(8):
        lx = part_k[HX] if i & 1 else -part_k[HX]
        ly = part_k[HY] if i & 2 else -part_k[HY]
        x = part_k[CX] + c * lx - s * ly - origin_3[0]
        y = part_k[CY] + s * lx + c * ly - origin_3[1]
        z = part_k[CZ] + (part_k[HZ] if i & 4 else -part_k[HZ]) - origin_3[2]
        for k in range(3):
            corners_83[i, k] = rotation_33[0, k] * x + rotation_33[1, k] * y + rotation_33[2, k] * z
    u0, u1, v0, v1 = MISS, -MISS, MISS, -MISS
    for i in range(8):
        for axis in range(4):  # the corner itself, then its three edges upwards
            j = i if axis == 0 else i | (1 << (axis - 1))
            if axis > 0 and j == i:
                continue
            za, zb = corners_83[i, 2], corners_83[j, 2]
            if (axis == 0 and za < NEAR_M) or (axis > 0 and (za < NEAR_M) == (zb < NEAR_M)):
                continue
            f = 0.0 if axis == 0 else (NEAR_M - za) / (zb - za)
            depth = za if axis == 0 else NEAR_M
            u = pinhole_4[2] + pinhole_4[0] * (corners_83[i, 0] + f * (corners_83[j, 0] - corners_83[i, 0])) / depth
            v = pinhole_4[3] + pinhole_4[1] * (corners_83[i, 1] + f * (corners_83[j, 1] - corners_83[i, 1])) / depth
            u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
    return u0, u1, v0, v1


@njit(cache=True, nogil=True, fastmath=True)
def cast_image(
    parts_pk: Array, origin_3: Array, rotation_33: Array, pinhole_4: Array, depth_hw: F32, ids_hw: NDArray[np.int32]
) -> None:
    """Depth along the optical axis [m] (MISS: sky) and part index (-1: ground or sky) of every pixel.

    Args:
        rotation_33: map from camera; ``pinhole_4`` is fx, fy, cx, cy [pixels].
    """
    height, width = depth_hw.shape
    fx, fy, cx, cy = pinhole_4
    corners = np.empty((8, 3))
    for v in range(height):
        down = rotation_33[2, 1] * (v + 0.5 - cy) / fy + rotation_33[2, 2]
        for u in range(width):
            dz = down + rotation_33[2, 0] * (u + 0.5 - cx) / fx
            depth_hw[v, u] = -origin_3[2] / dz if dz < -1e-4 else MISS
            ids_hw[v, u] = -1
    for p in range(parts_pk.shape[0]):
        part = parts_pk[p]
        u0, u1, v0, v1 = _rectangle(part, origin_3, rotation_33, pinhole_4, corners)
        left, right = max(0, int(max(u0, 0.0))), int(min(u1, width - 1.0))
        top, bottom = max(0, int(max(v0, 0.0))), int(min(v1, height - 1.0))
        if u1 < 0.0 or v1 < 0.0 or left > right or top > bottom:
            continue
        ox, oy, oz = to_unit(part, origin_3[0] - part[CX], origin_3[1] - part[CY], origin_3[2] - part[CZ])
        ax, ay, az = to_unit(part, rotation_33[0, 0] / fx, rotation_33[1, 0] / fx, rotation_33[2, 0] / fx)
        bx, by, bz = to_unit(part, rotation_33[0, 1] / fy, rotation_33[1, 1] / fy, rotation_33[2, 1] / fy)
        ex, ey, ez = to_unit(part, rotation_33[0, 2], rotation_33[1, 2], rotation_33[2, 2])
        shape = int(part[SHAPE])
        for v in range(top, bottom + 1):
            y = v + 0.5 - cy
            for u in range(left, right + 1):
                x = u + 0.5 - cx
                t = hit(shape, ox, oy, oz, x * ax + y * bx + ex, x * ay + y * by + ey, x * az + y * bz + ez)
                if t < depth_hw[v, u]:
                    depth_hw[v, u] = t
                    ids_hw[v, u] = p


@njit(cache=True, nogil=True, fastmath=True)
def _sample(grid_hw: NDArray[np.uint8], x: float, y: float) -> float:
    """Bilinear value of a grid at (column x, row y) of texel centres; 0 outside."""
    j, i = int(np.floor(x)), int(np.floor(y))
    if i < 0 or j < 0 or i + 1 >= grid_hw.shape[0] or j + 1 >= grid_hw.shape[1]:
        return 0.0
    fx, fy = x - j, y - i
    top = grid_hw[i, j] * (1.0 - fx) + grid_hw[i, j + 1] * fx
    bottom = grid_hw[i + 1, j] * (1.0 - fx) + grid_hw[i + 1, j + 1] * fx
    return top * (1.0 - fy) + bottom * fy


@njit(cache=True, nogil=True, fastmath=True)
def _texel(
    texels_p4: NDArray[np.uint8], levels_l3: NDArray[np.int64], frame_3: Array, x: float, y: float, footprint_m: float
) -> tuple[float, float, float]:
    """Colour of the ground at a place in map, from the level that fits the footprint; edge texels go on for ever."""
    level, size = 0, frame_3[2]
    while level + 1 < levels_l3.shape[0] and footprint_m > 1.4 * size:
        level += 1
        size *= 2.0
    start, height, width = levels_l3[level]
    gx = min(max((x - frame_3[0]) / size - 0.5, 0.0), width - 1.001)
    gy = min(max((y - frame_3[1]) / size - 0.5, 0.0), height - 1.001)
    j, i = int(gx), int(gy)
    fx, fy = gx - j, gy - i
    a, b = start + i * width + j, start + (i + 1) * width + j
    w0, w1, w2, w3 = (1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy
    red = texels_p4[a, 0] * w0 + texels_p4[a + 1, 0] * w1 + texels_p4[b, 0] * w2 + texels_p4[b + 1, 0] * w3
    green = texels_p4[a, 1] * w0 + texels_p4[a + 1, 1] * w1 + texels_p4[b, 1] * w2 + texels_p4[b + 1, 1] * w3
    blue = texels_p4[a, 2] * w0 + texels_p4[a + 1, 2] * w1 + texels_p4[b, 2] * w2 + texels_p4[b + 1, 2] * w3
    return red, green, blue


@njit(cache=True, nogil=True, fastmath=True)
def _surface(part_k: Array, ux: float, uy: float, uz: float, nz: float, up_sky: float) -> tuple[float, float, float, float]:
    """Colour of a part's surface at a point of its unit space, and how far it reflects the sky (0..1)."""
    red, green, blue = part_k[RED], part_k[GREEN], part_k[BLUE]
    texture = int(part_k[TEXTURE])
    if texture == 1 and abs(nz) < 0.5:
        along = ux * part_k[HX] if abs(ux) < 0.999 else uy * part_k[HY]
        column, row = along / 2.6 + 100.0, (uz + 1.0) * part_k[HZ] / 3.1
        fu, fv = column - np.floor(column), row - np.floor(row)
        if 0.27 < fu < 0.73 and 0.3 < fv < 0.8 and row < 2.0 * part_k[HZ] / 3.1 - 0.5:
            lit = noise(int(column), int(row), int(part_k[CX]))
            return 66.0 + 50.0 * lit, 78.0 + 52.0 * lit, 92.0 + 50.0 * lit, 0.3
        band = 0.9 if fv < 0.07 else 1.0
        return red * band, green * band, blue * band, 0.0
    if texture == 2:
        x, y, z = ux * part_k[HX] / 0.16, uy * part_k[HY] / 0.16, uz * part_k[HZ] / 0.16
        leaf = 0.68 + 0.5 * noise(int(np.floor(x)) + 999, int(np.floor(y)) + 999, int(np.floor(z)) + 999) + 0.16 * uz
        return red * leaf, green * leaf, blue * leaf, 0.0
    if texture == 3:
        return red, green, blue, 0.25 + 0.25 * max(0.0, up_sky)
    return red, green, blue, 0.05


@njit(cache=True, nogil=True, fastmath=True)
def _sky(dz: float, towards_sun: float) -> tuple[float, float, float]:
    """Colour of the sky by the height of a unit direction, with a glow around the sun."""
    height = np.sqrt(min(1.0, max(0.0, dz) * 1.5))
    glow = 0.0
    if towards_sun > 0.8:  # a power, by squaring
        glow = (towards_sun * towards_sun) ** 2
        glow = 60.0 * (glow * glow * glow) ** 2
    return 214.0 - 112.0 * height + glow, 226.0 - 74.0 * height + 0.9 * glow, 236.0 - 12.0 * height + 0.5 * glow


@njit(cache=True, nogil=True, fastmath=True)
def _lit(
    part_k: Array, x: float, y: float, z: float, sun_3: Array, dx: float, dy: float, dz: float
) -> tuple[float, float, float]:
    """Colour of a part at a point in map, seen along a unit direction."""
    ux, uy, uz = to_unit(part_k, x - part_k[CX], y - part_k[CY], z - part_k[CZ])
    nx, ny, nz = normal(part_k, ux, uy, uz)
    facing = nx * dx + ny * dy + nz * dz
    rx, ry, rz = dx - 2.0 * facing * nx, dy - 2.0 * facing * ny, dz - 2.0 * facing * nz
    red, green, blue, mirror = _surface(part_k, ux, uy, uz, nz, rz)
    light = AMBIENT + 0.1 * nz + DIFFUSE * max(0.0, nx * sun_3[0] + ny * sun_3[1] + nz * sun_3[2])
    light = light + part_k[GLOW] * (1.15 - light)
    if mirror == 0.0:
        return red * light, green * light, blue * light
    sky_red, sky_green, sky_blue = _sky(rz, rx * sun_3[0] + ry * sun_3[1] + rz * sun_3[2])
    if rz < 0.0:
        sky_red, sky_green, sky_blue = 70.0, 70.0, 70.0
    mirror = mirror + (0.35 - 0.35 * part_k[GLOW]) * (1.0 + min(0.0, facing)) ** 3
    keep = light * (1.0 - mirror)
    return red * keep + sky_red * mirror, green * keep + sky_green * mirror, blue * keep + sky_blue * mirror


@njit(cache=True, nogil=True, fastmath=True)
def shade_image(
    parts_pk: Array, origin_3: Array, rotation_33: Array, pinhole_4: Array, sun_3: Array, depth_hw: F32,
    ids_hw: NDArray[np.int32], texels_p4: NDArray[np.uint8], levels_l3: NDArray[np.int64], frame_3: Array,
    shadow_hw: NDArray[np.uint8], shadow_3: Array, image_hw3: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Colour of every pixel that `cast_image` has found.

    Args:
        sun_3: unit vector towards the sun, in map.
        frame_3: x and y of the corner of the ground's texel (0, 0) in map, and its size [m]; ``shadow_3`` likewise.
        levels_l3: start, height and width of each level of ``texels_p4``.
        shadow_hw: 0 in the sun .. 255 in the shadow.
    """
    height, width = depth_hw.shape
    fx, fy, cx, cy = pinhole_4
    for v in range(height):
        for u in range(width):
            a, b = (u + 0.5 - cx) / fx, (v + 0.5 - cy) / fy
            dx = rotation_33[0, 0] * a + rotation_33[0, 1] * b + rotation_33[0, 2]
            dy = rotation_33[1, 0] * a + rotation_33[1, 1] * b + rotation_33[1, 2]
            dz = rotation_33[2, 0] * a + rotation_33[2, 1] * b + rotation_33[2, 2]
            depth, p = depth_hw[v, u], ids_hw[v, u]
            scale = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
            sky = _sky(dz * scale, (dx * sun_3[0] + dy * sun_3[1] + dz * sun_3[2]) * scale)
            x, y, z = origin_3[0] + depth * dx, origin_3[1] + depth * dy, origin_3[2] + depth * dz
            red, green, blue, clear = sky[0], sky[1], sky[2], 0.0
            if p >= 0:
                red, green, blue = _lit(parts_pk[p], x, y, z, sun_3, dx * scale, dy * scale, dz * scale)
                clear = HAZE_M / (HAZE_M + depth)
            elif depth < MISS:
                footprint = depth / fx / np.sqrt(max(0.04, -dz * scale))
                red, green, blue = _texel(texels_p4, levels_l3, frame_3, x, y, footprint)
                shade = _sample(shadow_hw, (x - shadow_3[0]) / shadow_3[2] - 0.5, (y - shadow_3[1]) / shadow_3[2] - 0.5)
                light = AMBIENT + 0.1 + DIFFUSE * sun_3[2] * (1.0 - shade / 255.0)
                red, green, blue = red * light, green * light, blue * light
                clear = HAZE_M / (HAZE_M + depth)
            image_hw3[v, u, 0] = min(255.0, red * clear + sky[0] * (1.0 - clear))
            image_hw3[v, u, 1] = min(255.0, green * clear + sky[1] * (1.0 - clear))
            image_hw3[v, u, 2] = min(255.0, blue * clear + sky[2] * (1.0 - clear))


@njit(cache=True, nogil=True, fastmath=True)
def cast_shadows(parts_pk: Array, sun_3: Array, shadow_hw: NDArray[np.uint8], shadow_3: Array) -> None:
    """Mark with 255 every cell of the ground whose way to the sun is blocked by a part; the others keep their value."""
    slope_x, slope_y = -sun_3[0] / sun_3[2], -sun_3[1] / sun_3[2]
    for p in range(parts_pk.shape[0]):
        part = parts_pk[p]
        c, s = abs(part[COS]), abs(part[SIN])
        half_x, half_y = c * part[HX] + s * part[HY], s * part[HX] + c * part[HY]
        low, high = max(0.0, part[CZ] - part[HZ]), part[CZ] + part[HZ]
        x0 = part[CX] - half_x + min(low * slope_x, high * slope_x)
        x1 = part[CX] + half_x + max(low * slope_x, high * slope_x)
        y0 = part[CY] - half_y + min(low * slope_y, high * slope_y)
        y1 = part[CY] + half_y + max(low * slope_y, high * slope_y)
        j0, j1 = (
            max(0, int((x0 - shadow_3[0]) / shadow_3[2])),
            min(shadow_hw.shape[1] - 1, int((x1 - shadow_3[0]) / shadow_3[2])),
        )
        i0, i1 = (
            max(0, int((y0 - shadow_3[1]) / shadow_3[2])),
            min(shadow_hw.shape[0] - 1, int((y1 - shadow_3[1]) / shadow_3[2])),
        )
        dx, dy, dz = to_unit(part, sun_3[0], sun_3[1], sun_3[2])
        for i in range(i0, i1 + 1):
            y = shadow_3[1] + (i + 0.5) * shadow_3[2] - part[CY]
            for j in range(j0, j1 + 1):
                if shadow_hw[i, j] == 255:
                    continue
                x = shadow_3[0] + (j + 0.5) * shadow_3[2] - part[CX]
                ox, oy, oz = to_unit(part, x, y, -0.01 - part[CZ])
                if hit(int(part[SHAPE]), ox, oy, oz, dx, dy, dz) < MISS:
                    shadow_hw[i, j] = 255
