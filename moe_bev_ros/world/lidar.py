"""A spinning LiDAR's sweep from one table of solids, as numba kernels.

Each firing leaves from where the sensor is at that moment, and moving actors are met where they are then: the sweep carries
the motion distortion of a real one. A beam of a firing runs along f + tan(elevation) u, with f and u the sensor's horizontal
and vertical direction in map, so distances "along the floor" are those in the sensor's own horizontal plane.
Defined here: `echo_of_part`, `echo_of_ground`, `lost_share`. Legend: P parts, B beams, C firings of a turn, N points.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.heights import ground_at, meet_ground, meet_plane
from moe_bev_ros.world.parts import CX, CY, CZ, HX, HY, HZ, REFLECTIVITY, SHAPE, TEXTURE, VX, VY
from moe_bev_ros.world.shading import GroundMaps
from moe_bev_ros.world.solids import F32, MISS, cast_row, helper, kernel, noise, normal, to_unit

# Columns of ``firings_c10``: the sensor's place in map [m], its unit directions f and u in map, time to the stamp [s].
FX, FY, FZ, FDX, FDY, FDZ, FUX, FUY, FUZ, FTIME = range(10)
LEAST_RANGE_M = 1.0
WET_ECHO = 0.5  # share of light that wet ground sends back, of that when dry
FALSE_FROM_M, FALSE_OVER_M = 1.2, 9.0


class LidarLimits(NamedTuple):
    """What a LiDAR and the air take from a sweep.

    Attributes:
        range_m: points beyond are not returned.
        range_noise_m: standard deviation.
        dropout: share of points lost anywhere.
        thickness: light lost to rain and fog, per metre and way.
        false_share: beams that meet a drop near the sensor.
        wet: of the ground, 0..1.
    """

    range_m: float
    range_noise_m: float
    dropout: float
    thickness: float
    false_share: float
    wet: float


@helper
def _window(
    part_k: Array, sensor_3: Array, rotation_33: Array, slack_m: float, slack_rad: float
) -> tuple[float, float, float, float]:
    """Bearing from the sensor [rad, left of its x axis], half angle, and lowest and highest tangent of elevation of a part."""
    x, y, z = part_k[CX] - sensor_3[0], part_k[CY] - sensor_3[1], part_k[CZ] - sensor_3[2]
    r = rotation_33
    ahead, left = r[0, 0] * x + r[1, 0] * y + r[2, 0] * z, r[0, 1] * x + r[1, 1] * y + r[2, 1] * z
    up, tilt = r[0, 2] * x + r[1, 2] * y + r[2, 2] * z, np.sqrt(max(0.0, 1.0 - r[2, 2] * r[2, 2]))
    distance = np.sqrt(ahead * ahead + left * left)
    flat = np.sqrt(part_k[HX] ** 2 + part_k[HY] ** 2)
    radius, half_height = flat + tilt * part_k[HZ] + slack_m, part_k[HZ] + tilt * flat + 0.05 * slack_m
    low, high = up - half_height, up + half_height
    if distance <= radius + 0.1:
        return 0.0, np.pi, -float(MISS), float(MISS)
    near, far = distance - radius, distance + radius
    tan_low = low / near if low < 0.0 else low / far
    tan_high = high / near if high > 0.0 else high / far
    return np.arctan2(left, ahead), np.arcsin(radius / distance) + slack_rad, tan_low, tan_high


@helper
def _cast_part(
    parts_pk: Array, p: int, firings_c10: Array, tangents_b: F32, window_4: tuple[float, float, float, float],
    floor_cb: F32, ids_cb: NDArray[np.int32],
) -> None:  # fmt: skip
    part = parts_pk[p]
    num_c, num_b = floor_cb.shape
    bearing, half, tan_low, tan_high = window_4
    low, high = 0, num_b
    while low < num_b and tangents_b[low] < tan_low:
        low += 1
    while high > low and tangents_b[high - 1] > tan_high:
        high -= 1
    if low >= high:
        return
    beams, shape = tangents_b[low:high], int(part[SHAPE])
    first = int(np.floor((np.pi - bearing - half) / (2 * np.pi) * num_c))
    count = min(num_c, int(2.0 * half / (2 * np.pi) * num_c) + 3)
    for k in range(count):
        c = (first + k) % num_c
        f = firings_c10[c]
        x, y, z = part[CX] + part[VX] * f[FTIME] - f[FX], part[CY] + part[VY] * f[FTIME] - f[FY], part[CZ] - f[FZ]
        middle = max(0.0, x * f[FDX] + y * f[FDY] + z * f[FDZ])
        ox, oy, oz = to_unit(part, -x, -y, -z)
        ax, ay, az = to_unit(part, f[FDX], f[FDY], f[FDZ])
        ux, uy, uz = to_unit(part, f[FUX], f[FUY], f[FUZ])
        p_3, step_p = (ox + middle * ax, oy + middle * ay, oz + middle * az), (middle * ux, middle * uy, middle * uz)
        row, ids = floor_cb[c, low:high], ids_cb[c, low:high]
        cast_row(shape, p_3, step_p, (ax, ay, az), (ux, uy, uz), middle, beams, 0.0, row, ids, p)


@helper
def _cast_ground(firings_c10: Array, tangents_b: F32, maps: GroundMaps, floor_cb: F32) -> None:
    num_c, num_b = floor_cb.shape
    for c in range(num_c):
        f, start = firings_c10[c], 0.0
        for b in range(num_b):
            dz = f[FDZ] + tangents_b[b] * f[FUZ]
            if maps.flat:
                floor_cb[c, b] = meet_plane(f[FZ], dz)
            elif start < MISS:
                dx, dy = f[FDX] + tangents_b[b] * f[FUX], f[FDY] + tangents_b[b] * f[FUY]
                start = meet_ground(maps.heights_hw, maps.heights_3, f[FX], f[FY], f[FZ], dx, dy, dz, 0.98 * start)
                floor_cb[c, b] = start
            else:
                floor_cb[c, b] = MISS


@kernel
def cast_sweep(
    parts_pk: Array, firings_c10: Array, tangents_b: F32, maps: GroundMaps, rotation_33: Array, slack_m: float,
    slack_rad: float, max_range_m: float, floor_cb: F32, ids_cb: NDArray[np.int32],
) -> None:  # fmt: skip
    """Distance along the floor [m] (MISS: nothing) and part (-1: ground) of every beam.

    Args:
        firings_c10: see FX .. FTIME; firing 0 looks straight behind, the turn is clockwise.
        tangents_b: of each beam's elevation, rising.
        rotation_33: map from sensor at the end of the sweep, where the last firing stands.
        slack_m, slack_rad: how far sensor and actors can move and turn within the sweep.
    """
    _cast_ground(firings_c10, tangents_b, maps, floor_cb)
    ids_cb[:] = -1
    sensor = firings_c10[floor_cb.shape[0] - 1, :3]
    for p in range(parts_pk.shape[0]):
        part = parts_pk[p]
        reach = max_range_m + part[HX] + part[HY]
        if (part[CX] - sensor[0]) ** 2 + (part[CY] - sensor[1]) ** 2 < reach * reach:
            window = _window(part, sensor, rotation_33, slack_m, slack_rad)
            _cast_part(parts_pk, p, firings_c10, tangents_b, window, floor_cb, ids_cb)


@helper
def echo_of_ground(maps: GroundMaps, wet: float, x: float, y: float, dx: float, dy: float, dz: float) -> float:
    """Share of light that the ground sends back along a unit direction."""
    frame, height, width = maps.frame_3, maps.levels_l3[0, 1], maps.levels_l3[0, 2]
    j = min(width - 1, max(0, int((x - frame[0]) / frame[2])))
    i = min(height - 1, max(0, int((y - frame[1]) / frame[2])))
    facing = abs(dz)
    if not maps.flat:
        _, slope_x, slope_y = ground_at(maps.heights_hw, maps.heights_3, x, y)
        facing = abs(dz - slope_x * dx - slope_y * dy)
    return float(
        (maps.texels_p[i * width + j] >> np.uint32(24)) * (1.0 / 255.0) * (0.6 + 0.4 * facing) * (1.0 - WET_ECHO * wet)
    )


@helper
def echo_of_part(part: Array, time_s: float, x: float, y: float, z: float, dx: float, dy: float, dz: float) -> float:
    """Share of light that a part sends back from a point in map along a unit direction, ``time_s`` to the stamp."""
    ux, uy, uz = to_unit(part, x - part[VX] * time_s - part[CX], y - part[VY] * time_s - part[CY], z - part[CZ])
    nx, ny, nz = normal(part, ux, uy, uz)
    facing = abs(nx * dx + ny * dy + nz * dz)
    through = 0.1 if int(part[TEXTURE]) == 3 else 1.0  # most of the light goes through a pane
    return part[REFLECTIVITY] * (0.35 + 0.65 * facing) * through


@helper
def lost_share(range_m: float, echo: float, passed: float, limits: LidarLimits) -> float:
    """Share of returns that are too weak; ``passed`` is the share of light that the air lets through, there and back."""
    needed = 0.08 + 0.2 * range_m / limits.range_m
    return limits.dropout + 0.9 * max(0.0, 1.0 - echo * passed / needed)


@helper
def _false_return(seed: int, c: int, b: int, share: float) -> float:
    """Range of a drop that this beam meets [m]; MISS for most."""
    if noise(seed, c, 4 * b + 1_000_003) >= share:
        return float(MISS)
    return FALSE_FROM_M + FALSE_OVER_M * noise(seed, c, 4 * b + 1_000_004) ** 2


@kernel
def collect_points(
    parts_pk: Array, owners_p: NDArray[np.int64], firings_c10: Array, tangents_b: F32, floor_cb: F32,
    ids_cb: NDArray[np.int32], maps: GroundMaps, limits: LidarLimits, seed: int, points_n6: F32, owners_n: NDArray[np.int64],
) -> int:  # fmt: skip
    """Turn distances to points, with noise and drop-outs, in the order of firing; returns how many.

    Args:
        points_n6: x, y, z [m, in the sensor's frame at the time of firing], intensity [0..1], ring, time to the stamp [s].
        owners_n: the owner of the part that a point lies on, by ``owners_p``; 0: ground, or a drop of rain.
    """
    num_c, num_b = floor_cb.shape
    count = 0
    lengths_b = np.sqrt(1.0 + tangents_b.astype(np.float64) ** 2)
    for c in range(num_c):
        f = firings_c10[c]
        azimuth = np.pi - 2 * np.pi * (c + 0.5) / num_c
        cos, sin = np.cos(azimuth), np.sin(azimuth)
        for b in range(num_b):
            floor, p, slope, length = float(floor_cb[c, b]), ids_cb[c, b], float(tangents_b[b]), lengths_b[b]
            t, owner, echo, passed = floor * length, 0, 0.04, 1.0
            drop = _false_return(seed, c, b, limits.false_share) if limits.false_share > 0.0 else float(MISS)
            if drop < min(t, limits.range_m):
                t = drop
            elif t >= limits.range_m or t < LEAST_RANGE_M:
                continue
            else:
                dx, dy, dz = f[FDX] + slope * f[FUX], f[FDY] + slope * f[FUY], f[FDZ] + slope * f[FUZ]
                x, y, z = f[FX] + floor * dx, f[FY] + floor * dy, f[FZ] + floor * dz
                dx, dy, dz = dx / length, dy / length, dz / length
                if p >= 0:
                    echo, owner = echo_of_part(parts_pk[p], f[FTIME], x, y, z, dx, dy, dz), owners_p[p]
                else:
                    echo = echo_of_ground(maps, limits.wet, x, y, dx, dy, dz)
                if limits.thickness > 0.0:
                    passed = np.exp(-2.0 * limits.thickness * t)
                if noise(seed, c, 4 * b) < lost_share(t, echo, passed, limits):
                    continue
            spread = noise(seed, c, 4 * b + 1) + noise(seed, c, 4 * b + 2) + noise(seed, c, 4 * b + 3) - 1.5
            flat = (t + 2.0 * limits.range_noise_m * spread) / length
            points_n6[count, 0], points_n6[count, 1], points_n6[count, 2] = flat * cos, flat * sin, flat * slope
            points_n6[count, 3] = min(1.0, echo * passed * (0.9 + 0.2 * noise(seed + 1, c, b)))
            points_n6[count, 4], points_n6[count, 5] = b, f[FTIME]
            owners_n[count] = owner
            count += 1
    return count
