"""Many solids against many rays at once, as tensors: what each pixel of a batch of cameras sees.

A solid and a camera make one rectangle of pixels; all rectangles of a batch are laid end to end, so that a ray is one row of
long columns (`repeat_interleave`), and there is no loop but over the six shapes and over chunks that fit the memory. Which
solid is the nearest is settled by one `scatter_reduce(amin)` of whole numbers: the bits of a positive float32 rise with its
value, so a distance in the upper 32 bits and the number of the solid in the lower ones order first by distance, then by number,
and the least of a pixel is the answer, in whatever order the device gets to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from moe_bev_ros.world.heights_torch import Grids, meet_ground, meet_plane
from moe_bev_ros.world.parts import COS, CX, CY, CZ, HX, HY, HZ, SHAPE, SIN
from moe_bev_ros.world.render import NEAR_M
from moe_bev_ros.world.scene import Shape
from moe_bev_ros.world.solids_torch import MISS, entries, to_unit

RAYS_AT_ONCE = 8_000_000
NOTHING = 2**63 - 1
EDGES = [(i, i | axis) for i in range(8) for axis in (1, 2, 4) if not i & axis]


class Parts(NamedTuple):
    """Solids of all frames of a batch, end to end.

    Attributes:
        table_kp: float64, the columns of `parts` as rows.
        starts: first solid of each frame, and their number.
    """

    table_kp: Tensor
    starts: tuple[int, ...]


class Views(NamedTuple):
    """I images of one size.

    Attributes:
        frame_i, world_i: int64, which frame and which world each of them shows.
        origin_3i, rotation_33i: float64, pose of the camera in map.
        flat_i: whether its world's ground is.
        pinhole_4i: fx, fy, cx, cy [pixels].
    """

    frame_i: Tensor
    world_i: Tensor
    flat_i: Tensor
    origin_3i: Tensor
    rotation_33i: Tensor
    pinhole_4i: Tensor
    height: int
    width: int


class Windows(NamedTuple):
    """Rectangles of rays, each against one solid.

    Attributes:
        rays_19j: float32, in the solid's unit space: start and direction of the first ray (rows 0-2, 3-5), their steps from
            column to column (6-8, 9-11) and from row to row (12-14, 15-17), and the distance already gone to the start.
        at_k: float32, at how many steps a column lies; a rectangle's columns begin at ``at_first_j``.
        part_j: index of the solid; ``shape_j`` its shape.
        first_j: index of the first ray's answer; ``stride_j`` from row to row.
    """

    rays_19j: Tensor
    at_k: Tensor
    at_first_j: Tensor
    part_j: Tensor
    shape_j: Tensor
    columns_j: Tensor
    rows_j: Tensor
    first_j: Tensor
    stride_j: Tensor


def pack(distance_m: Tensor, part_m: Tensor | int) -> Tensor:
    """Whole numbers that order by distance [m, float32, above 0], then by solid (-1: none)."""
    return (distance_m.view(torch.int32).long() << 32) | (part_m + 1)


def unpack(packed_m: Tensor) -> tuple[Tensor, Tensor]:
    """Distance [m] and solid of `pack`."""
    return (packed_m >> 32).to(torch.int32).view(torch.float32), (packed_m & 0xFFFFFFFF) - 1


def expand(columns_j: Tensor, rows_j: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All cells of rectangles, some millions at a time: (M,) rectangle, column and row of each."""
    counts_j = columns_j * rows_j
    ends = np.cumsum(counts_j.cpu().numpy())
    low, gone = 0, 0
    while low < len(ends):
        high = max(low + 1, int(np.searchsorted(ends, gone + RAYS_AT_ONCE, 'right')))
        total = int(ends[high - 1]) - gone
        job = torch.arange(low, high, device=counts_j.device)
        counts = counts_j[low:high]
        job_m = torch.repeat_interleave(job, counts, output_size=total)
        begins = torch.cumsum(counts, 0) - counts
        cell_m = torch.arange(total, device=counts_j.device) - torch.repeat_interleave(begins, counts, output_size=total)
        row_m = cell_m // columns_j[job_m]
        yield job_m, cell_m - row_m * columns_j[job_m], row_m
        low, gone = high, int(ends[high - 1])


def cast_windows(windows: Windows, nearest: float) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """(M,) answer index, distance (MISS; also where nearer than ``nearest``) and solid of every ray, in chunks."""
    for shape in Shape:
        here = torch.nonzero((windows.shape_j == int(shape)) & (windows.columns_j > 0) & (windows.rows_j > 0))[:, 0]
        rays = windows.rays_19j[:, here]
        first, stride, part = windows.first_j[here], windows.stride_j[here], windows.part_j[here]
        at_first = windows.at_first_j[here]
        for job_m, column_m, row_m in expand(windows.columns_j[here], windows.rows_j[here]):
            ray = rays[:, job_m]
            x, y = windows.at_k[at_first[job_m] + column_m], row_m.float()
            start, direction = (ray[k : k + 3] + x * ray[6 + k : 9 + k] + y * ray[12 + k : 15 + k] for k in (0, 3))
            t = ray[18] + entries(int(shape), start, direction)
            yield first[job_m] + row_m * stride[job_m] + column_m, torch.where(t > nearest, t, MISS), part[job_m]


def cast_views(parts: Parts, views: Views, heights: Grids) -> tuple[Tensor, Tensor]:
    """(I, H, W) depth along the optical axis [m], MISS: sky; and solid, counted over the batch, -1: ground or sky."""
    best = pack(_ground(views, heights).reshape(-1), -1)
    for index_m, t_m, part_m in cast_windows(view_windows(parts, views), NEAR_M):
        best.scatter_reduce_(0, index_m, torch.where(t_m < MISS, pack(t_m, part_m), NOTHING), 'amin')
    depth, ids = unpack(best)
    size = (len(views.frame_i), views.height, views.width)
    return depth.reshape(size), ids.reshape(size)


def directions(views: Views, dtype: torch.dtype) -> Tensor:
    """(3, I, H, W) direction in map of each pixel's ray, 1 along the optical axis."""
    fx, fy, cx, cy = views.pinhole_4i
    u, v = (torch.arange(size, device=fx.device) + 0.5 for size in (views.width, views.height))
    a, b = ((u - cx[:, None]) / fx[:, None])[:, None, :], ((v - cy[:, None]) / fy[:, None])[:, :, None]
    r = views.rotation_33i[..., None, None]
    return torch.stack([((r[k, 1] * b + r[k, 2]).to(dtype) + (r[k, 0] * a).to(dtype)) for k in range(3)])


def _ground(views: Views, heights: Grids) -> Tensor:
    """(I, H, W) float32 depth of the ground."""
    rays = directions(views, torch.float64)
    depth = meet_plane(views.origin_3i[2][:, None, None], rays[2])
    rolling = torch.nonzero(~views.flat_i)[:, 0]
    if len(rolling):
        slopes = rays[:, rolling].reshape(3, -1)
        per_image = views.height * views.width
        origin = views.origin_3i[:, rolling].repeat_interleave(per_image, 1)
        met = meet_ground(heights, views.world_i[rolling].repeat_interleave(per_image), origin, slopes)
        depth[rolling] = met.reshape(-1, views.height, views.width)
    return depth.float()


def view_windows(parts: Parts, views: Views) -> Windows:
    """Every solid of each image's frame that can be in it; see `render.part_window` and `render.cast_part`."""
    image, part = pairs(parts.starts, views.frame_i)
    table, r = parts.table_kp[:, part], views.rotation_33i[..., image]
    pinhole, origin = views.pinhole_4i[:, image], views.origin_3i[:, image]
    offset = table[[CX, CY, CZ]] - origin
    bounds = _bounds(table, offset, r, pinhole, views)
    keep = torch.nonzero((bounds[1] > bounds[0]) & (bounds[3] > bounds[2]))[:, 0]
    image, part, table, r, pinhole, offset = (
        image[keep], part[keep], table[:, keep], r[..., keep], pinhole[:, keep], offset[:, keep]
    )  # fmt: skip
    left, right, top, bottom = bounds[:, keep]
    fx, fy, cx, cy = pinhole
    origin, a, b, e = (to_unit(table, vector) for vector in (-offset, r[:, 0] / fx, r[:, 1] / fy, r[:, 2]))
    middle = (r[:, 2] * offset).sum(0).clamp(min=0.0)
    direction = (left + 0.5 - cx) * a + (top + 0.5 - cy) * b + e
    rays = torch.cat([origin + middle * direction, direction, middle * a, a, middle * b, b, middle[None]]).float()
    first = (image * views.height + top) * views.width + left
    size = (table[SHAPE].long(), right - left, bottom - top, first, torch.full_like(first, views.width))
    return Windows(rays, *even_columns(first, views.width), part, *size)


def even_columns(like_j: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """``at_k`` and ``at_first_j`` of rectangles with up to ``count`` columns in even steps."""
    return torch.arange(count, device=like_j.device).float(), torch.zeros_like(like_j)


def pairs(starts: tuple[int, ...], frame_i: Tensor) -> tuple[Tensor, Tensor]:
    """(J,) index of a sensor and of a solid, for every solid of each sensor's frame."""
    begin = torch.tensor(starts, device=frame_i.device)
    counts_i = (begin[1:] - begin[:-1])[frame_i]
    sensor_j = torch.repeat_interleave(torch.arange(len(frame_i), device=frame_i.device), counts_i)
    before_i = torch.cumsum(counts_i, 0) - counts_i
    return sensor_j, torch.arange(len(sensor_j), device=frame_i.device) + (begin[frame_i] - before_i)[sensor_j]


def _bounds(table_kj: Tensor, offset_3j: Tensor, r_33j: Tensor, pinhole_4j: Tensor, views: Views) -> Tensor:
    """(4, J) int64 columns left .. right and rows top .. bottom (not counted in) of boxes cut at the near plane."""
    sign = torch.tensor([[1.0 if i & bit else -1.0 for i in range(8)] for bit in (1, 2, 4)], device=table_kj.device)
    x, y, z = (sign.double()[k][:, None] * table_kj[half] for k, half in enumerate((HX, HY, HZ)))
    c, s = table_kj[COS], table_kj[SIN]
    corners = torch.stack([c * x - s * y + offset_3j[0], s * x + c * y + offset_3j[1], z + offset_3j[2]])
    local = (r_33j[:, :, None] * corners[:, None]).sum(0)  # (3, 8, J) in the camera's frame
    ends = torch.tensor(EDGES, device=local.device)
    one, other = local[:, ends[:, 0]], local[:, ends[:, 1]]
    rise = other[2] - one[2]
    share = (NEAR_M - one[2]) / torch.where(rise == 0.0, 1.0, rise)
    crossing = (one[2] < NEAR_M) != (other[2] < NEAR_M)
    seen = torch.cat([local[2] >= NEAR_M, crossing])
    points = torch.cat([local, one + share * (other - one)], 1)
    depth = torch.where(seen, points[2].clamp(min=NEAR_M), 1.0)
    bounds = []
    for k, limit in enumerate((views.width, views.height)):
        pixel = pinhole_4j[2 + k] + pinhole_4j[k] * points[k] / depth
        low, high = torch.where(seen, pixel, MISS).amin(0), torch.where(seen, pixel, -MISS).amax(0)
        bounds += [low.clamp(0.0, limit), torch.where(high < 0.0, 0.0, (high + 1.0).clamp(0.0, limit))]
    return torch.stack(bounds).long()
