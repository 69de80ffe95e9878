"""LiDAR points seen by the cameras: the nearest return in every image block."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array


def depth_map(
    points_n5: NDArray[np.float32], projections_n34: Array, valid_n: NDArray[np.bool_], depth_nhw: NDArray[np.float32]
) -> None:
    """Fill ``depth_nhw`` with the smallest optical z [m] of the points in each block, and 0 where there is none.

    Points that are not finite or behind a camera are left out.

    Args:
        projections_n34: see `block_projections`; there may be fewer cameras than the network takes.
        valid_n: of the network's cameras; the maps of the others are 0.
        depth_nhw: (N, h, w) float32.
    """
    depth_nhw.fill(0.0)
    _nearest(np.ascontiguousarray(points_n5, np.float32), projections_n34, valid_n, depth_nhw)


@njit(cache=True, nogil=True, error_model='numpy')
def _nearest(points_n5, projections_n34, valid_n, depth_nhw):  # type: ignore[no-untyped-def]
    num_rows, num_columns = depth_nhw.shape[1:]
    for i in range(points_n5.shape[0]):
        x, y, z = points_n5[i, 0], points_n5[i, 1], points_n5[i, 2]
        for camera in range(projections_n34.shape[0]):
            p = projections_n34[camera]
            depth = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
            if not ((depth > 0.0) & valid_n[camera]):  # NaN too
                continue
            column = (p[0, 0] * x + p[0, 1] * y + p[0, 2] * z + p[0, 3]) / depth
            if not ((column >= 0.0) & (column < num_columns)):
                continue
            row = (p[1, 0] * x + p[1, 1] * y + p[1, 2] * z + p[1, 3]) / depth
            if not ((row >= 0.0) & (row < num_rows)):
                continue
            before = depth_nhw[camera, int(row), int(column)]
            if before == 0.0 or depth < before:
                depth_nhw[camera, int(row), int(column)] = depth
