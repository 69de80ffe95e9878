"""Which cameras of a rig a network looks through that was trained on six of them."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from moe_bev_ros.core.se3 import Array

DIRECTIONS_RAD = np.deg2rad((0.0, 55.0, -55.0, 110.0, -110.0, 180.0))  # of nuScenes' cameras, left positive


def choose_cameras(base_link_se3_camera_n44: Array) -> tuple[int, ...]:
    """Indices of the cameras to keep, in their order: all of a rig of up to six.

    Of more, those that together look nearest to where nuScenes' six look; of two that look the same way, the first.
    """
    num = len(base_link_se3_camera_n44)
    if num <= len(DIRECTIONS_RAD):
        return tuple(range(num))
    ahead_n3 = base_link_se3_camera_n44[:, :3, 2]  # optical axes
    yaw_n = np.arctan2(ahead_n3[:, 1], ahead_n3[:, 0])
    gap_dn = np.abs((yaw_n[None, :] - DIRECTIONS_RAD[:, None] + np.pi) % (2 * np.pi) - np.pi)
    _, chosen = linear_sum_assignment(gap_dn)
    return tuple(sorted(int(index) for index in chosen))
