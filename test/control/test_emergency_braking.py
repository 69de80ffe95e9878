import dataclasses

import numpy as np
import pytest

from moe_bev_ros.control.emergency_braking import BrakingSettings, braking_distance_m, emergency_reason, gap_ahead_m
from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.objects import Label, Scene, TrackedObject

VEHICLE, SETTINGS = Vehicle(), BrakingSettings()


def car(x, y=0.0, yaw=0.0, speed=0.0, age=5, length=4.5, width=1.8):
    box = np.array([x, y, 0.8, length, width, 1.6, yaw], np.float32)
    velocity = np.array([speed * np.cos(yaw), speed * np.sin(yaw)], np.float32)
    return TrackedObject(1, Label.CAR, 0.9, box, velocity, np.eye(4, dtype=np.float32), age=age)


def reason(*objects, speed=10.0, curvature=0.0, age=0.0, valid=True):
    return emergency_reason(Scene(0, objects, valid, True, True), age, speed, curvature, VEHICLE, SETTINGS)


def test_the_gap_runs_from_bumper_to_bumper():
    assert gap_ahead_m(car(20.0), VEHICLE, 0.0, 0.1) == pytest.approx(20.0 - 2.25 - VEHICLE.front_m, abs=0.01)


def test_a_standing_car_closer_than_the_braking_distance_is_an_emergency():
    needed = braking_distance_m(10.0, 0.0, SETTINGS) + VEHICLE.front_m + 2.25
    assert reason(car(needed - 0.1)).startswith('car 10.')
    assert reason(car(needed + 0.1)) == ''


def test_the_next_lane_is_no_emergency():
    assert reason(car(9.0, y=3.0)) == ''


def test_a_car_that_drives_as_fast_is_no_emergency():
    assert reason(car(10.0, speed=10.0)) == ''
    assert reason(car(10.0, speed=2.0)) != ''


def test_one_that_comes_towards_us_counts_as_standing():
    assert braking_distance_m(10.0, -5.0, SETTINGS) == braking_distance_m(10.0, 0.0, SETTINGS)


def test_a_long_truck_across_the_road_is_seen_between_its_corners():
    assert reason(car(10.0, y=2.0, yaw=np.pi / 2, length=16.0)) != ''


@pytest.mark.parametrize('side', [-1.0, 1.0])
def test_in_a_curve_the_arc_counts_not_the_line(side):
    radius, angle = 15.0, 0.5
    on_the_arc = car(radius * np.sin(angle), side * radius * (1.0 - np.cos(angle)), yaw=side * angle)
    assert reason(on_the_arc, speed=8.0, curvature=side / radius) != ''
    assert reason(car(12.0), speed=8.0, curvature=side / radius) == ''


def test_what_half_blind_perception_sees_is_an_emergency_too():
    assert reason(car(8.0), valid=False) == reason(car(8.0)) != ''


def test_ghosts_and_creeping_are_no_emergency():
    assert reason(car(8.0, age=1)) == ''
    assert reason(car(6.2), speed=0.3) == ''
    assert reason(dataclasses.replace(car(1.4), box_7=np.array([1.4, 0, 0.8, 1, 1, 1, 0], np.float32))) == ''


def test_old_objects_are_closer_than_they_look():
    needed = braking_distance_m(10.0, 0.0, SETTINGS) + VEHICLE.front_m + 2.25
    assert reason(car(needed + 1.5), age=0.2) != ''


@pytest.mark.parametrize('curvature', [0.0, 0.05, -0.1])
def test_whatever_reaches_into_the_swept_path_has_a_gap(curvature):
    half_m, along_m = VEHICLE.width_m / 2.0, 12.0
    bearing = along_m * curvature
    foot = (np.sin(bearing) / curvature, (1.0 - np.cos(bearing)) / curvature) if curvature else (along_m, 0.0)
    for side_m in (half_m + 0.95, -half_m - 0.95):  # its side lies 0.05 m beside the vehicle's, within the margin
        x, y = foot[0] - side_m * np.sin(bearing), foot[1] + side_m * np.cos(bearing)
        assert np.isfinite(gap_ahead_m(car(x, y, yaw=bearing), VEHICLE, curvature, 0.1))
