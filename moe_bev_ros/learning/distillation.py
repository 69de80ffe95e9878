"""View-guided distillation: a quantised network learns the features of the float one, most where there is something to be
seen.

After QD-BEV (Zhang et al., ICCV 2023), which distils image features and BEV features together and lets one guide the other by
the cameras' geometry. Here the guide is the map: cells that hold road users weigh more, and an image block weighs what the
cells weigh that look it up in the lift's table.

Legend: B batch, N cameras, P blocks of all cameras, Z heights, Q = G G inner cells, C channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from moe_bev_ros.learning.batches import Batch
from moe_bev_ros.learning.bias_correction import hearing
from moe_bev_ros.model.bev_model import BevModel, Seen
from moe_bev_ros.model.memory import State

EVERYWHERE = 0.1  # weight of a cell without a road user; 1 at the centre of one
BEV_LAYER = 'patch_experts'  # whose result the heads and the memory read


class BevFeatures:
    """Within it, the maps that a network hands to its heads are kept, one a step."""

    def __init__(self, model: nn.Module) -> None:
        self.maps_bcgg: list[Tensor] = []
        self._hearing = hearing(model, [BEV_LAYER], lambda _, output: self.maps_bcgg.append(output))

    def __enter__(self) -> BevFeatures:
        self._hearing.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._hearing.__exit__(None, None, None)


class Teacher:
    """The float network beside its pupil, with a memory of its own."""

    def __init__(self, model: BevModel, batch: int) -> None:
        self.model = model.eval().requires_grad_(False)
        self.state: State = model.empty_memory(batch)

    def show(self, chunk: Sequence[Batch], experts: tuple[str, ...]) -> tuple[list[Tensor], list[Seen]]:
        """BEV maps of each step of a chunk, and what the cameras gave where somebody looked."""
        seen = []
        with torch.no_grad(), BevFeatures(self.model) as features:
            for frame in chunk:
                with torch.autocast(frame.inputs.images.device.type, torch.bfloat16):
                    outputs, self.state = self.model(frame.inputs, self.state, experts)
                seen += [outputs.hints.seen] if outputs.hints.seen is not None else []
        return features.maps_bcgg, seen


def view_guided_loss(
    chunk: Sequence[Batch], maps: Sequence[Tensor], seen: Sequence[Seen], taught_maps: Sequence[Tensor], taught: Sequence[Seen]
) -> Tensor:
    """Mean over a chunk of the weighted errors of BEV and of image features, each as a share of the teacher's power."""
    terms = []
    for step, frame in enumerate(chunk):
        weight_bq = cell_weights(frame.targets.heat, maps[step].shape[-1])
        terms.append(_error(maps[step].flatten(2), taught_maps[step].flatten(2), weight_bq))
        if seen:
            weight_bp = block_weights(weight_bq, frame.inputs.pixel, frame.inputs.depth[0].numel())
            ours, theirs = (_blocks(one.features, len(weight_bp)) for one in (seen[step], taught[step]))
            terms.append(_error(ours, theirs, weight_bp))
    return torch.stack(terms).sum() / len(chunk)


def cell_weights(heat_bckk: Tensor, cells: int) -> Tensor:
    """(B, Q) from the heads' target maps, which are 1 at the centres of road users and fall off around them."""
    peak = functional.adaptive_max_pool2d(heat_bckk.float().amax(1, keepdim=True), cells)
    return EVERYWHERE + (1.0 - EVERYWHERE) * peak.flatten(1)


def block_weights(weight_bq: Tensor, pixel_bzq: Tensor, num_blocks: int) -> Tensor:
    """(B, P) mean weight of the cells that look a block up; EVERYWHERE where none does."""
    batch, heights, _ = pixel_bzq.shape
    table = pixel_bzq.flatten(1)
    spread = weight_bq[:, None].expand(-1, heights, -1).reshape(batch, -1)
    empty = weight_bq.new_zeros(batch, num_blocks + 1)
    total, count = (empty.scatter_add(1, table, values) for values in (spread, torch.ones_like(spread)))
    return torch.where(count > 0, total / count.clamp(min=1.0), EVERYWHERE)[:, :num_blocks]


def _blocks(features_nchw: Tensor, batch: int) -> Tensor:
    """(B, C, P), blocks of one camera after those of another."""
    channels = features_nchw.shape[1]
    return features_nchw.view(batch, -1, channels, *features_nchw.shape[2:]).transpose(1, 2).flatten(2)


def _error(values_bcp: Tensor, taught_bcp: Tensor, weight_bp: Tensor) -> Tensor:
    taught = taught_bcp.float()
    gap = (values_bcp.float() - taught).square().mean(1)
    power = taught.square().mean(1)
    return (weight_bp * gap).sum() / (weight_bp * power).sum().clamp(min=1e-6)
