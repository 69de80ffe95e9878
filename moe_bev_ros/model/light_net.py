"""Reads the state of a traffic light from a crop of a camera image; a sub-engine of its own.

Letters: L crops.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CHANNELS = (16, 32, 40, 64)
NUM_STATES = 4  # in the order of LightState: unknown (nothing to be seen), red, amber, green


def _block(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class LightNet(nn.Module):
    """Convolutions that halve the crop three times: 24, 12, 6, 3 pixels; 1.5 MMAC a crop, 43 thousand parameters."""

    def __init__(self) -> None:
        super().__init__()
        one, two, three, four = CHANNELS
        pool = nn.MaxPool2d(2)
        self.features = nn.Sequential(
            _block(3, one), pool, _block(one, two), pool, _block(two, three), pool, _block(three, four)
        )
        self.states = nn.Linear(four * 9, NUM_STATES)

    def forward(self, crops_l3hw: Tensor) -> Tensor:
        """(L, NUM_STATES) logits of (L, 3, 24, 24) crops as `perception.light_crops` makes them."""
        states: Tensor = self.states(torch.flatten(self.features(crops_l3hw), 1))
        return states
