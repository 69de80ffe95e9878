"""The convolutions that all encoders are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def conv_block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm (folded on export), ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Joined(nn.ModuleList):
    """The layers of a block of convolutions, on the channels of two maps."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(conv_block(inputs, outputs))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, outputs, H, W)."""
        joined = torch.cat([first, second], dim=1)
        for layer in self:
            joined = layer(joined)
        return joined


class Sum(nn.Module):
    """Adds two maps; a module, so that quantisation can give each of them a range."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Same shape."""
        return first + second


class Residual(nn.Module):
    """One 3 x 3 convolution beside its input (He et al. 2016, with a single layer a block)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block, self.sum = conv_block(channels, channels), Sum()

    def forward(self, x_bchw: Tensor) -> Tensor:
        """Same shape."""
        summed: Tensor = self.sum(x_bchw, self.block(x_bchw))
        return summed


def stage(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Halves the resolution, then ``blocks`` residual blocks."""
    return nn.Sequential(conv_block(inputs, outputs, stride=2), *(Residual(outputs) for _ in range(blocks)))
