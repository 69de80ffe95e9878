"""A quantised network from a float one without training: ranges by the rule that suits each branch, then corrected biases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

import torch

from moe_bev_ros.learning.batches import Batch
from moe_bev_ros.learning.bias_correction import correct_biases
from moe_bev_ros.learning.calibration import BRANCHES, RULES, EveryExpert, Ranges, branch_of, set_ranges
from moe_bev_ros.learning.losses import task_losses
from moe_bev_ros.learning.quantisation_policy import QuantisedLayers
from moe_bev_ros.learning.quantisers import Bits, layer_of, only, quantised, quantisers_of
from moe_bev_ros.learning.train_config import LossWeights
from moe_bev_ros.model.bev_model import BevModel

SEARCH_FRAMES = 24  # that rules are compared on
CORRECTION_FRAMES = 64
ALL_BRANCHES = (*BRANCHES, 'map')


def calibrated(
    reference: BevModel, layers: QuantisedLayers, bits: Bits, ranges: Ranges, rules: Mapping[str, str], frames: Iterable[Batch]
) -> BevModel:
    """A network with ranges and corrected biases.

    Args:
        reference: folded.
        rules: by branch.
    """
    model = quantised(reference, layers, bits)
    set_ranges(model, ranges, rules)
    correct_biases(model, reference, islice(frames, CORRECTION_FRAMES))
    return model


def best_rules(
    reference: BevModel,
    layers: QuantisedLayers,
    bits: Bits,
    ranges: Ranges,
    frames: Iterable[Batch],
    weights: LossWeights,
    say: Callable[[str], None],
) -> dict[str, str]:
    """For each branch the rule with the least loss where that branch alone is quantised."""
    kept = list(islice(frames, SEARCH_FRAMES))
    found = {}
    for branch in ALL_BRANCHES:
        losses = {rule: _loss_of(reference, layers, bits, ranges, rule, branch, kept, weights) for rule in RULES}
        found[branch] = min(losses, key=lambda rule: losses[rule])
        say(f'{branch}: {found[branch]}; ' + ', '.join(f'{rule} {loss:.4f}' for rule, loss in losses.items()))
    return found


def _loss_of(
    reference: BevModel,
    layers: QuantisedLayers,
    bits: Bits,
    ranges: Ranges,
    rule: str,
    branch: str,
    frames: Sequence[Batch],
    weights: LossWeights,
) -> float:
    model = quantised(reference, layers, bits)
    set_ranges(model, ranges, dict.fromkeys(ALL_BRANCHES, rule))
    chosen = frozenset(layer_of(name) for name in quantisers_of(model) if branch_of(name) == branch)
    with only(model, chosen):
        correct_biases(model, reference, frames)
        return mean_loss(model, frames, weights)


def mean_loss(model: BevModel, frames: Iterable[Batch], weights: LossWeights) -> float:
    """Of the task, over frames and frame experts."""
    runner = EveryExpert(model)
    losses = []
    with torch.no_grad():
        for frame in frames:
            outputs = runner.step(frame.inputs).values()
            cell_m = model.config.head_cell_m
            losses += [float(task_losses(one, frame.targets, weights, cell_m)[0]) for one in outputs]
    return sum(losses) / len(losses)
