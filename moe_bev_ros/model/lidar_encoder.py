"""Pillar maps to a BEV map. Convolutions only, so that a DLA can take the whole stage."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.model.blocks import Sum, conv_block, stage
from moe_bev_ros.model.config import ModelConfig


class LidarEncoder(nn.Module):
    """Statistics of pillars (Lang et al. 2019, with fixed statistics in place of a point network) through a small pyramid."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        fine, inner = config.lidar_channels, config.channels
        wide = inner * 3 // 2
        self.fine = stage(config.pillar_channels, fine, 1)
        self.inner = stage(fine, inner, 1)
        self.wide = stage(inner, wide, 1)
        self.narrow = conv_block(wide, inner, kernel=1)
        self.sum = Sum()

    def forward(self, pillars_bpss: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, G, G), and (B, lidar_channels, K, K) with the heads' resolution."""
        fine = self.fine(pillars_bpss)
        inner = self.inner(fine)
        context = self.narrow(self.wide(inner))
        return self.sum(inner, functional.interpolate(context, scale_factor=2.0, mode='nearest')), fine
