"""Where the sensors sit on the vehicle: six cameras around, like nuScenes', and one spinning LiDAR on the roof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.se3 import Array, se3_from_xyz_rpy

# Optical frame (x right, y down, z forward) seen from a body frame (x forward, y left, z up).
BODY_SE3_OPTICAL: Array = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class CameraMount:
    """A pinhole camera without distortion.

    Attributes:
        xyz_3: place of its centre in base_link [m].
        yaw_deg: direction of view, to the left of ahead.
        hfov_deg: horizontal field of view.
    """

    name: str
    xyz_3: tuple[float, float, float]
    yaw_deg: float
    hfov_deg: float

    @property
    def base_link_se3_camera(self) -> Array:
        """(4, 4) pose of the optical frame in base_link."""
        return se3_from_xyz_rpy(*self.xyz_3, 0.0, 0.0, float(np.radians(self.yaw_deg))) @ BODY_SE3_OPTICAL

    def intrinsics_33(self, width: int, height: int) -> Array:
        """(3, 3) pinhole matrix for an image of this size [pixels]."""
        focal = 0.5 * width / float(np.tan(np.radians(self.hfov_deg) / 2))
        return np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class LidarMount:
    """A spinning LiDAR that looks ahead with its x axis.

    Attributes:
        xyz_3: place of its centre in base_link [m].
        elevations_rad: of each beam, rising; the ring number is the index.
        num_azimuths: firings per turn; it turns clockwise from straight behind, once a period.
        range_m: points beyond are not returned.
    """

    name: str = 'lidar_top'
    xyz_3: tuple[float, float, float] = (0.94, 0.0, 1.84)
    elevations_rad: tuple[float, ...] = tuple(float(value) for value in np.radians(np.linspace(-30.67, 10.67, 32)))
    num_azimuths: int = 1080
    range_m: float = 70.0
    period_s: float = 0.1
    range_noise_m: float = 0.02
    dropout: float = 0.02

    @property
    def base_link_se3_lidar(self) -> Array:
        """(4, 4) pose in base_link."""
        return se3_from_xyz_rpy(*self.xyz_3, 0.0, 0.0, 0.0)


CAMERAS = (
    CameraMount('CAM_FRONT', (1.7, 0.0, 1.5), 0.0, 70.0),
    CameraMount('CAM_FRONT_RIGHT', (1.5, -0.5, 1.5), -55.0, 70.0),
    CameraMount('CAM_BACK_RIGHT', (1.0, -0.5, 1.5), -110.0, 70.0),
    CameraMount('CAM_BACK', (0.0, 0.0, 1.5), 180.0, 110.0),
    CameraMount('CAM_BACK_LEFT', (1.0, 0.5, 1.5), 110.0, 70.0),
    CameraMount('CAM_FRONT_LEFT', (1.5, 0.5, 1.5), 55.0, 70.0),
)


@dataclass(frozen=True)
class Rig:
    """All sensors of a vehicle; every image has the same size [pixels]."""

    cameras: tuple[CameraMount, ...] = CAMERAS
    lidar: LidarMount = LidarMount()
    image_width: int = 352
    image_height: int = 128
