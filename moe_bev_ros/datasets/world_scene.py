"""Writes one scene of the world into a nuScenes tree.

Sweeps are stored as nuScenes stores them: every point moved to where the LiDAR sees it from at the sweep's stamp, which here is
the stamp of the images too. Boxes of all road users within ANNOTATED_M are annotated, also of those that nothing shows; the
official evaluation leaves out what lies beyond its class ranges and what holds no point.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, inverse, transform_points
from moe_bev_ros.datasets import nuscenes_tables as nt
from moe_bev_ros.datasets.compensation import compensated
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter, whole_or_nothing
from moe_bev_ros.datasets.worker_processes import check_stopped
from moe_bev_ros.datasets.world_map import map_mask, map_offset, moved_network
from moe_bev_ros.datasets.world_runs import Moment, WorldRun, num_ticks
from moe_bev_ros.world.lanelet_files import first_node, read_network, write_lanelet2
from moe_bev_ros.world.light_places import light_places
from moe_bev_ros.world.recorded_tracks import read_tracks
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import NUSCENES_RIG
from moe_bev_ros.world.scenario import Scenario, draw_scenario, map_scenario, replay_scenario
from moe_bev_ros.world.scene import Actor
from moe_bev_ros.world.splits import scenario_hash

ANNOTATED_M = 80.0
JPEG_QUALITY = 92
MOVING_MPS = 0.3
RIDDEN_M = 1.35  # a two-wheeler that is higher than this carries its rider
VEHICLES = (Label.CAR, Label.TRUCK, Label.BUS, Label.TRAILER, Label.CONSTRUCTION_VEHICLE)
START_US, US_PER_SEED = 1_500_000_000_000_000, 100_000_000  # stamps of two seeds never meet


@dataclass(frozen=True)
class SceneJob:
    """One scene to be written.

    Attributes:
        kind, condition: names; empty: drawn from the seed.
        size: width and height of the images [pixels].
        settings: of the tree.
        tracks: file of a recorded drive, which is driven instead of a kind.
        lanelet2: file of a map to drive on instead of drawn roads.
    """

    root: Path
    split: str
    seed: int
    kind: str
    condition: str
    size: tuple[int, int]
    seconds: float
    settings: dict[str, Any]
    tracks: Path | None = None
    lanelet2: Path | None = None

    @property
    def name(self) -> str:
        """Of the scene."""
        return f'world-{self.seed}' if self.tracks is None else f'world-replay-{self.tracks.stem}'

    def scenario(self) -> Scenario:
        """What shall be driven.

        Raises:
            InputError: no such kind or condition, or the file cannot be read.
        """
        if self.tracks is not None:
            return replay_scenario(read_tracks(self.tracks), self.seed, condition=self.condition)
        if self.lanelet2 is not None:
            return map_scenario(read_network(self.lanelet2, first_node(self.lanelet2)), self.seed, condition=self.condition)
        return draw_scenario(self.seed, kind=self.kind, condition=self.condition)

    @property
    def rig(self) -> Rig:
        """nuScenes' sensors."""
        return replace(NUSCENES_RIG, image_width=self.size[0], image_height=self.size[1])


def write_scene(job: SceneJob) -> int:
    """Drive, render and write; returns the number of frames. What is broken off leaves nothing that counts.

    Raises:
        InputError: a file cannot be written.
        StoppedError: the job was told to stop.
    """
    writer = TreeWriter(job.root, job.settings)
    with whole_or_nothing(writer, job.name):
        run = WorldRun(job.scenario(), job.rig)
        try:
            scene = _Scene(job, writer, run)
            for moment in run.drive(num_ticks(job.seconds)):
                check_stopped()
                scene.add(moment)
            scene.finish()
        finally:
            run.close()
    return num_ticks(job.seconds)


class _Scene:
    """Collects the rows of a scene while it is driven."""

    def __init__(self, job: SceneJob, writer: TreeWriter, run: WorldRun) -> None:
        self.job, self.writer, self.run = job, writer, run
        scenario = run.scenario
        self.offset_3: Array = np.array([*map_offset(scenario.network), 0.0])
        words = f'{scenario.kind}, {scenario.scene.condition.name}, {scenario.style}'
        self.rows = nt.SceneRows(job.name, words, job.name, f'maps/{job.name}.png', vehicle='simulated')
        self.shares: dict[str, float] = {}
        self.lights: dict[str, list[dict[str, Any]]] = {}
        self.never_moved = {actor.track_id for actor in run.actors}
        self._boxes: list[tuple[str, Actor, nt.Annotation]] = []
        self._add_sensors()

    def add(self, moment: Moment) -> None:
        """Write what was measured, and remember what was true."""
        stamp_us = self._stamp_us(moment)
        sample = self.rows.add_sample(stamp_us) if moment.is_keyframe else ''
        pose = self._moved(moment.ego.odom_se3_base_link)
        for camera, image_hw3 in zip(self.job.rig.cameras, moment.sensed.images_nhw3):
            self._add_file(camera.name, stamp_us, encode_jpeg(image_hw3), pose, sample)
        points_n5 = stored_points(moment, self.job.rig)
        self._add_file(nt.LIDAR, stamp_us, points_n5.tobytes(), pose, sample)
        self.never_moved -= {actor.track_id for actor in moment.actors if actor.speed_mps > MOVING_MPS}
        if sample:
            self._add_truth(moment, sample, points_n5)

    def finish(self) -> None:
        """Write maps, annotations and what only our trees say."""
        for sample, actor, annotation in self._boxes:
            attribute = attribute_of_actor(actor, parked=actor.track_id in self.never_moved)
            token = self.rows.add_annotation(sample, replace(annotation, attribute=attribute))
            self.shares[token] = round(annotation.visible_share, 4)
        network, name = self.run.scenario.network, self.job.name
        mask_hw = map_mask(network, self.offset_3[:2])
        self.writer.write_data(f'maps/{name}.png', bytes(cv2.imencode('.png', mask_hw)[1].tobytes()))
        lights, terrain = self.run.scenario.scene.lights, self.run.scenario.terrain
        places = light_places(lights, terrain, (float(self.offset_3[0]), float(self.offset_3[1])))
        write_lanelet2(moved_network(network, self.offset_3[:2]), self.job.root / f'maps/{name}.osm', places)
        self.writer.finish_scene(name, f'world_{self.job.split}', self.rows.rows(), self._extra())

    def _extra(self) -> dict[str, Any]:
        scenario = self.run.scenario
        return {
            'seed': scenario.seed,
            'kind': scenario.kind,
            'condition': scenario.scene.condition.name,
            'style': scenario.style,
            'scenario_hash': scenario_hash([scenario]),
            'lanelet2': f'maps/{self.job.name}.osm',
            'map_offset_xy_m': self.offset_3[:2].tolist(),
            'lights': self.lights,
            'visible_shares': self.shares,
        }

    def _add_sensors(self) -> None:
        rig = self.job.rig
        for camera in rig.cameras:
            if camera.name not in nt.CAMERAS or camera.lens.kind != 'pinhole':
                raise InputError(f'camera {camera.name}: a nuScenes tree has pinhole cameras named {", ".join(nt.CAMERAS)}')
            matrix_33 = camera.intrinsics_33(rig.image_width, rig.image_height)
            matrix_33[:2, 2] -= 0.5  # the rig counts from the edge of the first pixel, nuScenes from its centre
            self.rows.add_sensor(camera.name, camera.base_link_se3_camera, matrix_33)
        self.rows.add_sensor(nt.LIDAR, rig.lidar.base_link_se3_lidar)

    def _add_file(self, channel: str, stamp_us: int, data: bytes, pose: Array, sample: str) -> None:
        file = self.writer.data_file(self.job.name, channel, stamp_us, keyframe=bool(sample))
        self.writer.write_data(file, data)
        self.rows.add_data(channel, stamp_us, file, pose, sample, (0, 0) if channel == nt.LIDAR else self.job.size)

    def _add_truth(self, moment: Moment, sample: str, points_n5: NDArray[np.float32]) -> None:
        map_se3_lidar = self._moved(moment.ego.odom_se3_base_link) @ self.job.rig.lidar.base_link_se3_lidar
        ego_xy = moment.ego.odom_se3_base_link[:2, 3]
        shares = moment.visible_shares or {}
        for actor in moment.actors:
            if np.hypot(actor.x - ego_xy[0], actor.y - ego_xy[1]) <= ANNOTATED_M:
                box_7 = np.asarray(actor.box_7, float)
                box_7[:3] += self.offset_3
                box_7 = np.round(box_7, 6)
                inside = int(inside_box(box_7, inverse(map_se3_lidar), points_n5[:, :3]).sum())
                category = nt.CATEGORY_OF_LABEL[actor.body.label]
                annotation = nt.Annotation(str(actor.track_id), category, box_7, inside, shares.get(actor.track_id, 0.0))
                self._boxes.append((sample, actor, annotation))
        self.lights[sample] = [
            {
                'element_id': light.element_id,
                'stop_xy_m': [float(value) for value in np.array(light.stop_xy_m) + self.offset_3[:2]],
                'state': light.state.name.lower(),
            }
            for light in moment.lights
        ]

    def _moved(self, world_se3_base_link: Array) -> Array:
        pose = world_se3_base_link.copy()
        pose[:3, 3] += self.offset_3
        return pose

    def _stamp_us(self, moment: Moment) -> int:
        return START_US + self.job.seed * US_PER_SEED + moment.stamp_ns // 1000


def stored_points(moment: Moment, rig: Rig) -> NDArray[np.float32]:
    """(N, 5) x, y, z [m, LiDAR frame at the stamp], intensity [0..255], ring."""
    points_n6 = moment.sensed.points_n6
    points_n5 = points_n6[:, :5].copy()
    mount = rig.lidar.base_link_se3_lidar
    points_n5[:, :3] = compensated(points_n6[:, :3], points_n6[:, 5], moment.stamp_ns, moment.odometry, mount)
    points_n5[:, 3] = np.round(points_n5[:, 3] * 255.0)
    return points_n5


def inside_box(box_7: Array, lidar_se3_map: Array, xyz_n3: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(N,) which points of the LiDAR's frame lie in a box of the map, borders included."""
    x, y, z, length, width, height, yaw = box_7
    centre = transform_points(lidar_se3_map, np.array([[x, y, z]]))[0]
    reach = 0.5 * float(np.linalg.norm((length, width, height))) + 0.01
    near_n = (np.abs(xyz_n3[:, 0] - centre[0]) <= reach) & (np.abs(xyz_n3[:, 1] - centre[1]) <= reach)
    map_se3_box = np.array([[np.cos(yaw), -np.sin(yaw), 0.0], [np.sin(yaw), np.cos(yaw), 0.0], [0.0, 0.0, 1.0]])
    local_n3 = (xyz_n3[near_n].astype(float) - centre) @ (lidar_se3_map[:3, :3] @ map_se3_box)
    near_n[near_n] = (np.abs(local_n3) <= 0.5 * np.array([length, width, height])).all(axis=1)
    return near_n


def encode_jpeg(image_hw3: NDArray[np.uint8]) -> bytes:
    """An RGB image as the bytes of a JPEG file."""
    bgr = cv2.cvtColor(image_hw3, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes())


def attribute_of_actor(actor: Actor, *, parked: bool) -> str:
    """nuScenes' name for what it does; empty for what has none.

    Args:
        parked: it never moves.
    """
    label, moving = actor.body.label, actor.speed_mps > MOVING_MPS
    if label is Label.PEDESTRIAN:
        return nt.PEDESTRIAN_MOVING if moving else nt.PEDESTRIAN_STANDING
    if label in (Label.MOTORCYCLE, Label.BICYCLE):
        return nt.CYCLE_WITH_RIDER if actor.body.size_3[2] > RIDDEN_M else nt.CYCLE_WITHOUT_RIDER
    if label in VEHICLES:
        return nt.VEHICLE_MOVING if moving else nt.VEHICLE_PARKED if parked else nt.VEHICLE_STOPPED
    return ''
