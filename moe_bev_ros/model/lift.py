"""From key points to the BEV map: each cell pulls from the block that sees it, weighted by the probability of its depth.

The geometry is a table (`perception.lift_geometry`), so a changed calibration changes an input and not the graph. Lift after
Philion and Fidler 2020 (Lift, Splat, Shoot), turned from a scatter into a gather.

Legend: B batch, N cameras, P blocks of an image, K key points, D depth bins, Z heights, Q cells of the map, C channels.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.model.blocks import conv_block
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.sparse_attention import take_rows

LIDAR_TRUST = 4.0  # what a LiDAR return adds to the logit of its depth bin before training; half of it to the neighbours


class DepthBins(nn.Module):
    """What both lifts share: how probable each depth is for a key point.

    Attributes:
        depth, trust: logits of the bins from features, and what a LiDAR return adds.
    """

    edges: Tensor
    depth: nn.Linear
    trust: nn.Parameter

    def __init__(self, edges_m: Tensor) -> None:
        super().__init__()
        self.bins = len(edges_m) - 1
        self.register_buffer('edges', edges_m, persistent=False)

    def bins_of(self, depth: Tensor) -> Tensor:
        """Index of the depth bin [m -> int64]; -1 where there is no return (0) or it is farther than the last bin."""
        index = torch.bucketize(depth, self.edges, right=True) - 1
        return torch.where((depth > 0) & (index < self.bins), index.clamp(min=0), -1)

    def probabilities(self, points_bkc: Tensor, bin_bk: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K, D) of each bin, and the logits as the cameras alone give them."""
        logits = self.depth(points_bkc)
        ramp = torch.arange(self.bins, device=logits.device)
        gap = (ramp - bin_bk[..., None]).abs()
        helped = logits + self.trust * (bin_bk[..., None] >= 0) * (1.0 - 0.5 * gap).clamp(min=0.0)
        return helped.float().softmax(-1).to(points_bkc.dtype), logits


class Lift(DepthBins):
    """See the module."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(torch.from_numpy(config.depth_edges_m.astype(np.float32)))
        self.cells, self.heights = config.num_cells, len(config.lift_heights_m)
        self.depth = nn.Linear(config.channels, self.bins)
        self.trust = nn.Parameter(torch.tensor(LIDAR_TRUST))
        self.merge = conv_block(self.heights * (config.channels + 1), config.channels, kernel=1)

    def forward(
        self, points_bkc: Tensor, chosen_bk: Tensor, bin_bk: Tensor, pixel_bzq: Tensor, bin_bzq: Tensor, num_blocks: int
    ) -> tuple[Tensor, Tensor]:
        """The map (B, C, G, G), and the depth logits (B, K, D) as the cameras alone give them.

        Args:
            points_bkc: features of the key points of all cameras of a sample.
            chosen_bk: their blocks, counted over all cameras, below ``num_blocks``.
            bin_bk: depth bin of the LiDAR's return there; -1: none.
            pixel_bzq, bin_bzq: the lift's table; ``num_blocks`` where no camera sees a cell.
        """
        batch, _, channels = points_bkc.shape
        probability, logits = self.probabilities(points_bkc, bin_bk)
        rows = torch.cat([points_bkc, probability], dim=2)
        table = rows.new_zeros(batch * (num_blocks + 1), channels + self.bins)
        first = torch.arange(batch, device=chosen_bk.device)[:, None] * (num_blocks + 1)
        table = table.index_copy(0, (chosen_bk + first).flatten(), rows.flatten(0, 1)).view(batch, num_blocks + 1, -1)
        pulled = take_rows(table[..., :channels], pixel_bzq.flatten(1))
        flat = table[..., channels:].reshape(batch, -1, 1)
        weight = take_rows(flat, (pixel_bzq * self.bins + bin_bzq).flatten(1))
        stacked = torch.cat([pulled * weight, weight], dim=2).view(batch, self.heights, self.cells**2, -1)
        rows = stacked.transpose(1, 2).flatten(2)  # heights and channels of a cell side by side: as the convolution reads them
        maps = rows.transpose(1, 2).view(batch, -1, self.cells, self.cells)
        return self.merge(maps), logits


class ProjectedLift(DepthBins):
    """The same lift, in evaluation, for less: the 1 x 1 convolution that merges the heights comes first, on the key points.

    It is linear, and there are fewer key points than cells at all heights.
    """

    def __init__(self, lift: Lift) -> None:
        """Takes a lift whose convolution has its batch norm folded in."""
        super().__init__(lift.edges)
        self.cells, self.heights, self.depth, self.trust = lift.cells, lift.heights, lift.depth, lift.trust
        convolution = cast(nn.Conv2d, lift.merge[0])
        outputs, channels = convolution.out_channels, self.depth.in_features
        kernel_ozc = convolution.weight.detach().view(outputs, self.heights, channels + 1)
        self.project = nn.Linear(channels, self.heights * outputs)
        assert convolution.bias is not None
        with torch.no_grad():  # the last input of each height is the weight itself, so what it is multiplied by is a bias
            self.project.weight.copy_(kernel_ozc[..., :channels].transpose(0, 1).flatten(0, 1))
            self.project.bias.copy_(kernel_ozc[..., channels].T.flatten())
        self.bias = nn.Parameter(convolution.bias.detach().clone())

    def forward(
        self, points_bkc: Tensor, chosen_bk: Tensor, bin_bk: Tensor, pixel_bzq: Tensor, bin_bzq: Tensor, num_blocks: int
    ) -> tuple[Tensor, Tensor]:
        """As `Lift`."""
        batch, count, _ = points_bkc.shape
        probability, logits = self.probabilities(points_bkc, bin_bk)
        slot_bzq = self._slots(chosen_bk, pixel_bzq, num_blocks)
        rows_bknc = functional.pad(self.project(points_bkc), (0, 0, 0, 1)).view(batch, (count + 1) * self.heights, -1)
        flat = functional.pad(probability, (0, 0, 0, 1)).reshape(batch, -1, 1)
        weight_bzq1 = take_rows(flat, (slot_bzq * self.bins + bin_bzq).flatten(1)).view(*slot_bzq.shape, 1)
        said = [
            take_rows(rows_bknc, slot_bzq[:, height] * self.heights + height) * weight_bzq1[:, height]
            for height in range(self.heights)
        ]
        rows = torch.relu(sum(said[1:], said[0]) + self.bias)
        return rows.transpose(1, 2).reshape(batch, len(self.bias), self.cells, self.cells), logits

    def _slots(self, chosen_bk: Tensor, pixel_bzq: Tensor, num_blocks: int) -> Tensor:
        """(B, Z, Q) which key point a cell pulls from; their number where none."""
        batch, count = chosen_bk.shape
        first = torch.arange(batch, device=chosen_bk.device)[:, None] * (num_blocks + 1)
        none = torch.full((batch * (num_blocks + 1),), count, dtype=torch.int64, device=chosen_bk.device)
        ramp = torch.arange(count, device=chosen_bk.device).repeat(batch)
        slots = none.index_copy(0, (chosen_bk + first).flatten(), ramp)
        return slots.index_select(0, (pixel_bzq.flatten(1) + first).flatten()).view(pixel_bzq.shape)
