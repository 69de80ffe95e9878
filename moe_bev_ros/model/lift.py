"""From key points to the BEV map: each cell pulls from the block that sees it, weighted by the probability of its depth.

The geometry is a table (`perception.lift_geometry`), so a changed calibration changes an input and not the graph. Lift after
Philion and Fidler 2020 (Lift, Splat, Shoot), turned from a scatter into a gather.

Legend: B batch, N cameras, P blocks of an image, K key points, D depth bins, Z heights, Q cells of the map, C channels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from moe_bev_ros.model.blocks import conv_block
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.sparse_attention import take_rows

LIDAR_TRUST = 4.0  # what a LiDAR return adds to the logit of its depth bin before training; half of it to the neighbours


class Lift(nn.Module):
    """See the module."""

    edges: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.bins, self.cells = config.num_depth_bins, config.num_cells
        self.heights = len(config.lift_heights_m)
        self.depth = nn.Linear(config.channels, self.bins)
        self.trust = nn.Parameter(torch.tensor(LIDAR_TRUST))
        self.merge = conv_block(self.heights * (config.channels + 1), config.channels, kernel=1)
        edges = torch.from_numpy(config.depth_edges_m.astype(np.float32))
        self.register_buffer('edges', edges, persistent=False)

    def bins_of(self, depth: Tensor) -> Tensor:
        """Index of the depth bin [m -> int64]; -1 where there is no return (0) or it is farther than the last bin."""
        index = torch.bucketize(depth, self.edges, right=True) - 1
        return torch.where((depth > 0) & (index < self.bins), index.clamp(min=0), -1)

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
        logits = self.depth(points_bkc)
        ramp = torch.arange(self.bins, device=logits.device)
        gap = (ramp - bin_bk[..., None]).abs()
        helped = logits + self.trust * (bin_bk[..., None] >= 0) * (1.0 - 0.5 * gap).clamp(min=0.0)
        probability = helped.float().softmax(-1).to(points_bkc.dtype)
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
