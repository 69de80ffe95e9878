"""Why the network sees what it sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from model.small_model import CONFIG, random_inputs, small_model

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints, without_cameras, without_lidar
from moe_bev_ros.core.objects import Label
from moe_bev_ros.engine.explanation import Subject, explain, explain_frame


def frame(seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (2, CONFIG.image_height, CONFIG.image_width, 3), dtype=np.uint8)
    matrices = np.tile(np.array([[60.0, 0, 48], [0, 60, 32], [0, 0, 1]], np.float32), (2, 1, 1))
    ahead = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
    points = rng.uniform(-10.0, 10.0, (500, 5)).astype(np.float32)
    cameras = CameraImages(images, matrices, np.stack([ahead, np.diag([-1.0, -1, 1, 1]) @ ahead]), np.ones(2, bool), ('a', 'b'))
    return Frame(1, cameras, LidarPoints(points), None)


@pytest.mark.parametrize('experts', [('camera',), ('fused',)])
def test_maps_are_between_nothing_and_all(experts):
    explained = explain(small_model(), random_inputs(), experts, Subject())
    for values in (explained.influence_nhw, explained.importance_nhw):
        assert values.shape == (2, *CONFIG.block_shape)
        assert values.min() >= 0.0
        assert values.max() == pytest.approx(1.0)
    assert explained.num_first == 3


def test_key_points_are_the_most_important_blocks_in_their_order():
    explained = explain(small_model(), random_inputs(), ('camera',), Subject())
    assert explained.key_points_nk2.shape == (2, CONFIG.num_key_points, 2)
    columns, rows = np.moveaxis((explained.key_points_nk2 - 3.5).astype(int) // 8, -1, 0)
    for camera in range(2):
        chosen = explained.importance_nhw[camera, rows[camera], columns[camera]]
        assert np.all(np.diff(chosen) <= 1e-6)
        assert chosen[-1] == pytest.approx(np.sort(explained.importance_nhw[camera].ravel())[-CONFIG.num_key_points], abs=1e-6)


def test_influence_is_grad_cam_as_published():
    model, inputs = small_model(), random_inputs()
    explained = explain(model, inputs, ('camera',), Subject(Label.BUS, 1))
    outputs, _ = model(inputs, model.empty_memory(1), ('camera',))
    features = outputs.hints.seen.features
    outputs.heat[0, Label.BUS].max().backward()
    weights = features.grad.mean((2, 3))
    expected = torch.einsum('nc,nchw->nhw', weights, features).clamp_min(0.0).detach().numpy()
    np.testing.assert_allclose(explained.influence_nhw, expected / expected.max(), atol=1e-4)


def test_images_of_which_nothing_is_lifted_have_no_influence():
    inputs = random_inputs()
    unseen = inputs._replace(pixel=torch.full_like(inputs.pixel, CONFIG.num_cameras * CONFIG.num_blocks))
    assert not explain(small_model(), unseen, ('camera',), Subject()).influence_nhw.any()


def test_the_object_nearest_to_a_place_is_explained():
    model, inputs = small_model(), random_inputs()
    best = explain(model, inputs, ('camera',), Subject(num_objects=3))
    assert np.all(np.diff(best.scores_m) <= 0.0)
    other = tuple(float(value) for value in best.centres_m2[2])
    one = explain(model, inputs, ('camera',), Subject(num_objects=3, near_xy_m=other))
    np.testing.assert_allclose(one.centres_m2, [other])


def test_a_frame_is_explained_with_and_without_its_lidar_and_leaves_no_gradients():
    model = small_model()
    both, alone = explain_frame(model, frame(), Subject()), explain_frame(model, without_lidar(frame()), Subject())
    assert not np.allclose(both.influence_nhw, alone.influence_nhw)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_cannot_be_explained_is_refused_with_a_reason():
    with pytest.raises(InputError, match='no valid image'):
        explain_frame(small_model(), without_cameras(frame()), Subject())
    with pytest.raises(InputError, match='look at no image'):
        explain(small_model(), random_inputs(), ('lidar',), Subject())
    with pytest.raises(InputError, match='UNKNOWN'):
        Subject(Label.UNKNOWN)
    with pytest.raises(InputError, match='1 or more'):
        replace(Subject(), num_objects=0)
