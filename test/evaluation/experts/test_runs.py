"""Encoders that are shared change nothing, and an engine that loses a sensor goes on with the next frame."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine.small_network import CONFIG

from moe_bev_ros.cli import main
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import without_lidar
from moe_bev_ros.core.se3 import inverse
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.engine.base import EngineSettings
from moe_bev_ros.engine.torch_network import torch_engine
from moe_bev_ros.evaluation.experts.runs import InTurn, SideBySide
from moe_bev_ros.evaluation.perception.sensor_loss import RUNS, see_loss
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.weights_file import load_weights, save_weights

EXACT = EngineSettings(precision='float32')
SCENE = 'world-1000000'
SIZE = (CONFIG.image_width, CONFIG.image_height)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    config = replace(CONFIG, num_cameras=6)
    model = BevModel(config).eval()
    model.heads.heat.bias.data.fill_(-1.0)
    return save_weights(model, config, tmp_path_factory.mktemp('weights') / 'six.safetensors')


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp('world') / 'tree'
    how = ['--image-size', '64x32', '--seconds', '1', '--condition', 'day', '--workers', '1']
    assert main(['world', 'write', '--split', 'val', '--scenes', '1', '--out', str(root), *how]) == 0
    return open_tree(root)


def engine_of(weights, tmp_path):
    return torch_engine(EXACT, weights, tmp_path / 'none.json')


@pytest.mark.parametrize('turns', [('fused',), ('lidar',), ('camera',), ('fused+poor_sight', 'lidar', 'camera+lidar')])
def test_shared_encoders_give_what_the_engine_gives(tree, weights, tmp_path, turns):
    others = {'before': InTurn(('poor_sight',)), 'asked': InTurn(turns), 'after': InTurn(('camera', 'fused'))}
    found = SideBySide(load_weights(weights).channels_last(), 'float32').see_scene(tree, SCENE, others)['asked']
    engine = engine_of(weights, tmp_path)
    engine.dispatcher.choose = InTurn(turns).choose
    before, expected = None, []
    for item in tree.frames(SCENE, SIZE):
        frame = without_lidar(item.frame) if turns == ('camera',) else item.frame
        motion = inverse(frame.ego.odom_se3_base_link) @ before.odom_se3_base_link if before else None
        before = frame.ego
        output = engine.step(frame, motion)
        if item.boxes is not None:
            expected.append(output.detections)
    assert [len(keyframe.detections) for keyframe in found.keyframes] == [len(each) for each in expected]
    assert len(expected[-1]) > 0
    for keyframe, each in zip(found.keyframes, expected):
        np.testing.assert_allclose(keyframe.detections.boxes_n7, each.boxes_n7, atol=1e-4)
    assert found.choices == tuple(turns[index % len(turns)] for index in range(len(found.choices)))


def test_times_are_those_of_each_choice(tree, weights):
    times_ms = SideBySide(load_weights(weights), 'float32').network_ms(tree, SCENE, ('fused', 'lidar'), rounds=3)
    assert set(times_ms) == {'fused', 'lidar'}
    assert all(value > 0.0 for value in times_ms.values())


@pytest.mark.parametrize(('sensor', 'left'), [('camera', 'lidar'), ('lidar', 'camera')])
def test_a_lost_sensor_is_known_in_the_first_frame_without_it(tree, weights, tmp_path, sensor, left):
    engines = {name: engine_of(weights, tmp_path) for name in RUNS}
    seen = see_loss(tree, SCENE, engines, sensor, 0.45)
    choices = seen.runs['lost'].choices
    first = choices.index(left)
    assert left not in choices[:first]
    assert set(choices[first:]) == {left}
    assert (first, seen.frames_late, seen.valid_share) == (5, 0, 1.0)
    assert set(seen.runs['without'].choices) == {left}
    assert left not in seen.runs['intact'].choices
    assert [k.stamp_ns >= seen.lost_ns for k in seen.runs['lost'].keyframes] == [False, True]


def test_a_scene_that_ends_before_the_loss_is_named(tree, weights, tmp_path):
    engines = {name: engine_of(weights, tmp_path) for name in RUNS}
    with pytest.raises(InputError, match=r'world-1000000: ends .* shorter --after'):
        see_loss(tree, SCENE, engines, 'lidar', 60.0)
