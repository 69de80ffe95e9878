"""Where the sensors sit on the vehicle, and what they are: pinhole and fisheye cameras, and one spinning LiDAR.

Lengths of a lens are told in image widths, so that one rig serves images of every size. An image of another shape than the
sensor's own is the sensor's picture, resized by its width, of which the top rows are cut (a taller one gets more of them): the
road lies at the bottom, and bird's-eye-view detectors crop nuScenes in the same way. Such a cut leaves the distance from the
principal point to the bottom edge as it was, which is why a lens tells that one. Pixel (u, v) looks along (u + 0.5, v + 0.5).

Beam tables come from Velodyne's manuals: HDL-32E (63-9113: 32 lasers, -30.67 to +10.67 degrees, even steps) and HDL-64E S2
(63-HDL64ES2: 32 upper lasers from +2 down in steps of 1/3 degree, 32 lower from -8.83 down in steps of 1/2 degree).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.camera import PINHOLE, CameraModel
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array, se3_from_xyz_rpy

# Optical frame (x right, y down, z forward) seen from a body frame (x forward, y left, z up).
BODY_SE3_OPTICAL: Array = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])

HDL_32E_RAD = tuple(float(value) for value in np.radians(np.linspace(-30.67, 10.67, 32)))
HDL_64E_RAD = tuple(
    float(value) for value in np.radians(np.concatenate([-8.83 - 0.5 * np.arange(32)[::-1], 2.0 - np.arange(32)[::-1] / 3.0]))
)


@dataclass(frozen=True)
class Lens:
    """How directions become pixels.

    Attributes:
        focal_2: focal lengths along x and y, in image widths.
        centre_2: the principal point from the left and from the bottom edge, in image widths; None: the image's middle.
        kind: 'pinhole', or 'fisheye': equidistant, as `core.camera` has it.
        coefficients_4: k1 .. k4 of a fisheye.

    Raises:
        InputError: no such kind, or not the coefficients that it needs.
    """

    focal_2: tuple[float, float]
    centre_2: tuple[float, float] | None = None
    kind: str = PINHOLE
    coefficients_4: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        wanted = {'pinhole': 0, 'fisheye': 4}
        if self.kind not in wanted:
            raise InputError(f'no lens {self.kind!r}; use pinhole or fisheye')
        if len(self.coefficients_4) != wanted[self.kind]:
            raise InputError(
                f'a {self.kind} lens has {wanted[self.kind]} coefficients, got {len(self.coefficients_4)}; mend them'
            )

    @staticmethod
    def of_view(hfov_deg: float) -> Lens:
        """A pinhole that sees so far from the left edge to the right, its axis in the middle."""
        focal = 0.5 / float(np.tan(np.radians(hfov_deg) / 2))
        return Lens((focal, focal))


@dataclass(frozen=True)
class CameraMount:
    """A camera in its place.

    Attributes:
        xyz_3: place of its centre in base_link [m].
        yaw_deg: direction of view, to the left of ahead.
        pitch_deg: the view's turn downwards.
        roll_deg: clockwise about the view, as seen from behind the camera.

    Raises:
        InputError: a lens whose intrinsic matrix is singular.
    """

    name: str
    xyz_3: tuple[float, float, float]
    yaw_deg: float
    lens: Lens
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    def __post_init__(self) -> None:
        values = (*self.xyz_3, self.yaw_deg, self.pitch_deg, self.roll_deg, *self.lens.focal_2, *(self.lens.centre_2 or ()))
        if not np.all(np.isfinite(values)):
            raise InputError(f'camera {self.name}: pose and intrinsics must be finite, got {values}; calibrate it')
        if min(self.lens.focal_2) <= 0.0:
            raise InputError(
                f'camera {self.name}: its intrinsic matrix is singular (focal lengths {self.lens.focal_2}); '
                'give it the matrix of a calibrated camera, or leave the camera out of the rig'
            )

    @property
    def base_link_se3_camera(self) -> Array:
        """(4, 4) pose of the optical frame in base_link."""
        roll, pitch, yaw = np.radians([self.roll_deg, self.pitch_deg, self.yaw_deg])
        return se3_from_xyz_rpy(*self.xyz_3, float(roll), float(pitch), float(yaw)) @ BODY_SE3_OPTICAL

    def intrinsics_33(self, width: int, height: int) -> Array:
        """(3, 3) camera matrix for an image of this size [pixels]; a fisheye's works on the distorted coordinates."""
        fx, fy = (width * focal for focal in self.lens.focal_2)
        cx, cy = width / 2, height / 2
        if self.lens.centre_2 is not None:
            cx, cy = width * self.lens.centre_2[0], height - width * self.lens.centre_2[1]
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])

    def model(self, width: int, height: int) -> CameraModel:
        """The calibration as a camera publishes it."""
        distortion = PINHOLE if self.lens.kind == PINHOLE else 'equidistant'
        return CameraModel(width, height, self.intrinsics_33(width, height), distortion, self.lens.coefficients_4)


@dataclass(frozen=True)
class LidarMount:
    """A spinning LiDAR in its place.

    Attributes:
        xyz_3: place of its centre in base_link [m].
        elevations_rad: of each beam, rising; the ring number is the index.
        num_azimuths: firings per turn; it turns clockwise from its own negative x axis, once a period.
        range_m: points beyond are not returned.
        yaw_deg, pitch_deg, roll_deg: of its frame in base_link; nuScenes' has x to the right and y ahead, a yaw of -90.
    """

    name: str = 'lidar_top'
    xyz_3: tuple[float, float, float] = (0.94, 0.0, 1.84)
    elevations_rad: tuple[float, ...] = HDL_32E_RAD
    num_azimuths: int = 1080
    range_m: float = 70.0
    period_s: float = 0.1
    range_noise_m: float = 0.02
    dropout: float = 0.02
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0

    @property
    def base_link_se3_lidar(self) -> Array:
        """(4, 4) pose in base_link."""
        roll, pitch, yaw = np.radians([self.roll_deg, self.pitch_deg, self.yaw_deg])
        return se3_from_xyz_rpy(*self.xyz_3, float(roll), float(pitch), float(yaw))


CAMERAS = (
    CameraMount('CAM_FRONT', (1.7, 0.0, 1.5), 0.0, Lens.of_view(70.0)),
    CameraMount('CAM_FRONT_RIGHT', (1.5, -0.5, 1.5), -55.0, Lens.of_view(70.0)),
    CameraMount('CAM_BACK_RIGHT', (1.0, -0.5, 1.5), -110.0, Lens.of_view(70.0)),
    CameraMount('CAM_BACK', (0.0, 0.0, 1.5), 180.0, Lens.of_view(110.0)),
    CameraMount('CAM_BACK_LEFT', (1.0, 0.5, 1.5), 110.0, Lens.of_view(70.0)),
    CameraMount('CAM_FRONT_LEFT', (1.5, 0.5, 1.5), 55.0, Lens.of_view(70.0)),
)


@dataclass(frozen=True)
class Rig:
    """All sensors of a vehicle; every image has the same size [pixels]."""

    cameras: tuple[CameraMount, ...] = CAMERAS
    lidar: LidarMount = LidarMount()
    image_width: int = 352
    image_height: int = 128
