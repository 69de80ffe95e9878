"""Every memory that is compared holds as much, moves with the vehicle, and forgets on a jump."""

from dataclasses import replace

import pytest
import torch
from model.small_model import CONFIG, random_inputs, se2, small_model

from moe_bev_ros.model.config import MEMORIES, profile
from moe_bev_ros.model.memory import sparse_values, warped
from moe_bev_ros.model.memory_baselines import half_bytes, memory_of

CELLS, CELL_M, HALF_M = CONFIG.num_cells, CONFIG.cell_m, CONFIG.half_m
STILL, DT = se2(0.0, 0.0, 0.0), torch.tensor([0.1])
STATEFUL = ('recurrent', 'queue', 'stack2')


def made(name, seed=0):
    torch.manual_seed(seed)
    return memory_of(replace(CONFIG, memory=name)).eval()


def random_map(seed, batch=1):
    return torch.randn(batch, CONFIG.channels, CELLS, CELLS, generator=torch.Generator().manual_seed(seed))


def step(memory, state, maps, motion=STILL, dt_s=DT):
    with torch.no_grad():
        recalled = memory.recall(state, motion, dt_s)
        merged = memory.merge(maps, recalled)
        after, _, _ = memory.write(merged, recalled)
    return after, merged


@pytest.mark.parametrize('name', ['tiny', 'orin_nx'])
def test_memories_with_a_state_hold_as_many_bytes_as_the_sparse_one(name):
    config = profile(name)
    assert half_bytes(memory_of(config).empty(1)) == 2 * sparse_values(config)
    for other in STATEFUL:
        share = half_bytes(memory_of(replace(config, memory=other)).empty(1)) / (2 * sparse_values(config))
        assert 0.97 < share <= 1.0, other


@pytest.mark.parametrize('name', MEMORIES)
def test_the_network_runs_with_every_memory_and_its_state_keeps_its_shape(name):
    model = small_model(memory=name)
    state = model.empty_memory(1)
    shapes = {key: value.shape for key, value in state.items()}
    inputs = random_inputs(config=model.config)
    with torch.no_grad():
        for _ in range(3):
            outputs, state = model(inputs, state, ('fused',))
    assert {key: value.shape for key, value in state.items()} == shapes
    assert torch.isfinite(outputs.heat).all()


@pytest.mark.parametrize('name', STATEFUL)
def test_what_was_before_changes_what_is_said_unless_there_was_a_jump(name):
    memory, now = made(name), random_map(9)
    after = [step(memory, memory.empty(1), random_map(seed), dt_s=torch.zeros(1))[0] for seed in (0, 1)]
    said = [step(memory, state, now)[1] for state in after]
    assert not torch.allclose(*said)
    said = [step(memory, state, now, dt_s=torch.zeros(1))[1] for state in after]
    torch.testing.assert_close(*said)


def test_without_a_memory_nothing_is_carried_over():
    memory, now = made('none'), random_map(1)
    state, _ = step(memory, memory.empty(1), random_map(0))
    assert state == {}
    torch.testing.assert_close(step(memory, state, now)[1], step(memory, {}, now, se2(5.0, 0.0, 1.0))[1])


@pytest.mark.parametrize('name', ['recurrent', 'stack2'])
def test_a_map_is_read_from_where_the_vehicle_is_now(name):
    memory, motion = made(name), se2(-0.7, 0.2, 0.1)
    state, _ = step(memory, memory.empty(1), random_map(0), dt_s=torch.zeros(1))
    torch.testing.assert_close(memory.recall(state, motion, DT).moved['map'], warped(state['map'], motion, HALF_M))


def test_two_stacked_frames_know_nothing_older_than_one_frame():
    memory = made('stack2')
    states = []
    for seed in (0, 1):
        state, _ = step(memory, memory.empty(1), random_map(seed), dt_s=torch.zeros(1))
        states.append(step(memory, state, random_map(9))[0])
    torch.testing.assert_close(states[0]['map'], states[1]['map'])
    memory = made('recurrent')
    state, _ = step(memory, memory.empty(1), random_map(0), dt_s=torch.zeros(1))
    assert not torch.allclose(
        step(memory, state, random_map(9))[0]['map'], step(memory, {'map': 0 * state['map']}, random_map(9))[0]['map']
    )


def test_queries_queue_up_for_four_frames_and_move_on():
    memory = made('queue')
    state = memory.empty(1)
    for frame in range(5):
        state, _ = step(memory, state, random_map(frame), dt_s=DT if frame else torch.zeros(1))
        assert int(state['valid'].sum()) == min(4, frame + 1) * memory.num_new
    torch.testing.assert_close(state['age'][0, :: memory.num_new], torch.tensor([0.0, 0.1, 0.2, 0.3]))
    state['xy'][0, 0], state['velocity'][0, 0] = torch.tensor([4.0, 1.0]), torch.tensor([10.0, 0.0])
    moved = memory.recall(state, se2(-2.0, 0.5, torch.pi / 2), DT).moved
    torch.testing.assert_close(moved['xy'][0, 0], torch.tensor([-1.0 - 2.0, 5.0 + 0.5]))


def test_cells_read_the_queries_wherever_these_are():
    memory, maps = made('queue'), random_map(2)
    state, _ = step(memory, memory.empty(1), random_map(0), dt_s=torch.zeros(1))
    outside = {**state, 'xy': state['xy'] + 10 * HALF_M}  # no query is in any cell: only attention can tell of them
    recalled, empty = (memory.recall(each, STILL, DT) for each in (outside, {**outside, 'valid': 0 * state['valid']}))
    torch.testing.assert_close(recalled.prior_bcgg, empty.prior_bcgg)
    changed = (memory.merge(maps, recalled) - memory.merge(maps, empty)).abs().amax(1).flatten() > 0
    assert 0 < int(changed.sum()) <= memory.num_new


@pytest.mark.parametrize('name', STATEFUL)
def test_the_loss_reaches_all_that_the_memory_learns(name):
    memory = made(name).train()
    state = memory.empty(2)
    motion, dt_s = STILL.repeat(2, 1, 1), torch.tensor([0.1, 0.1])
    for seed in range(2):
        recalled = memory.recall(state, motion, dt_s)
        merged = memory.merge(random_map(seed, 2), recalled)
        state, logits, velocity = memory.write(merged, recalled)
    (merged.square().sum() + logits.sum() + velocity.sum()).backward()
    assert [key for key, value in memory.named_parameters() if value.grad is None or not value.grad.any()] == []
