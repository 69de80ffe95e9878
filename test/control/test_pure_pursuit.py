import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_bev_ros.control.pure_pursuit import fit, point_at, steering_angle_rad

STRAIGHT = np.array([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0], [10.0, 0.0, 0.0]])


def steer(path, pose, lookahead_m=6.0):
    pose = np.asarray(pose, float)
    return steering_angle_rad(path, pose, fit(path, pose).along_m, lookahead_m=lookahead_m, wheelbase_m=2.8)


def circle(radius):
    yaws = np.linspace(0.0, 1.5, 200)
    return np.stack([radius * np.sin(yaws), radius * (1.0 - np.cos(yaws)), yaws], axis=1)


def test_on_a_straight_path_the_wheel_is_straight():
    assert steer(STRAIGHT, [2.0, 0.0, 0.0]) == pytest.approx(0.0)


def test_left_of_the_path_it_steers_right():
    assert steer(STRAIGHT, [2.0, 1.0, 0.0]) < 0.0
    assert steer(STRAIGHT, [2.0, -1.0, 0.0]) > 0.0


@pytest.mark.parametrize('radius', [10.0, 30.0, 100.0])
def test_on_a_circle_it_steers_the_circle(radius):
    assert steer(circle(radius), [0.0, 0.0, 0.0]) == pytest.approx(np.arctan(2.8 / radius), rel=0.01)


def test_the_place_beside_the_path_is_signed_left_positive():
    place = fit(STRAIGHT, np.array([7.0, -0.5, 0.2]))
    assert (place.along_m, place.lateral_m, place.yaw_error_rad) == pytest.approx((7.0, -0.5, 0.2))


def test_the_path_goes_on_straight_beyond_its_ends():
    assert fit(STRAIGHT, np.array([-3.0, 0.0, 0.0])).along_m == pytest.approx(-3.0)
    assert fit(STRAIGHT, np.array([14.0, 0.0, 0.0])).along_m == pytest.approx(14.0)
    np.testing.assert_allclose(point_at(STRAIGHT, 12.0), [12.0, 0.0, 0.0])
    assert steer(STRAIGHT, [9.9, 0.0, 0.0]) == pytest.approx(0.0)


@given(st.floats(-100.0, 100.0), st.floats(-100.0, 100.0), st.floats(-3.1, 3.1))
def test_the_scene_turns_and_the_wheel_stays(x, y, yaw):
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    path, pose = circle(20.0), np.array([3.0, 0.8, 0.1])
    moved = np.column_stack([path[:, :2] @ turn.T + (x, y), path[:, 2] + yaw])
    moved_pose = np.array([*(turn @ pose[:2] + (x, y)), pose[2] + yaw])
    assert steer(moved, moved_pose) == pytest.approx(steer(path, pose), abs=1e-6)


def test_the_heading_between_two_points_turns_the_short_way_across_pi():
    path = np.array([[0.0, 0.0, 3.1], [-5.0, 0.0, -3.1], [-10.0, 0.0, -3.1]])
    assert abs(fit(path, np.array([-2.5, 0.0, np.pi])).yaw_error_rad) < 1e-6
