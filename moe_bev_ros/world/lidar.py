"""A spinning LiDAR's sweep from one table of solids, as numba kernels.

Each firing leaves from where the sensor is at that moment, and moving actors are met where they are then: the sweep carries
the motion distortion of a real one. Legend: P parts, B beams, C firings of a turn, N points.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.parts import CX, CY, CZ, HX, HY, HZ, REFLECTIVITY, SHAPE, TEXTURE, VX, VY
from moe_bev_ros.world.render import F32
from moe_bev_ros.world.solids import MISS, hit, noise, normal, to_unit

# Columns of ``firings_c6``: place of the sensor in map [m], unit direction in map at elevation 0, time to the stamp [s].
FX, FY, FZ, FDX, FDY, FTIME = range(6)


@njit(cache=True, nogil=True, fastmath=True)
def _window(
    part_k: Array, sensor_3: Array, yaw_rad: float, slack_m: float, slack_rad: float
) -> tuple[float, float, float, float]:
    """Bearing from the sensor [rad, left of its x axis], half angle, and lowest and highest tangent of elevation of a part."""
    dx, dy = part_k[CX] - sensor_3[0], part_k[CY] - sensor_3[1]
    distance = np.sqrt(dx * dx + dy * dy)
    radius = np.sqrt(part_k[HX] ** 2 + part_k[HY] ** 2) + slack_m
    low, high = part_k[CZ] - part_k[HZ] - sensor_3[2], part_k[CZ] + part_k[HZ] - sensor_3[2]
    if distance <= radius + 0.1:
        return 0.0, np.pi, -MISS, MISS
    near, far = distance - radius, distance + radius
    tan_low = low / near if low < 0.0 else low / far
    tan_high = high / near if high > 0.0 else high / far
    return np.arctan2(dy, dx) - yaw_rad, np.arcsin(radius / distance) + slack_rad, tan_low, tan_high


@njit(cache=True, nogil=True, fastmath=True)
def _cast_part(
    parts_pk: Array,
    p: int,
    firings_c6: Array,
    tangents_b: Array,
    window_4: tuple[float, float, float, float],
    ranges_cb: F32,
    ids_cb: NDArray[np.int32],
) -> None:
    part = parts_pk[p]
    num_c, num_b = ranges_cb.shape
    bearing, half, tan_low, tan_high = window_4
    shape = int(part[SHAPE])
    first = int(np.floor((np.pi - bearing - half) / (2 * np.pi) * num_c))
    count = min(num_c, int(2.0 * half / (2 * np.pi) * num_c) + 3)
    for k in range(count):
        c = (first + k) % num_c
        f = firings_c6[c]
        ox, oy, oz = to_unit(
            part, f[FX] - part[CX] - part[VX] * f[FTIME], f[FY] - part[CY] - part[VY] * f[FTIME], f[FZ] - part[CZ]
        )
        ax, ay, _ = to_unit(part, f[FDX], f[FDY], 0.0)
        for b in range(num_b):
            if tan_low <= tangents_b[b] <= tan_high:
                scale = np.sqrt(1.0 + tangents_b[b] ** 2)
                t = hit(shape, ox, oy, oz, ax, ay, tangents_b[b] / part[HZ]) * scale
                if t < ranges_cb[c, b]:
                    ranges_cb[c, b] = t
                    ids_cb[c, b] = p


@njit(cache=True, nogil=True, fastmath=True)
def cast_sweep(
    parts_pk: Array, firings_c6: Array, tangents_b: Array, yaw_rad: float, slack_m: float, slack_rad: float,
    max_range_m: float, ranges_cb: F32, ids_cb: NDArray[np.int32],
) -> None:  # fmt: skip
    """Range [m] (MISS: nothing) and part (-1: ground) of every beam.

    Args:
        firings_c6: see FX .. FTIME; firing 0 looks straight behind, the turn is clockwise.
        tangents_b: of each beam's elevation.
        yaw_rad: of the sensor in map at the end of the sweep, where the last firing stands.
        slack_m, slack_rad: how far sensor and actors can move and turn within the sweep.
    """
    num_c, num_b = ranges_cb.shape
    for c in range(num_c):
        for b in range(num_b):
            scale = np.sqrt(1.0 + tangents_b[b] ** 2)
            t = -firings_c6[c, FZ] / tangents_b[b] * scale if tangents_b[b] < -1e-6 else MISS
            ranges_cb[c, b] = t
            ids_cb[c, b] = -1
    sensor = firings_c6[num_c - 1, :3]
    for p in range(parts_pk.shape[0]):
        part = parts_pk[p]
        reach = max_range_m + part[HX] + part[HY]
        if (part[CX] - sensor[0]) ** 2 + (part[CY] - sensor[1]) ** 2 < reach * reach:
            _cast_part(
                parts_pk, p, firings_c6, tangents_b, _window(part, sensor, yaw_rad, slack_m, slack_rad), ranges_cb, ids_cb
            )


@njit(cache=True, nogil=True, fastmath=True)
def _ground_reflectivity(texels_p4: NDArray[np.uint8], size_2: NDArray[np.int64], frame_3: Array, x: float, y: float) -> float:
    j = min(size_2[1] - 1, max(0, int((x - frame_3[0]) / frame_3[2])))
    i = min(size_2[0] - 1, max(0, int((y - frame_3[1]) / frame_3[2])))
    return texels_p4[i * size_2[1] + j, 3] / 255.0


@njit(cache=True, nogil=True, fastmath=True)
def _echo(parts_pk: Array, p: int, f: Array, t: float, slope: float) -> float:
    """Share of light that a part sends back from a hit at horizontal distance ``t`` along a beam of this slope."""
    part = parts_pk[p]
    x, y = f[FX] + t * f[FDX] - part[VX] * f[FTIME], f[FY] + t * f[FDY] - part[VY] * f[FTIME]
    ux, uy, uz = to_unit(part, x - part[CX], y - part[CY], f[FZ] + t * slope - part[CZ])
    nx, ny, nz = normal(part, ux, uy, uz)
    facing = abs(nx * f[FDX] + ny * f[FDY] + nz * slope) / np.sqrt(1.0 + slope * slope)
    through = 0.1 if int(part[TEXTURE]) == 3 else 1.0  # most of the light goes through a pane
    return part[REFLECTIVITY] * (0.35 + 0.65 * facing) * through


@njit(cache=True, nogil=True, fastmath=True)
def collect_points(
    parts_pk: Array, firings_c6: Array, tangents_b: Array, ranges_cb: F32, ids_cb: NDArray[np.int32],
    texels_p4: NDArray[np.uint8], size_2: NDArray[np.int64], frame_3: Array, limits_3: Array, seed: int, points_n6: F32,
) -> int:  # fmt: skip
    """Turn ranges to points, with noise and drop-outs, in the order of firing; returns how many.

    Args:
        limits_3: greatest range [m], standard deviation of the range noise [m], share of lost points.
        points_n6: x, y, z [m, in the sensor's frame at the time of firing], intensity [0..1], ring, time to the stamp [s].
    """
    num_c, num_b = ranges_cb.shape
    count = 0
    for c in range(num_c):
        f = firings_c6[c]
        azimuth = np.pi - 2 * np.pi * (c + 0.5) / num_c
        cos, sin = np.cos(azimuth), np.sin(azimuth)
        for b in range(num_b):
            t, p, slope = ranges_cb[c, b], ids_cb[c, b], tangents_b[b]
            if t >= limits_3[0] or t < 1.0:
                continue
            flat = t / np.sqrt(1.0 + slope * slope)
            if p >= 0:
                echo = _echo(parts_pk, p, f, flat, slope)
                lost = limits_3[2] + 0.9 * max(0.0, 1.0 - echo / (0.08 + 0.2 * t / limits_3[0]))
            else:
                x, y = f[FX] + flat * f[FDX], f[FY] + flat * f[FDY]
                echo = _ground_reflectivity(texels_p4, size_2, frame_3, x, y) * (0.25 + 0.75 * abs(slope))
                lost = limits_3[2] + 0.6 * max(0.0, t / limits_3[0] - 0.35) * (1.0 - min(1.0, 4.0 * echo))
            if noise(seed, c, 4 * b) < lost:
                continue
            spread = noise(seed, c, 4 * b + 1) + noise(seed, c, 4 * b + 2) + noise(seed, c, 4 * b + 3) - 1.5
            flat = (t + 2.0 * limits_3[1] * spread) / np.sqrt(1.0 + slope * slope)
            points_n6[count, 0], points_n6[count, 1], points_n6[count, 2] = flat * cos, flat * sin, flat * slope
            points_n6[count, 3] = min(1.0, echo * (0.9 + 0.2 * noise(seed + 1, c, b)))
            points_n6[count, 4], points_n6[count, 5] = b, f[FTIME]
            count += 1
    return count
