"""Weights for a network that was never trained: those of one that was, wherever the two are alike."""

from __future__ import annotations

from pathlib import Path

import torch

from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.config import ModelConfig, dense_twin
from moe_bev_ros.model.weights_file import load_weights, save_weights


def write_dense_twin(weights: Path, out: Path) -> Path:
    """The dense twin of a trained network, for measurements of speed: what its memory says means nothing.

    Raises:
        InputError: the weights cannot be read, or the disk refuses the new ones.
    """
    trained = load_weights(weights)
    torch.manual_seed(0)
    model = BevModel(dense_twin(trained.config)).eval()
    known = trained.state_dict()
    alike = {
        name: known[name] for name, value in model.state_dict().items() if name in known and known[name].shape == value.shape
    }
    model.load_state_dict(alike, strict=False)
    return save_weights(model, model.config, out)


def write_untrained(config: ModelConfig, out: Path) -> Path:
    """Random weights, the same each time."""
    torch.manual_seed(0)
    return save_weights(BevModel(config).eval(), config, out)
