"""Rigid transforms as 4 x 4 float64 matrices named ``a_SE3_b``: points in frame b become points in frame a (a <- b)."""

from __future__ import annotations

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
    values = np.concatenate([np.asarray(xyz, float), np.asarray(quaternion_xyzw, float)])
    if not np.all(np.isfinite(values)):
        raise ValueError(f'a pose must be finite, got {values.tolist()}')
    if np.linalg.norm(values[3:]) < 1e-6:
        raise ValueError('a quaternion of norm 0 is no rotation')
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(values[3:]).as_matrix()
    pose[:3, 3] = values[:3]
    return pose


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
