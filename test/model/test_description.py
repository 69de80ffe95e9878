"""The description counts what the network costs."""

import pytest
import torch
from model.small_model import CONFIG, random_inputs, small_model
from torch.utils.flop_counter import FlopCounterMode

from moe_bev_ros.model.config import FRAME_EXPERTS, profile
from moe_bev_ros.model.description import describe
from moe_bev_ros.model.sparse_attention import attention_macs


@pytest.fixture(scope='module')
def small():
    return describe(CONFIG)


def costs_of(description):
    return {cost.name: cost for cost in description.costs}


@pytest.mark.parametrize('expert', FRAME_EXPERTS)
def test_active_macs_are_those_of_a_real_frame(small, expert):
    model = small_model()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(random_inputs(), model.empty_memory(1), (expert,))
    lift = 3 * 16 * 16 * 16 if expert != 'lidar' else 0
    assert small.active_macs[expert] == counter.get_total_flops() // 2 + lift


def test_the_stages_hold_every_parameter_once(small):
    stages = [cost for cost in small.costs if not cost.part_of]
    assert sum(cost.parameters for cost in stages) == small.parameters
    assert small.parameters == sum(value.numel() for value in small_model().parameters())
    assert all(cost.bytes_fp32 == 4 * cost.bytes_int8 == 4 * cost.parameters for cost in small.costs)


def test_macs_and_weights_of_patch_experts_are_those_of_their_stage(small):
    experts = [cost for cost in small.costs if cost.part_of == 'patch_experts']
    whole = costs_of(small)['patch_experts']
    assert len(experts) == CONFIG.num_experts
    assert sum(cost.macs for cost in experts) == whole.macs
    assert sum(cost.parameters for cost in experts) == whole.parameters


def test_the_convolution_of_a_patch_expert_is_counted_by_hand(small):
    slots, cells = CONFIG.capacity, CONFIG.patch**2
    cost = costs_of(small)['patch_experts.convolution.0']
    assert cost.macs == slots * cells * (16 * 8 * 9 + 8 * 16)
    assert cost.bytes_in == slots * 16 * 6 * 6 * 4
    assert cost.bytes_out == slots * 16 * 16 * 4


@pytest.mark.parametrize('name', ['tiny', 'tiny_dense'])
def test_the_attention_agrees_with_its_formula(name):
    config = profile(name)
    assert costs_of(describe(config))['attention'].macs == attention_macs(config, config.num_key_points)


def test_few_key_points_cost_less_than_15_percent_of_dense_attention():
    few, dense = profile('tiny'), profile('tiny_dense')
    assert attention_macs(few, few.num_key_points) <= 0.15 * attention_macs(dense, dense.num_key_points)


def test_a_dla_could_take_what_convolves_and_says_why_not_the_rest(small):
    takes = {cost.name for cost in small.costs if not cost.not_on_dla}
    assert {'camera_encoder', 'lidar_encoder', 'heads', *(f'expert_{name}' for name in FRAME_EXPERTS)} <= takes
    assert 'patch_experts.convolution.3' in takes
    costs = costs_of(small)
    assert 'topk' in costs['router'].not_on_dla
    assert 'convolution of volumes' in costs['patch_experts.temporal'].not_on_dla
    assert 'grid_sampler_2d' in costs['memory_read'].not_on_dla


@pytest.mark.parametrize(
    ('name', 'limit_macs'),
    [('tiny', 3.5e9), ('orin_nx', 96e9), ('orin_agx', None), ('tiny_dense', None), ('orin_nx_dense', None)],
)
def test_each_profile_keeps_its_budget(name, limit_macs):
    description = describe(profile(name))
    assert description.profile == name
    assert limit_macs is None or max(description.active_macs.values()) <= limit_macs
    assert description.memory_bytes <= 0.05 * description.stack_bytes
