"""An untrained network of two small cameras, in a file of weights, and frames for it."""

from dataclasses import replace

import numpy as np
import torch
from model.small_model import CONFIG as SMALL

from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.weights_file import save_weights

STEP_NS = 100_000_000
CONFIG = replace(
    SMALL,
    name='test',
    image_height=32,
    image_width=64,
    camera_channels=(4, 8, 8, 8),
    camera_blocks=(0, 0, 0, 0),
    channels=8,
    num_key_points=8,
)


def small_weights(folder, config=CONFIG):
    """The path; its heat is high enough that boxes are found."""
    torch.manual_seed(0)
    model = BevModel(config).eval()
    model.heads.heat.bias.data.fill_(-1.0)
    return save_weights(model, config, folder / 'test.safetensors')


def cameras_of(num=2, height=32, width=64, seed=0):
    images = np.random.default_rng(seed).integers(0, 255, (num, height, width, 3)).astype(np.uint8)
    matrices = np.tile(np.array([[40, 0, 32], [0, 40, 16], [0, 0, 1]], np.float32), (num, 1, 1))
    forward = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], float)
    poses = np.stack([se3_from_xy_yaw(0, 0, index) @ forward for index in range(num)])
    return CameraImages(images, matrices, poses, np.ones(num, bool), tuple(f'camera_{index}' for index in range(num)))


def frame_of(index=1, seed=0, cameras=None):
    points = np.random.default_rng(seed).uniform((-10, -10, 0, 0, -0.1), (10, 10, 2, 1, 0), (400, 5)).astype(np.float32)
    return Frame(index * STEP_NS, cameras or cameras_of(seed=seed), LidarPoints(points), None)
