"""The engine around the network: its memory, its sensors, and what it says about itself."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine.small_network import CONFIG, STEP_NS, cameras_of, frame_of, small_weights

from moe_bev_ros.core.frame import Frame, LidarPoints, without_camera, without_cameras, without_lidar
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.torch_network import torch_engine
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.weights_file import save_weights

EXACT = EngineSettings(precision='float32')


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return small_weights(tmp_path_factory.mktemp('weights'))


@pytest.fixture
def engine(weights, tmp_path):
    return torch_engine(EXACT, weights, tmp_path / 'none.json')


def same(one, other):
    """But for the last bit of a float: in about one of 200 engines torch answered the same frame up to 5e-7 differently."""
    boxes, others = one.detections.boxes_n7, other.detections.boxes_n7
    return boxes.shape == others.shape and np.allclose(boxes, others, rtol=0.0, atol=1e-5)


def test_a_first_frame_is_answered_with_all_that_the_network_says(engine):
    output = engine.step(frame_of(), None)
    found = output.detections
    assert output.perception_valid
    assert output.warnings == ()
    assert len(found) > 0
    assert found.futures_nmt2.shape == (len(found), 6, 12, 2)
    assert list(output.stage_ms)[:2] == ['inputs', 'camera_encoder']
    assert list(output.stage_ms)[-2:] == ['heads', 'boxes']
    assert output.memory_bytes > 0
    assert output.sparsity['image_blocks'] == 1 - 8 / 32
    assert output.sparsity['expert_patches'] == pytest.approx(1 - CONFIG.capacity / CONFIG.num_patches)
    assert set(output.segmentation.masks) == {'drivable', 'divider', 'crossing', 'stop_line', 'vehicles'}
    assert output.segmentation.occupancy_hw.shape == (32, 32)


def test_the_memory_changes_what_is_seen_and_reset_forgets_it(engine):
    first = engine.step(frame_of(), None)
    second = engine.step(frame_of(2), np.eye(4))
    engine.reset()
    assert not same(first, second)
    assert same(first, engine.step(frame_of(3), np.eye(4)))


def test_an_unknown_motion_drops_the_memory_and_is_said(engine):
    first = engine.step(frame_of(), None)
    output = engine.step(frame_of(2), None)
    assert 'motion' in output.warnings[0]
    assert same(first, output)


@pytest.mark.parametrize('index', [1, 17])
def test_a_jump_of_time_drops_the_memory_and_is_said(engine, index):
    first = engine.step(frame_of(), None)
    output = engine.step(frame_of(index), np.eye(4))
    assert 'old' in output.warnings[0]
    assert same(first, output)


def test_a_lost_sensor_is_seen_in_the_same_frame_and_its_encoder_does_not_run(engine):
    engine.step(frame_of(), None)
    lidar_alone = engine.step(without_cameras(frame_of(2)), np.eye(4))
    assert (lidar_alone.experts, lidar_alone.perception_valid) == (('lidar',), True)
    assert 'camera_encoder' not in lidar_alone.stage_ms
    assert lidar_alone.sparsity['image_blocks'] == 1.0
    cameras_alone = engine.step(without_lidar(frame_of(3)), np.eye(4))
    assert (cameras_alone.experts, cameras_alone.perception_valid) == (('camera',), True)


@pytest.mark.parametrize('points', [np.zeros((0, 5), np.float32), np.full((3, 5), np.nan, np.float32)])
def test_an_empty_cloud_or_one_of_nan_is_a_lost_lidar(engine, points):
    assert engine.step(replace(frame_of(), lidar=LidarPoints(points)), None).experts == ('camera',)


def test_points_that_are_not_finite_are_left_out(engine):
    clean = frame_of()
    points = np.vstack([np.full((1, 5), np.nan, np.float32), clean.lidar.points_n5])
    first = engine.step(clean, None)
    engine.reset()
    assert same(first, engine.step(replace(clean, lidar=LidarPoints(points)), None))


def test_cameras_alone_are_valid_only_if_none_is_missing(engine):
    blind = without_camera(without_lidar(frame_of()), 1)
    assert not engine.step(blind, None).perception_valid
    fewer = without_lidar(frame_of(2, cameras=cameras_of(num=1)))
    assert not engine.step(fewer, np.eye(4)).perception_valid
    assert engine.step(frame_of(3, cameras=cameras_of(num=1)), np.eye(4)).perception_valid


def test_without_any_sensor_a_frame_is_not_valid_and_the_memory_lasts(engine):
    engine.step(frame_of(), None)
    kept = engine.step(Frame(2 * STEP_NS, None, None, None), se3_from_xy_yaw(0.5, 0.0, 0.0))
    assert not kept.perception_valid
    assert kept.memory_bytes > 0
    after = engine.step(frame_of(3), se3_from_xy_yaw(0.5, 0.0, 0.0))
    engine.reset()
    engine.step(frame_of(), None)
    assert same(after, engine.step(frame_of(3), se3_from_xy_yaw(1.0, 0.0, 0.0)))


def test_a_rig_that_does_not_fit_is_named_and_the_next_frame_is_answered(engine):
    with pytest.raises(EngineError, match='3 cameras'):
        engine.step(frame_of(cameras=cameras_of(num=3)), None)
    with pytest.raises(EngineError, match='96 x 32'):
        engine.step(frame_of(2, cameras=cameras_of(width=96)), np.eye(4))
    assert engine.step(frame_of(3), np.eye(4)).perception_valid


def test_answers_that_are_no_number_are_not_valid_and_do_not_stay(engine):
    bias = engine.network.model.heads.heat.bias
    with torch.inference_mode():
        kept = bias.clone()
        bias.fill_(float('nan'))
        broken = engine.step(frame_of(), None)
        bias.copy_(kept)
    assert not broken.perception_valid
    assert 'no number' in broken.warnings[0]
    assert engine.step(frame_of(2), np.eye(4)).perception_valid


def test_a_frame_may_be_begun_before_the_one_ahead_of_it_is_finished(engine):
    frames = [frame_of(index, seed=index) for index in range(1, 5)]
    motion = se3_from_xy_yaw(0.5, 0.1, 0.02)
    wanted = [engine.step(frame, motion) for frame in frames]
    engine.reset()
    ahead = engine.begin(frames[0], motion)
    for index, output in enumerate(wanted):
        begun = ahead
        if index < 3:
            ahead = engine.begin(frames[index + 1], motion)
        assert same(engine.finish(begun), output)


def test_a_frame_that_was_begun_before_the_memory_was_dropped_does_without(engine):
    first = engine.step(frame_of(2), None)
    engine.reset()
    broken = engine.begin(frame_of(1, seed=1), None)
    after = engine.begin(frame_of(2), np.eye(4))
    bias = engine.network.model.heads.heat.bias
    with torch.inference_mode():
        kept = bias.clone()
        bias.fill_(float('nan'))
        assert not engine.finish(broken).perception_valid
        bias.copy_(kept)
    assert same(engine.finish(after), first)


def test_half_precision_finds_the_same_within_a_tolerance(weights, tmp_path):
    exact = torch_engine(EXACT, weights, tmp_path / 'none.json').step(frame_of(), None).detections
    halved = (
        torch_engine(EngineSettings(precision='bfloat16'), weights, tmp_path / 'none.json').step(frame_of(), None).detections
    )
    gaps = np.linalg.norm(exact.boxes_n7[:20, None, :2] - halved.boxes_n7[None, :, :2], axis=2)
    assert np.median(gaps.min(axis=1)) < 0.05


def test_missing_broken_and_foreign_weights_are_named(weights, tmp_path):
    with pytest.raises(EngineError, match='moe-bev train'):
        torch_engine(EXACT, tmp_path / 'none.safetensors')
    cut = tmp_path / 'cut.safetensors'
    cut.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(EngineError, match='truncated'):
        torch_engine(EXACT, cut)
    other = save_weights(BevModel(CONFIG), replace(CONFIG, head_channels=16), tmp_path / 'other.safetensors')
    with pytest.raises(EngineError, match='another network'):
        torch_engine(EXACT, other)
    with pytest.raises(EngineError, match='precision'):
        torch_engine(EngineSettings(precision='int4'), weights)
