"""Rigid transforms as 4 x 4 float64 matrices named ``a_SE3_b``: points in frame b become points in frame a (a <- b)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]


def se3_from_quaternion(xyz: Array | tuple[float, float, float], quaternion_xyzw: Array | tuple[float, ...]) -> Array:
    """Build ``a_SE3_b`` from the position of b's origin in a [m] and a quaternion in ROS order (x, y, z, w).

    Raises:
        ValueError: the quaternion has norm 0 or the values are not finite.
    """
    x, y, z = (float(value) for value in xyz)
    qx, qy, qz, qw = (float(value) for value in quaternion_xyzw)
    norm = math.hypot(qx, qy, qz, qw)
    if not math.isfinite(x + y + z + norm):
        raise ValueError(f'a pose must be finite, got {[x, y, z, qx, qy, qz, qw]}')
    if norm < 1e-6:
        raise ValueError('a quaternion of norm 0 is no rotation')
    qx, qy, qz, qw = qx / norm, qy / norm, qz / norm, qw / norm
    # Written out: every message of odometry comes through here, and scipy's Rotation takes six times as long.
    return np.array(
        [
            [1 - 2 * (qy * qy + qz * qz), 2 * (qx * qy - qz * qw), 2 * (qx * qz + qy * qw), x],
            [2 * (qx * qy + qz * qw), 1 - 2 * (qx * qx + qz * qz), 2 * (qy * qz - qx * qw), y],
            [2 * (qx * qz - qy * qw), 2 * (qy * qz + qx * qw), 1 - 2 * (qx * qx + qy * qy), z],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def se3_from_xyz_rpy(x: float, y: float, z: float, roll: float, pitch: float, yaw: float) -> Array:
    """Build ``a_SE3_b`` from a position [m] and roll, pitch, yaw [rad] (fixed axes x, y, z, as in URDF)."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('xyz', [roll, pitch, yaw]).as_matrix()
    pose[:3, 3] = (x, y, z)
    return pose


def se3_from_xy_yaw(x: float, y: float, yaw: float) -> Array:
    """Build ``a_SE3_b`` for a motion in the plane; x, y [m], yaw [rad]."""
    return se3_from_xyz_rpy(x, y, 0.0, 0.0, 0.0, yaw)


def inverse(a_se3_b: Array) -> Array:
    """Return ``b_SE3_a``."""
    rotation_t = a_se3_b[:3, :3].T
    result = np.eye(4)
    result[:3, :3] = rotation_t
    result[:3, 3] = -rotation_t @ a_se3_b[:3, 3]
    return result


def transform_points(a_se3_b: Array, points_b_n3: NDArray[Any]) -> NDArray[Any]:
    """Move (N, 3) points from frame b to frame a; keeps their dtype."""
    rotation = a_se3_b[:3, :3].astype(points_b_n3.dtype)
    return points_b_n3 @ rotation.T + a_se3_b[:3, 3].astype(points_b_n3.dtype)


def yaw_of(a_se3_b: Array) -> float:
    """Heading of b's x axis in a's x-y plane [rad], in (-pi, pi]."""
    return float(np.arctan2(a_se3_b[1, 0], a_se3_b[0, 0]))


def quaternion_xyzw_of(a_se3_b: Array) -> Array:
    """Rotation as a unit quaternion in ROS order (x, y, z, w)."""
    return np.asarray(Rotation.from_matrix(a_se3_b[:3, :3]).as_quat(), float)


def wrap_angle(angle_rad: float) -> float:
    """Bring an angle to [-pi, pi)."""
    return float((angle_rad + np.pi) % (2 * np.pi) - np.pi)


def interpolate(a_se3_b0: Array, a_se3_b1: Array, fraction: float) -> Array:
    """Pose between two poses: straight line for the position, constant rate for the rotation; also extrapolates."""
    rotation0 = Rotation.from_matrix(a_se3_b0[:3, :3])
    rotation1 = Rotation.from_matrix(a_se3_b1[:3, :3])
    pose = np.eye(4)
    pose[:3, :3] = (rotation0 * Rotation.from_rotvec(fraction * (rotation0.inv() * rotation1).as_rotvec())).as_matrix()
    pose[:3, 3] = a_se3_b0[:3, 3] + fraction * (a_se3_b1[:3, 3] - a_se3_b0[:3, 3])
    return pose
