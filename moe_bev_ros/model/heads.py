"""What is said of every cell: boxes (CenterPoint, Yin, Zhou, Kraehenbuehl 2021), attributes, road, futures.

Decoding and suppression stay outside of the graph (`perception.centre_boxes`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.core.attributes import ATTRIBUTES
from moe_bev_ros.model.blocks import Sum, conv_block
from moe_bev_ros.model.config import ROAD_CLASSES, ModelConfig

HEAT_CHANNELS = 11  # the ten classes, and what is hidden
BOX_CHANNELS = 10
SIGMA_CHANNELS = 5
NUM_MODES, NUM_STEPS, STEP_S = 6, 12, 0.5
FORECAST_CHANNELS = NUM_MODES * (1 + 2 * NUM_STEPS)


class Place(nn.Module):
    """What is usual at a place around the vehicle, whatever is seen: traffic keeps to its side, parked cars face along it."""

    def __init__(self, channels: int, cells: int) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.zeros(channels, cells, 1))
        self.column = nn.Parameter(torch.zeros(channels, 1, cells))

    def forward(self) -> Tensor:
        """(C, G, G) to be added to a map."""
        return self.row + self.column


class Heads(nn.Module):
    """Two branches at the fine resolution: one says what and where, the other how large, how fast and of which kind."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        fine, wide = config.lidar_channels, config.head_channels
        self.up = nn.Conv2d(config.channels, fine, 1)
        self.place = Place(fine, config.num_cells)
        self.sum = Sum()
        self.where = conv_block(fine, wide)
        self.which = conv_block(fine, wide)
        self.heat = nn.Conv2d(wide, HEAT_CHANNELS, 1)
        self.road = nn.Conv2d(wide, len(ROAD_CLASSES), 1)
        self.boxes = nn.Conv2d(wide, BOX_CHANNELS, 1)
        self.log_sigma = nn.Conv2d(wide, SIGMA_CHANNELS, 1)
        self.attributes = nn.Conv2d(wide, len(ATTRIBUTES), 1)
        self.forecast = nn.Sequential(
            nn.Conv2d(config.channels, config.channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(config.channels, FORECAST_CHANNELS, 1),
        )
        nn.init.constant_(self.heat.bias, -4.0)  # type: ignore[arg-type]
        nn.init.constant_(self.road.bias, -2.0)  # type: ignore[arg-type]

    def forward(self, map_bcgg: Tensor, fine_bfkk: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """heat, boxes, log_sigma, attributes, road, forecast; see `Outputs`."""
        coarse = self.up(map_bcgg) + self.place()
        x = torch.relu(self.sum(fine_bfkk, functional.interpolate(coarse, scale_factor=2.0, mode='nearest')))
        where, which = self.where(x), self.which(x)
        heat, road = self.heat(where), self.road(where)
        return heat, self.boxes(which), self.log_sigma(which), self.attributes(which), road, self.forecast(map_bcgg)
