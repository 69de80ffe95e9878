"""One instant as the engine sees it: the images and points around an anchor stamp."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.trace import Trace


@dataclass(frozen=True)
class CameraImages:
    """Rectified, resized images of N cameras.

    Attributes:
        images_nhw3: (N, H, W, 3) uint8, RGB; zero where not valid.
        intrinsics_n33: (N, 3, 3) float32 pinhole matrices of these very images [pixels].
        base_link_se3_camera_n44: (N, 4, 4) float64 poses of the optical frames in base_link [m].
        valid_n: (N,) bool.
        names: N camera names.
    """

    images_nhw3: NDArray[np.uint8]
    intrinsics_n33: NDArray[np.float32]
    base_link_se3_camera_n44: Array
    valid_n: NDArray[np.bool_]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        num = len(self.names)
        if self.images_nhw3.ndim != 4 or self.images_nhw3.shape[0] != num or self.images_nhw3.shape[3] != 3:
            raise ValueError(f'images_nhw3 must be ({num}, H, W, 3), got {self.images_nhw3.shape}')
        for name, value, shape in (
            ('intrinsics_n33', self.intrinsics_n33, (num, 3, 3)),
            ('base_link_se3_camera_n44', self.base_link_se3_camera_n44, (num, 4, 4)),
            ('valid_n', self.valid_n, (num,)),
        ):
            if value.shape != shape:
                raise ValueError(f'{name} must be {shape}, got {value.shape}')


@dataclass(frozen=True)
class LidarPoints:
    """A motion-compensated sweep in base_link.

    Attributes:
        points_n5: (N, 5) float32: x, y, z [m, base_link], intensity [0..1], time relative to the stamp [s] (<= 0).
    """

    points_n5: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.points_n5.ndim != 2 or self.points_n5.shape[1] != 5:
            raise ValueError(f'points_n5 must be (N, 5), got {self.points_n5.shape}')


@dataclass(frozen=True)
class EgoMotion:
    """Pose and speed of the vehicle at a stamp.

    Attributes:
        odom_se3_base_link: (4, 4) pose of base_link (rear axle centre, on the ground) in the odometry's fixed frame [m].
        speed_mps: along base_link's x axis [m/s].
        yaw_rate_radps: left positive [rad/s].
        frame_id: name of the fixed frame (``map`` or ``odom``).
    """

    stamp_ns: int
    odom_se3_base_link: Array
    speed_mps: float
    yaw_rate_radps: float
    frame_id: str = 'odom'


@dataclass(frozen=True)
class Frame:
    """What the engine gets. A sensor that is missing is ``None``; ``ego`` is None without odometry."""

    stamp_ns: int
    cameras: CameraImages | None
    lidar: LidarPoints | None
    ego: EgoMotion | None
    trace: Trace = field(default_factory=Trace)

    @property
    def lidar_valid(self) -> bool:
        """Whether the frame holds a LiDAR sweep."""
        return self.lidar is not None

    @property
    def camera_valid(self) -> bool:
        """Whether the frame holds at least one valid image."""
        return self.cameras is not None and bool(self.cameras.valid_n.any())


def without_lidar(frame: Frame) -> Frame:
    """The same instant without its sweep."""
    return replace(frame, lidar=None)


def without_cameras(frame: Frame) -> Frame:
    """The same instant without its images."""
    return replace(frame, cameras=None)


def without_camera(frame: Frame, index: int) -> Frame:
    """The same instant with one camera black and not valid."""
    if frame.cameras is None:
        return frame
    images_nhw3, valid_n = frame.cameras.images_nhw3.copy(), frame.cameras.valid_n.copy()
    images_nhw3[index], valid_n[index] = 0, False
    return replace(frame, cameras=replace(frame.cameras, images_nhw3=images_nhw3, valid_n=valid_n))
