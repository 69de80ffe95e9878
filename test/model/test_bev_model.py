"""The whole network: what is not needed does not run, nothing looks ahead, and samples do not mix."""

import itertools

import pytest
import torch
from model.small_model import CONFIG, random_inputs, small_model

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.bev_model import Outputs
from moe_bev_ros.model.config import FRAME_EXPERTS

NUM_MAPS = len(Outputs._fields) - 1
EXPERT_PARTS = {'camera': 'camera', 'lidar': 'lidar', 'fused': 'fused', 'poor_sight': 'poor_sight'}
CAMERA_PARTS, LIDAR_PARTS = {'camera_encoder', 'key_points', 'attention', 'lift'}, {'lidar_encoder'}


def run(model, *frames, experts=('fused',), state=None):
    """Maps of each frame."""
    state = model.empty_memory(len(frames[0].dt)) if state is None else state
    said = []
    with torch.inference_mode():
        for frame in frames:
            outputs, state = model(frame, state, experts)
            said.append(outputs[:NUM_MAPS])
    return said


def assert_same(one, other, **tolerance):
    for a, b in zip(one, other):
        torch.testing.assert_close(a, b, **tolerance)


def test_maps_have_the_shapes_that_are_promised():
    outputs = run(small_model(), random_inputs(2))[0]
    fine, inner = CONFIG.num_head_cells, CONFIG.num_cells
    channels = (11, 10, 5, 8, 5)
    assert [tuple(x.shape) for x in outputs] == [*((2, c, fine, fine) for c in channels), (2, 150, inner, inner)]


@pytest.mark.parametrize('names', [*itertools.combinations(FRAME_EXPERTS, 1), *itertools.combinations(FRAME_EXPERTS, 2)])
def test_what_no_chosen_expert_needs_does_not_run(names):
    model, ran = small_model(), set()
    watched = {*EXPERT_PARTS.values(), *CAMERA_PARTS, *LIDAR_PARTS}
    for name in watched:
        part = model.get_submodule(name)
        part.register_forward_hook(lambda _module, _inputs, _output, name=name: ran.add(name))
    run(model, random_inputs(), experts=names)
    needed = {EXPERT_PARTS[name] for name in names}
    needed |= CAMERA_PARTS if set(names) - {'lidar'} else set()
    needed |= LIDAR_PARTS if set(names) - {'camera'} else set()
    assert ran == needed


def test_the_camera_expert_does_not_hear_the_lidar_and_the_lidar_expert_does_not_see():
    model, inputs = small_model(), random_inputs()
    blind = inputs._replace(images=inputs.images * 0.0, depth=inputs.depth * 0.0)
    deaf = inputs._replace(pillars=inputs.pillars * 0.0)
    assert_same(*run(model, deaf, experts=('camera',)), *run(model, inputs, experts=('camera',)))
    assert_same(*run(model, blind, experts=('lidar',)), *run(model, inputs, experts=('lidar',)))
    fused = run(model, inputs)[0][0]
    assert not torch.allclose(run(model, blind)[0][0], fused)
    assert not torch.allclose(run(model, deaf)[0][0], fused)


def test_two_experts_are_averaged():
    model, inputs = small_model(), random_inputs()
    said = {}

    def keep(_module, arguments):
        said['fine'] = arguments[1]

    model.heads.register_forward_pre_hook(keep)
    fine = []
    for names in (('lidar',), ('fused',), ('lidar', 'fused')):
        run(model, inputs, experts=names)
        fine.append(said['fine'])
    torch.testing.assert_close(fine[2], (fine[0] + fine[1]) / 2)
    assert_same(*run(model, inputs, experts=('lidar', 'fused')), *run(model, inputs, experts=('fused', 'lidar')))


@pytest.mark.parametrize('names', [(), ('radar',), ('lidar', 'Camera')])
def test_an_unknown_frame_expert_is_refused_with_those_there_are(names):
    with pytest.raises(InputError, match='camera, lidar, fused, poor_sight'):
        small_model()(random_inputs(), small_model().empty_memory(1), names)


def test_frames_to_come_do_not_change_what_was_said():
    model = small_model()
    frames = [random_inputs(seed=seed) for seed in range(3)]
    other = [*frames[:2], random_inputs(seed=9)]
    one, two = run(model, *frames), run(model, *other)
    assert_same(one[0], two[0], rtol=0, atol=0)
    assert_same(one[1], two[1], rtol=0, atol=0)
    assert not torch.allclose(one[2][0], two[2][0])


def test_what_was_seen_before_changes_what_is_said_unless_there_was_a_jump():
    model = small_model()
    last, jumped = random_inputs(seed=5), random_inputs(seed=5, dt_s=0.0)
    before, other = random_inputs(seed=1), random_inputs(seed=2)
    assert not torch.allclose(run(model, before, last)[1][0], run(model, other, last)[1][0])
    assert_same(run(model, before, jumped)[1], run(model, other, jumped)[1], rtol=0, atol=0)


def test_lanes_of_a_batch_do_not_mix_over_frames():
    model = small_model()
    frames = [random_inputs(batch=2, seed=seed)._replace(dt=torch.tensor([0.1, 0.0])) for seed in range(3)]
    together = run(model, *frames)
    for lane in range(2):
        alone = run(model, *(type(frame)(*(value[lane : lane + 1] for value in frame)) for frame in frames))
        for whole, part in zip(together, alone):
            assert_same([x[lane : lane + 1] for x in whole], part, rtol=1e-3, atol=1e-4)


def test_the_state_that_comes_out_has_the_shape_of_the_one_that_goes_in():
    model = small_model()
    state = model.empty_memory(1)
    shapes = {name: (value.shape, value.dtype) for name, value in state.items()}
    with torch.inference_mode():
        for names in (('fused',), ('camera',), ('lidar', 'poor_sight')):
            _, state = model(random_inputs(), state, names)
            assert {name: (value.shape, value.dtype) for name, value in state.items()} == shapes


@pytest.mark.parametrize('names', [('camera',), ('lidar',), ('fused',), ('poor_sight',), ('fused', 'camera')])
def test_the_loss_reaches_every_parameter_of_what_ran(names):
    model = small_model().train()
    state, loss = model.empty_memory(2), torch.zeros(())
    for seed in range(3):
        outputs, state = model(random_inputs(batch=2, seed=seed), state, names)
        loss = loss + sum(maps.square().mean() for maps in outputs[:NUM_MAPS])
    loss.backward()
    without = {name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()}
    idle = {part for name, part in EXPERT_PARTS.items() if name not in names}
    idle |= set() if set(names) - {'lidar'} else CAMERA_PARTS
    idle |= set() if set(names) - {'camera'} else LIDAR_PARTS
    taught_by_others = {'key_points', 'router.objects'}  # by the gradient itself, and by where objects are
    assert {name for name in without if not name.startswith(tuple(f'{part}.' for part in idle | taught_by_others))} == set()


def test_the_gradient_at_the_features_is_kept_for_the_scorer():
    model = small_model().train()
    outputs, _ = model(random_inputs(), model.empty_memory(1), ('camera',))
    outputs.heat.sum().backward()
    seen = outputs.hints.seen
    chosen = seen.chosen.view(CONFIG.num_cameras, -1) - torch.arange(CONFIG.num_cameras)[:, None] * CONFIG.num_blocks
    at_chosen = seen.features.grad.norm(dim=1).flatten(1).gather(1, chosen)
    assert (at_chosen > 0).float().mean() > 0.5


def test_a_clock_is_told_of_every_stage():
    stages = []
    small_model()(random_inputs(), small_model().empty_memory(1), ('fused',), stages.append)
    assert len(stages) == len(set(stages)) == 9
    assert stages[:2] == ['camera_encoder', 'attention']
    assert stages[-1] == 'heads'
