import torch
from model.small_model import small_model

from moe_bev_ros.learning.first_weights import begin_with


def test_what_has_the_same_name_and_shape_is_copied_and_the_rest_is_named():
    known, model = small_model(seed=0, memory='none', sparsity=0.0), small_model(seed=1)
    left = begin_with(model, known.state_dict())
    for name, value in model.state_dict().items():
        if name not in left:
            torch.testing.assert_close(value, known.state_dict()[name])
    assert {name.rsplit('.', 2)[0].split('.')[0] for name in left} == {'memory'}
    assert 'memory.to_static.weight' in left
    assert 'memory.forget.weight' not in left


def test_another_number_of_experts_keeps_its_own_router():
    left = begin_with(small_model(seed=1, num_experts=3, sparsity=0.0), small_model(seed=0).state_dict())
    assert sorted(left) == ['router.coarse.bias', 'router.coarse.weight', 'router.fine.bias', 'router.fine.weight']


def test_a_kernel_with_more_inputs_says_the_same_while_these_are_zero():
    known, model = small_model(seed=0, memory='none'), small_model(seed=1, memory='sweeps10')
    assert begin_with(model, known.state_dict()) == []
    pillars = torch.randn(1, known.config.pillar_channels, 64, 64)
    wider = torch.cat([pillars, torch.zeros(1, 2, 64, 64)], dim=1)
    with torch.no_grad():
        for first, second in zip(known.lidar_encoder(pillars), model.lidar_encoder(wider)):
            torch.testing.assert_close(first, second)
