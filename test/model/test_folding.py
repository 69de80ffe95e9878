import pytest
import torch
from model.small_model import random_inputs, small_model
from torch import nn

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.bev_model import Outputs
from moe_bev_ros.model.config import FRAME_EXPERTS
from moe_bev_ros.model.folding import folded


def maps_of(model, experts, steps=2):
    state = model.empty_memory(1)
    outputs = None
    with torch.no_grad():
        for step in range(steps):
            outputs, state = model(random_inputs(seed=step), state, experts)
    assert isinstance(outputs, Outputs)
    return outputs[:-1]


@pytest.mark.parametrize('expert', FRAME_EXPERTS)
def test_a_folded_network_says_the_same(expert):
    model = small_model()
    for ours, theirs in zip(maps_of(folded(model), (expert,)), maps_of(model, (expert,))):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=2e-4)


def test_no_batch_norm_and_no_3d_convolution_is_left():
    parts = list(folded(small_model()).modules())
    assert not any(isinstance(part, nn.BatchNorm2d | nn.Conv3d) for part in parts)


def test_the_network_itself_stays_as_it_was():
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    folded(model)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_changing_the_rest_of_the_key_points_leaves_the_first_alone():
    model = folded(small_model())
    inputs = random_inputs()
    with torch.no_grad():
        features, coarse = model.camera_encoder(inputs.images.flatten(0, 1))
        chosen = model.key_points(model.key_points.logits(features))
        before = model.attention(features, coarse, chosen)
        model.attention.rest.out.weight.mul_(2.0)
        after = model.attention(features, coarse, chosen)
    split = model.attention.first
    torch.testing.assert_close(before[:, :split], after[:, :split])
    assert not torch.allclose(before[:, split:], after[:, split:])


def test_a_batch_norm_without_a_convolution_is_named():
    model = small_model()
    model.router.coarse = nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4))
    with pytest.raises(InputError, match=r'router\.coarse\.1'):
        folded(model)
