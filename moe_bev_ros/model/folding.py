"""Batch norms folded into the convolutions before them, for use: the same values in fewer passes over memory."""

from __future__ import annotations

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(model: nn.Module) -> None:
    """Change a network in evaluation mode in place; it cannot be trained or saved any more."""
    for part in list(model.modules()):
        if not isinstance(part, nn.Sequential):
            continue
        for index, (layer, following) in enumerate(pairwise(list(part))):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                part[index] = fuse_conv_bn_eval(layer, following)
                part[index + 1] = nn.Identity()
