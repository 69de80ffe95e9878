"""Rays against solids, in the unit space where a solid's box spans -1..1; compiled by numba.

Every function is small and inlined by the compiler; constants of materials and shapes are those of `scene` and `parts`.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.parts import COS, HX, HY, HZ, SHAPE, SIN

MISS = 1e9
TAPER_X, TAPER_Y = 0.17, 0.1  # of a CABIN: share of the half size lost from the middle to the top


@njit(cache=True, nogil=True, fastmath=True)
def _slab(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Distance at which a ray enters the unit box; MISS also from inside."""
    ix, iy, iz = 1.0 / (dx + 1e-12), 1.0 / (dy + 1e-12), 1.0 / (dz + 1e-12)
    x1, x2 = (-1.0 - ox) * ix, (1.0 - ox) * ix
    y1, y2 = (-1.0 - oy) * iy, (1.0 - oy) * iy
    z1, z2 = (-1.0 - oz) * iz, (1.0 - oz) * iz
    near = max(min(x1, x2), min(y1, y2), min(z1, z2))
    far = min(max(x1, x2), max(y1, y2), max(z1, z2))
    return near if 0.0 < near <= far else MISS


@njit(cache=True, nogil=True, fastmath=True)
def _quadric(a: float, b: float, c: float, oz: float, dz: float) -> float:
    """Smallest root of a t^2 + 2 b t + c ahead whose height lies in -1..1."""
    root = b * b - a * c
    if root < 0.0:
        return MISS
    t = (-b - np.sqrt(root)) / (a + 1e-12)
    return t if t > 0.0 and abs(oz + t * dz) <= 1.0 else MISS


@njit(cache=True, nogil=True, fastmath=True)
def _cylinder(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    best = _quadric(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - 1.0, oz, dz)
    cap = (np.sign(oz) - oz) / (dz + 1e-12)
    x, y = ox + cap * dx, oy + cap * dy
    if abs(oz) > 1.0 and 0.0 < cap < best and x * x + y * y <= 1.0:
        best = cap
    return best


@njit(cache=True, nogil=True, fastmath=True)
def _cabin(ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Six planes n.p <= d, the four sides leaning inwards."""
    near, far = 0.0, MISS
    for face in range(6):
        sign = 1.0 if face % 2 == 0 else -1.0
        if face < 2:
            along, start, limit = sign * dx + TAPER_X * dz, sign * ox + TAPER_X * oz, 1.0 - TAPER_X
        elif face < 4:
            along, start, limit = sign * dy + TAPER_Y * dz, sign * oy + TAPER_Y * oz, 1.0 - TAPER_Y
        else:
            along, start, limit = sign * dz, sign * oz, 1.0
        if abs(along) < 1e-9:  # along this face: either beside the solid for good, or between the face and its opposite
            if start > limit:
                return MISS
            continue
        t = (limit - start) / along
        if along < 0.0:
            near = max(near, t)
        else:
            far = min(far, t)
    return near if 0.0 < near <= far else MISS


@njit(cache=True, nogil=True, fastmath=True)
def hit(shape: int, ox: float, oy: float, oz: float, dx: float, dy: float, dz: float) -> float:
    """Distance along a ray, in units of its direction, to a solid in its unit space."""
    t = _slab(ox, oy, oz, dx, dy, dz)
    if t == MISS or shape == 0:
        return t
    if shape == 1:
        return _quadric(dx * dx + dy * dy + dz * dz, ox * dx + oy * dy + oz * dz, ox * ox + oy * oy + oz * oz - 1.0, oz, dz)
    if shape == 2:
        return _cylinder(ox, oy, oz, dx, dy, dz)
    if shape == 3:
        return _cylinder(ox, oz, oy, dx, dz, dy)
    if shape == 4:
        h, k = 0.5 * (1.0 - oz), -0.5 * dz
        return _quadric(dx * dx + dy * dy - k * k, ox * dx + oy * dy - h * k, ox * ox + oy * oy - h * h, oz, dz)
    return _cabin(ox, oy, oz, dx, dy, dz)


@njit(cache=True, nogil=True, fastmath=True)
def _gradient(shape: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Outward direction on a solid's surface in its unit space, not normalised."""
    if shape == 1:
        return x, y, z
    if shape == 2:
        return (0.0, 0.0, z) if abs(z) > 0.999 else (x, y, 0.0)
    if shape == 3:
        return (0.0, y, 0.0) if abs(y) > 0.999 else (x, 0.0, z)
    if shape == 4:
        return x, y, 0.25 * (1.0 - z)
    kx, ky = (TAPER_X, TAPER_Y) if shape == 5 else (0.0, 0.0)
    fx, fy, fz = abs(x) + kx * (z + 1.0), abs(y) + ky * (z + 1.0), abs(z)
    if fz >= fx and fz >= fy:
        return 0.0, 0.0, z
    return (np.sign(x), 0.0, kx) if fx >= fy else (0.0, np.sign(y), ky)


@njit(cache=True, nogil=True, fastmath=True)
def to_unit(part_k: Array, x: float, y: float, z: float) -> tuple[float, float, float]:
    """A direction in map to a part's unit space."""
    c, s = part_k[COS], part_k[SIN]
    return (c * x + s * y) / part_k[HX], (c * y - s * x) / part_k[HY], z / part_k[HZ]


@njit(cache=True, nogil=True, fastmath=True)
def normal(part_k: Array, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Unit normal in map at a point of a part's unit space."""
    gx, gy, gz = _gradient(int(part_k[SHAPE]), x, y, z)
    gx, gy, gz = gx / part_k[HX], gy / part_k[HY], gz / part_k[HZ]
    scale = 1.0 / np.sqrt(gx * gx + gy * gy + gz * gz + 1e-18)
    c, s = part_k[COS], part_k[SIN]
    return (c * gx - s * gy) * scale, (s * gx + c * gy) * scale, gz * scale


@njit(cache=True, nogil=True, fastmath=True)
def noise(a: int, b: int, c: int) -> float:
    """Hash of three integers to [0, 1): the same noise in whatever order rays are cast."""
    h = np.uint32(a) * np.uint32(0x9E3779B1) ^ np.uint32(b) * np.uint32(0x85EBCA77) ^ np.uint32(c) * np.uint32(0xC2B2AE3D)
    h ^= h >> np.uint32(15)
    h = np.uint32(h * np.uint32(0x2C1B3C6D))
    h ^= h >> np.uint32(12)
    h = np.uint32(h * np.uint32(0x297A2D39))
    h ^= h >> np.uint32(15)
    return float(h) * (1.0 / 4294967296.0)
