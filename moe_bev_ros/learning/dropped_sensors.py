"""What a step of the training goes without, and which experts of the frame it uses. Drawn anew for each step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from moe_bev_ros.learning.train_config import TrainConfig
from moe_bev_ros.model.bev_model import Inputs

POOR_CONDITIONS = ('night', 'rain', 'fog', 'low_sun')  # parts of a condition's name
Dropped = list[tuple[bool, bool, int]]  # of each drive: no LiDAR, no cameras, and this one camera not; -1: all are there


def is_poor(condition: str) -> bool:
    """Whether one sees badly in it."""
    return any(part in condition for part in POOR_CONDITIONS)


def draw_experts(config: TrainConfig, conditions: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Names of the experts of a step; the one for poor sight takes part where at least half of the drives have it."""
    poor = 2 * sum(map(is_poor, conditions)) >= max(1, len(conditions))
    names = [name for name in config.expert_shares if poor or 'poor_sight' not in name]
    shares = np.array([config.expert_shares[name] for name in names])
    return tuple(str(names[int(rng.choice(len(names), p=shares / shares.sum()))]).split('+'))


def draw_dropped(
    config: TrainConfig, experts: tuple[str, ...], batch: int, num_cameras: int, rng: np.random.Generator
) -> Dropped:
    """For each drive. No drive loses its last sensor; the expert of cameras alone has no LiDAR that would tell it depths."""
    dropped: Dropped = []
    both = not {'camera', 'lidar'} & set(experts)
    for chance, one, camera in zip(rng.random(batch), rng.random(batch), rng.integers(num_cameras, size=batch)):
        no_lidar = experts == ('camera',) or (both and chance < config.lidar_dropout)
        no_cameras = both and not no_lidar and chance < config.lidar_dropout + config.camera_dropout
        one_less = experts != ('lidar',) and num_cameras > 1 and one < config.one_camera_dropout
        dropped.append((no_lidar, no_cameras, int(camera) if one_less else -1))
    return dropped


def without(inputs: Inputs, dropped: Dropped) -> Inputs:
    """The inputs as they are where these sensors are missing."""
    if not any(no_lidar or no_cameras or camera >= 0 for no_lidar, no_cameras, camera in dropped):
        return inputs
    images, depth, pixel, pillars = (x.clone() for x in (inputs.images, inputs.depth, inputs.pixel, inputs.pillars))
    cameras, blocks = depth.shape[1], depth.shape[2] * depth.shape[3]
    for drive, (no_lidar, no_cameras, camera) in enumerate(dropped):
        if no_lidar:
            pillars[drive], depth[drive] = 0.0, 0.0
        for index in range(cameras) if no_cameras else [camera] * (camera >= 0):
            images[drive, index], depth[drive, index] = 0.0, 0.0
            unseen = torch.div(pixel[drive], blocks, rounding_mode='floor') == index
            pixel[drive][unseen] = cameras * blocks
    return inputs._replace(images=images, depth=depth, pixel=pixel, pillars=pillars)
