"""Six cameras around a vehicle, with overlapping images of the tiny network's size."""

import numpy as np

from moe_bev_ros.core.camera import CameraModel
from moe_bev_ros.core.se3 import inverse, se3_from_xyz_rpy, transform_points

BODY_SE3_OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
HEIGHT, WIDTH = 128, 352
INTRINSICS_33 = np.array([[260.0, 0, 171.3], [0, 255.0, 60.7], [0, 0, 1]], np.float32)


def ring(num=6):
    """(num, 3, 3) intrinsics and (num, 4, 4) base_link_se3_camera; the first looks ahead, the next ones further left."""
    poses = [se3_from_xyz_rpy(1.0, 0.1, 1.6, 0.01, 0.02, 2 * np.pi * camera / num) @ BODY_SE3_OPTICAL for camera in range(num)]
    return np.stack([INTRINSICS_33] * num), np.stack(poses)


def seen_from(points_n3, intrinsics_33, base_link_se3_camera):
    """(N, 2) pixels and (N,) optical z of points in base_link, by the package's camera model."""
    optical_n3 = transform_points(inverse(base_link_se3_camera), np.asarray(points_n3, float))
    model = CameraModel(WIDTH, HEIGHT, intrinsics_33.astype(float))
    return model.project(optical_n3), optical_n3[:, 2]
