"""Moves the points of a sweep to where the LiDAR sees them from at one instant, as nuScenes stores its sweeps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.perception.motion_compensation import OdometryBuffer

BIN_S = 1e-4  # at 30 m/s a point moves 1.5 mm in half a bin


def compensated(
    xyz_n3: NDArray[np.float32],
    times_s_n: NDArray[np.float32],
    stamp_ns: int,
    odometry: OdometryBuffer,
    base_link_se3_lidar: Array,
) -> NDArray[np.float32]:
    """Points in the LiDAR's frame at ``stamp_ns``; what moves besides the vehicle stays where it was seen.

    Args:
        xyz_n3: each in the LiDAR's frame when it was seen [m].
        times_s_n: when, relative to the stamp [s].
        odometry: which knows the motion in between (``gap`` says so).
    """
    bins, index_n = np.unique(np.round(times_s_n / BIN_S).astype(np.int64), return_inverse=True)
    if not len(bins):
        return xyz_n3
    now_se3_then = inverse(base_link_se3_lidar) @ odometry.poses(stamp_ns, bins * BIN_S) @ base_link_se3_lidar
    poses_n34 = now_se3_then[index_n, :3].astype(np.float32)
    return np.einsum('nij,nj->ni', poses_n34[:, :, :3], xyz_n3) + poses_n34[:, :, 3]
