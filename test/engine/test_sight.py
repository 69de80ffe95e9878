import numpy as np
import pytest

from moe_bev_ros.engine.sight import Sight

RING = np.linspace(-np.pi, np.pi, 2000, endpoint=False)


def sight_of(walls_xy, ground_m=40.0):
    """Obstacle points, and ground seen all around where nothing is nearer."""
    ground = ground_m * np.column_stack([np.cos(RING), np.sin(RING)])
    points = np.vstack([ground, walls_xy]).astype(np.float32)
    return Sight.of(points, np.arange(len(points)) >= len(ground))


def rear_of_a_car(x):
    return np.column_stack([np.full(40, x), np.linspace(-0.9, 0.9, 40)])


def box(x, y, length=4.4, width=1.8, yaw=0.0):
    return np.array([[x, y, length, width, yaw]], np.float32)


def test_a_box_behind_what_was_hit_is_not_seen_through():
    assert sight_of(rear_of_a_car(15.0)).seen_through(box(17.2, 0.0))[0] == 0.0


def test_a_box_in_front_of_what_was_hit_is_seen_through():
    assert sight_of(rear_of_a_car(15.0)).seen_through(box(11.0, 0.0))[0] == 1.0


def test_a_box_across_the_free_road_is_partly_seen_through():
    assert 0.3 < sight_of(rear_of_a_car(15.0)).seen_through(box(16.0, 2.0, yaw=np.pi / 2))[0] < 1.0


@pytest.mark.parametrize('yaw', [-2.0, 0.7, 3.0])
def test_turning_the_scene_turns_the_answer(yaw):
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    place = turn @ [17.2, 0.0]
    assert sight_of(rear_of_a_car(15.0) @ turn.T).seen_through(box(*place, yaw=yaw))[0] == 0.0


def test_where_nothing_came_back_nothing_is_free():
    empty = Sight.of(np.zeros((0, 2), np.float32), np.zeros(0, bool))
    assert empty.seen_through(box(10.0, 0.0))[0] == 0.0
