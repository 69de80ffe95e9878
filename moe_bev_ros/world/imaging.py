"""From the light of each pixel (`shading`) to an image, as numba kernels: what happens in air, lens, shutter and sensor.

In this order: `add_halos` (lamps at night and in fog), `add_veil` (a low sun in the lens), `add_streaks` (rain), `blur` (the
ego's motion while the shutter is open), `exposure_gain` and `develop` (exposure, vignetting, noise). Legend: H W image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.parts import BLUE, CX, CY, CZ, GLOW, GREEN, RED
from moe_bev_ros.world.solids import F32, HALF, ONE, ZERO, Three, helper, inlined, kernel, noise
from moe_bev_ros.world.weather import GLOW as SUN_GLOW
from moe_bev_ros.world.weather import HORIZON_R, LAMPS, SUN_X, SUN_Y, SUN_Z, THICKNESS

HALO_M, HALO_LIGHT, MIN_GLOW = 0.3, 0.5, 0.5
VEIL = 0.35
STREAKS_PER_MM_PER_H = 6.0
LEAST_FLOW, MOST_TAPS = 0.5, 9
GREY, EVENNESS, LEAST_GAIN, MOST_GAIN = 105.0, 0.6, 0.7, 2.8
KNEE, WHITE = np.float32(200.0), np.float32(255.0)
VIGNETTE = 0.24
BYTE_PAIR_STD = 104.5  # standard deviation of the sum of two even bytes


@kernel
def add_halos(
    parts_pk: Array, origin_3: Array, rotation_33: Array, pinhole_4: Array, air_k: Array, depth_hw: F32, light_3hw: F32
) -> None:
    """Spread the light of glowing parts that are in view over their neighbourhood; haze spreads it further."""
    if air_k[LAMPS] == 0.0:
        return
    height, width = depth_hw.shape
    r = rotation_33
    for p in range(parts_pk.shape[0]):
        part = parts_pk[p]
        if part[GLOW] < MIN_GLOW:
            continue
        x, y, z = part[CX] - origin_3[0], part[CY] - origin_3[1], part[CZ] - origin_3[2]
        ahead = r[0, 2] * x + r[1, 2] * y + r[2, 2] * z
        if not 1.0 < ahead < 150.0:
            continue
        u = pinhole_4[2] + pinhole_4[0] * (r[0, 0] * x + r[1, 0] * y + r[2, 0] * z) / ahead
        v = pinhole_4[3] + pinhole_4[1] * (r[0, 1] * x + r[1, 1] * y + r[2, 1] * z) / ahead
        if not (0.0 <= u < width and 0.0 <= v < height) or depth_hw[int(v), int(u)] < ahead - 0.35:
            continue
        spread = 1.0 + min(1.5, 40.0 * air_k[THICKNESS])
        radius = min(18.0, max(2.0, HALO_M * spread * pinhole_4[0] / ahead))
        light = HALO_LIGHT * part[GLOW] / (1.0 + ahead * air_k[THICKNESS])
        for i in range(max(0, int(v - radius)), min(height, int(v + radius) + 2)):
            for j in range(max(0, int(u - radius)), min(width, int(u + radius) + 2)):
                square = ((j + 0.5 - u) ** 2 + (i + 0.5 - v) ** 2) / (radius * radius)
                if square < 1.0:
                    here = light * (1.0 - square) ** 3
                    light_3hw[0, i, j] += here * part[RED]
                    light_3hw[1, i, j] += here * part[GREEN]
                    light_3hw[2, i, j] += here * part[BLUE]


@kernel
def add_veil(rotation_33: Array, pinhole_4: Array, air_k: Array, light_3hw: F32) -> None:
    """Stray light of a sun that shines into the lens, all over the image."""
    r, strength = rotation_33, VEIL * air_k[SUN_GLOW]
    sx, sy, sz = air_k[SUN_X], air_k[SUN_Y], air_k[SUN_Z]
    right = r[0, 0] * sx + r[1, 0] * sy + r[2, 0] * sz
    down, ahead = r[0, 1] * sx + r[1, 1] * sy + r[2, 1] * sz, r[0, 2] * sx + r[1, 2] * sy + r[2, 2] * sz
    for v in range(light_3hw.shape[1]):
        b = (v + 0.5 - pinhole_4[3]) / pinhole_4[1]
        for u in range(light_3hw.shape[2]):
            a = (u + 0.5 - pinhole_4[2]) / pinhole_4[0]
            cosine = max(0.0, (a * right + b * down + ahead) / np.sqrt(1.0 + a * a + b * b))
            veil = strength * (cosine * cosine) * (cosine * cosine)
            light_3hw[0, v, u] += veil
            light_3hw[1, v, u] += 0.92 * veil
            light_3hw[2, v, u] += 0.75 * veil


@kernel
def add_streaks(rain_mm_per_h: float, air_k: Array, seed: int, light_3hw: F32) -> None:
    """Drops that fall through the image while the shutter is open, lit by the sky."""
    height, width = light_3hw.shape[1], light_3hw.shape[2]
    for n in range(int(STREAKS_PER_MM_PER_H * rain_mm_per_h * height / 128.0)):
        u, v = noise(seed, n, 11) * width, noise(seed, n, 12) * height
        length, lean = (0.03 + 0.09 * noise(seed, n, 13)) * height, 0.25 * (noise(seed, n, 14) - 0.5)
        light = (10.0 + air_k[HORIZON_R]) * (0.08 + 0.16 * noise(seed, n, 15))
        for k in range(int(length)):
            i, j = int(v + k), int(u + lean * k)
            if i < height and 0 <= j < width:
                for channel in range(3):
                    light_3hw[channel, i, j] += light * (1.0 - light_3hw[channel, i, j] / 400.0)


@inlined
def flow(move_3: Three, turn_3: Three, a: float, b: float, nearness: float) -> tuple[float, float]:
    """How far the image of a thing that stands moves, in focal lengths; ``a``, ``b``: where it is seen, at distance 1.

    Args:
        move_3: way of the camera while the shutter is open [m], in its own frame; ``turn_3``: its turn [rad].
        nearness: 1 / depth.
    """
    x = -move_3[0] * nearness - turn_3[1] + turn_3[2] * b
    y = -move_3[1] * nearness - turn_3[2] * a + turn_3[0]
    z = -move_3[2] * nearness - turn_3[0] * b + turn_3[1] * a
    return x - a * z, y - b * z


@inlined
def _tap(light_3p: F32, width: int, right: float, low: float, at: float, down: float, along_u: float, along_v: float) -> Three:
    """Average light of a few pixels between half the flow back and half the flow on.

    Args:
        light_3p: of an image of this width, whose last pixel's middle is ``right`` and ``low``; ``at`` and ``down``: the
            middle of the pixel that moves.
    """
    taps = min(MOST_TAPS, max(2, int(ONE + HALF + max(abs(along_u), abs(along_v)))))
    rest: float = np.float32(taps)  # type: ignore[assignment]
    share = ONE / rest
    u, end_u = min(max(ZERO, at - HALF * along_u), right), min(max(ZERO, at + HALF * along_u), right)
    v, end_v = min(max(ZERO, down - HALF * along_v), low), min(max(ZERO, down + HALF * along_v), low)
    step_u, step_v = (end_u - u) * share, (end_v - v) * share
    u, v = u + HALF * step_u, v + HALF * step_v
    red, green, blue = ZERO, ZERO, ZERO
    while rest > ZERO:  # not `for`: the compiler would prepare to take eight taps at a time, of mostly two
        p = np.uint32(np.int32(v) * np.int32(width) + np.int32(u))
        red, green, blue = red + light_3p[0, p], green + light_3p[1, p], blue + light_3p[2, p]
        u, v, rest = u + step_u, v + step_v, rest - ONE
    return red * share, green * share, blue * share


@kernel
def blur(motion_6: Array, pinhole_4: Array, depth_hw: F32, light_3hw: F32, blurred_3hw: F32) -> None:
    """Average of the light along each pixel's flow, where that is longer than LEAST_FLOW.

    Args:
        motion_6: way [m] and turn [rad] of the camera while the shutter is open, in its own frame.
    """
    height, width = depth_hw.shape
    motion, pinhole = motion_6.astype(np.float32), pinhole_4.astype(np.float32)
    fx, fy, cx, cy = pinhole[0], pinhole[1], pinhole[2], pinhole[3]
    move, turn = (motion[0], motion[1], motion[2]), (motion[3], motion[4], motion[5])
    along_u_w, along_v_w = np.empty(width, np.float32), np.empty(width, np.float32)
    wide, high, right, low = ONE / fx, ONE / fy, np.float32(width) - HALF, np.float32(height) - HALF
    light_3p, blurred_3p = light_3hw.reshape(3, height * width), blurred_3hw.reshape(3, height * width)
    for v in range(height):
        row, down = depth_hw[v], np.float32(v) + HALF
        b = (down - cy) * high
        for u in range(width):
            along_u, along_v = flow(move, turn, (np.float32(u) + HALF - cx) * wide, b, ONE / row[u])
            along_u_w[u], along_v_w[u] = fx * along_u, fy * along_v
        for u in range(width):
            p = np.uint32(v * width + u)
            along_u, along_v = along_u_w[u], along_v_w[u]
            if max(abs(along_u), abs(along_v)) >= LEAST_FLOW:
                at = np.float32(u) + HALF
                red, green, blue = _tap(light_3p, width, right, low, at, down, along_u, along_v)
                blurred_3p[0, p], blurred_3p[1, p], blurred_3p[2, p] = red, green, blue
            else:
                blurred_3p[0, p], blurred_3p[1, p], blurred_3p[2, p] = light_3p[0, p], light_3p[1, p], light_3p[2, p]


@kernel
def exposure_gain(light_3hw: F32) -> float:
    """What an automatic exposure makes of an image: part of the way to an even grey."""
    total, count = 0.0, 0
    for v in range(2, light_3hw.shape[1], 4):
        for u in range(2, light_3hw.shape[2], 4):
            total += min(400.0, 0.3 * light_3hw[0, v, u] + 0.6 * light_3hw[1, v, u] + 0.1 * light_3hw[2, v, u])
            count += 1
    gain = (GREY / max(total / count, 1.0)) ** EVENNESS
    return float(min(MOST_GAIN, max(LEAST_GAIN, gain)))


@helper
def _hash_row(seed: int, hashes_w: NDArray[np.uint32]) -> None:
    """The hash of `solids.noise`, shortened, of a row's columns."""
    begin = np.uint32(seed)
    for u in range(hashes_w.shape[0]):
        h = begin + np.uint32(u) * np.uint32(0x9E3779B1)
        h = (h ^ (h >> np.uint32(15))) * np.uint32(0x2C1B3C6D)
        h = (h ^ (h >> np.uint32(12))) * np.uint32(0x297A2D39)
        hashes_w[u] = h ^ (h >> np.uint32(15))


@kernel
def develop(light_3hw: F32, gain: float, vignette: float, noise_std: float, seed: int, image_hw3: NDArray[np.uint8]) -> None:
    """Expose: vignetting, a soft shoulder above KNEE, and noise that a hash of place and seed draws.

    Args:
        vignette: share of light that the corners lack.
    """
    height, width = light_3hw.shape[1], light_3hw.shape[2]
    hashes, bytes_w = np.empty(width, np.uint32), np.empty(width, np.uint8)
    grain, reach = np.float32(noise_std / BYTE_PAIR_STD), vignette / (height * height + width * width)
    byte, even, room, zero, half = np.uint32(255), np.float32(255.0), WHITE - KNEE, np.float32(0.0), np.float32(0.5)
    across_w = np.empty(width, np.float32)
    for u in range(width):
        across_w[u] = gain * reach * (2 * u + 1 - width) ** 2
    for v in range(height):
        _hash_row(int(noise(seed, v, 5) * 4294967295.0), hashes)
        level = np.float32(gain * (1.0 - reach * (2 * v + 1 - height) ** 2))
        for channel in range(3):
            row, shift = light_3hw[channel, v], np.uint32(8 * channel)
            for u in range(width):
                value, h = row[u] * (level - across_w[u]), hashes[u]
                over = max(value - KNEE, zero)
                value = min(value, KNEE) + room * over / (over + room)
                value += grain * (np.float32(np.int32((h >> shift & byte) + (h >> np.uint32(24)))) - even)
                bytes_w[u] = np.uint8(np.int32(min(max(value + half, zero), even)))
            for u in range(width):
                image_hw3[v, u, channel] = bytes_w[u]
