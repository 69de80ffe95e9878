"""The same network as it is deployed: the same outputs from fewer and plainer layers.

Batch norms go into the convolutions before them, the 3D convolution over two frames becomes a 2D one over the channels of both,
the lift merges its heights before it pulls, and the most important key points get layers of their own, so that a layer's
precision can be chosen for them alone.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.lift import Lift, ProjectedLift
from moe_bev_ros.model.patch_experts import Volume
from moe_bev_ros.model.sparse_attention import BranchedAttention, SparseAttention


class FlatVolume(nn.ModuleList):
    """What `Volume` does, as a 2D convolution over the channels of before and now."""

    def __init__(self, volume: Volume) -> None:
        deep = cast(nn.Conv3d, volume[0])
        flat = nn.Conv2d(2 * deep.in_channels, deep.out_channels, 3)
        assert flat.bias is not None
        assert deep.bias is not None
        with torch.no_grad():
            flat.weight.copy_(deep.weight.transpose(1, 2).flatten(1, 2))
            flat.bias.copy_(deep.bias)
        super().__init__([flat, nn.ReLU(inplace=True)])

    def forward(self, before_scuu: Tensor, now_scuu: Tensor) -> Tensor:
        """As `Volume`."""
        convolution, relu = self
        seen: Tensor = relu(convolution(torch.cat([before_scuu, now_scuu], dim=1)))
        return seen


def folded(model: BevModel) -> BevModel:
    """A copy in evaluation mode; names of layers stay, but for those of the attention, which is twice there.

    Raises:
        InputError: a batch norm stands where no convolution comes before it.
    """
    result = copy.deepcopy(model).eval()
    for name, sequence in list(result.named_modules()):
        if isinstance(sequence, nn.Sequential):
            _fold_sequence(sequence)
        if isinstance(sequence, Volume):
            result.set_submodule(name, FlatVolume(sequence))
    if left := [name for name, part in result.named_modules() if isinstance(part, nn.BatchNorm2d)]:
        raise InputError(f'no convolution before the batch norm {left[0]}; put it behind one, in a Sequential')
    if isinstance(result.lift, Lift):
        result.lift = ProjectedLift(result.lift)
    if isinstance(result.attention, SparseAttention):
        result.attention = BranchedAttention(result.attention)
    return result


def _fold_sequence(sequence: nn.Sequential) -> None:
    for index in range(len(sequence) - 1):
        before, norm = sequence[index], sequence[index + 1]
        if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            sequence[index], sequence[index + 1] = fuse_conv_bn_eval(before, norm), nn.Identity()
