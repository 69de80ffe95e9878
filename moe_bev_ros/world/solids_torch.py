"""Rays against solids as tensors: the same solids as in `solids`, one component of all M rays a row.

Rays start near the solid, as there, because a thin pole far away would be lost in the rounding of single precision.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moe_bev_ros.world import solids
from moe_bev_ros.world.parts import COS, HX, HY, HZ, SIN
from moe_bev_ros.world.scene import Shape

MISS, TINY, LOW_32 = float(solids.MISS), 1e-20, 0xFFFFFFFF
TAPER_X, TAPER_Y = float(solids.TAPER_X), float(solids.TAPER_Y)


def entries(shape: int, start_3m: Tensor, direction_3m: Tensor) -> Tensor:
    """(M,) distance along each line, of either sign, at which it enters a solid of this shape in its unit space; MISS."""
    if shape == Shape.BOX:
        near, far = _slabs(start_3m, direction_3m)
    elif shape == Shape.CABIN:
        near, far = _cabin(start_3m, direction_3m)
    else:
        if shape == Shape.WHEEL:  # a cylinder with axis y
            start_3m, direction_3m = start_3m[[0, 2, 1]], direction_3m[[0, 2, 1]]
        near, far = _round(shape, start_3m, direction_3m)
    return torch.where(near <= far, near, MISS)


def _slabs(start: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    inverse = 1.0 / (direction + TINY)
    first, second = (-1.0 - start) * inverse, (1.0 - start) * inverse
    near, far = torch.minimum(first, second), torch.maximum(first, second)
    return (near, far) if start.dim() == 1 else (near.amax(0), far.amin(0))


def _cabin(start_3m: Tensor, direction_3m: Tensor) -> tuple[Tensor, Tensor]:
    """Six planes n.p <= limit, entered where the ray runs against n; the four sides lean inwards."""
    near, far = torch.full_like(start_3m[0], -MISS), torch.full_like(start_3m[0], MISS)
    for axis, taper in ((0, TAPER_X), (1, TAPER_Y), (2, 0.0)):
        for sign in (1.0, -1.0):
            along = sign * direction_3m[axis] + (taper * direction_3m[2] if axis < 2 else 0.0)
            gap = 1.0 - taper - sign * start_3m[axis] - (taper * start_3m[2] if axis < 2 else 0.0)
            t = gap / (along + TINY)
            near = torch.where(along < 0.0, torch.maximum(near, t), near)
            far = torch.where(along < 0.0, far, torch.minimum(far, t))
    return near, far


def _round(shape: int, start_3m: Tensor, direction_3m: Tensor) -> tuple[Tensor, Tensor]:
    """x^2 + y^2 + bulge z^2 <= (waist - lean z)^2 between z = -1 and 1; see `solids.round_entry`."""
    bulge, lean = float(shape == Shape.ELLIPSOID), 0.5 * float(shape == Shape.CONE)
    (px, py, pz), (dx, dy, dz) = start_3m, direction_3m
    h, k = 1.0 - lean - lean * pz, -lean * dz
    a = dx * dx + dy * dy + bulge * dz * dz - k * k + TINY
    b = px * dx + py * dy + bulge * pz * dz - h * k
    c = px * px + py * py + bulge * pz * pz - h * h
    root = b * b - a * c
    half = torch.sqrt(root.clamp(min=0.0))
    near = torch.where((a > 0.0) | (dz < 0.0), (-b - half) / a, -MISS)
    far = torch.where((a > 0.0) | (dz > 0.0), (-b + half) / a, MISS)
    low, high = _slabs(pz, dz)
    return torch.maximum(near, low), torch.where(root >= 0.0, torch.minimum(far, high), -MISS)


def to_unit(parts_km: Tensor, vectors_3m: Tensor) -> Tensor:
    """(3, M) directions in map to the unit spaces of their parts, given the parts' columns as rows."""
    c, s = parts_km[COS], parts_km[SIN]
    x, y, z = vectors_3m
    return torch.stack([(c * x + s * y) / parts_km[HX], (c * y - s * x) / parts_km[HY], z / parts_km[HZ]])


def normals(shape_m: Tensor, parts_km: Tensor, units_3m: Tensor) -> Tensor:
    """(3, M) unit normals in map at points of their parts' unit spaces."""
    half = torch.stack([parts_km[HX], parts_km[HY], parts_km[HZ]])
    g = _gradients(shape_m, units_3m) / half
    g = g * torch.rsqrt((g * g).sum(0) + 1e-18)
    c, s = parts_km[COS], parts_km[SIN]
    return torch.stack([c * g[0] - s * g[1], s * g[0] + c * g[1], g[2]])


def _gradients(shape_m: Tensor, units_3m: Tensor) -> Tensor:
    x, y, z = units_3m
    zero = torch.zeros_like(x)
    cabin = (shape_m == Shape.CABIN).to(x.dtype)
    kx, ky = TAPER_X * cabin, TAPER_Y * cabin
    fx, fy, fz = x.abs() + kx * (z + 1.0), y.abs() + ky * (z + 1.0), z.abs()
    side = torch.where(fx >= fy, torch.stack([x.sign(), zero, kx]), torch.stack([zero, y.sign(), ky]))
    result = torch.where((fz >= fx) & (fz >= fy), torch.stack([zero, zero, z]), side)
    result = torch.where(shape_m == Shape.ELLIPSOID, units_3m, result)
    cylinder = torch.where(z.abs() > 0.999, torch.stack([zero, zero, z]), torch.stack([x, y, zero]))
    result = torch.where(shape_m == Shape.CYLINDER, cylinder, result)
    wheel = torch.where(y.abs() > 0.999, torch.stack([zero, y, zero]), torch.stack([x, zero, z]))
    result = torch.where(shape_m == Shape.WHEEL, wheel, result)
    down = torch.stack([zero, zero, -torch.ones_like(x)])
    cone = torch.where(z < -0.999, down, torch.stack([x, y, 0.25 * (1.0 - z)]))
    return torch.where(shape_m == Shape.CONE, cone, result)


def noise(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Hash of three whole numbers to [0, 1), float64, bit by bit that of `solids`.

    There, products of 32-bit numbers have 64 bits; here they wrap around in signed ones, whose lower bits are the same.
    """
    h = (a & LOW_32) * 0x9E3779B1 ^ (b & LOW_32) * 0x85EBCA77 ^ (c & LOW_32) * 0xC2B2AE3D
    h = (((h ^ (h >> 15)) & LOW_32) * 0x2C1B3C6D) & LOW_32
    h = ((h ^ (h >> 12)) * 0x297A2D39) & LOW_32
    return (h ^ (h >> 15)).double() * (1.0 / 4294967296.0)
