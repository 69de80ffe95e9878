"""What the sensors of a rig measure in a scene: six images and a sweep, on a few threads.

The kernels release the GIL, so plain threads share the cameras and the LiDAR between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array, se3_from_xy_yaw
from moe_bev_ros.world.conditions import Condition
from moe_bev_ros.world.ground import Ground
from moe_bev_ros.world.lidar import cast_sweep, collect_points
from moe_bev_ros.world.parts import PartTables
from moe_bev_ros.world.render import cast_image, cast_shadows, shade_image
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scene import Prop, Scene

SHADOW_CELL_M = 0.2
MAX_ACTOR_SPEED_MPS = 15.0


@dataclass(frozen=True)
class Sensed:
    """What all sensors give at one instant.

    Attributes:
        images_nhw3: (N, H, W, 3) uint8 RGB, in the rig's order.
        depth_nhw: (N, H, W) float32 along the optical axis [m]; 1e9 for the sky.
        points_n6: (M, 6) float32 in the order of firing: x, y, z [m, in the LiDAR's frame at the time of firing], intensity
            [0..1], ring, time relative to the stamp [s] (<= 0).
    """

    images_nhw3: NDArray[np.uint8]
    depth_nhw: NDArray[np.float32]
    points_n6: NDArray[np.float32]


class SensorSuite:
    """Renders one world; keeps what does not change from frame to frame."""

    def __init__(self, rig: Rig, ground: Ground, props: Sequence[Prop], condition: Condition, threads: int = 2) -> None:
        self.rig = rig
        self._tables = PartTables(props)
        self._sun_3 = condition.sun_direction_3
        self._texels_p4 = ground.texels_p4
        self._levels_l3 = np.stack([ground.starts_l, ground.heights_l, ground.widths_l], axis=1)
        self._frame_3 = np.array([*ground.origin_xy_m, ground.resolution_m])
        self._shadow_3 = np.array([*ground.origin_xy_m, SHADOW_CELL_M])
        ratio = SHADOW_CELL_M / ground.resolution_m
        self._static_shadow_hw = np.zeros((int(ground.heights_l[0] / ratio), int(ground.widths_l[0] / ratio)), np.uint8)
        cast_shadows(self._tables.static_pk, self._sun_3, self._static_shadow_hw, self._shadow_3)
        self._tangents_b = np.tan(np.array(rig.lidar.elevations_rad))
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix='sensors')

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def sense(self, scene: Scene, history_k4: Array, seed: int) -> Sensed:
        """Images at the last pose of the history, and the sweep that ends there.

        Args:
            history_k4: (K, 4) rising times relative to the stamp (last: 0) [s], and x, y, yaw of base_link in map then.
            seed: of this frame's noise.
        """
        rig = self.rig
        parts_pk = np.concatenate(
            [self._tables.static_pk, self._tables.lights(scene.lights), self._tables.actors(scene.actors)]
        )
        sweep = self._pool.submit(self._sweep, parts_pk, history_k4, seed)
        shadow_hw = self._static_shadow_hw.copy()
        cast_shadows(parts_pk[len(self._tables.static_pk) :], self._sun_3, shadow_hw, self._shadow_3)
        shape = (len(rig.cameras), rig.image_height, rig.image_width)
        images, depth = np.empty((*shape, 3), np.uint8), np.empty(shape, np.float32)
        map_se3_base_link = se3_from_xy_yaw(*history_k4[-1, 1:])
        jobs = [
            self._pool.submit(self._image, parts_pk, shadow_hw, map_se3_base_link, index, depth[index], images[index])
            for index in range(len(rig.cameras))
        ]
        for job in jobs:
            job.result()
        return Sensed(images, depth, sweep.result())

    def _image(
        self, parts_pk: Array, shadow_hw: NDArray[np.uint8], map_se3_base_link: Array, index: int,
        depth_hw: NDArray[np.float32], image_hw3: NDArray[np.uint8],
    ) -> None:  # fmt: skip
        camera = self.rig.cameras[index]
        pose = map_se3_base_link @ camera.base_link_se3_camera
        k = camera.intrinsics_33(self.rig.image_width, self.rig.image_height)
        view = (parts_pk, pose[:3, 3].copy(), pose[:3, :3].copy(), np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2]]))
        ids_hw = np.empty(depth_hw.shape, np.int32)
        cast_image(*view, depth_hw, ids_hw)
        surface = (self._texels_p4, self._levels_l3, self._frame_3, shadow_hw, self._shadow_3)
        shade_image(*view, self._sun_3, depth_hw, ids_hw, *surface, image_hw3)

    def _sweep(self, parts_pk: Array, history_k4: Array, seed: int) -> NDArray[np.float32]:
        lidar = self.rig.lidar
        firings_c6 = self._firings(history_k4)
        shape = (lidar.num_azimuths, len(lidar.elevations_rad))
        ranges, ids = np.empty(shape, np.float32), np.empty(shape, np.int32)
        travelled = np.abs(history_k4[:, 1:] - history_k4[-1, 1:]).max(axis=0)
        slack_m = float(np.hypot(travelled[0], travelled[1])) + MAX_ACTOR_SPEED_MPS * lidar.period_s
        slack_rad = float(travelled[2]) + 0.02
        yaw = float(history_k4[-1, 3])
        cast_sweep(parts_pk, firings_c6, self._tangents_b, yaw, slack_m, slack_rad, lidar.range_m, ranges, ids)
        points_n6 = np.empty((ranges.size, 6), np.float32)
        limits_3 = np.array([lidar.range_m, lidar.range_noise_m, lidar.dropout])
        ground = (self._texels_p4, self._levels_l3[0, 1:], self._frame_3)
        count = collect_points(parts_pk, firings_c6, self._tangents_b, ranges, ids, *ground, limits_3, seed, points_n6)
        return points_n6[:count]

    def _firings(self, history_k4: Array) -> Array:
        """(C, 6) rows of the `lidar` kernels: the sensor's place and direction at each firing of the sweep."""
        lidar = self.rig.lidar
        turn_c = (np.arange(lidar.num_azimuths) + 0.5) / lidar.num_azimuths
        time_c = lidar.period_s * (turn_c - 1.0)
        x, y = (np.interp(time_c, history_k4[:, 0], history_k4[:, i]) for i in (1, 2))
        yaw = np.interp(time_c, history_k4[:, 0], np.unwrap(history_k4[:, 3]))
        mount_x, mount_y, mount_z = lidar.xyz_3
        x, y = x + np.cos(yaw) * mount_x - np.sin(yaw) * mount_y, y + np.sin(yaw) * mount_x + np.cos(yaw) * mount_y
        heading = yaw + np.pi - 2 * np.pi * turn_c
        return np.stack([x, y, np.full_like(x, mount_z), np.cos(heading), np.sin(heading), time_c], axis=1)
