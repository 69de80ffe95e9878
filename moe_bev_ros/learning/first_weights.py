"""Weights that a training begins with: those of another network, as far as they fit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]


def begin_with(model: nn.Module, weights: Weights) -> list[str]:
    """Copy every tensor of the same name and shape; returns the names of those that stay as they were made.

    A kernel that takes more channels than the known one begins with the known channels and zeros for the new ones, so that it
    says the same at first.
    """
    left = []
    with torch.no_grad():
        for name, own in model.state_dict().items():
            known = weights.get(name)
            if known is not None and known.shape == own.shape:
                own.copy_(known)
            elif known is not None and _has_fewer_inputs(known, own):
                own.zero_()
                own[:, : known.shape[1]] = known
            else:
                left.append(name)
    return left


def _has_fewer_inputs(known: Tensor, own: Tensor) -> bool:
    same = known.dim() == own.dim() == 4 and known.shape[0] == own.shape[0] and known.shape[2:] == own.shape[2:]
    return same and known.shape[1] < own.shape[1]
