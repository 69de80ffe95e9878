"""A small nuScenes tree without a world: two cameras and a LiDAR at 10 Hz for 1.5 s, and one car ahead that drives off."""

from pathlib import Path

import cv2
import numpy as np

from moe_bev_ros.core.se3 import se3_from_xy_yaw, se3_from_xyz_rpy
from moe_bev_ros.datasets import nuscenes_tables as nt
from moe_bev_ros.datasets.frames_to_tree import blank_map
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.world.rig import BODY_SE3_OPTICAL

START_US, STEP_US, TICKS = 1_600_000_000_000_000, 100_000, 16
SIZE = (96, 64)
SPEED_MPS, CAR_MPS = 5.0, 8.0
MATRIX_33 = np.array([[80.0, 0.0, 47.5], [0.0, 80.0, 31.5], [0.0, 0.0, 1.0]])
LIDAR_MOUNT = se3_from_xyz_rpy(0.9, 0.0, 1.8, 0.0, 0.0, -np.pi / 2)
SETTINGS = {'source': 'test'}


def ego_pose(tick):
    return se3_from_xy_yaw(100.0 + SPEED_MPS * 0.1 * tick, 50.0, 0.0)


def car_box(tick):
    return np.array([120.0 + CAR_MPS * 0.1 * tick, 51.0, 0.8, 4.5, 1.9, 1.6, 0.0])


def write_small_tree(root: Path, name: str = 'world-1000000', split: str = 'world_val', lights: bool = False) -> Path:
    writer = TreeWriter(root, SETTINGS)
    rows = nt.SceneRows(name, 'small', name, f'maps/{name}.png')
    writer.write_data(f'maps/{name}.png', blank_map())
    for camera, yaw in (('CAM_FRONT', 0.0), ('CAM_BACK', np.pi)):
        rows.add_sensor(camera, se3_from_xyz_rpy(1.5, 0.0, 1.5, 0.0, 0.0, yaw) @ BODY_SE3_OPTICAL, MATRIX_33)
    rows.add_sensor(nt.LIDAR, LIDAR_MOUNT)
    rng, states = np.random.default_rng(1), {}
    for tick in range(TICKS):
        stamp_us = START_US + tick * STEP_US
        sample = rows.add_sample(stamp_us) if tick % 5 == 0 else ''
        for camera in ('CAM_FRONT', 'CAM_BACK'):
            image = cv2.resize(rng.integers(0, 255, (4, 6, 3), np.uint8), SIZE)
            _add(writer, rows, camera, stamp_us, cv2.imencode('.jpg', image)[1].tobytes(), tick, sample)
        points = np.column_stack([rng.uniform(-30, 30, (500, 3)), rng.integers(0, 256, 500), rng.integers(0, 32, 500)])
        _add(writer, rows, nt.LIDAR, stamp_us, points.astype(np.float32).tobytes(), tick, sample)
        if sample:
            rows.add_annotation(sample, nt.Annotation('7', 'vehicle.car', car_box(tick), 3, 0.5, nt.VEHICLE_MOVING))
            states[sample] = [{'element_id': 9, 'stop_xy_m': [130.0, 50.0], 'state': 'red'}]
    writer.finish_scene(name, split, rows.rows(), {'lights': states} if lights else {})
    writer.merge()
    return root


def _add(writer, rows, channel, stamp_us, data, tick, sample):
    file = writer.data_file(rows.name, channel, stamp_us, keyframe=bool(sample))
    writer.write_data(file, data)
    rows.add_data(channel, stamp_us, file, ego_pose(tick), sample, (0, 0) if channel == nt.LIDAR else SIZE)
