"""Rays against the ground as tensors: the twin of `heights`, in double precision, because far rays graze the ground.

All worlds' height fields lie in one row of numbers (`Grids`); every ray knows the index of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_bev_ros.world.heights import CLOSE_M, FARTHEST_M, MAX_STEPS
from moe_bev_ros.world.solids_torch import MISS

STEPS_BETWEEN_SIEVES = 8


class Grids(NamedTuple):
    """Several maps from above, end to end.

    Attributes:
        values_p: all cells, row by row.
        layout_3g: where each map starts, its rows and its columns.
        frames_3g: float64, x and y of each map's corner in map and the size of its cells [m].
    """

    values_p: Tensor
    layout_3g: Tensor
    frames_3g: Tensor


def grids(maps_ghw: Sequence[NDArray[Any]], frames_g3: Sequence[NDArray[np.float64]], device: torch.device) -> Grids:
    """Maps of any sizes, laid end to end."""
    sizes = np.array([values.shape for values in maps_ghw], np.int64).reshape(-1, 2)
    starts = np.concatenate([[0], np.cumsum(sizes.prod(axis=1))[:-1]])
    layout = torch.from_numpy(np.stack([starts, sizes[:, 0], sizes[:, 1]]))
    values = torch.from_numpy(np.concatenate([values.reshape(-1) for values in maps_ghw]))
    return Grids(values.to(device), layout.to(device), torch.from_numpy(np.stack(frames_g3, axis=1)).to(device))


def meet_plane(height: Tensor, dz: Tensor) -> Tensor:
    """Distance at which rays from these heights above flat ground meet it; MISS along and above the horizon."""
    return torch.where(dz < -1e-4, height / -dz.clamp(max=-1e-4), MISS)


def ground_at(heights: Grids, grid_m: Tensor, x_m: Tensor, y_m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Heights of the ground at places in map [m], and its slopes along x and y."""
    (start, rows, columns), (x0, y0, size) = heights.layout_3g[:, grid_m], heights.frames_3g[:, grid_m]
    gx, gy = (x_m - x0) / size, (y_m - y0) / size
    cx = torch.minimum(gx.clamp(min=0.0), columns.double() - 1.000001)
    cy = torch.minimum(gy.clamp(min=0.0), rows.double() - 1.000001)
    j, i = cx.long(), cy.long()
    fx, fy = cx - j, cy - i
    at = start + i * columns + j
    low, east = heights.values_p[at], heights.values_p[at + 1]
    north, far = heights.values_p[at + columns], heights.values_p[at + columns + 1]
    slope_x = ((east - low) * (1.0 - fy) + (far - north) * fy) / size
    slope_y = ((north - low) * (1.0 - fx) + (far - east) * fx) / size
    height = (low * (1.0 - fx) + east * fx) * (1.0 - fy) + (north * (1.0 - fx) + far * fx) * fy
    return height, torch.where(cx == gx, slope_x, 0.0), torch.where(cy == gy, slope_y, 0.0)


def meet_ground(heights: Grids, grid_m: Tensor, origin_3m: Tensor, direction_3m: Tensor) -> Tensor:
    """(M,) distance at which rays meet the ground; MISS where they leave the world first.

    Every ray takes steps as in `heights.meet_ground`; those that have arrived or look up above all ground are sieved out.

    Args:
        origin_3m, direction_3m: float64.
    """
    result = torch.full_like(origin_3m[0], MISS)
    highest = float(heights.values_p.max())
    active = torch.nonzero((direction_3m[2] < 0.0) | (origin_3m[2] <= highest))[:, 0]
    t = torch.zeros_like(active, dtype=torch.float64)
    grid, o, d, done = grid_m[active], origin_3m[:, active], direction_3m[:, active], torch.zeros_like(t, dtype=torch.bool)
    for number in range(MAX_STEPS):
        t, step = _stride(heights, grid, o, d, t, done)
        arrived = ~done & (step.abs() < CLOSE_M)
        result[active] = torch.where(arrived, t, result[active])
        done |= arrived | (t > FARTHEST_M)
        if number % STEPS_BETWEEN_SIEVES == STEPS_BETWEEN_SIEVES - 1:
            keep = torch.nonzero(~done)[:, 0]
            active, t, grid, o, d, done = active[keep], t[keep], grid[keep], o[:, keep], d[:, keep], done[keep]
    return result


def _stride(heights: Grids, grid: Tensor, o: Tensor, d: Tensor, t: Tensor, done: Tensor) -> tuple[Tensor, Tensor]:
    """Distances after the next step, and Newton's wish for it."""
    height, slope_x, slope_y = ground_at(heights, grid, o[0] + t * d[0], o[1] + t * d[1])
    gap = o[2] + t * d[2] - height
    longest = torch.maximum(heights.frames_3g[2, grid] / (torch.hypot(d[0], d[1]) + 1e-9), 0.1 * t)
    sink = slope_x * d[0] + slope_y * d[1] - d[2]
    step = torch.where(sink > 1e-6, gap / sink.clamp(min=1e-6), longest)
    return torch.where(done, t, t + torch.minimum(torch.maximum(step, -longest), longest)), step
