"""A network small enough for tests, and inputs for it."""

from dataclasses import replace

import numpy as np
import torch

from moe_bev_ros.model.bev_model import BevModel, Inputs
from moe_bev_ros.model.config import ModelConfig

CONFIG = ModelConfig(
    name='small',
    num_cameras=2,
    image_height=64,
    image_width=96,
    camera_channels=(8, 8, 16, 16),
    channels=16,
    num_key_points=16,
    attention_heads=2,
    num_depth_bins=8,
    lidar_channels=8,
    half_m=12.8,
    num_tokens=16,
    static_channels=4,
    head_channels=8,
)


def small_model(seed: int = 0, **changes) -> BevModel:
    """In evaluation mode, with statistics of batch norm and weights that no layer hides."""
    torch.manual_seed(seed)
    model = BevModel(replace(CONFIG, **changes)).eval()
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(part.running_var, 0.5, 1.5)
    return model


def random_inputs(batch: int = 1, seed: int = 0, dt_s: float = 0.1, config: ModelConfig = CONFIG) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    rows, columns = config.block_shape
    cells, blocks = config.num_cells**2, config.num_cameras * config.num_blocks
    table = (batch, len(config.lift_heights_m), cells)
    images = (batch, config.num_cameras, 3, config.image_height, config.image_width)
    return Inputs(
        images=torch.randn(images, generator=generator),
        depth=70.0 * torch.rand((batch, config.num_cameras, rows, columns), generator=generator),
        pixel=torch.randint(0, blocks + 1, table, generator=generator),
        bin=torch.randint(0, config.num_depth_bins, table, generator=generator),
        pillars=torch.randn((batch, config.pillar_channels, config.num_pillars, config.num_pillars), generator=generator),
        motion=se2(0.8, 0.1, 0.02).repeat(batch, 1, 1),
        dt=torch.full((batch,), dt_s),
    )


def se2(x_m: float, y_m: float, yaw_rad: float) -> torch.Tensor:
    """(1, 3, 3)."""
    cos, sin = np.cos(yaw_rad), np.sin(yaw_rad)
    return torch.tensor([[[cos, -sin, x_m], [sin, cos, y_m], [0.0, 0.0, 1.0]]], dtype=torch.float32)
