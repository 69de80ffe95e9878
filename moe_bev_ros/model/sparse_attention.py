"""Key points of the images: which blocks matter, and what they gather from around them and from the coarser scale.

Every index is a static table or the result of one top-k, so the graph exports with fixed shapes.

Legend: n images, h w blocks of an image (P = h w), K key points, J neighbours, C channels, A heads.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from moe_bev_ros.model.config import ModelConfig

REACH = 2  # a 5 x 5 neighbourhood at stride 8
COARSE_REACH = 1  # and 3 x 3 at stride 16
FIRST_SHARE = 0.2  # of the key points; the most important ones have a branch of their own, which may keep more bits
SCORER_CHANNELS = 16
SCORE_NOISE = 0.3  # standard deviation in training, so that blocks next to the threshold are tried as well


class KeyPoints(nn.Module):
    """Scores the blocks of an image and chooses the best.

    The learned scorer is distilled from the magnitude of the task loss's gradient at the feature map, so that no gradient is
    needed at run time.
    """

    spread_p: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.selection, self.num = config.selection, config.num_key_points
        width = SCORER_CHANNELS
        self.scorer = nn.Sequential(nn.Conv2d(config.channels, width, 1), nn.ReLU(inplace=True), nn.Conv2d(width, 1, 1))
        grid = torch.from_numpy(_spread_order(*config.block_shape))
        self.register_buffer('spread_p', grid, persistent=False)

    def logits(self, features_nchw: Tensor) -> Tensor:
        """(n, h, w); the scorer does not shape the features, it reads them."""
        logits: Tensor = self.scorer(features_nchw.detach())
        return logits[:, 0]

    def forward(self, logits_nhw: Tensor) -> Tensor:
        """(n, K) int64 indices of blocks, the most important first."""
        scores_np = logits_nhw.flatten(1)
        if self.num == scores_np.shape[1]:
            return torch.arange(self.num, device=scores_np.device).expand(len(scores_np), -1)
        if self.selection == 'random':
            scores_np = torch.rand_like(scores_np, dtype=torch.float32)
        elif self.selection == 'grid':
            scores_np = self.spread_p.expand_as(scores_np)
        elif self.training:
            scores_np = scores_np + SCORE_NOISE * torch.randn_like(scores_np)
        return scores_np.topk(self.num, dim=1).indices


class SparseAttention(nn.Module):
    """Each key point attends to its neighbourhood in its own scale and in the next coarser one."""

    near_pj: Tensor
    far_pj: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, self.heads = config.channels, config.attention_heads
        near, far = neighbour_tables(*config.block_shape)
        self.register_buffer('near_pj', torch.from_numpy(near), persistent=False)
        self.register_buffer('far_pj', torch.from_numpy(far), persistent=False)
        self.first = max(1, round(FIRST_SHARE * config.num_key_points))
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Conv2d(channels, 2 * channels, 1)
        self.bias = nn.Parameter(torch.zeros(near.shape[1] + far.shape[1], self.heads))
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.ReLU(inplace=True), nn.Linear(2 * channels, channels))

    def forward(self, fine_nchw: Tensor, coarse_nchw: Tensor, chosen_nk: Tensor) -> Tensor:
        """(n, K, C) features of the key points ``chosen_nk`` (n, K), which are sorted by importance."""
        fine_rows, coarse_rows = _rows(self.key_value(fine_nchw)), _rows(self.key_value(coarse_nchw))
        own_rows = _rows(fine_nchw)
        parts = (chosen_nk[:, : self.first], chosen_nk[:, self.first :])
        return torch.cat([self._attend(own_rows, fine_rows, coarse_rows, part) for part in parts if part.shape[1]], dim=1)

    def _attend(self, own_npc: Tensor, fine_npc: Tensor, coarse_npc: Tensor, chosen_nk: Tensor) -> Tensor:
        own_nkc = take_rows(own_npc, chosen_nk)
        near = take_rows(fine_npc, self.near_pj[chosen_nk].flatten(1))
        far = take_rows(coarse_npc, self.far_pj[chosen_nk].flatten(1))
        num, count, channels = own_nkc.shape
        around = torch.cat([near.view(num, count, -1, 2 * channels), far.view(num, count, -1, 2 * channels)], dim=2)
        keys, values = around.chunk(2, dim=3)
        query = self.query(own_nkc)[:, :, None] * (channels // self.heads) ** -0.5
        shape = (num, count, -1, self.heads, channels // self.heads)
        scores = (query * keys).view(shape).sum(-1) + self.bias
        weights = scores.softmax(dim=2)
        gathered = (values.view(shape) * weights[..., None]).sum(2).flatten(2)
        mixed = own_nkc + self.out(gathered)
        return mixed + self.mlp(mixed)


def take_rows(rows_npc: Tensor, index_nk: Tensor) -> Tensor:
    """(n, K, C) rows of each image by one flat index_select, which exports and runs better than a gather over channels."""
    num, count, channels = rows_npc.shape
    first = torch.arange(num, device=index_nk.device)[:, None] * count
    return rows_npc.reshape(num * count, channels).index_select(0, (index_nk + first).flatten()).view(num, -1, channels)


def neighbour_tables(height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(P, 25) blocks around each one, and (P, 9) those around it at half the resolution; what lies outside is its border."""
    row, column = np.divmod(np.arange(height * width), width)
    near = _around(row, column, REACH, height, width)
    return near, _around(row // 2, column // 2, COARSE_REACH, height // 2, width // 2)


def _around(row_p: NDArray[np.int64], column_p: NDArray[np.int64], reach: int, height: int, width: int) -> NDArray[np.int64]:
    dy, dx = (offsets.ravel() for offsets in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    rows = np.clip(row_p[:, None] + dy, 0, height - 1)
    columns = np.clip(column_p[:, None] + dx, 0, width - 1)
    return rows * width + columns


def _spread_order(height: int, width: int) -> NDArray[np.float32]:
    """(P,) scores whose best K lie evenly over the image, for every K: a two-dimensional low-discrepancy order.

    Method: the R2 sequence (Roberts 2018); a block's score falls with the first point that lands in it.
    """
    scores = np.full(height * width, -np.inf, np.float32)
    steps = np.arange(1, 64 * height * width)
    rows = (steps * 0.7548776662466927 % 1.0 * height).astype(np.int64)
    columns = (steps * 0.5698402909980532 % 1.0 * width).astype(np.int64)
    cells, first = np.unique(rows * width + columns, return_index=True)
    scores[cells] = -first
    return scores


def _rows(maps_nchw: Tensor) -> Tensor:
    return maps_nchw.flatten(2).transpose(1, 2)


def attention_macs(config: ModelConfig, num_key_points: int) -> int:
    """Multiply-adds of the attention of one frame with so many key points an image: projections, scores, sums, MLP."""
    channels, blocks = config.channels, config.num_blocks
    near, far = neighbour_tables(*config.block_shape)
    neighbours = near.shape[1] + far.shape[1]
    maps = 2 * channels * channels * (blocks + blocks // 4)
    queries = num_key_points * (2 * channels * channels + 2 * neighbours * channels + 4 * channels * channels)
    return config.num_cameras * (maps + queries)


def scorer_macs(config: ModelConfig) -> int:
    """Multiply-adds of scoring the blocks of one image."""
    return config.num_blocks * SCORER_CHANNELS * (config.channels + 1)
