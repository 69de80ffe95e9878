"""The light that reaches each pixel of a camera, as numba kernels: surfaces (`surfaces`) under sun, sky, shadows and lamps.

Defined here: `sky`, `clearness` (haze), `part_light`, `ground_light`. Light is in units of colour (0..255) and has no upper
end; `imaging` exposes it. Numbers of light and weather are the columns of `weather`. Legend as in `render`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.heights import ground_at
from moe_bev_ros.world.parts import BASE, CX, CY, CZ, GLOW
from moe_bev_ros.world.shadows import Bytes, sample
from moe_bev_ros.world.solids import F32, HALF, MISS, ONE, ZERO, Three, inlined, kernel, normal, reciprocal_root, to_unit
from moe_bev_ros.world.surfaces import SHEEN, surface, texel
from moe_bev_ros.world.weather import (
    AMBIENT,
    HORIZON_B,
    HORIZON_G,
    HORIZON_R,
    LAMPS,
    SUN_B,
    SUN_G,
    SUN_R,
    SUN_X,
    SUN_Y,
    SUN_Z,
    THICKNESS,
    WET,
    ZENITH_B,
    ZENITH_G,
    ZENITH_R,
)
from moe_bev_ros.world.weather import GLOW as SUN_GLOW

GLOW_3 = (1.0, 0.9, 0.5)  # colour of the glow around the sun
LAMP_R, LAMP_G, LAMP_B = 0.75, 0.68, 0.56  # light of lamps where their map says 255
BEAM_TOP_M = 2.5  # headlights light nothing above
WET_DARKENS = 0.45
LEVEL_NZ = 0.99  # tops of walls and ledges are dull: seen flat, in single pixels, they would flash like glass


class GroundMaps(NamedTuple):
    """The ground as the kernels read it; a frame is x and y of a corner in map and the size of a cell [m].

    Attributes:
        texels_p, levels_l3, frame_3: the picture, see `surfaces.texel`.
        shadow_hw, static_hw, shadow_3: 0 in the sun .. 255 in the shadow of anything, and of props alone.
        lit_hw, lit_3: light of lamps, 255 the most.
        flat, heights_hw, heights_3: see `heights`.
    """

    texels_p: NDArray[np.uint32]
    levels_l3: NDArray[np.int64]
    frame_3: Array
    shadow_hw: Bytes
    static_hw: Bytes
    shadow_3: Array
    lit_hw: Bytes
    lit_3: Array
    flat: bool
    heights_hw: F32
    heights_3: Array


@inlined
def _sky_shares(dz: float, towards_sun: float) -> tuple[float, float]:
    """Shares of the zenith's colour and of the sun's glow in a unit direction of this height."""
    t = max(ZERO, towards_sun)
    t2 = t * t
    t8 = t2 * t2 * t2 * t2
    return np.sqrt(min(ONE, max(ZERO, dz) * (ONE + HALF))), t8 * t8 * t8


@inlined
def sky(air_k: Array, dz: float, towards_sun: float) -> Three:
    """Colour of the sky in a unit direction of this height, with a glow around the sun."""
    height, glow = _sky_shares(dz, towards_sun)
    glow *= air_k[SUN_GLOW]
    red = air_k[HORIZON_R] + (air_k[ZENITH_R] - air_k[HORIZON_R]) * height + GLOW_3[0] * glow
    green = air_k[HORIZON_G] + (air_k[ZENITH_G] - air_k[HORIZON_G]) * height + GLOW_3[1] * glow
    return red, green, air_k[HORIZON_B] + (air_k[ZENITH_B] - air_k[HORIZON_B]) * height + GLOW_3[2] * glow


@inlined
def _fill_sky(air_k: F32, d_3: Three, step_3: Three, shares_2w: F32, light_3w: F32) -> None:
    """Colours of the sky behind a row of pixels, many at a time: `sky` of directions d, d + step, d + 2 step ..."""
    height_w, glow_w = shares_2w[0], shares_2w[1]
    dx, dy, dz = np.float32(d_3[0]), np.float32(d_3[1]), np.float32(d_3[2])
    sx, sy, sz = np.float32(step_3[0]), np.float32(step_3[1]), np.float32(step_3[2])
    for u in range(height_w.shape[0]):
        k = np.float32(u)
        x, y, z = dx + k * sx, dy + k * sy, dz + k * sz
        scale = ONE / np.sqrt(x * x + y * y + z * z)
        towards_sun = (x * air_k[SUN_X] + y * air_k[SUN_Y] + z * air_k[SUN_Z]) * scale
        height_w[u], glow_w[u] = _sky_shares(z * scale, towards_sun)
    for channel in range(3):
        row, low, glow = light_3w[channel], air_k[HORIZON_R + channel], air_k[SUN_GLOW] * np.float32(GLOW_3[channel])
        rise = air_k[ZENITH_R + channel] - low
        for u in range(row.shape[0]):
            row[u] = low + rise * height_w[u] + glow * glow_w[u]


@inlined
def clearness(air_k: Array, depth: float) -> float:
    """Share of light that passes haze, rain or fog: e^-x by its series."""
    x = min(depth, 1e6) * air_k[THICKNESS]
    return 1.0 / (1.0 + x * (1.0 + x * (0.5 + x * (0.1666667 + x * 0.0416667))))


@inlined
def _lamplight(air_k: Array, lit_hw: Bytes, lit_3: Array, x: float, y: float, above: float) -> float:
    """Light of lamps at a place this far above the ground, 0..1."""
    if air_k[LAMPS] == 0.0:
        return 0.0
    return sample(lit_hw, lit_3, x, y) * (1.0 / 255.0) * min(1.0, max(0.15, BEAM_TOP_M - above))


@inlined
def _shade_on(part_k: Array, air_k: Array, static_hw: Bytes, shadow_3: Array, x: float, y: float, z: float) -> float:
    """Share of sunlight that props leave for a point of an actor: that of the ground under it along the sun."""
    run = (z - part_k[BASE]) / air_k[SUN_Z]
    gx, gy = x - run * air_k[SUN_X] - shadow_3[0], y - run * air_k[SUN_Y] - shadow_3[1]
    j, i = int(gx / shadow_3[2]), int(gy / shadow_3[2])
    if gx < 0.0 or gy < 0.0 or i >= static_hw.shape[0] or j >= static_hw.shape[1]:
        return 1.0
    return 1.0 - static_hw[i, j] / 255.0


@inlined
def part_light(
    part_k: Array, moves: bool, air_k: Array, static_hw: Bytes, shadow_3: Array, lit_hw: Bytes, lit_3: Array,
    x: float, y: float, z: float, dx: float, dy: float, dz: float,
) -> Three:  # fmt: skip
    """Light from a part's point in map along a unit direction of view; ``moves``: props can shade it."""
    ux, uy, uz = to_unit(part_k, x - part_k[CX], y - part_k[CY], z - part_k[CZ])
    nx, ny, nz = normal(part_k, ux, uy, uz)
    facing = nx * dx + ny * dy + nz * dz
    rz = dz - 2.0 * facing * nz
    red, green, blue, mirror = surface(part_k, ux, uy, uz, nz, rz)
    sun = max(0.0, nx * air_k[SUN_X] + ny * air_k[SUN_Y] + nz * air_k[SUN_Z])
    if moves and sun > 0.0:
        sun *= _shade_on(part_k, air_k, static_hw, shadow_3, x, y, z)
    even = air_k[AMBIENT] * (1.0 + 0.2 * nz)
    lamp = _lamplight(air_k, lit_hw, lit_3, x, y, z - part_k[BASE])
    glow = part_k[GLOW]
    light_r = even + air_k[SUN_R] * sun + LAMP_R * lamp
    light_g = even + air_k[SUN_G] * sun + LAMP_G * lamp
    light_b = even + air_k[SUN_B] * sun + LAMP_B * lamp
    light_r, light_g, light_b = (
        light_r + glow * (1.15 - light_r),
        light_g + glow * (1.15 - light_g),
        light_b + glow * (1.15 - light_b),
    )
    if mirror == 0.0 or (mirror <= SHEEN and nz > LEVEL_NZ and not moves):
        return red * light_r, green * light_g, blue * light_b
    mirror = mirror + (0.35 - 0.35 * glow) * (1.0 + min(0.0, facing)) ** 3
    keep = 1.0 - mirror
    if rz < 0.0:  # it mirrors the ground
        dim = 140.0 * air_k[AMBIENT] * mirror
        return red * light_r * keep + dim, green * light_g * keep + dim, blue * light_b * keep + dim
    rx, ry = dx - 2.0 * facing * nx, dy - 2.0 * facing * ny
    above = sky(air_k, rz, rx * air_k[SUN_X] + ry * air_k[SUN_Y] + rz * air_k[SUN_Z])
    return (
        red * light_r * keep + above[0] * mirror,
        green * light_g * keep + above[1] * mirror,
        blue * light_b * keep + above[2] * mirror,
    )


@inlined
def facing_sun(heights_hw: F32, heights_3: Array, air_k: Array, x: float, y: float) -> float:
    """Share of sunlight that falls on sloping ground."""
    _, slope_x, slope_y = ground_at(heights_hw, heights_3, x, y)
    return float(max(0.0, air_k[SUN_Z] - slope_x * air_k[SUN_X] - slope_y * air_k[SUN_Y]))


@inlined
def ground_light(
    colour_3: Three, air_k: Array, shadow_hw: Bytes, shadow_3: Array, lit_hw: Bytes, lit_3: Array, facing: float,
    x: float, y: float, dz: float,
) -> Three:  # fmt: skip
    """Light from the ground at a place in map, seen along a unit direction of this (negative) height.

    Args:
        facing: share of sunlight that falls on it, by its slope.
    """
    red, green, blue = colour_3
    sun = facing * (1.0 - sample(shadow_hw, shadow_3, x, y) * (1.0 / 255.0))
    even, lamp = 1.2 * air_k[AMBIENT], _lamplight(air_k, lit_hw, lit_3, x, y, 0.0)
    keep = 1.0 - WET_DARKENS * air_k[WET]
    red *= (even + air_k[SUN_R] * sun + LAMP_R * lamp) * keep
    green *= (even + air_k[SUN_G] * sun + LAMP_G * lamp) * keep
    blue *= (even + air_k[SUN_B] * sun + LAMP_B * lamp) * keep
    if air_k[WET] > 0.0:
        mirror = air_k[WET] * (0.04 + 0.5 * (1.0 + min(0.0, dz)) ** 4)
        red += mirror * (air_k[HORIZON_R] - red)
        green += mirror * (air_k[HORIZON_G] - green)
        blue += mirror * (air_k[HORIZON_B] - blue)
    return red, green, blue


@inlined
def _shade(
    parts_pk: Array, num_static: int, origin_3: Array, rotation_33: Array, pinhole_4: Array, air_k: Array, maps: GroundMaps,
    depth_hw: F32, ids_hw: NDArray[np.int32], light_3hw: F32, part: Array, air_single: F32, shares_2w: F32,
) -> None:  # fmt: skip
    height, width = depth_hw.shape
    cx, cy, wide, high = pinhole_4[2], pinhole_4[3], 1.0 / pinhole_4[0], 1.0 / pinhole_4[1]
    pixel = wide * wide
    r, o = rotation_33, origin_3
    texels_p, levels_l3, frame_3, shadow_hw, static_hw, shadow_3, lit_hw, lit_3, flat, heights_hw, heights_3 = maps
    last = -1
    for v in range(height):
        b = (v + 0.5 - cy) * high
        row_x, row_y, row_z = r[0, 1] * b + r[0, 2], r[1, 1] * b + r[1, 2], r[2, 1] * b + r[2, 2]
        left = (0.5 - cx) * wide
        first = (r[0, 0] * left + row_x, r[1, 0] * left + row_y, r[2, 0] * left + row_z)
        _fill_sky(air_single, first, (r[0, 0] * wide, r[1, 0] * wide, r[2, 0] * wide), shares_2w, light_3hw[:, v])
        for u in range(width):
            a = (u + 0.5 - cx) * wide
            dx, dy, dz = r[0, 0] * a + row_x, r[1, 0] * a + row_y, r[2, 0] * a + row_z
            depth, p = depth_hw[v, u], ids_hw[v, u]
            if depth >= MISS:
                continue
            scale = reciprocal_root(dx * dx + dy * dy + dz * dz)
            ex, ey, ez = dx * scale, dy * scale, dz * scale
            x, y, z = o[0] + depth * dx, o[1] + depth * dy, o[2] + depth * dz
            if p >= 0:
                if p != last:
                    last = p
                    for k in range(part.shape[0]):
                        part[k] = parts_pk[p, k]
                red, green, blue = part_light(
                    part, p >= num_static, air_k, static_hw, shadow_3, lit_hw, lit_3, x, y, z, ex, ey, ez
                )
            else:
                square_m2 = depth * depth * pixel / max(0.04, -ez)
                colour, facing = texel(texels_p, levels_l3, frame_3, x, y, square_m2), air_k[SUN_Z]
                if not flat:
                    facing = facing_sun(heights_hw, heights_3, air_k, x, y)
                light = ground_light(colour, air_k, shadow_hw, shadow_3, lit_hw, lit_3, facing, x, y, ez)
                red, green, blue = light
            clear = clearness(air_k, depth)
            light_3hw[0, v, u] += clear * (red - light_3hw[0, v, u])
            light_3hw[1, v, u] += clear * (green - light_3hw[1, v, u])
            light_3hw[2, v, u] += clear * (blue - light_3hw[2, v, u])


@kernel
def shade_image(
    parts_pk: Array, num_static: int, origin_3: Array, rotation_33: Array, pinhole_4: Array, air_k: Array, maps: GroundMaps,
    depth_hw: F32, ids_hw: NDArray[np.int32], light_3hw: F32,
) -> None:  # fmt: skip
    """Light of every pixel whose depth and part `render` has found; parts from ``num_static`` on are actors'."""
    part = np.empty(parts_pk.shape[1])
    air_single, shares_2w = air_k.astype(np.float32), np.empty((2, depth_hw.shape[1]), np.float32)
    _shade(
        parts_pk, num_static, origin_3, rotation_33, pinhole_4, air_k, maps, depth_hw, ids_hw, light_3hw,
        part, air_single, shares_2w,
    )  # fmt: skip
