"""A memory that is sparse in time and space.

Three groups of cells, by how fast they change: a coarse static map that is rewritten every ``static_every`` frames, a
semi-static one every ``semi_every`` frames, and the ``num_tokens`` most dynamic cells, rewritten every frame. Maps stay where
they were written and are read through the motion since then, so that they are resampled once and not once a frame; dynamic
cells move on by the vehicle's motion and by their own velocity. A learned gate forgets.

The state is a dict of tensors with fixed shapes, which goes in and comes out.

Legend: B batch, C channels, G inner cells a side, Q = G G, M tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.model.blocks import Joined, conv_block
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.sparse_attention import take_rows

State = dict[str, Tensor]


class Recalled(NamedTuple):
    """What the memory says about now.

    Attributes:
        prior_bcgg: features in the present grid.
        moved: the state as seen from the present base_link, which `write` changes.
    """

    prior_bcgg: Tensor
    moved: State


class GatedMemory(nn.Module, ABC):
    """What the sparse memory shares with those that it is compared with: a gate between the past and the present.

    Attributes:
        forget, fuse: of the gate.
        dynamic, velocity: tell which cells hold road users, and how these move.
    """

    config: ModelConfig
    forget: nn.Conv2d
    fuse: nn.Module
    dynamic: nn.Conv2d
    velocity: nn.Conv2d

    @abstractmethod
    def empty(self, batch: int) -> State:
        """A memory that holds nothing."""

    @abstractmethod
    def recall(self, state: State, motion_b33: Tensor, dt_b: Tensor) -> Recalled:
        """What is known of the present surroundings before looking; ``dt_b`` of 0 forgets everything."""

    @abstractmethod
    def write(self, map_bcgg: Tensor, recalled: Recalled) -> tuple[State, Tensor, Tensor]:
        """The new state, logits (B, 1, G, G) of the cells to remember, and the velocity (B, 2, G, G) there [m/s]."""

    def merge(self, now_bcgg: Tensor, recalled: Recalled) -> Tensor:
        """The present and what is not forgotten (B, C, G, G)."""
        gate = self.forget(torch.cat([now_bcgg, recalled.prior_bcgg], dim=1)).sigmoid()
        fused: Tensor = self.fuse(now_bcgg, gate * recalled.prior_bcgg)
        return now_bcgg + fused


class SparseMemory(GatedMemory):
    """See the module."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        channels, static = config.channels, config.static_channels
        self.read_in = conv_block(channels + 3 + 2 * static + 1, channels, kernel=1)
        self.forget = nn.Conv2d(2 * channels, channels, 1)
        self.fuse = Joined(2 * channels, channels)
        self.dynamic = nn.Conv2d(channels, 1, 1)
        self.velocity = nn.Conv2d(channels, 2, 1)
        self.to_static = nn.Conv2d(channels, 2 * static, 1)
        self.to_semi = nn.Conv2d(channels, 2 * static, 1)
        nn.init.constant_(self.dynamic.bias, -3.0)  # type: ignore[arg-type]

    def empty(self, batch: int) -> State:
        """A memory that holds nothing."""
        config, device = self.config, self.dynamic.weight.device
        maps = (batch, config.static_channels, config.num_cells, config.num_cells)
        eye = torch.eye(3, device=device).repeat(batch, 1, 1)
        count = config.num_tokens
        return {
            'static': torch.zeros(maps, device=device),
            'static_motion': eye,
            'static_age': torch.full((batch,), float(config.static_every), device=device),
            'semi': torch.zeros(maps, device=device),
            'semi_motion': eye,
            'semi_age': torch.full((batch,), float(config.semi_every), device=device),
            'tokens': torch.zeros(batch, count, config.channels, device=device),
            'token_xy': torch.zeros(batch, count, 2, device=device),
            'token_velocity': torch.zeros(batch, count, 2, device=device),
            'token_valid': torch.zeros(batch, count, device=device),
        }

    def recall(self, state: State, motion_b33: Tensor, dt_b: Tensor) -> Recalled:
        """As the base says."""
        keep_b = (dt_b > 0).to(motion_b33.dtype)
        moved = {name: self._kept(name, value, keep_b) for name, value in state.items()}
        for name in ('static', 'semi'):
            moved[f'{name}_motion'] = _times(motion_b33, moved[f'{name}_motion'])
            moved[f'{name}_age'] = moved[f'{name}_age'] + 1.0
        places = moved['token_xy'], moved['token_velocity']
        moved['token_xy'], moved['token_velocity'] = moved_on(*places, motion_b33, dt_b)
        maps = [warped(moved[name], moved[f'{name}_motion'], self.config.half_m) for name in ('static', 'semi')]
        moved['static_now'], moved['semi_now'] = maps
        prior = self.read_in(torch.cat([self._on_grid(moved), *maps, dt_map(dt_b, self.config)], dim=1))
        return Recalled(prior * keep_b[:, None, None, None].to(prior.dtype), moved)

    def write(self, map_bcgg: Tensor, recalled: Recalled) -> tuple[State, Tensor, Tensor]:
        """As the base says."""
        state = dict(recalled.moved)
        logits, velocity = self.dynamic(map_bcgg), self.velocity(map_bcgg)
        score_bq = logits.flatten(1)
        index_bm = score_bq.topk(self.config.num_tokens, dim=1).indices
        score_bm1 = score_bq.gather(1, index_bm).sigmoid()[..., None]
        state['tokens'] = take_rows(map_bcgg.flatten(2).transpose(1, 2), index_bm) * score_bm1
        state['token_velocity'] = take_rows(velocity.flatten(2).transpose(1, 2), index_bm).to(state['token_xy'].dtype)
        state['token_xy'] = centres_of(index_bm, self.config)
        state['token_valid'] = torch.ones_like(state['token_valid'])
        for name, layer, every in (
            ('static', self.to_static, self.config.static_every),
            ('semi', self.to_semi, self.config.semi_every),
        ):
            self._rewrite(state, name, layer(map_bcgg), float(every))
        return state, logits, velocity

    def _kept(self, name: str, value: Tensor, keep_b: Tensor) -> Tensor:
        keep = keep_b.view(-1, *(1,) * (value.dim() - 1))
        if name.endswith('_motion'):
            return value * keep + torch.eye(3, device=value.device) * (1.0 - keep)
        if name.endswith('_age'):
            return value * keep + 1e3 * (1.0 - keep)
        return value * keep.to(value.dtype)

    def _rewrite(self, state: State, name: str, values_and_gate: Tensor, every: float) -> None:
        """Replace a map that is old enough by a mixture of what it held and of now."""
        values, gate = values_and_gate.chunk(2, dim=1)
        before, old = state.pop(f'{name}_now'), state[name]
        gate = gate.sigmoid()
        mixed = gate * before + (1.0 - gate) * values
        due_b = (state[f'{name}_age'] >= every).to(old.dtype)
        due, due_pose = due_b[:, None, None, None], due_b[:, None, None]
        state[name] = due * mixed.to(old.dtype) + (1.0 - due) * old
        eye = torch.eye(3, device=old.device)
        state[f'{name}_motion'] = due_pose * eye + (1.0 - due_pose) * state[f'{name}_motion']
        state[f'{name}_age'] = (1.0 - due_b) * state[f'{name}_age']

    def _on_grid(self, moved: State) -> Tensor:
        return on_grid(moved['tokens'], moved['token_xy'], moved['token_valid'], self.config)


def sparse_values(config: ModelConfig) -> int:
    """Numbers in the sparse memory of one drive."""
    maps = 2 * (config.static_channels * config.num_cells**2 + 9 + 1)
    return maps + config.num_tokens * (config.channels + 2 + 2 + 1)


def moved_on(xy_bm2: Tensor, velocity_bm2: Tensor, motion_b33: Tensor, dt_b: Tensor) -> tuple[Tensor, Tensor]:
    """Places [m] and velocities [m/s] of road users after ``dt_b``, seen from where the vehicle then is."""
    rotation_b22, shift_b12 = motion_b33[:, :2, :2], motion_b33[:, None, :2, 2]
    ahead = xy_bm2 + velocity_bm2 * dt_b[:, None, None]
    return _times(ahead, rotation_b22.transpose(1, 2)) + shift_b12, _times(velocity_bm2, rotation_b22.transpose(1, 2))


def on_grid(rows_bmc: Tensor, xy_bm2: Tensor, valid_bm: Tensor, config: ModelConfig) -> Tensor:
    """(B, C + 3, G, G) mean of the rows in each cell, with their offset from its centre [cells] and a flag."""
    cells = config.num_cells
    place = (xy_bm2 + config.half_m) / config.cell_m
    cell = place.floor()
    inside = ((cell >= 0) & (cell < cells)).all(dim=2) & (valid_bm > 0)
    flat = torch.where(inside, (cell[..., 1] * cells + cell[..., 0]).long(), cells * cells)
    facts = [(place - cell - 0.5).to(rows_bmc.dtype), valid_bm[..., None].to(rows_bmc.dtype)]
    rows = torch.cat([rows_bmc, *facts], dim=2)
    batch, _, width = rows.shape
    first = torch.arange(batch, device=rows.device)[:, None] * (cells * cells + 1)
    table = rows.new_zeros(batch * (cells * cells + 1), width)
    table = table.index_add(0, (flat + first).flatten(), rows.flatten(0, 1)).view(batch, -1, width)
    count = table[..., -1:].clamp(min=1.0)
    return (table / count)[:, :-1].transpose(1, 2).reshape(batch, width, cells, cells)


def centres_of(index_bm: Tensor, config: ModelConfig) -> Tensor:
    """(B, M, 2) x, y of the centres of inner cells [m]."""
    row = torch.div(index_bm, config.num_cells, rounding_mode='floor')
    xy = torch.stack([index_bm - row * config.num_cells, row], dim=2).float()
    return (xy + 0.5) * config.cell_m - config.half_m


def dt_map(dt_b: Tensor, config: ModelConfig) -> Tensor:
    """(B, 1, G, G) time since the last frame, everywhere [s]."""
    return dt_b[:, None, None, None].expand(-1, 1, config.num_cells, config.num_cells)


def warped(map_bcgg: Tensor, now_from_then_b33: Tensor, half_m: float) -> Tensor:
    """A map seen from where the vehicle is now; zero where it did not reach.

    Args:
        now_from_then_b33: SE2 that moves points of the map's base_link to the present one [m].
    """
    cells = map_bcgg.shape[-1]
    axis = (torch.arange(cells, device=map_bcgg.device) + 0.5) / cells * 2.0 - 1.0
    y, x = torch.meshgrid(axis, axis, indexing='ij')
    now_q2 = torch.stack([x.flatten(), y.flatten()], dim=1)
    rotation, shift = now_from_then_b33[:, :2, :2], now_from_then_b33[:, None, :2, 2] / half_m
    then_bq2 = _times(now_q2 - shift, rotation)
    grid = then_bq2.view(-1, cells, cells, 2).to(map_bcgg.dtype)
    return functional.grid_sample(map_bcgg, grid, mode='bilinear', padding_mode='zeros', align_corners=False)


def _times(left_bij: Tensor, right_bjk: Tensor) -> Tensor:
    """The matrix product, out of reach of autocast: bfloat16 would move what is 50 m away by 0.2 m.

    Written as a sum of columns times rows: run-times are slow where they add up over a short last axis.
    """
    terms = [left_bij[..., j : j + 1] * right_bjk[:, j : j + 1] for j in range(left_bij.shape[-1])]
    return sum(terms[1:], terms[0])
