"""The same network as it is deployed: the same outputs from fewer and plainer layers.

Batch norms go into the convolutions before them, a convolution over two maps, or over two frames, becomes one for each of them,
so that each has a range of its own, the lift merges its heights before it pulls, and the most important key points get layers
of their own, so that a layer's precision can be chosen for them alone.
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.blocks import Joined, Sum
from moe_bev_ros.model.lift import Lift, ProjectedLift
from moe_bev_ros.model.patch_experts import Volume
from moe_bev_ros.model.sparse_attention import BranchedAttention, SparseAttention


class Parted(nn.Module):
    """A convolution over two maps, as one for each and the sum of both, then ReLU."""

    def __init__(self, first: nn.Conv2d, second: nn.Conv2d) -> None:
        super().__init__()
        self.first, self.second, self.sum, self.relu = first, second, Sum(), nn.ReLU(inplace=True)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """(B, outputs, H, W)."""
        summed: Tensor = self.relu(self.sum(self.first(first), self.second(second)))
        return summed


def folded(model: BevModel) -> BevModel:
    """A copy in evaluation mode; names of layers stay, but for those of the attention, which is twice there.

    Raises:
        InputError: a batch norm stands where no convolution comes before it.
    """
    result = copy.deepcopy(model).eval()
    for name, sequence in list(result.named_modules()):
        if isinstance(sequence, nn.Sequential | Joined):
            _fold_sequence(sequence)
        if isinstance(sequence, Joined):
            result.set_submodule(name, _parted(sequence))
        if isinstance(sequence, Volume):
            result.set_submodule(name, _parted_volume(sequence))
    if left := [name for name, part in result.named_modules() if isinstance(part, nn.BatchNorm2d)]:
        raise InputError(f'no convolution before the batch norm {left[0]}; put it behind one, in a Sequential')
    if isinstance(result.lift, Lift):
        result.lift = ProjectedLift(result.lift)
    if isinstance(result.attention, SparseAttention):
        result.attention = BranchedAttention(result.attention)
    return result


def _parted(block: Joined) -> Parted:
    """Of a block whose batch norm is folded."""
    both = cast(nn.Conv2d, block[0])
    first, second = both.weight.detach().chunk(2, dim=1)
    return Parted(*_convolutions(first, second, both.bias, both.padding))


def _parted_volume(volume: Volume) -> Parted:
    deep = cast(nn.Conv3d, volume[0])
    before, now = deep.weight.detach().unbind(2)
    return Parted(*_convolutions(before, now, deep.bias, (0, 0)))


def _convolutions(
    first: Tensor, second: Tensor, bias: Tensor | None, padding: str | tuple[int, ...]
) -> tuple[nn.Conv2d, nn.Conv2d]:
    """With these kernels; the bias goes to the first."""
    outputs, inputs, *kernel = first.shape
    parts = [nn.Conv2d(inputs, outputs, tuple(kernel), padding=padding) for _ in range(2)]  # type: ignore[arg-type]
    assert bias is not None
    with torch.no_grad():
        for part, weight in zip(parts, (first, second)):
            part.weight.copy_(weight)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
        parts[0].bias.copy_(bias)  # type: ignore[union-attr]
    return parts[0], parts[1]


def _fold_sequence(sequence: nn.Sequential | Joined) -> None:
    for index in range(len(sequence) - 1):
        before, norm = sequence[index], sequence[index + 1]
        if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            sequence[index], sequence[index + 1] = fuse_conv_bn_eval(before, norm), nn.Identity()
