"""How wrong the maps of one step are.

Heat after CornerNet (Law, Deng 2018) and CenterPoint (Yin, Zhou, Kraehenbuehl 2021); deviations by the likelihood of a Laplace
distribution (Kendall, Gal 2017, with detached errors, so that they do not weigh the boxes); forecasts by the winner among the
modes (MultiPath, Chai et al. 2019).

Legend: B batch, N boxes a sample (padded), C channels, K cells of the heads a side, G inner cells a side, M modes, T times.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from moe_bev_ros.learning.bev_targets import Targets
from moe_bev_ros.learning.train_config import LossWeights
from moe_bev_ros.model.bev_model import Hints, Outputs, Seen
from moe_bev_ros.model.heads import NUM_MODES, NUM_STEPS, STEP_S

Terms = dict[str, Tensor]

NUM_LABELS = 10
# The rarer a class, the more it counts, since a score counts all alike: root of the classes' mean number of boxes in training
# scenes over that of the class, in the order of Label; then of what is hidden.
CLASS_WEIGHTS = (0.75, 1.84, 2.18, 2.04, 1.79, 0.46, 1.86, 1.56, 1.0, 1.13, 1.0)
# At this share the error of its axis never holds a heading that is known at the wrong end, and one of which nothing is known
# still tells its axis. With 0.3 half of the standing cars stayed turned round.
DIRECTION_SHARPNESS, DIRECTION_SHARE = 4.0, 0.75
# Thin and small classes of the road weigh more where they are, in the order of config.ROAD_CLASSES.
ROAD_POSITIVE_WEIGHTS = (1.0, 4.0, 8.0, 20.0, 3.0)
LOG_SIGMA_RANGE = (-5.0, 3.0)  # as the decoder has it
SMALLEST_ERRORS = (0.02, 0.02, 0.01, 0.02, 0.02)  # of x, y [m], yaw [rad], velocity [m/s]: no likelihood gains below


def task_losses(outputs: Outputs, targets: Targets, weights: LossWeights, head_cell_m: float) -> tuple[Tensor, Terms]:
    """Weighted sum of all terms, and the terms themselves, unweighted and detached."""
    terms = {
        'heat': heat_loss(outputs.heat.float(), targets.heat),
        **box_losses(outputs, targets, head_cell_m),
        'road': road_loss(outputs.road.float(), targets.road),
        **forecast_losses(outputs, targets),
        **hint_losses(outputs.hints, targets),
    }
    known = vars(weights)
    total = torch.stack([known[name] * term for name, term in terms.items()]).sum()
    return total, {name: term.detach() for name, term in terms.items()}


def heat_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Focal loss per centre of (B, C, K, K) maps; ``target`` is 1 at centres and falls off around them."""
    weight_c = logits.new_tensor(CLASS_WEIGHTS)
    is_centre = target == 1.0
    centres, weights = logits[is_centre], weight_c[is_centre.nonzero()[:, 1]]
    positive = weights * functional.softplus(-centres) * (-centres).sigmoid().square()
    # The weight is zero at centres.
    negative = functional.softplus(logits) * logits.sigmoid().square() * (1.0 - target).square().square()
    return (positive.sum() + (weight_c * negative.sum((0, 2, 3))).sum()) / max(1, len(centres))


def heading_loss(found_2: Tensor, true_2: Tensor) -> Tensor:
    """Of (…, 2) sine and cosine: error up to half a turn, and less heavily which end is the front.

    A direct error makes a box whose ends look alike say the mean of both headings, which is none. As in SECOND (Yan, Mao, Li
    2018) axis and direction are asked for apart, but here one vector says both.
    """
    same, turned = (found_2 - true_2).abs().sum(-1), (found_2 + true_2).abs().sum(-1)
    along = (found_2 * true_2).sum(-1)
    direction = functional.softplus(-DIRECTION_SHARPNESS * along) - functional.softplus(along.new_tensor(-DIRECTION_SHARPNESS))
    return torch.minimum(same, turned) + DIRECTION_SHARE * direction.clamp(min=0.0)


def at_cells(maps_bckk: Tensor, cell_bn: Tensor) -> Tensor:
    """(B, N, C) values of the maps at flat cells."""
    rows = maps_bckk.flatten(2).transpose(1, 2)
    return rows.gather(1, cell_bn[..., None].expand(-1, -1, rows.shape[2])).float()


def inner_cells(cell_bn: Tensor, cells: int, inner: int) -> Tensor:
    """Flat cells of a map with ``cells`` a side, as those of the coarser map with ``inner`` a side."""
    row, column = torch.div(cell_bn, cells, rounding_mode='floor'), cell_bn % cells
    ratio = cells // inner
    return torch.div(row, ratio, rounding_mode='floor') * inner + torch.div(column, ratio, rounding_mode='floor')


def mean_of(values: Tensor, mask: Tensor) -> Tensor:
    """Mean where the mask is true, 0 where it never is; gradients of what is left out stay finite."""
    return torch.where(mask, values, torch.zeros_like(values)).sum() / mask.sum().clamp(min=1)


def box_losses(outputs: Outputs, targets: Targets, head_cell_m: float) -> Terms:
    """L1 of the groups of channels, the likelihood of the deviations, attribute, and class of what is hidden; all per box."""
    found, valid = at_cells(outputs.boxes, targets.cell), targets.valid
    true, moves = torch.nan_to_num(targets.boxes), valid & torch.isfinite(targets.boxes[..., 8:10]).all(-1)
    weight = found.new_tensor(CLASS_WEIGHTS)[targets.label]
    error = weight[..., None] * (found - true).abs()
    known = targets.attribute >= 0
    attributes = at_cells(outputs.attributes, targets.cell)
    classes = at_cells(outputs.heat, targets.cell)[..., :NUM_LABELS]
    return {
        'offset': mean_of(error[..., 0:2].sum(-1), valid),
        'height': mean_of(error[..., 2], valid),
        'size': mean_of(error[..., 3:6].sum(-1), valid),
        'heading': mean_of(weight * heading_loss(found[..., 6:8], true[..., 6:8]), valid),
        'velocity': mean_of(error[..., 8:10].sum(-1), moves),
        'sigma': sigma_loss(at_cells(outputs.log_sigma, targets.cell), found, true, valid, moves, head_cell_m),
        'attribute': mean_of(_cross_entropy(attributes, targets.attribute), valid & known),
        'hidden_class': mean_of(_cross_entropy(classes, targets.label), valid & targets.hidden),
    }


def sigma_loss(log_sigma: Tensor, found: Tensor, true: Tensor, valid: Tensor, moves: Tensor, head_cell_m: float) -> Tensor:
    """Negative log likelihood of the errors under a Laplace distribution with this standard deviation, per box."""
    turn = torch.atan2(found[..., 6], found[..., 7]) - torch.atan2(true[..., 6], true[..., 7])
    turn = torch.atan2(turn.sin(), turn.cos())
    gap = found - true
    error = torch.cat([gap[..., :2] * head_cell_m, turn[..., None], gap[..., 8:10]], dim=-1).abs().detach()
    error = torch.maximum(error, error.new_tensor(SMALLEST_ERRORS))
    log_sigma = log_sigma.clamp(*LOG_SIGMA_RANGE)
    likelihood = 2.0**0.5 * error * (-log_sigma).exp() + log_sigma
    mask = torch.stack([valid, valid, valid, moves, moves], dim=-1)
    return torch.where(mask, likelihood, torch.zeros_like(likelihood)).sum() / valid.sum().clamp(min=1)


def road_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of (B, 5, K, K) maps; a target below 0 is not known."""
    weight = logits.new_tensor(ROAD_POSITIVE_WEIGHTS)[:, None, None]
    error = functional.binary_cross_entropy_with_logits(
        logits, target.float().clamp(min=0), pos_weight=weight, reduction='none'
    )
    return mean_of(error, target >= 0)


def forecast_losses(outputs: Outputs, targets: Targets) -> Terms:
    """Distance of the best mode, and cross-entropy of telling which it is.

    The displacement is asked for relative to the box's own velocity, as it is read in use: what is wrong with the velocity is
    for the modes to mend.
    """
    place = inner_cells(targets.cell, outputs.boxes.shape[-1], outputs.forecast.shape[-1])
    said = at_cells(outputs.forecast, place)
    said = said.view(*said.shape[:2], NUM_MODES, 1 + 2 * NUM_STEPS)
    velocity = at_cells(outputs.boxes, targets.cell)[..., 8:10].detach()
    ahead_s = STEP_S * torch.arange(1, NUM_STEPS + 1, device=velocity.device)
    residual = torch.nan_to_num(targets.future) - ahead_s[:, None] * velocity[:, :, None]
    gap = said[..., 1:].reshape(*said.shape[:3], NUM_STEPS, 2) - residual[:, :, None]
    seen = (targets.future_mask & targets.valid[..., None]).float()
    error = functional.smooth_l1_loss(gap, torch.zeros_like(gap), reduction='none').sum(-1)
    error = (error * seen[:, :, None]).sum(-1) / seen.sum(-1).clamp(min=1)[..., None]
    best, mode = error.min(dim=-1)
    known = seen.sum(-1) > 0
    return {'forecast': mean_of(best, known), 'forecast_mode': mean_of(_cross_entropy(said[..., 0], mode), known)}


def hint_losses(hints: Hints, targets: Targets) -> Terms:
    """What the inner parts are told: depth, cells to remember with their velocity, patches that hold objects."""
    batch, _, side, _ = hints.dynamic.shape
    place = inner_cells(targets.cell, targets.heat.shape[-1], side)
    velocity = targets.boxes[..., 8:10]
    error = (at_cells(hints.velocity, place) - torch.nan_to_num(velocity)).abs().sum(-1)
    held = torch.zeros(batch, side * side + 1, device=place.device).scatter(
        1, torch.where(targets.valid, place, side * side), 1.0
    )
    held = held[:, :-1].view(batch, 1, side, side)
    patch = side // round(hints.routing.objects_bt.shape[1] ** 0.5)
    busy = functional.max_pool2d(held, patch).flatten(1)
    terms = {
        'dynamic': balanced_cross_entropy(hints.dynamic.float(), held),
        'token_velocity': mean_of(error, targets.valid & torch.isfinite(velocity).all(-1)),
        'router': balanced_cross_entropy(hints.routing.objects_bt.float(), busy),
    }
    if hints.seen is not None:
        terms['depth'] = mean_of(_cross_entropy(hints.seen.depth.float(), hints.seen.depth_bin), hints.seen.depth_bin >= 0)
    return terms


def balanced_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean of the cross-entropy where the target is 1 and of that where it is 0."""
    error = functional.binary_cross_entropy_with_logits(logits, target, reduction='none')
    return 0.5 * (mean_of(error, target > 0.5) + mean_of(error, target <= 0.5))


def importance_loss(seen: Seen) -> Tensor:
    """Divergence of the scorer from the magnitude of the gradient that has just gone through the features.

    It compares the chosen blocks of an image with one another, because what was not chosen hardly has a gradient.
    """
    assert seen.features.grad is not None, 'the gradient of the task comes first'
    images, height, width = seen.importance.shape
    chosen = seen.chosen.view(images, -1) % (height * width)
    magnitude = seen.features.grad.float().norm(dim=1).flatten(1).gather(1, chosen)
    total = magnitude.sum(1, keepdim=True)
    share = magnitude / total.clamp(min=1e-20)
    said = seen.importance.float().flatten(1).gather(1, chosen).log_softmax(1)
    divergence = (torch.xlogy(share, share) - share * said).sum(1)
    return mean_of(divergence, total[:, 0] > 0.0)


def _cross_entropy(logits: Tensor, index: Tensor) -> Tensor:
    """Of the last dimension, elementwise; an index below 0 is taken as 0, for the caller to mask."""
    return -logits.log_softmax(-1).gather(-1, index.clamp(0, logits.shape[-1] - 1).long()[..., None])[..., 0]
