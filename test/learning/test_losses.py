"""Each term is lowest where the maps say the truth, and says nothing where the truth is not known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from learning.drive_frames import drive_frame, road_view, truth_of
from model.small_model import CONFIG, random_inputs, small_model

from moe_bev_ros.learning.bev_targets import TargetMaker, Targets
from moe_bev_ros.learning.losses import CLASS_WEIGHTS, forecast_losses, heading_loss, importance_loss, road_loss, task_losses
from moe_bev_ros.learning.train_config import LossWeights
from moe_bev_ros.model.bev_model import Hints, Outputs
from moe_bev_ros.model.router import Routing

SURE = 14.0
CELLS, INNER = CONFIG.num_head_cells, CONFIG.num_cells
SILENT = ('sigma',)  # a likelihood has no zero


def targets_of(truth=None):
    arrays = TargetMaker(CONFIG).make(drive_frame(truth_of(road=road_view()) if truth is None else truth))
    return Targets(*(torch.from_numpy(values)[None] for values in arrays))


def filled(channels, cell, values, cells):
    maps = torch.zeros(1, channels, cells * cells)
    for slot in range(len(cell)):
        maps[0, :, cell[slot]] = values[slot]
    return maps.view(1, channels, cells, cells)


def telling(targets):
    """Outputs that say what the targets ask for."""
    valid = targets.valid[0]
    cell, boxes = targets.cell[0][valid], torch.nan_to_num(targets.boxes[0][valid])
    row, column = cell // CELLS, cell % CELLS
    inner = row // 2 * INNER + column // 2
    attributes = SURE * torch.nn.functional.one_hot(targets.attribute[0][valid].clamp(min=0), 8).float()
    times = 0.5 * torch.arange(1, 13)[:, None]
    futures = torch.full((len(cell), 6, 25), 20.0)
    futures[:, :, 0] = -SURE
    futures[:, 2, 0] = SURE
    futures[:, 2, 1:] = (targets.future[0][valid] - times * boxes[:, None, 8:10]).flatten(1)
    held = torch.full((1, 1, INNER * INNER), -SURE)
    held[0, 0, inner] = SURE
    held = held.view(1, 1, INNER, INNER)
    objects = torch.nn.functional.max_pool2d(held, CONFIG.patch).flatten(1)
    nothing = torch.zeros(0)
    hints = Hints(None, held, filled(2, inner, boxes[:, 8:10], INNER), Routing(nothing, nothing, objects))
    return Outputs(
        torch.where(targets.heat == 1.0, SURE, -SURE),
        filled(10, cell, boxes, CELLS),
        torch.full((1, 5, CELLS, CELLS), -2.0),
        filled(8, cell, attributes, CELLS),
        torch.where(targets.road > 0, SURE, -SURE),
        filled(150, inner, futures.flatten(1), INNER),
        hints,
    )


def terms_of(outputs, targets):
    return {name: float(term) for name, term in task_losses(outputs, targets, LossWeights(), CONFIG.head_cell_m)[1].items()}


def test_the_truth_costs_nothing():
    targets = targets_of()
    assert targets.valid.sum() == 2
    terms = terms_of(telling(targets), targets)
    assert {name: term for name, term in terms.items() if term > 1e-3 and name not in SILENT} == {}


CHANNELS = {'offset': 0, 'height': 2, 'size': 4, 'heading': 6, 'velocity': 9}


@pytest.mark.parametrize('term', CHANNELS)
def test_an_error_of_a_box_costs_in_its_own_term(term):
    targets = targets_of()
    outputs = telling(targets)
    right = terms_of(outputs, targets)
    outputs.boxes[:, CHANNELS[term]] += 0.5
    wrong = terms_of(outputs, targets)
    weight = np.mean([CLASS_WEIGHTS[label] for label in targets.label[targets.valid]])
    if term == 'heading':  # which end is the front costs beside it
        assert 0.5 * weight - 1e-3 <= wrong[term] <= weight
    else:
        assert wrong[term] == pytest.approx(0.5 * weight, abs=1e-3)
    assert {name for name in CHANNELS if wrong[name] > right[name] + 1e-4} == {term}


def test_a_heading_that_is_known_turns_from_the_wrong_end_to_the_right_one():
    true = torch.tensor([0.0, 1.0])
    found = torch.tensor([0.05, -0.95], requires_grad=True)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(heading_loss(found, true), found)
        found = (found - 0.02 * gradient).detach().requires_grad_()
    assert torch.allclose(found, true, atol=0.05)
    assert heading_loss(true, true) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize('true', [(1.0, 0.0), (0.6, 0.8)])
def test_ends_that_look_alike_still_give_an_axis(true):
    true = torch.tensor(true)
    along = np.linspace(0.0, 1.0, 21)
    either = [sum(float(heading_loss(share * true, sign * true)) for sign in (1.0, -1.0)) for share in along]
    assert along[np.argmin(either)] > 0.3
    assert min(either) < either[0] - 0.1


def test_a_rare_class_counts_more():
    targets = targets_of()
    rare, common = (targets._replace(label=torch.full_like(targets.label, label)) for label in (2, 5))
    outputs = telling(targets)
    outputs.boxes[:, 0] += 0.5
    assert terms_of(outputs, rare)['offset'] > 2.0 * terms_of(outputs, common)['offset']


@pytest.mark.parametrize('name', ['heat', 'road', 'attributes'])
def test_turned_logits_cost(name):
    targets = targets_of()
    if name == 'attributes':
        targets = targets._replace(attribute=torch.where(targets.valid, 1, -1))
    outputs = telling(targets)
    term = name.removesuffix('s')
    worse = outputs._replace(**{name: -getattr(outputs, name)})
    assert terms_of(worse, targets)[term] > 1.0 > 1e-3 > terms_of(outputs, targets)[term]


def test_a_velocity_that_is_not_known_is_not_asked_for():
    known = targets_of(truth_of())
    boxes = known.boxes.clone()
    boxes[..., 8:10] = torch.nan
    unknown = known._replace(
        boxes=boxes, future=torch.full_like(known.future, torch.nan), future_mask=known.future_mask & False
    )
    outputs = telling(unknown)
    outputs.boxes[:, 8:10] += 3.0
    outputs.boxes.requires_grad_()
    total, terms = task_losses(outputs, unknown, LossWeights(), CONFIG.head_cell_m)
    total.backward()
    assert terms['velocity'] == terms['token_velocity'] == terms['forecast'] == 0.0
    assert torch.isfinite(outputs.boxes.grad).all()
    assert not outputs.boxes.grad[:, 8:10].any()


def test_a_road_that_is_not_known_is_not_asked_for():
    unknown = torch.full((1, 5, 4, 4), -1, dtype=torch.int8)
    assert road_loss(torch.randn(1, 5, 4, 4), unknown) == 0.0


def test_the_best_mode_alone_counts_and_mends_the_velocity():
    targets = targets_of()
    outputs = telling(targets)
    modes = outputs.forecast.view(1, 6, 25, INNER, INNER)
    modes[:, [0, 1, 3, 4, 5], 1:] += 20.0
    assert forecast_losses(outputs, targets)['forecast'] < 1e-3
    outputs.boxes[:, 8] += 1.0  # a second later the box is one metre too far
    times = 0.5 * torch.arange(1, 13)[:, None, None]
    modes[:, 2, 1::2] -= times
    assert forecast_losses(outputs, targets)['forecast'] < 1e-3


def test_a_stated_deviation_fits_best_where_it_is_that_of_the_errors():
    targets = targets_of()
    outputs = telling(targets)
    outputs.boxes[:, :2] += 0.4 / CONFIG.head_cell_m
    outputs.boxes[:, 8:10] += 0.4
    costs = {}
    for sigma in (0.1, 0.4 * 2**0.5, 3.0):
        stated = outputs.log_sigma.clone()
        stated[:, [0, 1, 3, 4]] = float(np.log(sigma))
        costs[sigma] = terms_of(outputs._replace(log_sigma=stated), targets)['sigma']
    assert min(costs, key=costs.get) == 0.4 * 2**0.5


def test_what_is_out_of_sight_is_told_its_class():
    maker = TargetMaker(CONFIG)
    maker.make(drive_frame(truth_of()))
    gone = maker.make(drive_frame(truth_of(num_lidar=0, shares=0.0), tick=1))
    targets = Targets(*(torch.from_numpy(values)[None] for values in gone))
    assert targets.hidden.sum() == 2
    outputs = telling(targets)
    assert terms_of(outputs, targets)['hidden_class'] == pytest.approx(np.log(10.0), abs=1e-3)  # all classes alike
    column, row = targets.cell[0, 0] % CELLS, targets.cell[0, 0] // CELLS
    outputs.heat[0, targets.label[0, 0], row, column] += 5.0
    assert terms_of(outputs, targets)['hidden_class'] < np.log(10.0) - 0.5


def test_weights_multiply_their_terms():
    targets = targets_of()
    outputs = telling(targets)
    outputs.boxes[:, 2] += 1.0
    once, _ = task_losses(outputs, targets, LossWeights(), CONFIG.head_cell_m)
    twice, _ = task_losses(outputs, targets, replace(LossWeights(), height=2 * LossWeights().height), CONFIG.head_cell_m)
    weight = np.mean([CLASS_WEIGHTS[label] for label in targets.label[targets.valid]])
    assert float(twice - once) == pytest.approx(LossWeights().height * weight, rel=1e-4)


def test_the_scorer_learns_where_the_gradient_is_large():
    model = small_model().train()
    optimiser = torch.optim.Adam(model.key_points.parameters(), 0.05)
    inputs, losses = random_inputs(2), []
    for _ in range(25):
        torch.manual_seed(0)
        optimiser.zero_grad()
        outputs, _ = model(inputs, model.empty_memory(2), ('camera',))
        outputs.heat.square().sum().backward()
        loss = importance_loss(outputs.hints.seen)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.8 * losses[0]
    assert all(parameter.grad is not None for parameter in model.key_points.parameters())
