"""A few frames of the world in one file, so that every process of a benchmark computes the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.engine.base import Engine

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


def save_frames(path: Path, frames: tuple[BenchFrame, ...]) -> None:
    """Write them; all have cameras and points."""
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
    np.savez(path, **arrays)


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
