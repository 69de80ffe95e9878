"""Frames of a drive with what is true at each: what a source of training data hands out, and how it is varied.

Legend: N boxes, P points, T = NUM_FUTURES times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, EgoMotion, Frame, LidarPoints
from moe_bev_ros.core.se3 import Array, inverse, se3_from_xyz_rpy
from moe_bev_ros.datasets.road_raster import ROAD_CLASSES, RoadRaster
from moe_bev_ros.engine.base import Segmentation

F32 = NDArray[np.float32]

TRUTH_RANGE_M = 60.0
NUM_FUTURES, FUTURE_STEP_S = 12, 0.5
FUTURES_S: Array = FUTURE_STEP_S * np.arange(1, NUM_FUTURES + 1)
MAX_TURN_RAD = 0.35
POSE_NOISE_RAD, POSE_NOISE_M = np.deg2rad(0.3), 0.02
_MIRROR_X, _MIRROR_Y = np.diag([-1.0, 1.0, 1.0, 1.0]), np.diag([1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class RoadView:
    """The road from where the vehicle is; ``base_link_se3_map`` also mirrors where the frame is mirrored."""

    raster: RoadRaster
    base_link_se3_map: Array

    def road_khw(self, num_cells: int, half_m: float) -> NDArray[np.uint8]:
        """(4, num_cells, num_cells) of ROAD_CLASSES, 1 where there is some; row 0 at the smallest y."""
        occupancy = np.zeros((num_cells, num_cells), np.int8)
        grid = Segmentation(occupancy, 2 * half_m / num_cells, (-half_m, -half_m))
        map_se3_base_link = inverse(self.base_link_se3_map)
        return np.stack([self.raster.mask(name, grid, map_se3_base_link) for name in ROAD_CLASSES]).astype(np.uint8)


@dataclass(frozen=True)
class FrameTruth:
    """The road users within TRUTH_RANGE_M, in base_link at the stamp, and the road.

    Attributes:
        boxes_n7: (N, 7) float32.
        labels_n: (N,) uint8 values of Label.
        velocities_n2: over ground in base_link's axes [m/s]; NaN where not known.
        attributes_n: (N,) int64 index of core.attributes.ATTRIBUTES; -1 where not known.
        num_lidar_n: points of this sweep in each box.
        visible_shares_n: 0..1 of all cameras together; NaN where not known.
        instances: who it is, the same over the drive.
        futures_n12x2: displacement from now in base_link's axes of now [m], every FUTURE_STEP_S; NaN where not known.
        road: None where it is not known.
    """

    boxes_n7: F32
    labels_n: NDArray[np.uint8]
    velocities_n2: F32
    attributes_n: NDArray[np.int64]
    num_lidar_n: NDArray[np.int64]
    visible_shares_n: F32
    instances: tuple[str, ...]
    futures_n12x2: F32
    road: RoadView | None

    def __post_init__(self) -> None:
        num = len(self.instances)
        for name, shape in (
            ('boxes_n7', (num, 7)),
            ('labels_n', (num,)),
            ('velocities_n2', (num, 2)),
            ('attributes_n', (num,)),
            ('num_lidar_n', (num,)),
            ('visible_shares_n', (num,)),
            ('futures_n12x2', (num, NUM_FUTURES, 2)),
        ):
            if getattr(self, name).shape != shape:
                raise ValueError(f'{name} must be {shape}, got {getattr(self, name).shape}')
        wrong_n = np.flatnonzero(~np.isfinite(self.boxes_n7).all(axis=1))
        if len(wrong_n):
            box = self.boxes_n7[wrong_n[0]].tolist()
            raise InputError(f'{self.instances[wrong_n[0]]}: its box {box} is not finite; mend or remove the annotation')

    def __len__(self) -> int:
        return len(self.instances)


@dataclass(frozen=True)
class DriveFrame:
    """One frame of a drive.

    Attributes:
        base_link_now_se3_before: (4, 4) moves points from base_link at the frame before to now; None at the first frame.
        dt_s: since the frame before; 0 at the first frame.
        condition, kind: of the scene; empty where not known.
    """

    frame: Frame
    base_link_now_se3_before: Array | None
    dt_s: float
    truth: FrameTruth
    condition: str
    kind: str


class Drive(Protocol):
    """A drive to come; small enough to be handed to another process."""

    def frames(self) -> Iterator[DriveFrame]:
        """Play it."""


class Source(Protocol):
    """Drives by number."""

    @property
    def num_drives(self) -> int:
        """How many different ones."""

    def drive(self, index: int, seed: tuple[int, ...]) -> Drive:
        """One of them; another seed varies it."""


@dataclass(frozen=True)
class Variation:
    """How a whole drive is varied: turned about base_link's z axis after left and right have changed places with
    ``mirrored``, and with cameras that sit a little elsewhere than their calibration says.

    Attributes:
        noise_seed: of the poses of the cameras; None: they are right.
    """

    angle_rad: float = 0.0
    mirrored: bool = False
    noise_seed: int | None = None

    @staticmethod
    def drawn(rng: np.random.Generator) -> Variation:
        """At random: half of the drives are mirrored."""
        angle_rad = float(rng.uniform(-MAX_TURN_RAD, MAX_TURN_RAD))
        return Variation(angle_rad, mirrored=bool(rng.random() < 0.5), noise_seed=int(rng.integers(2**31)))

    def of(self, item: DriveFrame) -> DriveFrame:
        """A frame so varied."""
        if self.noise_seed is not None and item.frame.cameras is not None:
            cameras = with_pose_noise(item.frame.cameras, self.noise_seed)
            item = replace(item, frame=replace(item.frame, cameras=cameras))
        return augmented(item, self.angle_rad, mirrored=self.mirrored)


def with_pose_noise(cameras: CameraImages, seed: int) -> CameraImages:
    """Cameras whose poses are off by POSE_NOISE_RAD and POSE_NOISE_M about each axis; the same for the same seed."""
    rng = np.random.default_rng(seed)
    num = len(cameras.names)
    angles_n3, shifts_n3 = rng.normal(0.0, POSE_NOISE_RAD, (num, 3)), rng.normal(0.0, POSE_NOISE_M, (num, 3))
    errors = np.stack([se3_from_xyz_rpy(*shift, *angles) for shift, angles in zip(shifts_n3, angles_n3)])
    return replace(cameras, base_link_se3_camera_n44=cameras.base_link_se3_camera_n44 @ errors)


def augmented(item: DriveFrame, angle_rad: float, *, mirrored: bool) -> DriveFrame:
    """The same frame, mirrored left to right if asked for, then turned by an angle about base_link's z axis."""
    change = _Change(angle_rad, mirrored)
    before = item.base_link_now_se3_before
    return replace(
        item,
        frame=change.frame(item.frame),
        base_link_now_se3_before=None if before is None else change.new_se3_old @ before @ inverse(change.new_se3_old),
        truth=change.truth(item.truth),
    )


@dataclass(frozen=True)
class _Change:
    """From the old base_link to the new one; what is seen from a mirrored base_link lies in a mirrored map."""

    angle_rad: float
    mirrored: bool

    @cached_property
    def new_se3_old(self) -> Array:
        """(4, 4), with a reflection where mirrored."""
        turn = se3_from_xyz_rpy(0.0, 0.0, 0.0, 0.0, 0.0, self.angle_rad)
        return turn @ _MIRROR_Y if self.mirrored else turn

    def frame(self, frame: Frame) -> Frame:
        cameras = frame.cameras and self._cameras(frame.cameras)
        lidar = frame.lidar and LidarPoints(self._moved(frame.lidar.points_n5))
        return replace(frame, cameras=cameras, lidar=lidar, ego=frame.ego and self._ego(frame.ego))

    def truth(self, truth: FrameTruth) -> FrameTruth:
        boxes_n7 = self._moved(truth.boxes_n7)
        boxes_n7[:, 6] = (-boxes_n7[:, 6] if self.mirrored else boxes_n7[:, 6]) + np.float32(self.angle_rad)
        road = truth.road
        if road is not None:
            road = replace(road, base_link_se3_map=self.new_se3_old @ road.base_link_se3_map)
        return replace(
            truth,
            boxes_n7=boxes_n7,
            velocities_n2=self._moved(truth.velocities_n2),
            futures_n12x2=self._moved(truth.futures_n12x2),
            road=road,
        )

    def _moved(self, values: F32) -> F32:
        """The first two columns are x and y."""
        moved = values.copy()
        moved[..., :2] = values[..., :2] @ self.new_se3_old[:2, :2].T.astype(np.float32)
        return moved

    def _cameras(self, cameras: CameraImages) -> CameraImages:
        poses_n44 = self.new_se3_old @ cameras.base_link_se3_camera_n44
        if not self.mirrored:
            return replace(cameras, base_link_se3_camera_n44=poses_n44)
        intrinsics_n33 = cameras.intrinsics_n33.copy()
        intrinsics_n33[:, 0, 1] *= -1.0
        intrinsics_n33[:, 0, 2] = cameras.images_nhw3.shape[2] - 1 - intrinsics_n33[:, 0, 2]
        images_nhw3 = np.ascontiguousarray(cameras.images_nhw3[:, :, ::-1])
        return CameraImages(images_nhw3, intrinsics_n33, poses_n44 @ _MIRROR_X, cameras.valid_n, cameras.names)

    def _ego(self, ego: EgoMotion) -> EgoMotion:
        odom_se3_old = _MIRROR_Y @ ego.odom_se3_base_link if self.mirrored else ego.odom_se3_base_link
        yaw_rate = -ego.yaw_rate_radps if self.mirrored else ego.yaw_rate_radps
        return replace(ego, odom_se3_base_link=odom_se3_old @ inverse(self.new_se3_old), yaw_rate_radps=yaw_rate)


@njit(cache=True)
def points_in_boxes(boxes_n7, points_p5):  # type: ignore[no-untyped-def]
    """(N,) points in each box, borders included."""
    counts_n = np.zeros(len(boxes_n7), np.int64)
    for n in range(len(boxes_n7)):
        x, y, z, length, width, height, yaw = boxes_n7[n]
        cos, sin, reach = np.cos(yaw), np.sin(yaw), 0.5 * np.sqrt(length * length + width * width)
        for p in range(len(points_p5)):
            dx, dy = points_p5[p, 0] - x, points_p5[p, 1] - y
            if abs(dx) > reach or abs(dy) > reach or abs(points_p5[p, 2] - z) > 0.5 * height:
                continue
            if abs(cos * dx + sin * dy) <= 0.5 * length and abs(cos * dy - sin * dx) <= 0.5 * width:
                counts_n[n] += 1
    return counts_n
