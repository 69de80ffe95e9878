"""Experts of BEV patches inside one graph: fixed slots are gathered, computed and scattered back.

Half of the experts convolve, the others attend among the cells of a patch; the last one looks at the memory's map beside the
present one, by a 3D convolution and by attention over time.

Legend: B batch, E experts, S slots, T patches, L cells of a patch, U cells of a patch with its rim, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.router import Routing
from moe_bev_ros.model.sparse_attention import take_rows


class ConvolutionExpert(nn.Module):
    """A bottleneck: 3 x 3 with the rim, then 1 x 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 2
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
        )

    def forward(self, now_scuu: Tensor) -> Tensor:
        """(slots, C, patch, patch) of patches with their rim."""
        return self.layers(now_scuu)


class AttentionExpert(nn.Module):
    """A transformer layer (Vaswani et al. 2017) among the cells of a patch, and those of the same patch before where given."""

    def __init__(self, channels: int, heads: int, patch: int) -> None:
        super().__init__()
        self.heads = heads
        self.place = nn.Parameter(0.02 * torch.randn(patch**2, channels))
        self.norm = nn.LayerNorm(channels)
        self.query, self.key_value = nn.Linear(channels, channels), nn.Linear(channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        self.mlp = nn.Sequential(nn.Linear(channels, 2 * channels), nn.ReLU(inplace=True), nn.Linear(2 * channels, channels))

    def forward(self, now_slc: Tensor, before_slc: Tensor | None = None) -> Tensor:
        """(slots, L, C)."""
        slots, length, channels = now_slc.shape
        normed = self.norm(now_slc + self.place)
        around = normed if before_slc is None else torch.cat([normed, self.norm(before_slc + self.place)], dim=1)
        query = self.query(normed).view(slots, length, self.heads, -1).transpose(1, 2)
        keys, values = (
            part.reshape(slots, -1, self.heads, channels // self.heads).transpose(1, 2)
            for part in self.key_value(around).chunk(2, dim=2)
        )
        weights = (query @ keys.transpose(2, 3) * (channels // self.heads) ** -0.5).softmax(dim=-1)
        gathered = (weights @ values).transpose(1, 2).reshape(slots, length, channels)
        mixed = self.out(gathered)
        return mixed + self.mlp(mixed)


class Volume(nn.ModuleList):
    """A 3D convolution over before and now."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__([nn.Conv3d(channels, hidden, (2, 3, 3)), nn.ReLU(inplace=True)])

    def forward(self, before_scuu: Tensor, now_scuu: Tensor) -> Tensor:
        """(slots, hidden, patch, patch) of patches with their rim."""
        convolution, relu = self
        seen: Tensor = relu(convolution(torch.stack([before_scuu, now_scuu], dim=2)))
        return seen[:, :, 0]


class TemporalExpert(nn.Module):
    """The vision expert: a 3D convolution over before and now, and attention over time."""

    def __init__(self, channels: int, heads: int, patch: int) -> None:
        super().__init__()
        hidden = channels // 2
        self.volume: nn.Module = Volume(channels, hidden)
        self.widen = nn.Conv2d(hidden, channels, 1)
        self.attention = AttentionExpert(channels, heads, patch)

    def forward(self, now_scuu: Tensor, before_scuu: Tensor, now_slc: Tensor, before_slc: Tensor) -> Tensor:
        """(slots, L, C) of patches with their rim, and of their cells."""
        return _cells(self.widen(self.volume(before_scuu, now_scuu))) + self.attention(now_slc, before_slc)


class PatchExperts(nn.Module):
    """Runs every expert on its slots and adds what they say, weighted by their gates, to the map."""

    cells_tu: Tensor
    cells_tl: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        channels, self.patch, self.side = config.channels, config.patch, config.num_cells // config.patch
        convolving = config.num_experts // 2
        self.convolution = nn.ModuleList(ConvolutionExpert(channels) for _ in range(convolving))
        attending = config.num_experts - convolving - 1
        self.attention = nn.ModuleList(
            AttentionExpert(channels, config.attention_heads, config.patch) for _ in range(attending)
        )
        self.temporal = TemporalExpert(channels, config.attention_heads, config.patch)
        wide = self.patch + 2
        cells_tu = _rim_table(self.side, self.patch)
        self.register_buffer('cells_tu', cells_tu, persistent=False)
        self.register_buffer('cells_tl', cells_tu.view(-1, wide, wide)[:, 1:-1, 1:-1].flatten(1), persistent=False)

    def forward(self, now_bcgg: Tensor, before_bcgg: Tensor, routing: Routing) -> Tensor:
        """(B, C, G, G).

        Args:
            before_bcgg: what the memory holds of the same places.
        """
        batch, channels, cells, _ = now_bcgg.shape
        now_rows = functional.pad(now_bcgg, (1, 1, 1, 1)).flatten(2).transpose(1, 2)
        before_rows = functional.pad(before_bcgg, (1, 1, 1, 1)).flatten(2).transpose(1, 2)
        said = [
            self._run(expert, now_rows, before_rows, patch_bs) for expert, patch_bs in enumerate(routing.patch_bes.unbind(1))
        ]
        values = torch.stack(said, dim=1) * routing.gate_bes[..., None, None].to(now_bcgg.dtype)
        place_bes = routing.patch_bes + torch.arange(batch, device=now_bcgg.device)[:, None, None] * self.side**2
        summed = values.new_zeros(batch * self.side**2, self.patch**2, channels)
        summed = summed.index_add(0, place_bes.flatten(), values.flatten(0, 2))
        blocks = summed.view(batch, self.side, self.side, self.patch, self.patch, channels)
        rows = blocks.transpose(2, 3).reshape(
            batch, cells * cells, channels
        )  # whole rows first: one permutation of all is slow
        return now_bcgg + rows.transpose(1, 2).reshape(batch, channels, cells, cells)

    def _run(self, expert: int, now_brc: Tensor, before_brc: Tensor, patch_bs: Tensor) -> Tensor:
        """(B, S, L, C) of one expert."""
        batch, slots = patch_bs.shape
        attending = expert - len(self.convolution)
        if attending < 0:
            said = _cells(self.convolution[expert](self._with_rim(now_brc, patch_bs)))
        elif attending < len(self.attention):
            said = self.attention[attending](self._alone(now_brc, patch_bs))
        else:
            with_rim, alone = (
                [take(rows_brc, patch_bs) for rows_brc in (now_brc, before_brc)] for take in (self._with_rim, self._alone)
            )
            said = self.temporal(*with_rim, *alone)
        return said.view(batch, slots, self.patch**2, -1)

    def _with_rim(self, rows_brc: Tensor, patch_bs: Tensor) -> Tensor:
        """(B S, C, patch + 2, patch + 2)."""
        wide = self.patch + 2
        taken = take_rows(rows_brc, self.cells_tu[patch_bs].flatten(1))
        return taken.view(-1, wide, wide, rows_brc.shape[2]).permute(0, 3, 1, 2)

    def _alone(self, rows_brc: Tensor, patch_bs: Tensor) -> Tensor:
        """(B S, L, C)."""
        return take_rows(rows_brc, self.cells_tl[patch_bs].flatten(1)).view(-1, self.patch**2, rows_brc.shape[2])


def _cells(maps_schw: Tensor) -> Tensor:
    return maps_schw.flatten(2).transpose(1, 2)


def _rim_table(side: int, patch: int) -> Tensor:
    """(T, U) rows of a map that is padded by one cell, of each patch with its rim."""
    wide = side * patch + 2
    corner = torch.arange(side) * patch
    inside = torch.arange(patch + 2)
    first = (corner[:, None] * wide + corner).flatten()
    return first[:, None] + (inside[:, None] * wide + inside).flatten()
