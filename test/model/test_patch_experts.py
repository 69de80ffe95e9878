"""Slots are gathered, computed and scattered back to their own patches."""

import pytest
import torch
from model.small_model import CONFIG
from torch.nn import functional

from moe_bev_ros.model.patch_experts import PatchExperts
from moe_bev_ros.model.router import Routing

SIDE, PATCH = CONFIG.num_cells // CONFIG.patch, CONFIG.patch


@pytest.fixture
def experts():
    torch.manual_seed(0)
    return PatchExperts(CONFIG).eval()


def maps(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, CONFIG.channels, CONFIG.num_cells, CONFIG.num_cells)
    return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def routing(slots=5, gate=None):
    torch.manual_seed(2)
    patch = torch.stack([torch.stack([torch.randperm(SIDE**2)[:slots] for _ in range(CONFIG.num_experts)]) for _ in range(2)])
    return Routing(patch, torch.rand(patch.shape) if gate is None else torch.full(patch.shape, gate), torch.zeros(2, SIDE**2))


def place(patch):
    row, column = divmod(int(patch), SIDE)
    return slice(row * PATCH, (row + 1) * PATCH), slice(column * PATCH, (column + 1) * PATCH)


def test_it_equals_a_loop_over_every_patch_of_every_expert(experts):
    now, before = maps()
    routed = routing()
    with torch.inference_mode():
        got = experts(now, before, routed)
        torch.testing.assert_close(got, _by_loop(experts, now, before, routed), rtol=1e-4, atol=1e-5)


def _by_loop(experts, now, before, routed):
    out = now.clone()
    parts = [*experts.convolution, *experts.attention, experts.temporal]
    for sample in range(2):
        wide_now, wide_before = (functional.pad(x[sample], (1, 1, 1, 1)) for x in (now, before))
        for index, part in enumerate(parts):
            for patch, gate in zip(routed.patch_bes[sample, index], routed.gate_bes[sample, index]):
                rows, columns = place(patch)
                window = (slice(None), slice(rows.start, rows.stop + 2), slice(columns.start, columns.stop + 2))
                with_rim, cells = wide_now[window][None], now[sample, :, rows, columns].flatten(1).T[None]
                if part in list(experts.convolution):
                    said = part(with_rim)[0]
                elif part is experts.temporal:
                    cells_before = before[sample, :, rows, columns].flatten(1).T[None]
                    said = part(with_rim, wide_before[window][None], cells, cells_before)[0].T.unflatten(1, (PATCH, PATCH))
                else:
                    said = part(cells)[0].T.unflatten(1, (PATCH, PATCH))
                out[sample, :, rows, columns] += gate * said
    return out


def test_patches_that_nobody_takes_are_unchanged(experts):
    now, before = maps()
    routed = routing(slots=1)
    with torch.inference_mode():
        changed = (experts(now, before, routed) != now).any(1)
    for sample in range(2):
        taken = set(routed.patch_bes[sample].flatten().tolist())
        assert 0 < len(taken) < SIDE**2
        for patch in range(SIDE**2):
            assert bool(changed[sample][place(patch)].any()) == (patch in taken)


def test_a_gate_weights_what_an_expert_says(experts):
    now, before = maps()
    with torch.inference_mode():
        none, half, full = (experts(now, before, routing(gate=gate)) for gate in (0.0, 0.5, 1.0))
    torch.testing.assert_close(none, now)
    torch.testing.assert_close(half - now, 0.5 * (full - now), rtol=1e-4, atol=1e-5)


def test_only_the_last_expert_looks_back_in_time(experts):
    now, before = maps()
    routed = routing()
    with torch.inference_mode():
        changed = (experts(now, before, routed) - experts(now, before + 1.0, routed)).abs().amax(1) > 1e-6
    for sample in range(2):
        taken = set(routed.patch_bes[sample, -1].tolist())
        assert all(bool(changed[sample][place(patch)].any()) == (patch in taken) for patch in range(SIDE**2))


def test_there_are_eight_experts_of_three_kinds(experts):
    assert (len(experts.convolution), len(experts.attention)) == (4, 3)
    assert isinstance(experts.temporal.volume[0], torch.nn.Conv3d)
