"""An untrained network of two small cameras, in a file of weights."""

from dataclasses import replace

import torch
from model.small_model import CONFIG as SMALL

from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.weights_file import save_weights

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
