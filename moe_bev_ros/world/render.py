"""What each pixel of a camera sees: depth and solid, from one table of solids (`parts`), as numba kernels.

Every solid is tested only inside the rectangle of pixels that its box can cover, a row at a time (`solids.cast_row`). Kernels
release the GIL and are cached on disk. Legend: P parts, K columns of the table, H W image. Colours come from `shading`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.heights import meet_ground, meet_plane
from moe_bev_ros.world.parts import COS, CX, CY, CZ, HX, HY, HZ, SHAPE, SIN
from moe_bev_ros.world.solids import F32, MISS, cast_row, helper, kernel, to_unit

NEAR_M = 0.1
NO_WINDOW = (0, 0, 0, 0)
Window = tuple[int, int, int, int]


@helper
def _rectangle(
    part_k: Array, origin_3: Array, rotation_33: Array, pinhole_4: Array, corners_83: Array
) -> tuple[float, float, float, float]:
    """Bounds in pixels of a part's box, cut at the near plane: u low, u high, v low, v high; empty where behind."""
    c, s = part_k[COS], part_k[SIN]
    for i in range(8):
        lx = part_k[HX] if i & 1 else -part_k[HX]
        ly = part_k[HY] if i & 2 else -part_k[HY]
        x = part_k[CX] + c * lx - s * ly - origin_3[0]
        y = part_k[CY] + s * lx + c * ly - origin_3[1]
        z = part_k[CZ] + (part_k[HZ] if i & 4 else -part_k[HZ]) - origin_3[2]
        for k in range(3):
            corners_83[i, k] = rotation_33[0, k] * x + rotation_33[1, k] * y + rotation_33[2, k] * z
    u0, u1, v0, v1 = MISS, -MISS, MISS, -MISS
    for i in range(8):
        for axis in range(4):  # the corner itself, then its three edges upwards
            j = i if axis == 0 else i | (1 << (axis - 1))
            if axis > 0 and j == i:
                continue
            za, zb = corners_83[i, 2], corners_83[j, 2]
            if (axis == 0 and za < NEAR_M) or (axis > 0 and (za < NEAR_M) == (zb < NEAR_M)):
                continue
            f = 0.0 if axis == 0 else (NEAR_M - za) / (zb - za)
            depth = za if axis == 0 else NEAR_M
            u = pinhole_4[2] + pinhole_4[0] * (corners_83[i, 0] + f * (corners_83[j, 0] - corners_83[i, 0])) / depth
            v = pinhole_4[3] + pinhole_4[1] * (corners_83[i, 1] + f * (corners_83[j, 1] - corners_83[i, 1])) / depth
            u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
    return u0, u1, v0, v1


@helper
def _out_of_sight(x: float, y: float, z: float, radius: float, pinhole_4: Array, width: int, height: int) -> bool:
    """Whether a sphere, in the camera's frame, lies wholly behind or beside the image."""
    if z < -radius:
        return True
    right, left = (width - pinhole_4[2]) / pinhole_4[0], pinhole_4[2] / pinhole_4[0]
    below, above = (height - pinhole_4[3]) / pinhole_4[1], pinhole_4[3] / pinhole_4[1]
    return bool(
        (x - right * z > radius * (1.0 + right))
        | (-x - left * z > radius * (1.0 + left))
        | (y - below * z > radius * (1.0 + below))
        | (-y - above * z > radius * (1.0 + above))
    )


@helper
def part_window(
    part_k: Array, origin_3: Array, rotation_33: Array, pinhole_4: Array, width: int, height: int, corners_83: Array
) -> Window:
    """Columns left .. right and rows top .. bottom (not counted in) that a part can cover; NO_WINDOW out of sight."""
    x, y, z = part_k[CX] - origin_3[0], part_k[CY] - origin_3[1], part_k[CZ] - origin_3[2]
    r = rotation_33
    ahead = r[0, 2] * x + r[1, 2] * y + r[2, 2] * z
    right, down = r[0, 0] * x + r[1, 0] * y + r[2, 0] * z, r[0, 1] * x + r[1, 1] * y + r[2, 1] * z
    radius = np.sqrt(part_k[HX] ** 2 + part_k[HY] ** 2 + part_k[HZ] ** 2)
    if _out_of_sight(right, down, ahead, radius, pinhole_4, width, height):
        return NO_WINDOW
    u0, u1, v0, v1 = _rectangle(part_k, origin_3, rotation_33, pinhole_4, corners_83)
    if u1 < 0.0 or v1 < 0.0 or u0 >= width or v0 >= height:
        return NO_WINDOW
    return int(max(u0, 0.0)), int(min(u1 + 1.0, width)), int(max(v0, 0.0)), int(min(v1 + 1.0, height))


@helper
def cast_part(
    part_k: Array, window_4: Window, origin_3: Array, rotation_33: Array, pinhole_4: Array, columns_w: F32,
    depth_hw: F32, ids_hw: NDArray[np.int32], index: int,
) -> None:  # fmt: skip
    """Meet one part with the pixels of its window; ``index`` and depth go where it is the nearest so far.

    Args:
        columns_w: 0, 1, 2 .. W - 1.
    """
    fx, fy, cx, cy = pinhole_4
    r = rotation_33
    x, y, z = origin_3[0] - part_k[CX], origin_3[1] - part_k[CY], origin_3[2] - part_k[CZ]
    ox, oy, oz = to_unit(part_k, x, y, z)
    ax, ay, az = to_unit(part_k, r[0, 0] / fx, r[1, 0] / fx, r[2, 0] / fx)
    bx, by, bz = to_unit(part_k, r[0, 1] / fy, r[1, 1] / fy, r[2, 1] / fy)
    ex, ey, ez = to_unit(part_k, r[0, 2], r[1, 2], r[2, 2])
    middle = max(0.0, -(r[0, 2] * x + r[1, 2] * y + r[2, 2] * z))
    left, right, top, bottom = window_4
    step_p, step_d, shape = (middle * ax, middle * ay, middle * az), (ax, ay, az), int(part_k[SHAPE])
    across = left + 0.5 - cx
    for v in range(top, bottom):
        down = v + 0.5 - cy
        dx, dy, dz = across * ax + down * bx + ex, across * ay + down * by + ey, across * az + down * bz + ez
        p = (ox + middle * dx, oy + middle * dy, oz + middle * dz)
        row, ids = depth_hw[v, left:right], ids_hw[v, left:right]
        cast_row(shape, p, step_p, (dx, dy, dz), step_d, middle, columns_w, NEAR_M, row, ids, index)


@helper
def _cast_plane(origin_z: float, rotation_33: Array, pinhole_4: Array, depth_hw: F32) -> None:
    fx, fy, cx, cy = pinhole_4
    height, width = depth_hw.shape
    for v in range(height):
        down = rotation_33[2, 1] * (v + 0.5 - cy) / fy + rotation_33[2, 2]
        across = rotation_33[2, 0] / fx
        for u in range(width):
            depth_hw[v, u] = meet_plane(origin_z, down + across * (u + 0.5 - cx))


@helper
def _cast_terrain(
    origin_3: Array, rotation_33: Array, pinhole_4: Array, heights_hw: F32, heights_3: Array, depth_hw: F32
) -> None:
    """Column by column from below: the ground is never nearer in the row above."""
    fx, fy, cx, cy = pinhole_4
    r, o = rotation_33, origin_3
    height, width = depth_hw.shape
    for u in range(width):
        across, start = (u + 0.5 - cx) / fx, 0.0
        for v in range(height - 1, -1, -1):
            down = (v + 0.5 - cy) / fy
            if start < MISS:
                dx = r[0, 0] * across + r[0, 1] * down + r[0, 2]
                dy = r[1, 0] * across + r[1, 1] * down + r[1, 2]
                dz = r[2, 0] * across + r[2, 1] * down + r[2, 2]
                start = meet_ground(heights_hw, heights_3, o[0], o[1], o[2], dx, dy, dz, 0.98 * start)
            depth_hw[v, u] = start


@kernel
def cast_ground(
    origin_3: Array, rotation_33: Array, pinhole_4: Array, flat: bool, heights_hw: F32, heights_3: Array, depth_hw: F32
) -> None:
    """Depth of the ground along the optical axis [m]; MISS: sky. ``heights_hw`` is that of `heights`, not read where flat."""
    if flat:
        _cast_plane(origin_3[2], rotation_33, pinhole_4, depth_hw)
    else:
        _cast_terrain(origin_3, rotation_33, pinhole_4, heights_hw, heights_3, depth_hw)


@kernel
def cast_parts(
    parts_pk: Array, origin_3: Array, rotation_33: Array, pinhole_4: Array, depth_hw: F32, ids_hw: NDArray[np.int32]
) -> None:
    """Put every part that is nearer into ``depth_hw`` [m] and ``ids_hw`` (part index; -1: ground or sky).

    Args:
        rotation_33: map from camera; ``pinhole_4`` is fx, fy, cx, cy [pixels].
        depth_hw: of the ground (`cast_ground`).
    """
    height, width = depth_hw.shape
    corners, columns = np.empty((8, 3)), np.arange(width).astype(np.float32)
    ids_hw[:] = -1
    for p in range(parts_pk.shape[0]):
        window = part_window(parts_pk[p], origin_3, rotation_33, pinhole_4, width, height, corners)
        if window[1] > window[0]:
            cast_part(parts_pk[p], window, origin_3, rotation_33, pinhole_4, columns, depth_hw, ids_hw, p)


def cast_image(
    parts_pk: Array, origin_3: Array, rotation_33: Array, pinhole_4: Array, depth_hw: F32, ids_hw: NDArray[np.int32]
) -> None:
    """`cast_ground` of flat ground, then `cast_parts`."""
    nowhere = np.zeros((2, 2), np.float32)
    cast_ground(origin_3, rotation_33, pinhole_4, True, nowhere, np.ones(3), depth_hw)
    cast_parts(parts_pk, origin_3, rotation_33, pinhole_4, depth_hw, ids_hw)


@kernel
def count_pixels(
    parts_pk: Array, owners_p: NDArray[np.int64], origin_3: Array, rotation_33: Array, pinhole_4: Array,
    ids_hw: NDArray[np.int32], seen_n: NDArray[np.int64], alone_n: NDArray[np.int64],
) -> None:  # fmt: skip
    """Add to each owner's counts of pixels: those seen, and those that it would cover alone.

    Args:
        owners_p: index of each part's owner in the counts, -1: not counted. An owner's parts lie side by side.
        ids_hw: of `cast_parts`.
    """
    height, width = ids_hw.shape
    corners, columns = np.empty((8, 3)), np.arange(width).astype(np.float32)
    depth, ids = np.empty((height, width), np.float32), np.empty((height, width), np.int32)
    stamps_hw = np.full((height, width), -1, np.int64)
    for p in range(parts_pk.shape[0]):
        owner = owners_p[p]
        window = part_window(parts_pk[p], origin_3, rotation_33, pinhole_4, width, height, corners)
        if owner < 0 or window[1] <= window[0]:
            continue
        left, right, top, bottom = window
        depth[top:bottom, left:right] = MISS
        cast_part(parts_pk[p], window, origin_3, rotation_33, pinhole_4, columns, depth, ids, p)
        for v in range(top, bottom):
            for u in range(left, right):
                if depth[v, u] < MISS and stamps_hw[v, u] != owner:
                    stamps_hw[v, u] = owner
                    alone_n[owner] += 1
    for v in range(height):
        for u in range(width):
            if ids_hw[v, u] >= 0 and owners_p[ids_hw[v, u]] >= 0:
                seen_n[owners_p[ids_hw[v, u]]] += 1
