"""Light on the ground as maps from above, as tensors: the twin of `shadows`, for the maps of all frames of a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from moe_bev_ros.world.casting_torch import Parts, Windows, cast_windows, even_columns, expand, pairs
from moe_bev_ros.world.heights_torch import Grids
from moe_bev_ros.world.parts import BASE, COS, CX, CY, CZ, HX, HY, HZ, SHAPE, SIN
from moe_bev_ros.world.shadows import CONE_COS
from moe_bev_ros.world.solids_torch import MISS, to_unit


def sample(grids: Grids, grid_m: Tensor, x_m: Tensor, y_m: Tensor) -> Tensor:
    """(M,) bilinear value of maps at places; 0 outside."""
    (start, rows, columns), (x0, y0, size) = grids.layout_3g[:, grid_m], grids.frames_3g[:, grid_m].float()
    gx, gy = (x_m - x0) / size - 0.5, (y_m - y0) / size - 0.5
    inside = (gx >= 0.0) & (gx < columns - 1) & (gy >= 0.0) & (gy < rows - 1)
    gx, gy = torch.where(inside, gx, 0.0), torch.where(inside, gy, 0.0)
    j, i = gx.long(), gy.long()
    fx, fy, at = gx - j, gy - i, torch.where(inside, start + i * columns + j, 0)
    right, below = torch.where(inside, 1, 0), torch.where(inside, columns, 0)
    values = grids.values_p
    top = values[at] * (1.0 - fx) + values[at + right] * fx
    bottom = values[at + below] * (1.0 - fx) + values[at + below + right] * fx
    return torch.where(inside, top * (1.0 - fy) + bottom * fy, 0.0)


def cast_shadows(parts: Parts, grid_f: Tensor, sun_3f: Tensor, shadows: Grids) -> None:
    """Mark with 255 every cell whose way to the sun is blocked by a part; the others keep their value.

    Args:
        grid_f: the map of each set of parts; ``sun_3f`` the unit vector towards its sun, float64.
    """
    which, part = pairs(parts.starts, torch.arange(len(grid_f), device=grid_f.device))
    table, sun, grid = parts.table_kp[:, part], sun_3f[:, which], grid_f[which]
    (start, rows, columns), (x0, y0, size) = shadows.layout_3g[:, grid], shadows.frames_3g[:, grid]
    low_x, high_x, low_y, high_y = _shadow_box(table, sun)
    j0, j1 = _span(low_x, high_x, x0, size, columns)
    i0, i1 = _span(low_y, high_y, y0, size, rows)
    zero = torch.zeros_like(size)
    begin = torch.stack(
        [x0 + (j0 + 0.5) * size - table[CX], y0 + (i0 + 0.5) * size - table[CY], table[BASE] - 0.01 - table[CZ]]
    )
    vectors = (
        begin,
        sun,
        torch.stack([size, zero, zero]),
        torch.zeros_like(sun),
        torch.stack([zero, size, zero]),
        torch.zeros_like(sun),
    )
    rays = torch.cat([*(to_unit(table, vector) for vector in vectors), zero[None]]).float()
    even = even_columns(part, int(columns.max()) if len(part) else 0)
    windows = Windows(rays, *even, part, table[SHAPE].long(), j1 - j0, i1 - i0, start + i0 * columns + j0, columns)
    for index_m, t_m, _ in cast_windows(windows, 0.0):
        shadows.values_p.index_fill_(0, index_m[t_m < MISS], 255)


def _span(low: Tensor, high: Tensor, origin: Tensor, size: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """First and last cell (not counted in) that intervals touch."""
    first, last = (low - origin) / size, (high - origin) / size + 1.0
    return torch.minimum(first.clamp(min=0.0), count.double()).long(), torch.minimum(last.clamp(min=0.0), count.double()).long()


def _shadow_box(table: Tensor, sun: Tensor) -> Tensor:
    """Bounds in map of parts' shadows on level ground at their BASE: x low, x high, y low, y high."""
    c, s = table[COS].abs(), table[SIN].abs()
    half = (c * table[HX] + s * table[HY], s * table[HX] + c * table[HY])
    low, high = (table[CZ] - table[HZ] - table[BASE]).clamp(min=0.0), table[CZ] + table[HZ] - table[BASE]
    bounds = []
    for k, centre in enumerate((CX, CY)):
        slope = -sun[k] / sun[2]
        bounds += [table[centre] - half[k] + torch.minimum(low * slope, high * slope)]
        bounds += [table[centre] + half[k] + torch.maximum(low * slope, high * slope)]
    return torch.stack(bounds)


def cast_lamplight(lamps_6n: Tensor, grid_n: Tensor, lights: Grids) -> None:
    """Add the light of lamps (float64, rows of `shadows.cast_lamplight`) to their maps, 255 the most."""
    x, y, along_x, along_y, reach, strength = lamps_6n
    (start, rows, columns), (x0, y0, size) = lights.layout_3g[:, grid_n], lights.frames_3g[:, grid_n]
    far = 2.5 * reach
    j0, j1 = _span(x - far, x + far, x0, size, columns)
    i0, i1 = _span(y - far, y + far, y0, size, rows)
    total = lights.values_p.int()
    for n, column, row in expand((j1 - j0).clamp(min=0), (i1 - i0).clamp(min=0)):
        j, i = j0[n] + column, i0[n] + row
        dx, dy = x0[n] + (j + 0.5) * size[n] - x[n], y0[n] + (i + 0.5) * size[n] - y[n]
        square = dx * dx + dy * dy
        light = strength[n] * (1.0 - square / far[n] ** 2).clamp(min=0.0) / (1.0 + square / reach[n] ** 2)
        cosine = (dx * along_x[n] + dy * along_y[n]) / torch.sqrt(square + 0.01)
        cone = ((cosine - CONE_COS) / (0.98 - CONE_COS)).clamp(0.0, 1.0)
        light = torch.where(along_x[n] ** 2 + along_y[n] ** 2 > 0.0, light * cone, light)
        total.index_add_(0, start[n] + i * columns[n] + j, light.int())
    lights.values_p.copy_(total.clamp(max=255))
