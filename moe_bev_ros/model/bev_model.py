"""The network: sub-engines in a row, with the memory's state going in and coming out.

Letters: B batch, N cameras, H W image, h w = H/8 W/8, D depth bins, Z heights, S pillars a side, G inner cells a side (4
pillars), K cells of the heads' maps a side (2 pillars). BEV maps are squares around base_link with row 0 at the smallest y and
column 0 at the smallest x.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.camera_encoder import CameraEncoder
from moe_bev_ros.model.config import FRAME_EXPERTS, ModelConfig
from moe_bev_ros.model.frame_experts import CameraExpert, FusedExpert, LidarExpert
from moe_bev_ros.model.gradient_points import gradient_points
from moe_bev_ros.model.heads import Heads
from moe_bev_ros.model.lidar_encoder import LidarEncoder
from moe_bev_ros.model.lift import Lift, ProjectedLift
from moe_bev_ros.model.memory import State
from moe_bev_ros.model.memory_baselines import memory_of
from moe_bev_ros.model.patch_experts import PatchExperts
from moe_bev_ros.model.router import Router, Routing
from moe_bev_ros.model.sparse_attention import BranchedAttention, KeyPoints, SparseAttention

Clock = Callable[[str], None]


class Inputs(NamedTuple):
    """One step; see `perception.network_inputs`.

    Attributes:
        images: (B, N, 3, H, W), RGB, (x / 255 - 0.45) / 0.225; zero where a camera is not valid.
        depth: (B, N, h, w) optical depth of the nearest LiDAR return in each block [m]; 0 where there is none.
        pixel: (B, Z, G G) int64 block (counted over all cameras) that sees a cell at a height; N h w where none.
        bin: (B, Z, G G) int64 depth bin of the cell there.
        pillars: (B, P, S, S) statistics of the sweep.
        motion: (B, 3, 3) SE2 that moves points from the previous base_link to the present one [m].
        dt: (B,) since the previous frame [s]; 0 where there is none: the memory is then ignored.
    """

    images: Tensor
    depth: Tensor
    pixel: Tensor
    bin: Tensor
    pillars: Tensor
    motion: Tensor
    dt: Tensor


class Seen(NamedTuple):
    """What the cameras give.

    Attributes:
        map_bcgg: the lifted key points.
        features: (B N, C, h, w) of the images, in the graph of the outputs, so that a gradient can be taken there.
        importance: (B N, h, w) logits of the learned scorer, on detached features.
        chosen: (B, N K) int64 key points, counted over all cameras.
        depth: (B, N K, D) logits of the key points as the cameras alone give them.
        depth_bin: (B, N K) int64 bin of the LiDAR's return there; -1: none.
    """

    map_bcgg: Tensor
    features: Tensor
    importance: Tensor
    chosen: Tensor
    depth: Tensor
    depth_bin: Tensor


class Hints(NamedTuple):
    """What training looks at beside the outputs.

    Attributes:
        seen: None where no camera was looked at.
        dynamic: (B, 1, G, G) logits of the cells to remember.
        velocity: (B, 2, G, G) of these cells [m/s].
        routing: of the patch experts.
    """

    seen: Seen | None
    dynamic: Tensor
    velocity: Tensor
    routing: Routing


class Outputs(NamedTuple):
    """Maps of one step.

    Attributes:
        heat: (B, 11, K, K) logits of the ten classes in the order of Label, then of what is there but hidden now.
        boxes: (B, 10, K, K) offset of the centre from the cell's corner in x, y [cells], z [m], log of length, width, height,
            sine and cosine of yaw, velocity in x, y [m/s].
        log_sigma: (B, 5, K, K) log of the standard deviation of x, y [m], yaw [rad], velocity in x, y [m/s].
        attributes: (B, 8, K, K) logits in the order of core.attributes.ATTRIBUTES.
        road: (B, 5, K, K) logits in the order of config.ROAD_CLASSES.
        forecast: (B, 6 (1 + 24), G, G): of each mode a logit, then 12 times x, y: where the road user will be, less constant
            velocity, in base_link's axes [m].
    """

    heat: Tensor
    boxes: Tensor
    log_sigma: Tensor
    attributes: Tensor
    road: Tensor
    forecast: Tensor
    hints: Hints


class BevModel(nn.Module):
    """See the module."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.camera_encoder, self.lidar_encoder = CameraEncoder(config), LidarEncoder(config)
        self.key_points = KeyPoints(config)
        self.lift: Lift | ProjectedLift = Lift(config)
        self.attention: SparseAttention | BranchedAttention = SparseAttention(config)
        self.camera, self.lidar = CameraExpert(config), LidarExpert(config)
        self.fused, self.poor_sight = FusedExpert(config), FusedExpert(config)
        self.memory = memory_of(config)
        self.router, self.patch_experts = Router(config), PatchExperts(config)
        self.heads = Heads(config)

    def channels_last(self) -> BevModel:
        """Lay the kernels of all 2D convolutions out as processors like them."""
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                part.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self

    def empty_memory(self, batch: int) -> State:
        """A memory that holds nothing."""
        return self.memory.empty(batch)

    def forward(
        self,
        inputs: Inputs,
        state: State,
        experts: tuple[str, ...],
        clock: Clock = lambda _: None,
        chosen: Tensor | None = None,
    ) -> tuple[Outputs, State]:
        """One step with the frame experts of these names; encoders that none of them needs do not run.

        Args:
            clock: told the name of each stage when it is over.
            chosen: (B N, K) int64 key points of each image; None: as the config says.
        """
        if not experts or any(name not in FRAME_EXPERTS for name in experts):
            raise InputError(f'frame experts {experts}: name one or two of {", ".join(FRAME_EXPERTS)}')
        if self.config.selection == 'gradient' and chosen is None:
            chosen = gradient_points(self, inputs, state, experts)
            clock('gradient_points')
        seen = self.see(inputs, clock, chosen) if set(experts) - {'lidar'} else None
        lidar = self.lidar_encoder(inputs.pillars) if set(experts) - {'camera'} else None
        clock('lidar_encoder')
        return self.conclude(seen, lidar, inputs, state, experts, clock)

    def conclude(
        self,
        seen: Seen | None,
        lidar: tuple[Tensor, Tensor] | None,
        inputs: Inputs,
        state: State,
        experts: tuple[str, ...],
        clock: Clock = lambda _: None,
    ) -> tuple[Outputs, State]:
        """From what the encoders gave, which several choices of experts may share, to the outputs.

        Args:
            seen, lidar: of this frame; None where no expert of these looks at it.
        """
        said = [self._expert(name, seen, lidar) for name in experts]
        now, fine = (torch.stack(maps).mean(0) if len(said) > 1 else maps[0] for maps in zip(*said))
        clock('frame_experts')
        recalled = self.memory.recall(state, inputs.motion, inputs.dt)
        merged = self.memory.merge(now, recalled)
        clock('memory')
        routing = self.router(merged)
        clock('router')
        mixed = self.patch_experts(merged, recalled.prior_bcgg, routing)
        clock('patch_experts')
        after, dynamic, velocity = self.memory.write(mixed, recalled)
        clock('memory_write')
        maps = self.heads(mixed, fine)
        clock('heads')
        heat, boxes, log_sigma, attributes, road, forecast = maps
        hints = Hints(seen, dynamic, velocity, routing)
        return Outputs(heat, boxes, log_sigma, attributes, road, forecast, hints), after

    def see(self, inputs: Inputs, clock: Clock = lambda _: None, chosen: Tensor | None = None) -> Seen:
        """Encode the images, attend at their key points, and lift these to the map."""
        features, coarse = self.camera_encoder(inputs.images.flatten(0, 1))
        if features.requires_grad:
            features.retain_grad()
        clock('camera_encoder')
        seen = self.attend(features, coarse, inputs.depth, inputs.pixel, inputs.bin, chosen)
        clock('attention')
        return seen

    def attend(
        self,
        features: Tensor,
        coarse: Tensor,
        depth: Tensor,
        pixel: Tensor,
        depth_bin: Tensor,
        chosen: Tensor | None = None,
    ) -> Seen:
        """What the cameras give, from their features (B N, C, h, w) and (B N, C, h/2, w/2); the others as in `Inputs`."""
        batch, cameras = depth.shape[:2]
        importance = self.key_points.logits(features)
        chosen_nk = self.key_points(importance) if chosen is None else chosen
        points_nkc = self.attention(features, coarse, chosen_nk)
        blocks = features.shape[2] * features.shape[3]
        first = torch.arange(cameras, device=chosen_nk.device)[:, None] * blocks
        chosen_bk = (chosen_nk.view(batch, cameras, -1) + first).flatten(1)
        bin_bk = self.lift.bins_of(depth.flatten(1).gather(1, chosen_bk))
        points_bkc = points_nkc.reshape(batch, chosen_bk.shape[1], -1)
        lifted, logits = self.lift(points_bkc, chosen_bk, bin_bk, pixel, depth_bin, cameras * blocks)
        return Seen(lifted, features, importance, chosen_bk, logits, bin_bk)

    def _expert(self, name: str, seen: Seen | None, lidar: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        if name == 'camera':
            assert seen is not None
            return self.camera(seen.map_bcgg)
        assert lidar is not None
        if name == 'lidar':
            return self.lidar(*lidar)
        assert seen is not None
        return (self.fused if name == 'fused' else self.poor_sight)(seen.map_bcgg, *lidar)
