"""Images to features at strides 8 and 16. Convolutions only, so that a DLA can take the whole stage."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.model.blocks import Sum, conv_block, stage
from moe_bev_ros.model.config import ModelConfig


class CameraEncoder(nn.Module):
    """Four stages and a feature pyramid (Lin et al. 2017) over the last two."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        widths, blocks = config.camera_channels, config.camera_blocks
        self.to_8 = nn.Sequential(*(stage(i, o, n) for i, o, n in zip((3, *widths[:2]), widths[:3], blocks[:3])))
        self.to_16 = stage(widths[2], widths[3], blocks[3])
        self.lateral_8 = nn.Conv2d(widths[2], config.channels, 1)
        self.lateral_16 = nn.Conv2d(widths[3], config.channels, 1)
        self.smooth = conv_block(config.channels, config.channels)
        self.sum = Sum()

    def forward(self, images_n3hw: Tensor) -> tuple[Tensor, Tensor]:
        """Features (N, C, H/8, W/8) and (N, C, H/16, W/16) of N images."""
        at_8 = self.to_8(images_n3hw)
        at_16 = self.lateral_16(self.to_16(at_8))
        merged = self.sum(self.lateral_8(at_8), functional.interpolate(at_16, scale_factor=2.0, mode='nearest'))
        return self.smooth(merged), at_16
