"""Reads folders of recorded frames: images, clouds, calibration, ego poses and boxes, as plain values in base_link.

Two layouts are known. A folder (or its subfolders 0, 1, 2, …) with a ``frame.json`` each, made from nuScenes keyframes: 4 x 4
matrices named ``a_SE3_b``, boxes in the LiDAR's frame. And a KITTI raw drive: ``calibration.json`` beside ``00.png 00.bin …``.
KITTI gives no base_link; its sensor set-up drawing puts the Velodyne 0.76 m ahead of the rear axle and 1.73 m above the ground.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, inverse, se3_from_xyz_rpy

KITTI_BASE_LINK_SE3_LIDAR = se3_from_xyz_rpy(0.76, 0.0, 1.73, 0.0, 0.0, 0.0)
KITTI_START_NS = 1_317_000_000_000_000_000
ANCHOR_NAMES = ('CAM_FRONT', 'image_02')
LABELS = {label.name.lower(): label for label in Label if label is not Label.UNKNOWN}


@dataclass(frozen=True)
class RecordedImage:
    """One image on disk.

    Attributes:
        intrinsics_33: pinhole matrix of the image as stored [pixels]; it is already rectified.
        base_link_se3_camera: (4, 4) pose of the optical frame [m].
        map_se3_base_link: pose of the vehicle at the image's stamp; None where not recorded.
    """

    name: str
    path: Path
    stamp_ns: int
    intrinsics_33: Array
    base_link_se3_camera: Array
    map_se3_base_link: Array | None


@dataclass(frozen=True)
class RecordedCloud:
    """One LiDAR sweep on disk; ``columns`` float32 values a point: x y z intensity, then ring where there are five.

    Attributes:
        compensated: every point was moved to where it is seen from at the stamp.
    """

    name: str
    path: Path
    stamp_ns: int
    base_link_se3_lidar: Array
    map_se3_base_link: Array | None
    columns: int
    full_intensity: float
    compensated: bool = False

    def points_n5(self) -> NDArray[np.float32]:
        """(N, 5) float32: x, y, z [m, LiDAR frame], intensity [0..1], ring (-1 where not recorded).

        Raises:
            InputError: the file is missing or its size is no multiple of a point.
        """
        try:
            values = np.fromfile(self.path, np.float32)
        except OSError as err:
            raise InputError(f'{self.path}: {err.strerror}; the frame folder is not complete') from err
        if values.size % self.columns:
            raise InputError(f'{self.path}: {values.size * 4} bytes are no multiple of {self.columns * 4} a point; cut off?')
        raw = values.reshape(-1, self.columns)
        points = np.full((len(raw), 5), -1.0, np.float32)
        points[:, : self.columns] = raw
        points[:, 3] /= self.full_intensity
        return points

    def points_base_link_n5(self) -> NDArray[np.float32]:
        """The same points with x, y, z in base_link."""
        points = self.points_n5()
        pose = self.base_link_se3_lidar.astype(np.float32)
        points[:, :3] = points[:, :3] @ pose[:3, :3].T + pose[:3, 3]
        return points


@dataclass(frozen=True)
class RecordedBox:
    """One annotated road user, in base_link at the stamp of its frame.

    Attributes:
        box_7: x y z length width height [m], yaw [rad]; z at the centre.
        velocity_2: over ground, in base_link's axes [m/s]; NaN where not annotated.
    """

    label: Label
    category: str
    box_7: NDArray[np.float32]
    velocity_2: NDArray[np.float32]
    num_lidar_points: int


@dataclass(frozen=True)
class RecordedFrame:
    """Everything recorded around one keyframe; boxes are None where nothing was annotated."""

    stamp_ns: int
    images: tuple[RecordedImage, ...]
    cloud: RecordedCloud | None
    map_se3_base_link: Array | None
    boxes: tuple[RecordedBox, ...] | None


@dataclass(frozen=True)
class FrameFolder:
    """Consecutive frames of one recording, in rising stamps; ``note`` says what was not recorded but assumed."""

    path: Path
    name: str
    frames: tuple[RecordedFrame, ...]
    note: str = ''

    @property
    def has_odometry(self) -> bool:
        """Whether ego poses were recorded."""
        return any(frame.map_se3_base_link is not None for frame in self.frames)

    @property
    def camera_names(self) -> tuple[str, ...]:
        """Names of all cameras, the anchor (front) camera first."""
        names = {image.name: None for frame in self.frames for image in frame.images}
        return tuple(sorted(names, key=lambda name: name not in ANCHOR_NAMES))


def read_frames(folder: Path | str) -> FrameFolder:
    """Read a folder of recorded frames; points and pixels stay on disk until asked for.

    Raises:
        InputError: the folder, or a file in it, is not what it should be; the text names the file.
    """
    folder = Path(folder)
    if (folder / 'calibration.json').is_file():
        return _read_kitti(folder)
    if (folder / 'frame.json').is_file():
        frame = _read_keyframe(folder)
        return FrameFolder(folder, f'{folder.parent.name}-{folder.name}', (frame,))
    subfolders = sorted((path.parent for path in folder.glob('[0-9]*/frame.json')), key=lambda path: int(path.name))
    if not subfolders:
        raise InputError(f'{folder}: no frame.json, no 0/frame.json and no calibration.json; give a folder of recorded frames')
    frames = tuple(sorted((_read_keyframe(path) for path in subfolders), key=lambda frame: frame.stamp_ns))
    return FrameFolder(folder, folder.name, frames)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as err:
        raise InputError(f'{path}: {err}') from err
    if not isinstance(content, dict):
        raise InputError(f'{path}: must be a JSON object, got {type(content).__name__}')
    return content


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f'{path}: missing; the frame folder is not complete')
    return path


def _pose(value: object, path: Path, name: str) -> Array:
    pose = np.asarray(value, float)
    if pose.shape != (4, 4) or not np.all(np.isfinite(pose)):
        raise InputError(f'{path}: {name} must be a finite 4 x 4 matrix')
    return pose


def _read_keyframe(folder: Path) -> RecordedFrame:
    path = folder / 'frame.json'
    content = _read_json(path)
    try:
        map_se3_base_link = _pose(content['global_SE3_ego'], path, 'global_SE3_ego')
        base_link_se3_lidar = _pose(content['ego_SE3_lidar'], path, 'ego_SE3_lidar')
        return RecordedFrame(
            stamp_ns=int(content['stamp_us']) * 1000,
            images=tuple(_keyframe_image(name, item, path, content) for name, item in content['cameras'].items()),
            cloud=_keyframe_cloud(content, path, map_se3_base_link, base_link_se3_lidar),
            map_se3_base_link=map_se3_base_link,
            boxes=tuple(_box(item, base_link_se3_lidar) for item in content['boxes']),
        )
    except (KeyError, TypeError, ValueError) as err:
        if isinstance(err, InputError):
            raise
        raise InputError(f'{path}: {type(err).__name__}: {err}') from err


def _keyframe_image(name: str, item: dict[str, Any], path: Path, content: dict[str, Any]) -> RecordedImage:
    base_link_se3_camera = _pose(item['ego_SE3_camera'], path, f'{name}: ego_SE3_camera')
    return RecordedImage(
        name=name,
        path=_existing(path.parent / item['file']),
        stamp_ns=int(item['stamp_us']) * 1000,
        intrinsics_33=np.asarray(item['intrinsics'], float).reshape(3, 3),
        base_link_se3_camera=base_link_se3_camera,
        map_se3_base_link=_pose_at_image(name, item, path, content),
    )


def _pose_at_image(name: str, item: dict[str, Any], path: Path, content: dict[str, Any]) -> Array | None:
    """Pose of the vehicle when the image was taken; ``camera_SE3_lidar`` holds its motion until the keyframe's stamp."""
    if 'global_SE3_ego' in item:
        return _pose(item['global_SE3_ego'], path, f'{name}: global_SE3_ego')
    if 'camera_SE3_lidar' not in item:
        return None
    camera_se3_lidar = _pose(item['camera_SE3_lidar'], path, f'{name}: camera_SE3_lidar')
    then_se3_keyframe = np.asarray(item['ego_SE3_camera']) @ camera_se3_lidar @ inverse(np.asarray(content['ego_SE3_lidar']))
    return np.asarray(content['global_SE3_ego']) @ inverse(then_se3_keyframe)


def _keyframe_cloud(
    content: dict[str, Any], path: Path, map_se3_base_link: Array, base_link_se3_lidar: Array
) -> RecordedCloud | None:
    sweep = content.get('lidar_sweep')
    if sweep is not None:
        lidar_se3_sweep = _pose(sweep['lidar_SE3_sweep'], path, 'lidar_SE3_sweep')
        pose_then = map_se3_base_link @ base_link_se3_lidar @ lidar_se3_sweep @ inverse(base_link_se3_lidar)
        file, stamp_us = sweep['file'], sweep['stamp_us']
    elif content['lidar_file'] is not None:
        pose_then, file, stamp_us = map_se3_base_link, content['lidar_file'], content['stamp_us']
    else:
        return None
    file = _existing(path.parent / file)
    return RecordedCloud('LIDAR_TOP', file, int(stamp_us) * 1000, base_link_se3_lidar, pose_then, 5, 255.0)


def _box(item: dict[str, Any], base_link_se3_lidar: Array) -> RecordedBox:
    x, y, z, length, width, height, yaw = (float(value) for value in item['xyz_lwh_yaw'])
    rotation = base_link_se3_lidar[:3, :3]
    centre = rotation @ np.array([x, y, z]) + base_link_se3_lidar[:3, 3]
    heading = rotation @ np.array([np.cos(yaw), np.sin(yaw), 0.0])
    velocity = rotation @ np.array([*(float('nan') if v is None else float(v) for v in item['velocity_xy']), 0.0])
    return RecordedBox(
        label=LABELS.get(item['category'], Label.UNKNOWN),
        category=item['category'],
        box_7=np.array([*centre, length, width, height, np.arctan2(heading[1], heading[0])], np.float32),
        velocity_2=velocity[:2].astype(np.float32),
        num_lidar_points=int(item['num_lidar_pts']),
    )


def _read_kitti(folder: Path) -> FrameFolder:
    path = folder / 'calibration.json'
    content = _read_json(path)
    try:
        camera_se3_lidar = np.eye(4)
        camera_se3_lidar[:3] = np.asarray(content['velo_to_cam'], float).reshape(3, 4)
        rectified_se3_camera = np.eye(4)
        rectified_se3_camera[:3, :3] = np.asarray(content['rect'], float).reshape(3, 3)
        intrinsics_33 = np.asarray(content['P2'], float).reshape(3, 4)[:, :3].copy()
        period_ns = round(1e9 / float(content['rate_hz']))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as err:
        raise InputError(f'{path}: {type(err).__name__}: {err}') from err
    base_link_se3_camera = KITTI_BASE_LINK_SE3_LIDAR @ inverse(rectified_se3_camera @ camera_se3_lidar)
    images = sorted(folder.glob('[0-9]*.png'))
    if not images:
        raise InputError(f'{folder}: no 00.png beside calibration.json; the frame folder is not complete')
    frames = tuple(
        _kitti_frame(image, KITTI_START_NS + index * period_ns, intrinsics_33, base_link_se3_camera)
        for index, image in enumerate(images)
    )
    note = f'stamps are made up: {1e9 / period_ns:g} Hz, camera and LiDAR at once; mounting of the sensors from a drawing'
    return FrameFolder(folder, folder.name, frames, note)


def _kitti_frame(path: Path, stamp_ns: int, intrinsics_33: Array, base_link_se3_camera: Array) -> RecordedFrame:
    cloud = _existing(path.with_suffix('.bin'))
    return RecordedFrame(
        stamp_ns=stamp_ns,
        images=(RecordedImage('image_02', path, stamp_ns, intrinsics_33, base_link_se3_camera, None),),
        cloud=RecordedCloud('velodyne', cloud, stamp_ns, KITTI_BASE_LINK_SE3_LIDAR, None, 4, 1.0),
        map_se3_base_link=None,
        boxes=None,
    )
