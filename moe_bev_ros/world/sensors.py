"""What the sensors of a rig measure in a scene: images and a sweep, on a few threads.

The kernels release the GIL, so plain threads share the cameras and the LiDAR between them. Results do not depend on how many.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.camera import PINHOLE
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world import imaging
from moe_bev_ros.world.conditions import Condition
from moe_bev_ros.world.fisheye import Face, LensMap
from moe_bev_ros.world.ground import Ground
from moe_bev_ros.world.lamps import headlights, street_lamps
from moe_bev_ros.world.lidar import LidarLimits, cast_sweep, collect_points
from moe_bev_ros.world.parts import PartTables
from moe_bev_ros.world.render import cast_ground, cast_parts, count_pixels
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scene import Prop, Scene
from moe_bev_ros.world.shading import GroundMaps, shade_image
from moe_bev_ros.world.shadows import cast_lamplight, cast_shadows, in_shadow
from moe_bev_ros.world.weather import LOW_SUN_RAD, WET, air_row, lidar_weather

SHADOW_CELL_M, LAMPLIGHT_CELL_M = 0.2, 0.5
MAX_ACTOR_SPEED_MPS = 15.0
View = tuple[Array, Array, Array]  # place and rotation of a camera in map; fx, fy, cx, cy [pixels]
SHARE_WIDTH = 352  # columns of the images in which visible shares are counted


@dataclass(frozen=True)
class Sensed:
    """What all sensors give at one instant.

    Attributes:
        images_nhw3: (N, H, W, 3) uint8 RGB, in the rig's order.
        depth_nhw: (N, H, W) float32 along the optical axis [m]; 1e9 for the sky.
        points_n6: (M, 6) float32 in the order of firing: x, y, z [m, in the LiDAR's frame at the time of firing], intensity
            [0..1], ring, time relative to the stamp [s] (<= 0).
        owners_n: (M,) int64: track id of the actor that a point lies on; 0: none.
    """

    images_nhw3: NDArray[np.uint8]
    depth_nhw: NDArray[np.float32]
    points_n6: NDArray[np.float32]
    owners_n: NDArray[np.int64]


@dataclass(frozen=True)
class Instant:
    """A scene as the kernels read it.

    Attributes:
        parts_pk: props, lights, actors; ``actor_p`` is the index of each part's actor, -1: none.
        num_static: parts of props and lights.
        poses_k44: map_se3_base_link at ``times_k`` [s]; the last is now.
        motion_6: of base_link in its own frame: velocity [m/s], turn rate [rad/s].
    """

    parts_pk: Array
    actor_p: NDArray[np.int64]
    num_static: int
    maps: GroundMaps
    times_k: Array
    poses_k44: Array

    @property
    def motion_6(self) -> Array:
        """How base_link moves and turns, see above."""
        before, now, dt = self.poses_k44[-2], self.poses_k44[-1], self.times_k[-1] - self.times_k[-2]
        turn = now[:3, :3].T @ (now[:3, :3] - before[:3, :3]) / dt
        return np.array([*(now[:3, :3].T @ (now[:3, 3] - before[:3, 3]) / dt), turn[2, 1], turn[0, 2], turn[1, 0]])


@dataclass(frozen=True)
class SweepPlan:
    """When and whither a LiDAR fires; see `lidar.cast_sweep`."""

    firings_c10: Array
    tangents_b: NDArray[np.float32]
    rotation_33: Array
    slack_m: float
    slack_rad: float
    limits: LidarLimits


_Cast = tuple[SweepPlan, NDArray[np.float32], NDArray[np.int32]]  # distances along the floor, and parts


@dataclass(frozen=True)
class _Scratch:
    """Room for one image in the making, kept: fresh memory costs more than the work in it."""

    ids_hw: NDArray[np.int32]
    light_3hw: NDArray[np.float32]
    blurred_3hw: NDArray[np.float32]

    @staticmethod
    def of_size(height: int, width: int) -> _Scratch:
        light_3hw = np.zeros((3, height, width), np.float32)
        return _Scratch(np.zeros((height, width), np.int32), light_3hw, light_3hw.copy())


class SensorSuite:
    """Renders one world; keeps what does not change from frame to frame."""

    def __init__(self, rig: Rig, ground: Ground, props: Sequence[Prop], condition: Condition, threads: int = 2) -> None:
        self.rig = rig
        self.condition, self.air_k = condition, air_row(condition)
        self._terrain = ground.terrain
        self._tables = PartTables(props, ground.terrain)
        self.maps = self._static_maps(ground, props)
        self._tangents_b = np.tan(np.array(rig.lidar.elevations_rad)).astype(np.float32)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix='sensors')
        cameras = [camera.model(rig.image_width, rig.image_height) for camera in rig.cameras]
        self._lens_maps = [None if camera.distortion == PINHOLE else LensMap(camera) for camera in cameras]
        self._scratch: SimpleQueue[_Scratch] = SimpleQueue()
        for _ in range(threads):
            self._scratch.put(_Scratch.of_size(rig.image_height, rig.image_width))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def sense(self, scene: Scene, history_k4: Array, seed: int) -> Sensed:
        """Images at the last pose of the history, and the sweep that ends there.

        Args:
            history_k4: (K, 4) rising times relative to the stamp (last: 0) [s], and x, y, yaw of base_link in map then.
                K is at least 2.
            seed: of this frame's noise.
        """
        rig = self.rig
        instant = self.instant(scene, history_k4)
        cast = self._pool.submit(self._cast_sweep, instant, history_k4)
        self._light(scene, instant)
        shape = (len(rig.cameras), rig.image_height, rig.image_width)
        images, depth = np.empty((*shape, 3), np.uint8), np.empty(shape, np.float32)
        jobs = [
            self._pool.submit(self._image, instant, index, seed * 64 + index, depth[index], images[index])
            for index in range(len(rig.cameras))
        ]
        points = self._pool.submit(
            self._collect, scene, instant, cast, seed
        )  # a short job comes last, so that threads end together
        for job in jobs:
            job.result()
        return Sensed(images, depth, *points.result())

    def visible_shares(self, scene: Scene, map_se3_base_link: Array) -> dict[int, float]:
        """How much of each actor the cameras see: pixels seen / pixels that it would cover alone, over all cameras.

        Args:
            map_se3_base_link: (4, 4).

        Returns:
            By track id; actors that no image could show are left out.
        """
        parts_pk, actor_p = self._parts(scene)
        seen_n, alone_n = np.zeros(len(scene.actors), np.int64), np.zeros(len(scene.actors), np.int64)
        width = min(self.rig.image_width, SHARE_WIDTH)
        height = round(self.rig.image_height * width / self.rig.image_width)
        depth_hw, ids_hw = np.empty((height, width), np.float32), np.empty((height, width), np.int32)
        for index in range(len(self.rig.cameras)):
            self._count(index, map_se3_base_link, parts_pk, actor_p, depth_hw, ids_hw, seen_n, alone_n)
        return {actor.track_id: seen_n[i] / alone_n[i] for i, actor in enumerate(scene.actors) if alone_n[i] > 0}

    def _count(
        self, index: int, map_se3_base_link: Array, parts_pk: Array, actor_p: NDArray[np.int64],
        depth_hw: NDArray[np.float32], ids_hw: NDArray[np.int32], seen_n: NDArray[np.int64], alone_n: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Add one camera's pixels; a fisheye's are counted in the views that it is made from."""
        height, width = depth_hw.shape
        origin_3, rotation_33, pinhole_4 = self.view(map_se3_base_link, index, width, height)
        lens_map = self._lens_maps[index]
        if lens_map is None:
            self._cast(parts_pk, (origin_3, rotation_33, pinhole_4), depth_hw, ids_hw)
            count_pixels(parts_pk, actor_p, origin_3, rotation_33, pinhole_4, ids_hw, seen_n, alone_n)
            return
        for face in lens_map.faces:
            shape = (face.height, face.width)
            view = (origin_3, np.ascontiguousarray(rotation_33 @ face.camera_rotation_face_33), face.pinhole_4)
            ids = np.empty(shape, np.int32)
            self._cast(parts_pk, view, np.empty(shape, np.float32), ids)
            count_pixels(parts_pk, actor_p, *view, ids, seen_n, alone_n)

    def _static_maps(self, ground: Ground, props: Sequence[Prop]) -> GroundMaps:
        def empty(cell_m: float) -> NDArray[np.uint8]:
            ratio = cell_m / ground.resolution_m
            return np.zeros((int(ground.heights_l[0] / ratio), int(ground.widths_l[0] / ratio)), np.uint8)

        def frame(cell_m: float) -> Array:
            return np.array([*ground.origin_xy_m, cell_m])

        static_hw, lit_hw = empty(SHADOW_CELL_M), empty(LAMPLIGHT_CELL_M)
        cast_shadows(self._tables.static_pk, self.condition.sun_direction_3, static_hw, frame(SHADOW_CELL_M))
        if self.condition.headlights:
            cast_lamplight(street_lamps(props), lit_hw, frame(LAMPLIGHT_CELL_M))
        terrain = ground.terrain
        return GroundMaps(
            texels_p=np.ascontiguousarray(ground.texels_p4).view(np.uint32)[:, 0],
            levels_l3=np.stack([ground.starts_l, ground.heights_l, ground.widths_l], axis=1),
            frame_3=frame(ground.resolution_m),
            shadow_hw=static_hw,
            static_hw=static_hw,
            shadow_3=frame(SHADOW_CELL_M),
            lit_hw=lit_hw,
            lit_3=frame(LAMPLIGHT_CELL_M),
            flat=terrain.is_flat,
            heights_hw=np.ascontiguousarray(terrain.heights_hw, np.float32),
            heights_3=np.array([*terrain.origin_xy_m, terrain.cell_m]),
        )

    @property
    def static_pk(self) -> Array:
        """(P, K) solids of the props, with which every instant's begin."""
        return self._tables.static_pk

    def _parts(self, scene: Scene) -> tuple[Array, NDArray[np.int64]]:
        actors_pk, actor_p = self._tables.actors(scene.actors)
        parts_pk = np.concatenate([self._tables.static_pk, self._tables.lights(scene.lights), actors_pk])
        return parts_pk, np.concatenate([np.full(len(parts_pk) - len(actor_p), -1), actor_p])

    def instant(self, scene: Scene, history_k4: Array) -> Instant:
        """Flatten a scene; see `sense`. Light of what moves is not yet in the maps."""
        parts_pk, actor_p = self._parts(scene)
        lit_hw = self.maps.lit_hw.copy() if self.condition.headlights else self.maps.lit_hw
        maps = self.maps._replace(shadow_hw=self.maps.static_hw.copy(), lit_hw=lit_hw)
        poses_k44 = np.stack([self._terrain.pose(x, y, yaw) for x, y, yaw in history_k4[:, 1:]])
        return Instant(parts_pk, actor_p, int((actor_p < 0).sum()), maps, history_k4[:, 0], poses_k44)

    def _light(self, scene: Scene, instant: Instant) -> None:
        """Draw the shadows and headlights of what moves into this instant's maps."""
        maps = instant.maps
        cast_shadows(
            instant.parts_pk[len(self._tables.static_pk) :], self.condition.sun_direction_3, maps.shadow_hw, maps.shadow_3
        )
        if self.condition.headlights:
            cast_lamplight(headlights(scene.actors, instant.poses_k44[-1]), maps.lit_hw, maps.lit_3)

    def view(self, map_se3_base_link: Array, index: int, width: int, height: int) -> View:
        """Place and rotation of a camera in map, and fx, fy, cx, cy."""
        camera = self.rig.cameras[index]
        pose, k = map_se3_base_link @ camera.base_link_se3_camera, camera.intrinsics_33(width, height)
        return pose[:3, 3].copy(), pose[:3, :3].copy(), np.array([k[0, 0], k[1, 1], k[0, 2], k[1, 2]])

    def _cast(self, parts_pk: Array, view: View, depth_hw: NDArray[np.float32], ids_hw: NDArray[np.int32]) -> None:
        cast_ground(*view, self.maps.flat, self.maps.heights_hw, self.maps.heights_3, depth_hw)
        cast_parts(parts_pk, *view, depth_hw, ids_hw)

    def _image(
        self, instant: Instant, index: int, seed: int, depth_hw: NDArray[np.float32], image_hw3: NDArray[np.uint8]
    ) -> None:
        """Draw a camera; a fisheye from several views, exposed alike."""
        height, width = depth_hw.shape
        origin_3, rotation_33, pinhole_4 = self.view(instant.poses_k44[-1], index, width, height)
        lens_map, scratch = self._lens_maps[index], self._scratch.get()
        if lens_map is None:
            view = (origin_3, rotation_33, pinhole_4)
            light_3hw = self._look(instant, index, seed, view, depth_hw, scratch.ids_hw, scratch)
            gain = imaging.exposure_gain(light_3hw)
            imaging.develop(light_3hw, gain, imaging.VIGNETTE, self.condition.noise, seed, image_hw3)
        else:
            gains: list[float] = []

            def draw(
                face: Face, depth_hw: NDArray[np.float32], ids_hw: NDArray[np.int32], image_hw3: NDArray[np.uint8]
            ) -> None:
                view = (origin_3, np.ascontiguousarray(rotation_33 @ face.camera_rotation_face_33), face.pinhole_4)
                light_3hw = self._look(instant, index, seed, view, depth_hw, ids_hw, _Scratch.of_size(*depth_hw.shape))
                gains.append(imaging.exposure_gain(light_3hw))
                imaging.develop(light_3hw, gains[0], 0.0, self.condition.noise, seed + len(gains), image_hw3)

            lens_map.render(draw, depth_hw, scratch.ids_hw, image_hw3)
        self._scratch.put(scratch)

    def _look(
        self, instant: Instant, index: int, seed: int, view: View, depth_hw: NDArray[np.float32],
        ids_hw: NDArray[np.int32], scratch: _Scratch,
    ) -> NDArray[np.float32]:  # fmt: skip
        """Light that a pinhole view collects while the shutter is open."""
        condition, air_k, light_3hw = self.condition, self.air_k, scratch.light_3hw
        self._cast(instant.parts_pk, view, depth_hw, ids_hw)
        shade_image(instant.parts_pk, instant.num_static, *view, air_k, instant.maps, depth_hw, ids_hw, light_3hw)
        imaging.add_halos(instant.parts_pk, *view, air_k, depth_hw, light_3hw)
        low = condition.sun_elevation_rad < LOW_SUN_RAD
        if low and not in_shadow(instant.maps.shadow_hw, instant.maps.shadow_3, *view[0][:2]):
            imaging.add_veil(view[1], view[2], air_k, light_3hw)
        if condition.rain_mm_per_h > 0.0:
            imaging.add_streaks(condition.rain_mm_per_h, air_k, seed, light_3hw)
        moved_6 = self.shutter_motion(instant, index, view)
        if not moved_6.any():
            return light_3hw
        imaging.blur(moved_6, view[2], depth_hw, light_3hw, scratch.blurred_3hw)
        return scratch.blurred_3hw

    def shutter_motion(self, instant: Instant, index: int, view: View) -> Array:
        """(6,) way and turn of a view of a camera while its shutter is open, in its own frame; 0 where too little to blur."""
        mount_se3_view = self.rig.cameras[index].base_link_se3_camera.copy()
        mount_se3_view[:3, :3] = instant.poses_k44[-1][:3, :3].T @ view[1]
        moved_6 = _seen_from(mount_se3_view, instant.motion_6) * self.condition.exposure_s
        return moved_6 if np.abs(moved_6).max() * view[2][0] > imaging.LEAST_FLOW else np.zeros(6)

    def sweep_plan(self, instant: Instant, history_k4: Array) -> SweepPlan:
        """How the LiDAR turns up to an instant."""
        lidar = self.rig.lidar
        travelled = np.abs(history_k4[:, 1:] - history_k4[-1, 1:]).max(axis=0)
        return SweepPlan(
            firings_c10=self._firings(instant),
            tangents_b=self._tangents_b,
            rotation_33=(instant.poses_k44[-1] @ lidar.base_link_se3_lidar)[:3, :3].copy(),
            slack_m=float(np.hypot(travelled[0], travelled[1])) + MAX_ACTOR_SPEED_MPS * lidar.period_s,
            slack_rad=float(travelled[2]) + 0.02,
            limits=LidarLimits(
                lidar.range_m, lidar.range_noise_m, lidar.dropout, *lidar_weather(self.condition), float(self.air_k[WET])
            ),
        )

    def _cast_sweep(self, instant: Instant, history_k4: Array) -> _Cast:
        plan, parts_pk = self.sweep_plan(instant, history_k4), instant.parts_pk
        shape = (len(plan.firings_c10), len(plan.tangents_b))
        floor_cb, ids_cb = np.empty(shape, np.float32), np.empty(shape, np.int32)
        beams, slack = (plan.firings_c10, plan.tangents_b), (plan.slack_m, plan.slack_rad)
        cast_sweep(parts_pk, *beams, instant.maps, plan.rotation_33, *slack, plan.limits.range_m, floor_cb, ids_cb)
        return plan, floor_cb, ids_cb

    def _collect(
        self, scene: Scene, instant: Instant, cast: Future[_Cast], seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        plan, floor_cb, ids_cb = cast.result()
        tracks = np.array([*(actor.track_id for actor in scene.actors), 0], np.int64)
        points_n6, owners_n = np.empty((floor_cb.size, 6), np.float32), np.empty(floor_cb.size, np.int64)
        found = (floor_cb, ids_cb, instant.maps, plan.limits, seed, points_n6, owners_n)
        beams = (plan.firings_c10, plan.tangents_b)
        count = collect_points(instant.parts_pk, tracks[instant.actor_p], *beams, *found)
        return points_n6[:count], owners_n[:count]

    def _firings(self, instant: Instant) -> Array:
        """(C, 10) rows of the `lidar` kernels: the sensor's place and directions at each firing of the sweep."""
        lidar = self.rig.lidar
        turn_c = (np.arange(lidar.num_azimuths) + 0.5) / lidar.num_azimuths
        time_c = lidar.period_s * (turn_c - 1.0)
        poses_k44 = instant.poses_k44 @ lidar.base_link_se3_lidar
        poses_c34 = np.stack(
            [np.interp(time_c, instant.times_k, entry_k) for entry_k in poses_k44[:, :3].reshape(-1, 12).T], axis=1
        ).reshape(-1, 3, 4)
        azimuth_c1 = (np.pi - 2 * np.pi * turn_c)[:, None]
        forward_c3 = np.cos(azimuth_c1) * poses_c34[:, :, 0] + np.sin(azimuth_c1) * poses_c34[:, :, 1]
        return np.concatenate([poses_c34[:, :, 3], forward_c3, poses_c34[:, :, 2], time_c[:, None]], axis=1)


def _seen_from(base_link_se3_camera: Array, motion_6: Array) -> Array:
    """Velocity and turn rate of a camera in its own frame, from those of base_link."""
    camera_rotation_base_link = base_link_se3_camera[:3, :3].T
    velocity_3 = motion_6[:3] + np.cross(motion_6[3:], base_link_se3_camera[:3, 3])
    return np.concatenate([camera_rotation_base_link @ velocity_3, camera_rotation_base_link @ motion_6[3:]])
