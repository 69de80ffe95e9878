"""A few frames of the world in one file, so that every process of a benchmark computes the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from moe_bev_ros.core.files import disk_error
from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.se3 import Array, se3_from_xyz_rpy
from moe_bev_ros.engine.base import Engine
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.world.rig import BODY_SE3_OPTICAL

SEED = 5  # a busy street in daylight
FRAME_NS = 100_000_000


@dataclass(frozen=True)
class BenchFrame:
    """One of them, with the vehicle's motion since the one before; None at the first."""

    frame: Frame
    base_link_now_se3_before: Array | None


def world_frames(image_size: tuple[int, int], num: int, seed: int = SEED) -> tuple[BenchFrame, ...]:
    """The first frames of a drive of the training split, 0.1 s apart.

    Args:
        image_size: width and height [pixels].
    """
    from moe_bev_ros.learning.world_drives import WorldDrive

    driven = WorldDrive(seed, image_size, None, ticks=num).frames()
    return tuple(BenchFrame(replace(item.frame, ego=None), item.base_link_now_se3_before) for item in driven)


def drawn_frames(config: ModelConfig, num_points: int, num: int) -> tuple[BenchFrame, ...]:
    """Noise, for any number of cameras, which look around in even steps; the vehicle drives straight on."""
    rng, count = np.random.default_rng(0), config.num_cameras
    height, width = config.image_height, config.image_width
    matrix_33 = np.array([[0.8 * width, 0.0, width / 2], [0.0, 0.8 * width, height / 2], [0.0, 0.0, 1.0]], np.float32)
    turns_rad = np.arange(count) * 2.0 * np.pi / count
    poses_n44 = np.stack([se3_from_xyz_rpy(1.0, 0.0, 1.6, 0.0, 0.0, turn_rad) @ BODY_SE3_OPTICAL for turn_rad in turns_rad])
    names = tuple(f'camera_{index}' for index in range(count))
    rig = np.tile(matrix_33, (count, 1, 1)), poses_n44, np.ones(count, np.bool_), names
    reach = (config.half_m, config.half_m, 2.0, 1.0, 0.0)
    frames = []
    for index in range(num):
        images_nhw3 = rng.integers(0, 256, (count, height, width, 3)).astype(np.uint8)
        points_n5 = rng.uniform(np.multiply(reach, (-1, -1, -0.5, 0, 0)), reach, (num_points, 5)).astype(np.float32)
        frame = Frame((index + 1) * FRAME_NS, CameraImages(images_nhw3, *rig), LidarPoints(points_n5), None)
        frames.append(BenchFrame(frame, se3_from_xyz_rpy(-1.0, 0.0, 0.0, 0.0, 0.0, 0.0) if index else None))
    return tuple(frames)


def save_frames(path: Path, frames: tuple[BenchFrame, ...]) -> None:
    """Write them; all have cameras and points.

    Raises:
        InputError: the disk refuses it.
    """
    cameras = [_cameras(item) for item in frames]
    points = [item.frame.lidar.points_n5 for item in frames if item.frame.lidar is not None]
    eye = np.eye(4)
    arrays: dict[str, Any] = {
        'images': np.stack([camera.images_nhw3 for camera in cameras]),
        'intrinsics': cameras[0].intrinsics_n33,
        'poses': cameras[0].base_link_se3_camera_n44,
        'names': np.array(cameras[0].names),
        'points': np.concatenate(points),
        'num_points': np.array([len(points_n5) for points_n5 in points]),
        'motions': np.stack(
            [eye if item.base_link_now_se3_before is None else item.base_link_now_se3_before for item in frames]
        ),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **arrays)
    except OSError as err:
        raise disk_error(err, path) from err


def load_frames(path: Path) -> tuple[BenchFrame, ...]:
    """What `save_frames` wrote."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    sweeps = np.split(arrays['points'], np.cumsum(arrays['num_points'])[:-1])
    names = tuple(str(name) for name in arrays['names'])
    valid_n = np.ones(len(names), np.bool_)
    rig = arrays['intrinsics'], arrays['poses'], valid_n, names
    return tuple(
        BenchFrame(
            Frame((index + 1) * FRAME_NS, CameraImages(images_nhw3, *rig), LidarPoints(points_n5), None),
            arrays['motions'][index] if index else None,
        )
        for index, (images_nhw3, points_n5) in enumerate(zip(arrays['images'], sweeps))
    )


def run_frames(engine: Engine, frames: tuple[BenchFrame, ...]) -> list[dict[str, float]]:
    """The stages [ms] of each frame, from an engine that knows nothing of what was before."""
    engine.reset()
    return [engine.step(item.frame, item.base_link_now_se3_before).stage_ms for item in frames]


def _cameras(item: BenchFrame) -> CameraImages:
    assert item.frame.cameras is not None
    return item.frame.cameras
