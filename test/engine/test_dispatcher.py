"""The dispatcher keeps to the sensors that are there, to its budget, and to its choice."""

from dataclasses import replace

import numpy as np
import pytest

from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.objects import Detections
from moe_bev_ros.engine.capability import BUSY_KINDS, CALM_KINDS, DEFAULT, POOR_CONDITIONS, Capability
from moe_bev_ros.engine.dispatcher import Dispatcher, DispatcherConfig, Situation, look_of, traffic_of
from moe_bev_ros.world.conditions import CONDITIONS
from moe_bev_ros.world.scenario_kinds import KINDS

DAY = Situation(True, True, brightness=0.38, contrast=0.155)
NIGHT = Situation(True, True, brightness=0.14, contrast=0.1)
BUSY_NIGHT = replace(NIGHT, num_objects=40)


def test_the_choice_keeps_to_the_valid_sensors():
    dispatcher = Dispatcher()
    assert dispatcher.choose(DAY) == ('fused',)
    assert dispatcher.choose(replace(DAY, camera_valid=False)) == ('lidar',)
    assert dispatcher.choose(replace(DAY, camera_valid=True, lidar_valid=False)) == ('camera',)
    assert dispatcher.choose(Situation(False, False)) == ()


def test_images_that_show_little_bring_the_expert_for_poor_sight():
    dispatcher = Dispatcher()
    chosen = [dispatcher.choose(NIGHT) for _ in range(5)]
    assert chosen == [('poor_sight',)] * 5


@pytest.mark.parametrize(
    ('brightness', 'contrast', 'is_poor'),
    [(0.38, 0.155, False), (0.14, 0.1, True), (0.34, 0.12, True), (0.33, 0.19, True)],
)
def test_night_rain_and_low_sun_are_told_from_day(brightness, contrast, is_poor):
    assert Dispatcher().is_poor(Situation(True, True, brightness, contrast)) is is_poor


def test_one_odd_frame_changes_nothing_and_several_do():
    dispatcher = Dispatcher()
    dispatcher.choose(DAY)
    assert [dispatcher.choose(each) for each in (NIGHT, DAY, NIGHT, DAY)] == [('fused',)] * 4
    assert [dispatcher.choose(NIGHT) for _ in range(3)] == [('fused',), ('fused',), ('poor_sight',)]


def test_two_experts_run_in_stretches_within_the_budget():
    dispatcher = Dispatcher()
    counts = np.array([len(dispatcher.choose(BUSY_NIGHT)) for _ in range(500)])
    means = np.cumsum(counts) / np.arange(1, 501)
    assert counts.max() == 2
    assert means.max() <= 1.3
    assert means[-1] > 1.25
    assert np.abs(np.diff(counts)).sum() <= 2 * 500 / 30


def test_a_budget_of_one_expert_is_kept():
    dispatcher = Dispatcher()
    assert all(len(dispatcher.choose(BUSY_NIGHT, k_max=1)) == 1 for _ in range(100))


def test_the_same_frames_give_the_same_choices():
    rng = np.random.default_rng(3)
    frames = [Situation(True, rng.random() > 0.1, 0.3, 0.15 * rng.random(), int(50 * rng.random())) for _ in range(200)]
    one, other = Dispatcher(), Dispatcher()
    assert [one.choose(frame) for frame in frames] == [other.choose(frame) for frame in frames]


def test_calm_traffic_takes_the_cheap_expert_where_little_is_lost_and_busy_traffic_the_good_one():
    scores = {name: dict(columns) for name, columns in DEFAULT.scores.items()}
    scores['lidar'] = {'day': 0.63, 'night': 0.5}
    dispatcher = Dispatcher(Capability(scores, DEFAULT.costs), DispatcherConfig(mean_experts=1.0))
    assert dispatcher.choose(DAY) == ('lidar',)
    assert [dispatcher.choose(replace(DAY, uncertainty_m=1.5)) for _ in range(3)][-1] == ('fused',)


def test_all_conditions_and_kinds_of_the_world_have_their_place():
    assert {'day', *POOR_CONDITIONS} == set(CONDITIONS)
    assert sorted((*BUSY_KINDS, *CALM_KINDS)) == sorted(KINDS)


def test_the_look_is_that_of_the_valid_images():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[0] = 255
    cameras = CameraImages(
        images, np.zeros((2, 3, 3), np.float32), np.zeros((2, 4, 4)), np.array([True, False]), ('front', 'rear')
    )
    assert look_of(cameras) == (1.0, 0.0)
    assert look_of(None) == (0.0, 0.0)


def test_only_objects_that_are_believed_make_traffic():
    covariances = np.tile(4.0 * np.eye(4, dtype=np.float32), (2, 1, 1))
    found = Detections(
        np.zeros((2, 7), np.float32),
        np.zeros(2, np.uint8),
        np.array([0.9, 0.1], np.float32),
        np.zeros((2, 2), np.float32),
        covariances_n44=covariances,
    )
    assert traffic_of(found) == (1, 2.0)
    assert traffic_of(Detections.empty()) == (0, 0.0)
