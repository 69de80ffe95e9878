"""The pillar yardstick finds what stands in front of it, remembers, and says when it cannot see."""

import numpy as np
import pytest

from moe_bev_ros.core.frame import Frame, LidarPoints
from moe_bev_ros.core.objects import Label
from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.pillars import PillarsEngine
from moe_bev_ros.learning.lidar_samples import samples_of_seed

SEED = 1_000_003  # of the validation split


@pytest.fixture(scope='module')
def engine():
    return PillarsEngine()


def frame_of(points_n5, stamp_ns=1):
    return Frame(stamp_ns, None, LidarPoints(np.asarray(points_n5, np.float32)), None)


def test_it_finds_near_cars_of_a_scene_that_it_never_saw(engine):
    found = asked = 0
    for _, sample in zip(range(6), samples_of_seed(SEED)):
        engine.reset()
        detections = engine.step(frame_of(sample.points_n5[sample.points_n5[:, 4] == 0.0]), None).detections
        cars = detections.boxes_n7[(detections.labels_n == Label.CAR) & (detections.scores_n > 0.2)]
        for box in sample.truth.boxes_n7[sample.truth.labels_n == Label.CAR]:
            if np.hypot(*box[:2]) < 20.0:
                asked += 1
                found += bool(len(cars)) and float(np.linalg.norm(cars[:, :2] - box[:2], axis=1).min()) < 1.0
    assert asked >= 5
    assert found / asked > 0.6


def test_without_points_it_cannot_see_and_forgets(engine):
    points = np.random.default_rng(0).uniform(-20.0, 20.0, (500, 5)).astype(np.float32)
    engine.reset()
    engine.step(frame_of(points), None)
    seen = engine.step(frame_of(points, 2), np.eye(4))
    assert seen.perception_valid
    assert seen.memory_bytes == 2 * points.nbytes
    blind = engine.step(Frame(3, None, None, None), np.eye(4))
    assert not blind.perception_valid
    assert len(blind.detections) == 0
    assert engine.step(frame_of(points, 4), np.eye(4)).memory_bytes == points.nbytes


def test_points_that_are_not_finite_are_left_out(engine):
    engine.reset()
    assert engine.step(frame_of([[np.nan, 0.0, 0.0, 0.5, 0.0], [5.0, 0.0, 0.0, 0.5, 0.0]]), None).perception_valid


def test_missing_and_foreign_weights_are_named(tmp_path):
    from safetensors.numpy import save_file

    with pytest.raises(EngineError, match='moe-bev train'):
        PillarsEngine(weights=tmp_path / 'none.safetensors')
    save_file({'other': np.zeros(3, np.float32)}, tmp_path / 'other.safetensors')
    with pytest.raises(EngineError, match='another network'):
        PillarsEngine(weights=tmp_path / 'other.safetensors')
