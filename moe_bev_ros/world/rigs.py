"""Rigs of real vehicles: nuScenes' own, read or remembered, random ones around one, and one of four fisheyes.

nuScenes' ego frame is base_link: the middle of the rear axle, on the ground.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array, se3_from_quaternion
from moe_bev_ros.world.rig import BODY_SE3_OPTICAL, HDL_32E_RAD, HDL_64E_RAD, CameraMount, Lens, LidarMount, Rig
from moe_bev_ros.world.scene import Triple

CHANNELS = ('CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_BACK_RIGHT', 'CAM_BACK', 'CAM_BACK_LEFT', 'CAM_FRONT_LEFT')
LIDAR_CHANNEL = 'LIDAR_TOP'
NATIVE_WIDTH, NATIVE_HEIGHT = 1600, 900
FIRINGS_PER_TURN = 1084  # rows of 32 beams in a recorded sweep; the sensor spins at 20 Hz, the world's at 10 Hz


def pixel_lens(fx: float, fy: float, cx: float, cy: float) -> Lens:
    """The lens of a nuScenes camera, from the intrinsics of its 1600 x 900 image [pixels]; whole numbers are pixel centres."""
    centre = ((cx + 0.5) / NATIVE_WIDTH, (NATIVE_HEIGHT - cy - 0.5) / NATIVE_WIDTH)
    return Lens((fx / NATIVE_WIDTH, fy / NATIVE_WIDTH), centre)


def _camera(name: str, xyz_3: Triple, yaw_pitch_roll_deg: Triple, focal: float, cx: float, cy: float) -> CameraMount:
    yaw, pitch, roll = yaw_pitch_roll_deg
    return CameraMount(name, xyz_3, yaw, pixel_lens(focal, focal, cx, cy), pitch, roll)


# Rounded from table calibrated_sensor of nuScenes v1.0 (www.nuscenes.org), the car that drove scene-0103.
NUSCENES_RIG = Rig(
    (
        _camera('CAM_FRONT', (1.72, 0.0, 1.50), (0.6, -0.5, 0.7), 1253.0, 827.0, 470.0),
        _camera('CAM_FRONT_RIGHT', (1.58, -0.50, 1.52), (-57.6, -0.3, 0.9), 1257.0, 818.0, 452.0),
        _camera('CAM_BACK_RIGHT', (1.06, -0.47, 1.55), (-112.5, -0.7, 0.1), 1250.0, 825.0, 462.0),
        _camera('CAM_BACK', (0.06, 0.01, 1.57), (179.5, -0.4, -0.6), 797.0, 858.0, 477.0),
        _camera('CAM_BACK_LEFT', (1.05, 0.48, 1.56), (108.6, -1.2, 0.1), 1255.0, 830.0, 467.0),
        _camera('CAM_FRONT_LEFT', (1.58, 0.50, 1.51), (55.3, -1.0, 0.2), 1258.0, 827.0, 451.0),
    ),
    LidarMount(LIDAR_CHANNEL, (0.98, 0.0, 1.84), num_azimuths=FIRINGS_PER_TURN, yaw_deg=-90.0, pitch_deg=0.2, roll_deg=-2.0),
)

# Four equidistant fisheyes around the body, 4 : 3, whose image circle (168 degrees) is as wide as the image.
_FISHEYE = Lens((0.34, 0.34), (0.5, 0.375), 'fisheye', (0.0, 0.0, 0.0, 0.0))
FISHEYE_RIG = Rig(
    (
        CameraMount('CAM_FRONT', (3.7, 0.0, 0.7), 0.0, _FISHEYE, pitch_deg=15.0),
        CameraMount('CAM_LEFT', (1.9, 1.0, 1.0), 90.0, _FISHEYE, pitch_deg=25.0),
        CameraMount('CAM_BACK', (-1.0, 0.0, 0.9), 180.0, _FISHEYE, pitch_deg=15.0),
        CameraMount('CAM_RIGHT', (1.9, -1.0, 1.0), -90.0, _FISHEYE, pitch_deg=25.0),
    ),
    LidarMount(),
    320,
    240,
)


def random_rig(rng: np.random.Generator, around: Rig = NUSCENES_RIG) -> Rig:
    """A rig as another vehicle of that kind would have it.

    Sensors move by some centimetres and turn by some degrees, all rise or sink together by decimetres, lenses are some per cent
    longer or shorter, and the LiDAR has 32 or 64 beams.
    """
    lift_m = float(rng.normal(0.0, 0.12))
    cameras = tuple(_moved_camera(camera, rng, lift_m) for camera in around.cameras)
    roll, pitch, yaw = rng.normal(0.0, (0.5, 0.5, 0.5))
    lidar = replace(
        around.lidar,
        xyz_3=_moved(around.lidar.xyz_3, rng, lift_m),
        roll_deg=around.lidar.roll_deg + float(roll),
        pitch_deg=around.lidar.pitch_deg + float(pitch),
        yaw_deg=around.lidar.yaw_deg + float(yaw),
        elevations_rad=HDL_64E_RAD if rng.random() < 0.5 else HDL_32E_RAD,
    )
    return replace(around, cameras=cameras, lidar=lidar)


def _moved(xyz_3: Triple, rng: np.random.Generator, lift_m: float) -> Triple:
    x, y, z = xyz_3 + rng.normal(0.0, 0.04, 3)
    return float(x), float(y), float(z) + lift_m


def _moved_camera(camera: CameraMount, rng: np.random.Generator, lift_m: float) -> CameraMount:
    roll, pitch, yaw = rng.normal(0.0, (0.7, 1.0, 1.5))
    zoom = float(np.exp(rng.normal(0.0, 0.05)))
    lens = replace(camera.lens, focal_2=(camera.lens.focal_2[0] * zoom, camera.lens.focal_2[1] * zoom))
    return replace(
        camera,
        xyz_3=_moved(camera.xyz_3, rng, lift_m),
        yaw_deg=camera.yaw_deg + float(yaw),
        lens=lens,
        pitch_deg=camera.pitch_deg + float(pitch),
        roll_deg=camera.roll_deg + float(roll),
    )


def rigs_from_nuscenes(folder: Path, image_width: int = 352, image_height: int = 128) -> tuple[Rig, ...]:
    """The different rigs of nuScenes' tables `sensor.json` and `calibrated_sensor.json`, in their order.

    Raises:
        InputError: a table is missing or broken, a sensor is missing, or an intrinsic matrix is singular.
    """
    path = folder / 'calibrated_sensor.json'
    channels = {row['token']: row['channel'] for row in _table(folder / 'sensor.json', ('token', 'channel'))}
    rigs: dict[Rig, None] = {}
    for rows in _by_vehicle(_table(path, ('sensor_token', 'translation', 'rotation', 'camera_intrinsic')), channels):
        missing = [channel for channel in (*CHANNELS, LIDAR_CHANNEL) if channel not in rows]
        if missing:
            raise InputError(f'{path}: a rig without {", ".join(missing)}; take the tables of a whole nuScenes release')
        cameras = tuple(_read_camera(path, channel, rows[channel]) for channel in CHANNELS)
        rigs[Rig(cameras, _read_lidar(rows[LIDAR_CHANNEL]), image_width, image_height)] = None
    return tuple(rigs)


def _table(path: Path, wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f'{path}: {error.strerror}; give the folder of a nuScenes version, which holds this table') from None
    except ValueError as error:
        raise InputError(f'{path} is no JSON ({error}); download the table again') from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) and row.keys() >= set(wanted) for row in rows):
        raise InputError(f'{path}: each row must have {", ".join(wanted)}; take the table of a nuScenes v1.0 release')
    return rows


def _by_vehicle(rows: list[dict[str, Any]], channels: dict[str, str]) -> Iterator[dict[str, dict[str, Any]]]:
    """Rows by channel, one rig at a time: the table lists all sensors of a drive, then those of the next one."""
    rig: dict[str, dict[str, Any]] = {}
    for row in rows:
        channel = channels.get(row['sensor_token'], '')
        if channel in rig:
            yield rig
            rig = {}
        rig[channel] = row
    yield rig


def _angles_deg(rotation_33: Array) -> Triple:
    roll, pitch, yaw = Rotation.from_matrix(rotation_33).as_euler('xyz', degrees=True)
    return float(yaw), float(pitch), float(roll)


def _pose(row: dict[str, Any]) -> tuple[Triple, Array]:
    w, x, y, z = row['rotation']
    pose = se3_from_quaternion(row['translation'], (x, y, z, w))
    return (float(pose[0, 3]), float(pose[1, 3]), float(pose[2, 3])), pose[:3, :3]


def _read_camera(path: Path, channel: str, row: dict[str, Any]) -> CameraMount:
    k = np.array(row['camera_intrinsic'], float)
    if k.shape != (3, 3) or not np.all(np.isfinite(k)) or abs(np.linalg.det(k)) < 1e-9:
        raise InputError(
            f'{path}: the intrinsic matrix of {channel} is singular ({k.tolist()}); '
            'put the calibrated matrix in its row, or take the table of a nuScenes release'
        )
    xyz_3, rotation = _pose(row)
    yaw, pitch, roll = _angles_deg(rotation @ BODY_SE3_OPTICAL[:3, :3].T)
    lens = pixel_lens(float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2]))
    return CameraMount(channel, xyz_3, yaw, lens, pitch, roll)


def _read_lidar(row: dict[str, Any]) -> LidarMount:
    xyz_3, rotation = _pose(row)
    yaw, pitch, roll = _angles_deg(rotation)
    return LidarMount(
        LIDAR_CHANNEL, xyz_3, num_azimuths=FIRINGS_PER_TURN, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll
    )  # fmt: skip
