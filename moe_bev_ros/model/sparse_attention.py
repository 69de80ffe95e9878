"""Key points of the images: which blocks matter, and what they gather from around them and from the coarser scale.

Every index is a static table or the result of one top-k, so the graph exports with fixed shapes.

Legend: n images, h w blocks of an image (P = h w), K key points, J neighbours, C channels, A heads.
"""

from __future__ import annotations

import copy

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
        projecting, absorbing = (gathering_macs(config, config.num_key_points, absorbs=value) for value in (False, True))
        self.absorbs = absorbing < projecting
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Conv2d(channels, 2 * channels, 1)
        self.bias = nn.Parameter(torch.zeros(near.shape[1] + far.shape[1], self.heads))
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.ReLU(inplace=True), nn.Linear(2 * channels, channels))

    def forward(self, fine_nchw: Tensor, coarse_nchw: Tensor, chosen_nk: Tensor) -> Tensor:
        """(n, K, C) features of the key points ``chosen_nk`` (n, K), which are sorted by importance."""
        rows = self.rows_of(fine_nchw, coarse_nchw)
        parts = (chosen_nk[:, : self.first], chosen_nk[:, self.first :])
        return torch.cat([self.attend(*rows, part) for part in parts if part.shape[1]], dim=1)

    def rows_of(self, fine_nchw: Tensor, coarse_nchw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, P, C) features of the blocks, and (n, P, ·), (n, P / 4, ·) that are gathered around key points."""
        maps = [fine_nchw, coarse_nchw] if self.absorbs else [self.key_value(fine_nchw), self.key_value(coarse_nchw)]
        return _rows(fine_nchw), _rows(maps[0]), _rows(maps[1])

    def attend(self, own_npc: Tensor, fine_npc: Tensor, coarse_npc: Tensor, chosen_nk: Tensor) -> Tensor:
        """(n, K, C) of some key points, from `rows_of`."""
        own_nkc = take_rows(own_npc, chosen_nk)
        num, count, channels = own_nkc.shape
        near = take_rows(fine_npc, self.near_pj[chosen_nk].flatten(1)).view(num, count, self.near_pj.shape[1], -1)
        far = take_rows(coarse_npc, self.far_pj[chosen_nk].flatten(1)).view(num, count, self.far_pj.shape[1], -1)
        query_nkad = self.query(own_nkc).view(num, count, self.heads, -1) * (channels // self.heads) ** -0.5
        around_nkjc = torch.cat([near, far], dim=2)
        gathered = self._raw(query_nkad, around_nkjc) if self.absorbs else self._projected(query_nkad, around_nkjc)
        mixed = own_nkc + self.out(gathered)
        return mixed + self.mlp(mixed)

    def _projected(self, query_nkad: Tensor, around_nkjc: Tensor) -> Tensor:
        """What the heads gather from keys and values."""
        keys, values = (part.reshape(*part.shape[:3], self.heads, -1).transpose(2, 3) for part in around_nkjc.chunk(2, dim=3))
        scores_nkaj = (keys @ query_nkad[..., None])[..., 0] + self.bias.T
        return (scores_nkaj.softmax(dim=3)[:, :, :, None] @ values).flatten(2)

    def _raw(self, query_nkad: Tensor, around_nkjc: Tensor) -> Tensor:
        """The same from features that are no keys and values yet: the query goes through the keys' matrix, and the weighted sum
        through that of the values, so that few key points do not pay for all blocks."""
        num, count, channels = around_nkjc.shape[0], around_nkjc.shape[1], around_nkjc.shape[3]
        to_keys, to_values = self.key_value.weight.view(2, self.heads, -1, channels).unbind(0)
        asked = (query_nkad.flatten(0, 1).transpose(0, 1) @ to_keys).transpose(0, 1).view(num, count, self.heads, channels)
        weights_nkaj = (asked @ around_nkjc.transpose(2, 3) + self.bias.T).softmax(dim=3)
        summed = (weights_nkaj @ around_nkjc).flatten(0, 1).transpose(0, 1) @ to_values.transpose(1, 2)
        biased = summed.transpose(0, 1).reshape(num, count, channels)
        return biased if self.key_value.bias is None else biased + self.key_value.bias[channels:]


class BranchedAttention(nn.Module):
    """The same attention with layers of their own for the most important key points, which may keep more bits than the rest.

    Attributes:
        leading, rest: equal when made.
        first: how many key points go through ``leading``.
    """

    def __init__(self, attention: SparseAttention) -> None:
        super().__init__()
        self.leading, self.rest = attention, copy.deepcopy(attention)
        self.first = attention.first

    def forward(self, fine_nchw: Tensor, coarse_nchw: Tensor, chosen_nk: Tensor) -> Tensor:
        """As `SparseAttention`."""
        leading: Tensor = self.leading.attend(*self.leading.rows_of(fine_nchw, coarse_nchw), chosen_nk[:, : self.first])
        if self.first == chosen_nk.shape[1]:
            return leading
        rest = self.rest.attend(*self.rest.rows_of(fine_nchw, coarse_nchw), chosen_nk[:, self.first :])
        return torch.cat([leading, rest], dim=1)


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


def gathering_macs(config: ModelConfig, num_key_points: int, *, absorbs: bool) -> int:
    """Multiply-adds of one image until its key points have gathered: projections, scores and sums."""
    channels, blocks = config.channels, config.num_blocks
    near, far = neighbour_tables(*config.block_shape)
    neighbours = near.shape[1] + far.shape[1]
    if absorbs:
        return num_key_points * (3 * channels**2 + 2 * neighbours * channels * config.attention_heads)
    return 2 * channels**2 * (blocks + blocks // 4) + num_key_points * (channels**2 + 2 * neighbours * channels)


def attention_macs(config: ModelConfig, num_key_points: int) -> int:
    """Multiply-adds of the attention of one frame with so many key points an image, in the cheaper of its two ways."""
    cheaper = min(gathering_macs(config, num_key_points, absorbs=absorbs) for absorbs in (True, False))
    return config.num_cameras * (cheaper + num_key_points * 5 * config.channels**2)


def scorer_macs(config: ModelConfig) -> int:
    """Multiply-adds of scoring the blocks of one image."""
    return config.num_blocks * SCORER_CHANNELS * (config.channels + 1)
