"""LiDAR points seen by the cameras: the nearest return in every image block."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.perception.lift_geometry import block_projections


def depth_map(
    points_n5: NDArray[np.float32],
    config: ModelConfig,
    intrinsics_n33: NDArray[np.float32],
    base_link_se3_camera_n44: Array,
) -> NDArray[np.float32]:
    """(N, h, w) float32 smallest optical z [m] of the points in each block, 0 where there is none.

    Points that are not finite or behind a camera are left out. There may be fewer cameras than the network takes: the maps of
    the missing ones are 0.

    Raises:
        InputError: there are more cameras than the network takes.
    """
    projections_n34 = block_projections(config, intrinsics_n33, base_link_se3_camera_n44)
    depth_nhw = np.zeros((config.num_cameras, *config.block_shape), np.float32)
    _nearest(np.ascontiguousarray(points_n5, np.float32), projections_n34, depth_nhw)
    return depth_nhw


@njit(cache=True, nogil=True, error_model='numpy')
def _nearest(points_n5, projections_n34, depth_nhw):  # type: ignore[no-untyped-def]
    num_rows, num_columns = depth_nhw.shape[1:]
    for i in range(points_n5.shape[0]):
        x, y, z = points_n5[i, 0], points_n5[i, 1], points_n5[i, 2]
        for camera in range(projections_n34.shape[0]):
            p = projections_n34[camera]
            depth = p[2, 0] * x + p[2, 1] * y + p[2, 2] * z + p[2, 3]
            if not depth > 0.0:  # NaN too
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
