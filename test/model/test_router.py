"""Every slot is filled, every expert carries the same load, and the coarse stage restricts the fine one."""

from dataclasses import replace

import pytest
import torch
from model.small_model import CONFIG

from moe_bev_ros.model.config import ROUTINGS, profile
from moe_bev_ros.model.router import REGION, Router

CONFIG_32 = replace(CONFIG, half_m=25.6)  # 64 patches, 16 regions


def random_map(config, seed=0):
    return torch.randn(2, config.channels, config.num_cells, config.num_cells, generator=torch.Generator().manual_seed(seed))


def router(config=CONFIG_32, training=False):
    torch.manual_seed(1)
    return Router(config).train(training)


@pytest.mark.parametrize('routing', ROUTINGS)
@pytest.mark.parametrize('sparsity', [0.0, 0.3, 0.65])
@pytest.mark.parametrize('training', [False, True])
def test_every_expert_takes_as_many_distinct_patches_as_it_has_slots(routing, sparsity, training):
    config = replace(CONFIG_32, routing=routing, sparsity=sparsity)
    routed = router(config, training)(random_map(config))
    assert config.capacity == round((1 - sparsity) * 64)
    assert routed.patch_bes.shape == routed.gate_bes.shape == (2, config.num_experts, config.capacity)
    for taken in routed.patch_bes.flatten(0, 1):
        assert len(set(taken.tolist())) == config.capacity
        assert 0 <= int(taken.min()) <= int(taken.max()) < config.num_patches
    assert ((routed.gate_bes > 0) & (routed.gate_bes < 1)).all()


def test_an_expert_takes_its_best_patches_of_the_regions_that_are_left_to_it():
    part, maps = router(), random_map(CONFIG_32)
    routed = part(maps)
    gates = routed.gate_bes
    assert (gates[..., 1:] <= gates[..., :-1]).all()
    regions = part.region_t[routed.patch_bes]
    for taken in regions.flatten(0, 1):
        assert len(set(taken.tolist())) <= part.regions
    part.regions = part.members_rm.shape[0]
    assert not torch.equal(part(maps).patch_bes.sort(2).values, routed.patch_bes.sort(2).values)


def test_no_bias_closes_an_expert():
    part, maps = router(), random_map(CONFIG_32)
    before = part(maps)
    with torch.no_grad():
        part.fine.bias[0] -= 20.0
        part.coarse.bias[1] -= 20.0
    after = part(maps)
    assert torch.equal(after.patch_bes, before.patch_bes)
    assert torch.allclose(after.gate_bes, before.gate_bes, atol=1e-5)


def test_a_region_that_the_coarse_stage_refuses_is_never_served():
    part = router()
    with torch.no_grad():
        for layer in (part.coarse, part.fine, part.objects):
            layer.weight.zero_()
            layer.bias.zero_()
        part.coarse.weight[:, 0] = 1.0  # by the mean of channel 0
    maps = torch.zeros(1, CONFIG_32.channels, CONFIG_32.num_cells, CONFIG_32.num_cells)
    refused = 8  # inner cells of a region
    maps[:, :, :refused, :] = -1.0  # a row of 4 regions of 16: what 0.75 leaves out
    served = part(maps).patch_bes.flatten()
    per_side = CONFIG_32.num_cells // CONFIG_32.patch
    assert (served // per_side >= REGION).all()


def test_a_region_is_two_by_two_patches():
    part = router()
    assert part.members_rm[5].tolist() == [2 * 8 + 2, 2 * 8 + 3, 3 * 8 + 2, 3 * 8 + 3]
    for region, members in enumerate(part.members_rm):
        assert (part.region_t[members] == region).all()


def test_a_patch_with_an_object_is_taken_by_every_expert():
    part = router()
    with torch.no_grad():
        part.objects.weight.zero_()
        part.objects.weight[0, 0] = 100.0
    maps = 0.1 * random_map(CONFIG_32)[:1]
    maps[:, 0] = 0.0
    maps[0, 0, 12:16, 20:24] = 1.0
    patch = 3 * 8 + 5
    assert (part(maps).patch_bes == patch).any(dim=2).all()


def test_the_capacity_of_a_schedule_is_followed_up_to_all_patches():
    part = router()
    for capacity in (64, 60, 45, 22, 1):
        part.capacity = capacity
        assert part(random_map(CONFIG_32)).patch_bes.shape[2] == capacity


def test_noise_and_dropout_act_in_training_alone():
    part, maps = router(), random_map(CONFIG_32)
    part.noise, part.dropout = 1.0, 0.2
    torch.testing.assert_close(part(maps).gate_bes, part(maps).gate_bes)
    part.train()
    assert not torch.allclose(part(maps).gate_bes, part(maps).gate_bes)
    part.noise, part.capacity = 0.0, 64
    dropped = part(maps).gate_bes < 0.01  # a pair falls out by itself, or with its region
    assert 0.2 < dropped.float().mean() < 0.5


def test_gates_teach_both_stages():
    part = router(training=True)
    part(random_map(CONFIG_32)).gate_bes.square().sum().backward()
    assert part.coarse.weight.grad.abs().sum() > 0
    assert part.fine.weight.grad.abs().sum() > 0
    assert part.objects.weight.grad is None


def test_two_thirds_of_the_pairs_of_the_tiny_profile_are_not_computed():
    config = profile('tiny')
    assert 0.6 <= 1 - config.capacity / config.num_patches <= 0.7
    assert profile('tiny_dense').capacity == config.num_patches
