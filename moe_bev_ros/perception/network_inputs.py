"""From a Frame to the arrays that the BEV network reads; the same code for training and for use.

Legend: N cameras of the network, H W image, h w its blocks, Z heights, C inner cells, P channels, S pillars a side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.se3 import Array, yaw_of
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.perception.depth_maps import depth_map
from moe_bev_ros.perception.lift_geometry import LiftCache
from moe_bev_ros.perception.pillar_maps import PillarMap, age_map

F32 = NDArray[np.float32]
NORMALISED: F32 = ((np.arange(256) / 255 - 0.45) / 0.225).astype(np.float32)  # of a byte of an image


@dataclass(frozen=True)
class NetworkArrays:
    """One frame's inputs, without a batch dimension; how long they hold is up to `NetworkInputs`.

    Attributes:
        images_n3hw: (N, 3, H, W) float32 RGB, normalised; zero where the camera is not valid.
        depth_nhw: (N, h, w) float32 nearest LiDAR return in a block, optical z [m]; 0 where none, or the camera is not valid.
        pixel_zc, bin_zc: (Z, C) int64 of LiftTable; shared by all frames of one calibration, not to be changed.
        pillars_pss: (P, S, S) float32 of pillar_map; zero without LiDAR.
        camera_valid_n: (N,) bool.
        lidar_valid: whether there is at least one finite point.
    """

    images_n3hw: F32
    depth_nhw: F32
    pixel_zc: NDArray[np.int64]
    bin_zc: NDArray[np.int64]
    pillars_pss: F32
    camera_valid_n: NDArray[np.bool_]
    lidar_valid: bool

    def __post_init__(self) -> None:
        if not len(self.images_n3hw) == len(self.depth_nhw) == len(self.camera_valid_n):
            raise ValueError(f'{len(self.images_n3hw)} images, {len(self.depth_nhw)} depths, {len(self.camera_valid_n)} flags')
        if self.pixel_zc.shape != self.bin_zc.shape:
            raise ValueError(f'pixel_zc {self.pixel_zc.shape} and bin_zc {self.bin_zc.shape} must be of one shape')


class _ArraySet:
    """What one frame's inputs are written to."""

    def __init__(self, config: ModelConfig) -> None:
        self.images_n3hw = np.zeros((config.num_cameras, 3, config.image_height, config.image_width), np.float32)
        self.holds_image_n = np.zeros(config.num_cameras, np.bool_)
        self.depth_nhw = np.zeros((config.num_cameras, *config.block_shape), np.float32)
        self.pillars = PillarMap(config.half_m, config.pillar_m)


class NetworkInputs:
    """Makes a network's inputs; keeps nothing that it read from frame to frame but the table of the present calibration.

    Args:
        num_sets: of arrays that frames are written to in turn: a frame's arrays hold until this many more are made. 0: every
            frame gets arrays of its own, which costs as much again as filling them.
    """

    def __init__(self, config: ModelConfig, num_sets: int = 0) -> None:
        self._config = config
        self._no_cameras = CameraImages(
            np.zeros((0, config.image_height, config.image_width, 3), np.uint8),
            np.zeros((0, 3, 3), np.float32),
            np.zeros((0, 4, 4)),
            np.zeros(0, np.bool_),
            (),
        )
        self._lift = LiftCache(config)
        self._sets = [_ArraySet(config) for _ in range(num_sets)]
        self._num_made = 0
        self._warm_up()

    def make(self, frame: Frame) -> NetworkArrays:
        """The inputs of one frame; a sensor or camera that is missing is zero and not valid.

        Raises:
            InputError: more cameras, or other images, than the network takes.
        """
        cameras = frame.cameras or self._no_cameras
        table = self._lift.table(cameras.intrinsics_n33, cameras.base_link_se3_camera_n44, cameras.valid_n)
        self._check_size(cameras)
        camera_valid_n = np.zeros(self._config.num_cameras, np.bool_)
        camera_valid_n[: len(cameras.names)] = cameras.valid_n
        points_n5 = frame.lidar.points_n5 if frame.lidar is not None else np.zeros((0, 5), np.float32)
        arrays = self._next_set()
        depth_map(self._newest(points_n5), table.projections_n34, camera_valid_n, arrays.depth_nhw)
        images = np.ascontiguousarray(cameras.images_nhw3), camera_valid_n
        _normalise(*images, NORMALISED, arrays.holds_image_n, arrays.images_n3hw)
        return NetworkArrays(
            arrays.images_n3hw,
            arrays.depth_nhw,
            table.pixel_zc,
            table.bin_zc,
            self._pillars(points_n5, arrays.pillars),
            camera_valid_n,
            bool(_any_finite(points_n5)),
        )

    def _next_set(self) -> _ArraySet:
        """After all that may fail, so that a frame that was refused takes no other one's arrays."""
        if not self._sets:
            return _ArraySet(self._config)
        self._num_made += 1
        return self._sets[self._num_made % len(self._sets)]

    def _newest(self, points_n5: F32) -> F32:
        """The cameras see what is there now, and not what earlier sweeps saw."""
        return points_n5 if self._config.num_sweeps == 1 else points_n5[points_n5[:, 4] == 0.0]

    def _pillars(self, points_n5: F32, pillars: PillarMap) -> F32:
        pillars_pss = pillars.fill(points_n5)
        if self._config.num_sweeps == 1:
            return pillars_pss
        return np.concatenate([pillars_pss, age_map(points_n5, self._config.half_m, self._config.pillar_m)])

    def _check_size(self, cameras: CameraImages) -> None:
        config = self._config
        height, width = cameras.images_nhw3.shape[1:3]
        if len(cameras.names) and (height, width) != (config.image_height, config.image_width):
            raise InputError(
                f'images of {width} x {height}, but the network {config.name!r} takes {config.image_width} x '
                f'{config.image_height}; resize them, with their intrinsics, or use another profile'
            )

    def _warm_up(self) -> None:
        """Compile the kernels, or load them from the cache, before the first frame comes."""
        self.make(Frame(0, None, LidarPoints(np.zeros((1, 5), np.float32)), None))


def se2_of(base_link_now_se3_before: Array) -> F32:
    """(3, 3) float32 motion in the plane that takes points of the earlier base_link to the present one [m]."""
    yaw_rad = yaw_of(base_link_now_se3_before)
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    x_m, y_m = base_link_now_se3_before[:2, 3]
    return np.array([[cos, -sin, x_m], [sin, cos, y_m], [0.0, 0.0, 1.0]], np.float32)


@njit(cache=True, nogil=True)
def _any_finite(points_n5):  # type: ignore[no-untyped-def]
    i, num = 0, points_n5.shape[0]
    while i < num and not np.isfinite(points_n5[i]).all():
        i += 1
    return i < num  # the first good point ends the search


@njit(cache=True, nogil=True)
def _normalise(images_nhw3, valid_n, table_256, holds_image_n, out_n3hw):  # type: ignore[no-untyped-def]
    """Fill the images of the valid cameras, and clear those of others that hold one."""
    for camera in range(out_n3hw.shape[0]):
        if valid_n[camera]:
            for row in range(images_nhw3.shape[1]):
                for channel in range(3):
                    for column in range(images_nhw3.shape[2]):
                        value = table_256[images_nhw3[camera, row, column, channel]]
                        out_n3hw[camera, channel, row, column] = value
        elif holds_image_n[camera]:
            out_n3hw[camera] = 0.0
        holds_image_n[camera] = valid_n[camera]
