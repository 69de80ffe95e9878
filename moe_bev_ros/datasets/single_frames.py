"""Recorded frames one by one, as the nodes would hand them to an engine: of nuScenes, KITTI and Argoverse 2.

Their order and what the vehicle did between them are left out: every frame is a first one. Images keep the fixed mounts of
their cameras, as in the nodes. Of a rig of more than six cameras, `choose_cameras` takes six.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.camera import CameraModel
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.se3 import Array, inverse, transform_points
from moe_bev_ros.datasets.argoverse import read_argoverse_sweeps
from moe_bev_ros.datasets.frames import RecordedBox, RecordedFrame, RecordedImage, read_frames
from moe_bev_ros.datasets.record_loading import CROP, read_bytes
from moe_bev_ros.perception.camera_choice import choose_cameras
from moe_bev_ros.perception.camera_rig import CameraRig
from moe_bev_ros.perception.images import CompressedImage

ARGOVERSE_FILE = 'egovehicle_SE3_sensor.feather'


@dataclass(frozen=True)
class SingleFrame:
    """One recorded frame.

    Attributes:
        name: its folder below the one that was asked for, and its number or stamp where there are several.
        boxes: in base_link; None where nothing is annotated.
    """

    name: str
    frame: Frame
    boxes: tuple[RecordedBox, ...] | None


def read_single_frames(folder: Path, image_size: tuple[int, int]) -> Iterator[SingleFrame]:
    """Every frame in a folder and below it, in the order of their paths.

    Args:
        image_size: width and height that images are resized and cropped to, as camera_node does [pixels].

    Raises:
        InputError: there is none, or one is not complete; the text names it.
    """
    marks = [path for name in ('frame.json', 'calibration.json', ARGOVERSE_FILE) for path in folder.rglob(name)]
    if not marks:
        raise InputError(f'{folder}: no frame.json, calibration.json or {ARGOVERSE_FILE} in it or below; give recorded frames')
    for mark in sorted(marks):
        if mark.name == ARGOVERSE_FILE:
            yield from _of_argoverse(folder, mark.parents[1])
            continue
        frames = read_frames(mark.parent).frames
        for index, recorded in enumerate(frames):
            name = _name(folder, mark.parent) + (f'/{index}' if len(frames) > 1 else '')
            frame = Frame(recorded.stamp_ns, _cameras(recorded.images, image_size), _lidar(recorded), None)
            yield SingleFrame(name, frame, recorded.boxes)


def _name(folder: Path, below: Path) -> str:
    return '/'.join(below.relative_to(folder).parts) or folder.name


def _of_argoverse(folder: Path, log: Path) -> Iterator[SingleFrame]:
    for sweep in read_argoverse_sweeps(log):
        frame = Frame(sweep.stamp_ns, None, _cropped(sweep.points_n4), None)
        yield SingleFrame(f'{_name(folder, log)}/{sweep.stamp_ns}', frame, sweep.boxes)


def _cameras(images: tuple[RecordedImage, ...], size: tuple[int, int]) -> CameraImages | None:
    if not images:
        return None
    poses_n44 = np.stack([image.base_link_se3_camera for image in images])
    chosen = choose_cameras(poses_n44)
    images = tuple(images[index] for index in chosen)
    rig = CameraRig(len(images), *size, 1)
    try:
        sources = [_source(image.path) for image in images]
        for camera, (image, source) in enumerate(zip(images, sources)):
            rig.calibrate(camera, CameraModel(*source.size(), image.intrinsics_33))
        bad = [f'{image.path}: {fact}' for image, fact in zip(images, rig.fill(sources)) if fact]
    finally:
        rig.close()
    if bad:
        raise InputError(f'{bad[0]}; copy it again')
    names = tuple(image.name for image in images)
    valid_n = np.ones(len(names), np.bool_)
    return CameraImages(rig.images_nhw3, rig.intrinsics_n33, poses_n44[list(chosen)], valid_n, names)


def _source(path: Path) -> CompressedImage:
    try:
        return CompressedImage(np.frombuffer(read_bytes(path), np.uint8))
    except InputError as err:
        raise InputError(f'{path}: {err}; copy it again') from err


def _lidar(recorded: RecordedFrame) -> LidarPoints | None:
    """In base_link at the frame's stamp."""
    if recorded.cloud is None:
        return None
    motion = None
    if recorded.map_se3_base_link is not None and recorded.cloud.map_se3_base_link is not None:
        motion = inverse(recorded.map_se3_base_link) @ recorded.cloud.map_se3_base_link
    return _cropped(recorded.cloud.points_base_link_n5()[:, :4], motion)


def _cropped(points_n4: NDArray[np.float32], now_se3_then: Array | None = None) -> LidarPoints:
    """Without the vehicle itself and what is far away, as lidar_node leaves them out."""
    points_n4 = points_n4[~_inside(points_n4, CROP.ego_box)]
    points_n5 = np.column_stack([points_n4, np.zeros(len(points_n4), np.float32)])
    if now_se3_then is not None:
        points_n5[:, :3] = transform_points(now_se3_then, points_n5[:, :3])
    return LidarPoints(points_n5[_inside(points_n5, CROP.range_m)])


def _inside(points: NDArray[np.float32], box: tuple[float, ...]) -> NDArray[np.bool_]:
    x, y, z = points[:, :3].T
    return (x > box[0]) & (x < box[1]) & (y > box[2]) & (y < box[3]) & (z > box[4]) & (z < box[5])
