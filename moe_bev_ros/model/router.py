"""Two stages that give every patch expert its patches.

Both stages let the expert choose (Zhou et al. 2022), so that load is balanced by construction and every slot is filled: the
coarse stage leaves each expert a share of the regions (2 x 2 patches), the fine stage picks from these the patches it takes.
An expert's gates are relative to the mean score of what it takes: only the order of its patches counts, and none can be closed
altogether. With absolute scores a short training closed seven experts of eight.

Legend: B batch, R regions, T patches, E experts, S slots of an expert (its capacity), C channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.model.config import ModelConfig

REGION = 2  # patches along a side
DROPPED = 10.0  # what dropout takes from a score: the pair is chosen last, and counts little


class Routing(NamedTuple):
    """Who takes what.

    Attributes:
        patch_bes: (B, E, S) int64 patches of each expert, best first.
        gate_bes: (B, E, S) weights in 0..1 of what it says about them.
        objects_bt: (B, T) logits that a patch holds an object, which raise a patch for all experts; supervised in training.
    """

    patch_bes: Tensor
    gate_bes: Tensor
    objects_bt: Tensor


class Router(nn.Module):
    """See the module. ``capacity``, ``noise`` and ``dropout`` follow the training's schedule."""

    members_rm: Tensor
    region_t: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.routing, self.patch = config.routing, config.patch
        self.side = config.num_cells // config.patch
        self.experts, self.capacity = config.num_experts, config.capacity
        self.regions = max(1, round(config.coarse_share * (self.side // REGION) ** 2))
        self.noise, self.dropout = 0.0, 0.0
        self.coarse = nn.Linear(2 * config.channels, config.num_experts)
        self.fine = nn.Linear(2 * config.channels, config.num_experts)
        self.objects = nn.Linear(2 * config.channels, 1)
        patch = torch.arange(self.side**2).view(self.side // REGION, REGION, self.side // REGION, REGION)
        members = patch.permute(0, 2, 1, 3).reshape(-1, REGION**2)
        self.register_buffer('members_rm', members, persistent=False)
        self.register_buffer('region_t', members.flatten().argsort() // REGION**2, persistent=False)

    def forward(self, map_bcgg: Tensor) -> Routing:
        """Route the patches of a map."""
        mean, peak = functional.avg_pool2d(map_bcgg, self.patch), functional.max_pool2d(map_bcgg, self.patch)
        pooled = torch.cat([mean, peak], dim=1)
        tokens_btc = pooled.flatten(2).transpose(1, 2)
        objects_bt = self.objects(tokens_btc)[..., 0]
        wanted_br = objects_bt.detach()[:, self.members_rm].amax(2)
        coarse_ber = self._perturbed(
            self.coarse(functional.max_pool2d(pooled, REGION).flatten(2).transpose(1, 2)).transpose(1, 2)
        )
        fine_bet = (self.fine(tokens_btc) + objects_bt.detach()[..., None]).transpose(1, 2)
        scores_bet = self._perturbed(fine_bet + coarse_ber[..., self.region_t])
        if self.routing == 'random':
            patch_bes = torch.rand_like(scores_bet, dtype=torch.float32).topk(self.capacity, dim=2).indices
        elif self.capacity == self.side**2:
            patch_bes = torch.arange(self.capacity, device=map_bcgg.device).expand(*scores_bet.shape[:2], -1)
        else:
            patch_bes = self._choose(coarse_ber + wanted_br[:, None], scores_bet)
        taken_bes = scores_bet.gather(2, patch_bes)
        return Routing(patch_bes, (taken_bes - taken_bes.mean(2, keepdim=True)).sigmoid(), objects_bt)

    def _choose(self, coarse_ber: Tensor, scores_bet: Tensor) -> Tensor:
        if self.capacity > self.regions * REGION**2:  # still warming up: the coarse stage would leave too few
            return scores_bet.topk(self.capacity, dim=2).indices
        candidates_bek = self.members_rm[coarse_ber.topk(self.regions, dim=2).indices].flatten(2)
        best = scores_bet.gather(2, candidates_bek).topk(self.capacity, dim=2).indices
        return candidates_bek.gather(2, best)

    def _perturbed(self, scores: Tensor) -> Tensor:
        """Noise, and dropout of single pairs, in training alone."""
        if not self.training:
            return scores
        scores = scores + self.noise * torch.randn_like(scores)
        return scores - DROPPED * (torch.rand_like(scores, dtype=torch.float32) < self.dropout).to(scores.dtype)
