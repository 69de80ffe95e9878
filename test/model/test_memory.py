"""The memory moves with the vehicle, forgets on a jump, and rewrites each group at its own pace."""

import math

import pytest
import torch
from model.small_model import CONFIG, se2, small_model

from moe_bev_ros.model.config import profile
from moe_bev_ros.model.memory import SparseMemory, warped

CELLS, CELL_M, HALF_M = CONFIG.num_cells, CONFIG.cell_m, CONFIG.half_m
STILL = se2(0.0, 0.0, 0.0)
DT = torch.tensor([0.1])


@pytest.fixture
def memory():
    return small_model().memory


def random_map(seed, batch=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, CONFIG.channels, CELLS, CELLS, generator=generator)


def filled(memory, seed=0, batch=1):
    """A state that says something everywhere."""
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(value.shape, generator=generator) for name, value in memory.empty(batch).items()}
    eye = torch.eye(3).repeat(batch, 1, 1)
    return {
        **state,
        'token_xy': (torch.rand(state['token_xy'].shape, generator=generator) - 0.5) * 2 * HALF_M,
        'token_valid': torch.ones_like(state['token_valid']),
        **{f'{name}_motion': eye for name in ('static', 'semi')},
        **{f'{name}_age': torch.full((batch,), 3.0) for name in ('static', 'semi')},
    }


def one_token(memory, x_m, y_m, velocity_mps=(0.0, 0.0)):
    state = memory.empty(1)
    state['tokens'][0, 0] = 1.0
    state['token_xy'][0, 0] = torch.tensor([x_m, y_m])
    state['token_velocity'][0, 0] = torch.tensor(velocity_mps)
    state['token_valid'][0, 0] = 1.0
    return state


def tokens_on_grid(memory, state, motion=STILL):
    """(C + 3, G, G) tokens as `read_in` gets them: features, offset from the cell's centre, flag."""
    got = []
    hook = memory.read_in.register_forward_pre_hook(lambda _module, arguments: got.append(arguments[0]))
    with torch.inference_mode():
        memory.recall(state, motion, DT)
    hook.remove()
    return got[0][0, : CONFIG.channels + 3]


def step(memory, state, maps, motion=STILL, dt_s=DT):
    with torch.inference_mode():
        recalled = memory.recall(state, motion, dt_s)
        after, _, _ = memory.write(memory.merge(maps, recalled), recalled)
    return after


def test_a_token_moves_by_the_motion_of_the_vehicle(memory):
    moved = memory.recall(one_token(memory, 4.0, 1.0), se2(-2.0, 0.5, math.pi / 2), DT).moved
    torch.testing.assert_close(moved['token_xy'][0, 0], torch.tensor([-1.0 - 2.0, 4.0 + 0.5]))


def test_a_token_moves_on_by_its_own_velocity_which_turns_with_the_vehicle(memory):
    state = one_token(memory, 4.0, 1.0, velocity_mps=(3.0, -1.0))
    moved = memory.recall(state, se2(0.0, 0.0, math.pi / 2), torch.tensor([0.5])).moved
    torch.testing.assert_close(moved['token_xy'][0, 0], torch.tensor([-0.5, 5.5]))
    torch.testing.assert_close(moved['token_velocity'][0, 0], torch.tensor([1.0, 3.0]))


def test_a_token_is_read_in_its_cell_with_its_offset(memory):
    x_m, y_m = 3 * CELL_M + 0.75 * CELL_M, -2 * CELL_M + 0.25 * CELL_M
    grid = tokens_on_grid(memory, one_token(memory, x_m, y_m))
    row, column = CELLS // 2 - 2, CELLS // 2 + 3
    expected = torch.zeros_like(grid)
    expected[:, row, column] = torch.tensor([*[1.0] * CONFIG.channels, 0.25, -0.25, 1.0])
    torch.testing.assert_close(grid, expected, rtol=1e-4, atol=1e-4)


def test_tokens_of_one_cell_are_averaged_and_those_outside_are_left_out(memory):
    state = one_token(memory, 0.1, 0.1)
    state['tokens'][0, 1] = 3.0
    state['token_xy'][0, 1] = torch.tensor([CELL_M - 0.1, 0.1])
    state['token_valid'][0, 1] = 1.0
    state['tokens'][0, 2] = 5.0
    state['token_xy'][0, 2] = torch.tensor([HALF_M + 0.1, 0.1])
    state['token_valid'][0, 2] = 1.0
    grid = tokens_on_grid(memory, state)
    torch.testing.assert_close(grid[0, CELLS // 2, CELLS // 2], torch.tensor(2.0))
    assert int((grid[-1] > 0).sum()) == 1


def test_a_map_seen_after_a_move_of_one_cell_is_shifted_by_one_cell():
    before = random_map(0)
    ahead = warped(before, se2(-CELL_M, 0.0, 0.0), HALF_M)
    torch.testing.assert_close(ahead[..., :-1], before[..., 1:], rtol=1e-4, atol=1e-4)
    assert not ahead[..., -1].any()
    to_the_left = warped(before, se2(0.0, -CELL_M, 0.0), HALF_M)
    torch.testing.assert_close(to_the_left[..., :-1, :], before[..., 1:, :], rtol=1e-4, atol=1e-4)


def test_a_map_turns_as_a_token_does(memory):
    before = random_map(0)
    turned = warped(before, se2(0.0, 0.0, math.pi / 2), HALF_M)
    index = torch.arange(CELLS)
    expected = before[..., (CELLS - 1 - index)[None, :].expand(CELLS, -1), index[:, None].expand(-1, CELLS)]
    torch.testing.assert_close(turned, expected, rtol=1e-4, atol=1e-4)
    lone = torch.zeros_like(before)
    lone[..., 5, 11] = 1.0
    x_m, y_m = ((cell + 0.5) * CELL_M - HALF_M for cell in (11, 5))
    motion = se2(CELL_M, -2 * CELL_M, math.pi / 2)
    token = tokens_on_grid(memory, one_token(memory, x_m, y_m), motion)[0]
    torch.testing.assert_close(warped(lone, motion, HALF_M)[0, 0], token, atol=1e-4, rtol=1e-4)


def test_a_static_map_is_read_through_all_motions_since_it_was_written(memory):
    state = step(memory, memory.empty(1), random_map(0), dt_s=torch.zeros(1))
    written = state['static']
    motions = [se2(-0.7, 0.1, 0.1), se2(-0.4, -0.2, -0.3), se2(-0.9, 0.0, 0.2)]
    for motion in motions[:2]:
        state = step(memory, state, random_map(1), motion)
    torch.testing.assert_close(state['static'], written)
    recalled = memory.recall(state, motions[2], DT).moved
    all_motion = motions[2] @ motions[1] @ motions[0]
    torch.testing.assert_close(recalled['static_motion'], all_motion)
    torch.testing.assert_close(recalled['static_now'], warped(written, all_motion, HALF_M), rtol=1e-4, atol=1e-5)


def test_without_a_previous_frame_everything_is_forgotten(memory):
    maps, jump = random_map(1), se2(5.0, 0.0, 1.0)
    recalled = memory.recall(filled(memory), jump, torch.zeros(1))
    assert not recalled.prior_bcgg.any()
    afresh = step(memory, memory.empty(1), maps, STILL, torch.zeros(1))
    after = step(memory, filled(memory), maps, jump, torch.zeros(1))
    for name in ('tokens', 'token_xy', 'static', 'semi', 'static_motion', 'semi_motion', 'static_age'):
        torch.testing.assert_close(after[name], afresh[name])
    kept = step(memory, filled(memory), maps, STILL, DT)
    assert not torch.allclose(kept['tokens'], afresh['tokens'])


def test_maps_are_rewritten_every_tenth_and_fifth_frame_and_tokens_in_each(memory):
    state = memory.empty(1)
    changed = {'static': [], 'semi': [], 'tokens': []}
    for frame in range(22):
        after = step(memory, state, random_map(frame), dt_s=DT if frame else torch.zeros(1))
        for name, frames in changed.items():
            if not torch.equal(after[name], state[name]):
                frames.append(frame)
        state = after
    assert changed == {'static': [0, 10, 20], 'semi': [0, 5, 10, 15, 20], 'tokens': list(range(22))}


def test_motion_and_age_begin_anew_when_a_map_is_rewritten(memory):
    state = {**filled(memory), 'static_age': torch.tensor([9.0]), 'semi_age': torch.tensor([3.0])}
    after = step(memory, state, random_map(0), se2(-1.0, 0.0, 0.1))
    torch.testing.assert_close(after['static_motion'], STILL)
    torch.testing.assert_close(after['semi_motion'], se2(-1.0, 0.0, 0.1))
    assert (float(after['static_age']), float(after['semi_age'])) == (0.0, 4.0)


def test_the_most_dynamic_cells_become_tokens_where_they_are(memory):
    maps = random_map(3)
    with torch.inference_mode():
        after, logits, velocity = memory.write(maps, memory.recall(memory.empty(1), STILL, DT))
    best = logits.flatten().topk(CONFIG.num_tokens).indices
    row, column = best // CELLS, best % CELLS
    xy = torch.stack([(column + 0.5) * CELL_M - HALF_M, (row + 0.5) * CELL_M - HALF_M], dim=1)
    torch.testing.assert_close(after['token_xy'][0], xy)
    torch.testing.assert_close(after['token_velocity'][0], velocity[0][:, row, column].T)
    share = logits.flatten()[best].sigmoid()[:, None]
    torch.testing.assert_close(after['tokens'][0], maps[0][:, row, column].T * share)


def test_the_forget_gate_can_close(memory):
    maps, recalled = random_map(0), memory.recall(filled(memory), STILL, DT)
    nothing = recalled._replace(prior_bcgg=torch.zeros_like(recalled.prior_bcgg))
    with torch.inference_mode():
        memory.forget.weight.zero_()
        memory.forget.bias.fill_(-50.0)
        torch.testing.assert_close(memory.merge(maps, recalled), memory.merge(maps, nothing))
        memory.forget.bias.fill_(50.0)
        assert not torch.allclose(memory.merge(maps, recalled), memory.merge(maps, nothing))


def test_shapes_and_types_of_the_state_stay(memory):
    state = memory.empty(2)
    shapes = {name: (value.shape, value.dtype) for name, value in state.items()}
    for frame in range(12):
        state = step(memory, state, random_map(frame, 2), STILL.repeat(2, 1, 1), torch.tensor([0.1, 0.0]))
        assert {name: (value.shape, value.dtype) for name, value in state.items()} == shapes


def test_lanes_of_a_batch_do_not_mix(memory):
    state, maps = filled(memory, batch=2), random_map(0, 2)
    motion, dt_s = torch.cat([se2(-1.0, 0.0, 0.1), se2(2.0, 0.5, -0.1)]), torch.tensor([0.1, 0.3])
    together = step(memory, state, maps, motion, dt_s)
    for lane in range(2):
        part = slice(lane, lane + 1)
        alone = step(memory, {name: value[part] for name, value in state.items()}, maps[part], motion[part], dt_s[part])
        for name, value in alone.items():
            torch.testing.assert_close(together[name][part], value, rtol=1e-4, atol=1e-5)


def test_motion_keeps_its_precision_where_arithmetic_is_rounded(memory):
    state, motion = one_token(memory, 12.3, -7.7, velocity_mps=(3.3, 1.1)), se2(-0.83, 0.11, 0.037)
    exact = memory.recall(state, motion, DT).moved
    with torch.autocast('cpu', torch.bfloat16):
        rounded = memory.recall(state, motion, DT).moved
    for name in ('token_xy', 'token_velocity', 'static_motion'):
        torch.testing.assert_close(rounded[name], exact[name])


def test_thirty_frames_take_a_twentieth_of_the_bytes_of_a_stack():
    config = profile('tiny')
    state = SparseMemory(config).empty(1)
    stack_bytes = 30 * config.channels * config.num_cells**2 * 2
    assert sum(value.numel() * value.element_size() for value in state.values()) <= 0.05 * stack_bytes
