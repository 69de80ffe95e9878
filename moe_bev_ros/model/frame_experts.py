"""Experts of a whole frame: each is a sub-engine of its own, and one that is not chosen does not run.

After MoME (Park et al., CVPR 2025): separate experts for cameras, LiDAR and both, so that a lost sensor changes the expert and
not the meaning of a feature.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.model.blocks import Joined, Residual, Sum, conv_block
from moe_bev_ros.model.config import ModelConfig


class LidarExpert(nn.Module):
    """From the LiDAR's maps alone."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inner = Residual(config.channels)
        self.fine = conv_block(config.lidar_channels, config.lidar_channels, kernel=1)

    def forward(self, lidar_bcgg: Tensor, fine_bfkk: Tensor) -> tuple[Tensor, Tensor]:
        """The inner map and the one of the heads' resolution."""
        return self.inner(lidar_bcgg), self.fine(fine_bfkk)


class CameraExpert(nn.Module):
    """From the lifted key points alone; a lift is thin, so it looks farther around."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inner = nn.Sequential(Residual(config.channels), Residual(config.channels))
        self.fine = conv_block(config.channels, config.lidar_channels, kernel=1)

    def forward(self, camera_bcgg: Tensor) -> tuple[Tensor, Tensor]:
        """As LidarExpert."""
        inner = self.inner(camera_bcgg)
        return inner, functional.interpolate(self.fine(inner), scale_factor=2.0, mode='nearest')


class FusedExpert(nn.Module):
    """From both."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.merge: nn.Module = Joined(2 * config.channels, config.channels)
        self.inner = Residual(config.channels)
        self.fine = conv_block(config.channels, config.lidar_channels, kernel=1)
        self.sum, self.fine_sum = Sum(), Sum()

    def forward(self, camera_bcgg: Tensor, lidar_bcgg: Tensor, fine_bfkk: Tensor) -> tuple[Tensor, Tensor]:
        """As LidarExpert."""
        inner = self.sum(lidar_bcgg, self.inner(self.merge(camera_bcgg, lidar_bcgg)))
        return inner, self.fine_sum(fine_bfkk, functional.interpolate(self.fine(inner), scale_factor=2.0, mode='nearest'))
