"""Memories that the sparse one is compared with: none, one recurrent map, a queue of object queries, two stacked frames.

Each holds as many bytes as the sparse memory, by the width of its features. Ten stacked sweeps hold nothing here: they come in
with the points (`perception.sweep_stack`).

Legend: B batch, C channels, G inner cells a side, M queries, K cells that read.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from moe_bev_ros.model.blocks import Joined, conv_block
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.memory import (
    GatedMemory,
    Recalled,
    SparseMemory,
    State,
    centres_of,
    dt_map,
    moved_on,
    on_grid,
    sparse_values,
    warped,
)
from moe_bev_ros.model.sparse_attention import take_rows

QUEUE_FRAMES = 4
QUERY_FACTS = 6  # numbers of a query beside its features: x, y, velocity in x, y, age, flag
NUM_WAVES = 6  # the shortest is 3.2 m long
TYPICAL_SPEED_MPS = 10.0


def memory_of(config: ModelConfig) -> GatedMemory:
    """The one that the config names."""
    kinds: dict[str, type[GatedMemory]] = {
        'sparse': SparseMemory,
        'none': NoMemory,
        'recurrent': RecurrentMap,
        'queue': QueryQueue,
        'stack2': PreviousMap,
        'sweeps10': NoMemory,
    }
    return kinds[config.memory](config)


def half_bytes(state: State) -> int:
    """Of a memory in FP16, as it is compared and shipped."""
    return 2 * sum(value.numel() for value in state.values())


class NoMemory(GatedMemory):
    """Holds nothing; the same layers see a past of zeros."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.forget = nn.Conv2d(2 * channels, channels, 1)
        self.fuse = Joined(2 * channels, channels)
        self.dynamic = nn.Conv2d(channels, 1, 1)
        self.velocity = nn.Conv2d(channels, 2, 1)
        nn.init.constant_(self.dynamic.bias, -3.0)  # type: ignore[arg-type]

    def empty(self, batch: int) -> State:
        """A memory that holds nothing."""
        return {}

    def recall(self, state: State, motion_b33: Tensor, dt_b: Tensor) -> Recalled:
        """As the base says."""
        config = self.config
        return Recalled(motion_b33.new_zeros(len(dt_b), config.channels, config.num_cells, config.num_cells), {})

    def write(self, map_bcgg: Tensor, recalled: Recalled) -> tuple[State, Tensor, Tensor]:
        """As the base says."""
        return {}, self.dynamic(map_bcgg), self.velocity(map_bcgg)


class RecurrentMap(NoMemory):
    """One map over all cells, moved by the vehicle's motion and gated in every frame (as a ConvGRU, Ballas et al. 2016)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.width = sparse_values(config) // config.num_cells**2
        self.read_in = conv_block(self.width + 1, config.channels, kernel=1)
        self.to_map = nn.Conv2d(config.channels, 2 * self.width, 1)

    def empty(self, batch: int) -> State:
        """A memory that holds nothing."""
        cells, device = self.config.num_cells, self.dynamic.weight.device
        return {'map': torch.zeros(batch, self.width, cells, cells, device=device)}

    def recall(self, state: State, motion_b33: Tensor, dt_b: Tensor) -> Recalled:
        """As the base says."""
        keep = (dt_b > 0).to(motion_b33.dtype)[:, None, None, None]
        before = warped(state['map'] * keep, motion_b33, self.config.half_m)
        prior = self.read_in(torch.cat([before, dt_map(dt_b, self.config)], dim=1))
        return Recalled(prior * keep.to(prior.dtype), {'map': before})

    def write(self, map_bcgg: Tensor, recalled: Recalled) -> tuple[State, Tensor, Tensor]:
        """As the base says."""
        before = recalled.moved['map']
        values, gate = self.to_map(map_bcgg).chunk(2, dim=1)
        gate = gate.sigmoid()
        _, logits, velocity = super().write(map_bcgg, recalled)
        return {'map': (gate * before + (1.0 - gate) * values).to(before.dtype)}, logits, velocity


class PreviousMap(RecurrentMap):
    """The last frame's features, moved and put beside the present ones (BEVDet4D, Huang, Huang 2022), and nothing older."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.to_map = nn.Conv2d(config.channels, self.width, 1)

    def merge(self, now_bcgg: Tensor, recalled: Recalled) -> Tensor:
        """As the base says; keeps the present before the past is mixed in."""
        recalled.moved['seen'] = self.to_map(now_bcgg)
        return super().merge(now_bcgg, recalled)

    def write(self, map_bcgg: Tensor, recalled: Recalled) -> tuple[State, Tensor, Tensor]:
        """As the base says."""
        _, logits, velocity = NoMemory.write(self, map_bcgg, recalled)
        return {'map': recalled.moved['seen'].to(recalled.moved['map'].dtype)}, logits, velocity


class QueryQueue(NoMemory):
    """The likeliest cells of the last frames as object queries (StreamPETR, Wang et al. 2023).

    Queries move on by their own velocity and by the vehicle's motion. They stand in the prior at their cells, and the likeliest
    cells of the present read all of them by cross-attention.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.heads, self.num_new = config.attention_heads, config.num_tokens // QUEUE_FRAMES
        self.num = self.num_new * QUEUE_FRAMES
        self.width = sparse_values(config) // self.num - QUERY_FACTS
        self.to_query = nn.Linear(channels, self.width)
        self.read_in = conv_block(self.width + 3 + 1, channels, kernel=1)
        self.place = nn.Sequential(nn.Linear(4 * NUM_WAVES + 3, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels))
        self.query, self.key_value = nn.Linear(channels, channels), nn.Linear(self.width, 2 * channels)
        self.out = nn.Linear(channels, channels)

    def empty(self, batch: int) -> State:
        """A memory that holds nothing."""
        device = self.dynamic.weight.device
        widths = {'queries': (self.width,), 'xy': (2,), 'velocity': (2,), 'age': (), 'valid': ()}
        return {name: torch.zeros(batch, self.num, *width, device=device) for name, width in widths.items()}

    def recall(self, state: State, motion_b33: Tensor, dt_b: Tensor) -> Recalled:
        """As the base says."""
        keep_b = (dt_b > 0).to(motion_b33.dtype)
        xy, velocity = moved_on(state['xy'], state['velocity'], motion_b33, dt_b)
        valid = state['valid'] * keep_b[:, None]
        moved = {
            'queries': state['queries'],
            'xy': xy,
            'velocity': velocity,
            'age': state['age'] + dt_b[:, None],
            'valid': valid,
        }
        rows = on_grid(state['queries'], xy, valid, self.config)
        prior = self.read_in(torch.cat([rows, dt_map(dt_b, self.config)], dim=1))
        return Recalled(prior * keep_b[:, None, None, None].to(prior.dtype), moved)

    def merge(self, now_bcgg: Tensor, recalled: Recalled) -> Tensor:
        """As the base says, and what the likeliest cells read."""
        merged = super().merge(now_bcgg, recalled)
        index_bk, score_bk1 = self._likeliest(self.dynamic(merged))
        rows = merged.flatten(2).transpose(1, 2)
        said = self._read(take_rows(rows, index_bk), centres_of(index_bk, self.config), recalled.moved) * score_bk1
        index = index_bk[..., None].expand_as(said)
        return rows.scatter_add(1, index, said.to(rows.dtype)).transpose(1, 2).reshape(merged.shape)

    def write(self, map_bcgg: Tensor, recalled: Recalled) -> tuple[State, Tensor, Tensor]:
        """As the base says."""
        _, logits, velocity = super().write(map_bcgg, recalled)
        index, score = self._likeliest(logits)
        old, age = recalled.moved, recalled.moved['age']
        new = {
            'queries': self.to_query(take_rows(map_bcgg.flatten(2).transpose(1, 2), index)) * score,
            'xy': centres_of(index, self.config),
            'velocity': take_rows(velocity.flatten(2).transpose(1, 2), index),
            'age': age.new_zeros(index.shape),
            'valid': age.new_ones(index.shape),
        }
        kept = self.num - self.num_new
        state = {name: torch.cat([value.to(old[name].dtype), old[name][:, :kept]], dim=1) for name, value in new.items()}
        return state, logits, velocity

    def _likeliest(self, logits_b1gg: Tensor) -> tuple[Tensor, Tensor]:
        """(B, K) cells and (B, K, 1) how likely they hold a road user."""
        best = logits_b1gg.flatten(1).topk(self.num_new, dim=1)
        return best.indices, best.values.sigmoid()[..., None]

    def _read(self, rows_bkc: Tensor, xy_bk2: Tensor, queue: State) -> Tensor:
        """(B, K, C) what the queries tell the cells at ``xy_bk2``; zero where there is no query."""
        batch, count, channels = rows_bkc.shape
        keys, values = self.key_value(queue['queries']).chunk(2, dim=2)
        facts = torch.cat([queue['velocity'] / TYPICAL_SPEED_MPS, queue['age'][..., None]], dim=2)
        keys = keys + self._placed(queue['xy'], facts)
        query = self.query(rows_bkc) + self._placed(xy_bk2, torch.zeros_like(xy_bk2[..., :1]).expand(-1, -1, 3))
        query, keys, values = (
            x.view(batch, -1, self.heads, channels // self.heads).transpose(1, 2) for x in (query, keys, values)
        )
        valid = queue['valid'][:, None, None] > 0
        scores = (query @ keys.transpose(2, 3)).float() * (channels // self.heads) ** -0.5
        weights = scores.masked_fill(~valid, -1e4).softmax(dim=3) * valid
        gathered = (weights.to(values.dtype) @ values).transpose(1, 2).reshape(batch, count, channels)
        return self.out(gathered) * valid.any(dim=3)[:, 0, :, None]

    def _placed(self, xy_bm2: Tensor, facts_bm3: Tensor) -> Tensor:
        """(B, M, C) code of places by waves of falling length (Vaswani et al. 2017)."""
        turns = xy_bm2[..., None] * (torch.pi / self.config.half_m * 2.0 ** torch.arange(NUM_WAVES, device=xy_bm2.device))
        waves = turns.flatten(2)
        return self.place(torch.cat([waves.sin(), waves.cos(), facts_bm3], dim=2))
