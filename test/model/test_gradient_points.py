"""Key points by gradient: they lie where the network's answers come from, in use and in training."""

import torch
from model.small_model import CONFIG, random_inputs, small_model

from moe_bev_ros.model.gradient_points import gradient_points


def test_the_points_are_those_with_the_largest_gradient_sorted():
    model, inputs = small_model(selection='gradient'), random_inputs()
    found = gradient_points(model, inputs, model.empty_memory(1), ('fused',))
    assert found.shape == (CONFIG.num_cameras, CONFIG.num_key_points)
    every = torch.arange(CONFIG.num_blocks).expand(CONFIG.num_cameras, -1)
    outputs, _ = model(inputs, model.empty_memory(1), ('fused',), chosen=every)
    outputs.heat.sigmoid().flatten().topk(100).values.sum().backward()
    magnitude = outputs.hints.seen.features.grad.norm(dim=1).flatten(1)
    torch.testing.assert_close(found, magnitude.topk(CONFIG.num_key_points, dim=1).indices)


def test_a_step_uses_them_where_no_gradient_is_kept():
    model, inputs = small_model(selection='gradient'), random_inputs()
    with torch.inference_mode():
        outputs, state = model(inputs, model.empty_memory(1), ('fused',))
        outputs, _ = model(inputs, state, ('fused',))
        expected = gradient_points(model, inputs, state, ('fused',))
    first = torch.arange(CONFIG.num_cameras)[:, None] * CONFIG.num_blocks
    torch.testing.assert_close(outputs.hints.seen.chosen, (expected + first).view(1, -1))


def test_without_images_there_are_none():
    model = small_model(selection='gradient')
    assert gradient_points(model, random_inputs(), model.empty_memory(1), ('lidar',)) is None
    outputs, _ = model(random_inputs(), model.empty_memory(1), ('lidar',))
    assert outputs.hints.seen is None


def test_it_learns_from_what_the_second_step_says():
    model = small_model(selection='gradient').train()
    state = model.empty_memory(2)
    for frame in range(2):
        outputs, state = model(random_inputs(2, seed=frame), state, ('camera',))
    outputs.heat.sum().backward()
    assert model.camera_encoder.smooth[0].weight.grad.any()
