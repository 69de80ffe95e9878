"""Rays against solids, in the unit space where a solid's box spans -1..1; compiled by numba.

Here: where a ray enters each shape (`box_entry`, `cabin_entry`, `round_entry`), many rays against one solid (`cast_row`),
normals, and the hash that all noise comes from. Entries have no branches, so that the compiler casts eight rays at a time, in
float32; for its sake rays start near the solid (`cast_row`'s shift), not at the sensor. Constants of shapes are those of
`scene.Shape`, columns of tables those of `parts`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.parts import COS, IX, IY, IZ, SHAPE, SIN

F32 = NDArray[np.float32]
Three = tuple[float, float, float]
# No error for x / 0: it would be a branch. What only kernels call counts no references to arrays: that would cost more than
# the work itself. What is called for every pixel is `inlined`: to hand an array over takes seven to nine stores.
kernel = njit(cache=True, nogil=True, fastmath=True, error_model='numpy')
helper = njit(cache=True, nogil=True, fastmath=True, error_model='numpy', _nrt=False)
inlined = njit(cache=True, nogil=True, fastmath=True, error_model='numpy', _nrt=False, forceinline=True)


def _single(value: float) -> float:
    """A number that keeps the compiler in float32; it turns Python's own to float64."""
    return np.float32(value)  # type: ignore[return-value]


MISS = _single(1e9)
ZERO, HALF, ONE, TINY = _single(0.0), _single(0.5), _single(1.0), _single(1e-20)
TAPER_X, TAPER_Y = _single(0.17), _single(0.1)  # of a CABIN: share of the half size lost from the middle to the top


@helper
def box_entry(px: float, py: float, pz: float, dx: float, dy: float, dz: float) -> float:
    """Distance along p + t d, of either sign, at which a line enters the unit box; MISS where it passes."""
    ix, iy, iz = ONE / (dx + TINY), ONE / (dy + TINY), ONE / (dz + TINY)
    x1, x2 = (-ONE - px) * ix, (ONE - px) * ix
    y1, y2 = (-ONE - py) * iy, (ONE - py) * iy
    z1, z2 = (-ONE - pz) * iz, (ONE - pz) * iz
    near = max(max(min(x1, x2), min(y1, y2)), min(z1, z2))
    far = min(min(max(x1, x2), max(y1, y2)), max(z1, z2))
    return near if near <= far else MISS


@helper
def cabin_entry(px: float, py: float, pz: float, dx: float, dy: float, dz: float) -> float:
    """As `box_entry`, of a box whose four sides lean inwards: planes n.p <= limit, entered where the ray runs against n."""
    near, far = -MISS, MISS
    for start, along, limit in (
        (px + TAPER_X * pz, dx + TAPER_X * dz, ONE - TAPER_X),
        (TAPER_X * pz - px, TAPER_X * dz - dx, ONE - TAPER_X),
        (py + TAPER_Y * pz, dy + TAPER_Y * dz, ONE - TAPER_Y),
        (TAPER_Y * pz - py, TAPER_Y * dz - dy, ONE - TAPER_Y),
        (pz, dz, ONE),
        (-pz, -dz, ONE),
    ):
        t = (limit - start) / (along + TINY)
        near = max(near, t if along < ZERO else -MISS)
        far = min(far, t if along >= ZERO else MISS)
    return near if near <= far else MISS


@helper
def round_entry(
    bulge: float, waist: float, lean: float, px: float, py: float, pz: float, dx: float, dy: float, dz: float
) -> float:
    """As `box_entry`, of x^2 + y^2 + bulge z^2 <= (waist - lean z)^2 between z = -1 and 1.

    Ellipsoid: bulge 1, waist 1, lean 0. Cylinder: 0, 1, 0. Cone: 0, 1/2, 1/2, of which a ray steeper than its side (a < 0)
    passes the tip's upper nappe too; only the lower one counts.
    """
    h, k = waist - lean * pz, -lean * dz
    a = dx * dx + dy * dy + bulge * dz * dz - k * k + TINY
    b = px * dx + py * dy + bulge * pz * dz - h * k
    c = px * px + py * py + bulge * pz * pz - h * h
    root = b * b - a * c
    half = np.sqrt(max(root, ZERO))
    first, second = (-b - half) / a, (-b + half) / a
    near = first if a > ZERO or dz < ZERO else -MISS
    far = second if a > ZERO or dz > ZERO else MISS
    far = far if root >= ZERO else -MISS
    iz = ONE / (dz + TINY)
    z1, z2 = (-ONE - pz) * iz, (ONE - pz) * iz
    near, far = max(near, min(z1, z2)), min(far, max(z1, z2))
    return near if near <= far else MISS


@helper
def cast_row(
    shape: int, p_3: Three, step_p_3: Three, d_3: Three, step_d_3: Three, shift: float, at_k: F32, nearest: float,
    best_k: F32, ids_k: NDArray[np.int32], index: int,
) -> None:  # fmt: skip
    """Meet one solid with K rays whose start and direction change evenly; keep what is nearer than before.

    Args:
        p_3, step_p_3: ray k starts at p + at_k[k] step_p, in the solid's unit space; ``d_3`` and ``step_d_3`` likewise.
        shift: distance already gone from the sensor to p.
        nearest: hits before this distance do not count.
        best_k: distance so far, overwritten together with ``ids_k`` where the solid is nearer.
    """
    px, py, pz = np.float32(p_3[0]), np.float32(p_3[1]), np.float32(p_3[2])
    sx, sy, sz = np.float32(step_p_3[0]), np.float32(step_p_3[1]), np.float32(step_p_3[2])
    dx, dy, dz = np.float32(d_3[0]), np.float32(d_3[1]), np.float32(d_3[2])
    ex, ey, ez = np.float32(step_d_3[0]), np.float32(step_d_3[1]), np.float32(step_d_3[2])
    gone, least, part = np.float32(shift), np.float32(nearest), np.int32(index)
    if shape == 0:
        for k in range(best_k.shape[0]):
            f = at_k[k]
            t = gone + box_entry(px + f * sx, py + f * sy, pz + f * sz, dx + f * ex, dy + f * ey, dz + f * ez)
            nearer = (t > least) & (t < best_k[k])
            best_k[k] = t if nearer else best_k[k]
            ids_k[k] = part if nearer else ids_k[k]
        return
    if shape == 5:
        for k in range(best_k.shape[0]):
            f = at_k[k]
            t = gone + cabin_entry(px + f * sx, py + f * sy, pz + f * sz, dx + f * ex, dy + f * ey, dz + f * ez)
            nearer = (t > least) & (t < best_k[k])
            best_k[k] = t if nearer else best_k[k]
            ids_k[k] = part if nearer else ids_k[k]
        return
    if shape == 3:  # a cylinder with axis y
        py, pz, sy, sz, dy, dz, ey, ez = pz, py, sz, sy, dz, dy, ez, ey
    bulge = ONE if shape == 1 else ZERO
    lean = np.float32(0.5) if shape == 4 else ZERO
    waist = ONE - lean
    for k in range(best_k.shape[0]):
        f = at_k[k]
        x, y, z, vx, vy, vz = px + f * sx, py + f * sy, pz + f * sz, dx + f * ex, dy + f * ey, dz + f * ez
        t = gone + round_entry(bulge, waist, lean, x, y, z, vx, vy, vz)
        nearer = (t > least) & (t < best_k[k])
        best_k[k] = t if nearer else best_k[k]
        ids_k[k] = part if nearer else ids_k[k]


@inlined
def _gradient(shape: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Outward direction on a solid's surface in its unit space, not normalised."""
    if shape == 1:
        return x, y, z
    if shape == 2:
        return (0.0, 0.0, z) if abs(z) > 0.999 else (x, y, 0.0)
    if shape == 3:
        return (0.0, y, 0.0) if abs(y) > 0.999 else (x, 0.0, z)
    if shape == 4:
        return (0.0, 0.0, -1.0) if z < -0.999 else (x, y, 0.25 * (1.0 - z))
    kx, ky = (TAPER_X, TAPER_Y) if shape == 5 else (0.0, 0.0)
    fx, fy, fz = abs(x) + kx * (z + 1.0), abs(y) + ky * (z + 1.0), abs(z)
    if fz >= fx and fz >= fy:
        return 0.0, 0.0, z
    return (np.sign(x), 0.0, kx) if fx >= fy else (0.0, np.sign(y), ky)


@inlined
def to_unit(part_k: Array, x: float, y: float, z: float) -> tuple[float, float, float]:
    """A direction in map to a part's unit space."""
    c, s = part_k[COS], part_k[SIN]
    return (c * x + s * y) * part_k[IX], (c * y - s * x) * part_k[IY], z * part_k[IZ]


@inlined
def reciprocal_root(square: float) -> float:
    """1 / sqrt(square), with the seven digits that the processor has a fast way for."""
    return float(ONE / np.sqrt(np.float32(square)))


@inlined
def normal(part_k: Array, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Unit normal in map at a point of a part's unit space."""
    gx, gy, gz = _gradient(int(part_k[SHAPE]), x, y, z)
    gx, gy, gz = gx * part_k[IX], gy * part_k[IY], gz * part_k[IZ]
    scale = reciprocal_root(gx * gx + gy * gy + gz * gz + 1e-18)
    c, s = part_k[COS], part_k[SIN]
    return (c * gx - s * gy) * scale, (s * gx + c * gy) * scale, gz * scale


@inlined
def noise(a: int, b: int, c: int) -> float:
    """Hash of three integers to [0, 1): the same noise in whatever order rays are cast."""
    h = np.uint32(a) * np.uint32(0x9E3779B1) ^ np.uint32(b) * np.uint32(0x85EBCA77) ^ np.uint32(c) * np.uint32(0xC2B2AE3D)
    h ^= h >> np.uint32(15)
    h = np.uint32(h * np.uint32(0x2C1B3C6D))
    h ^= h >> np.uint32(12)
    h = np.uint32(h * np.uint32(0x297A2D39))
    h ^= h >> np.uint32(15)
    return float(h) * (1.0 / 4294967296.0)
