import numpy as np

from moe_bev_ros.core.frame import Frame, LidarPoints
from moe_bev_ros.core.se3 import inverse, se3_from_xy_yaw, transform_points
from moe_bev_ros.perception.sweep_stack import SweepStack

LANDMARK = np.array([[20.0, 3.0, 1.0]])


def poses(num):
    return [se3_from_xy_yaw(0.8 * step, 0.1 * step, 0.05 * step) for step in range(num)]


def frame(step, map_se3_base_link):
    seen = transform_points(inverse(map_se3_base_link), LANDMARK)
    points_n5 = np.column_stack([seen, [[0.5, -0.02]]]).astype(np.float32)
    return Frame(step * 100_000_000, None, LidarPoints(points_n5), None)


def played(stack, num):
    before, found = None, []
    for step, pose in enumerate(poses(num)):
        motion = None if before is None else inverse(pose) @ before
        found.append(stack.add(frame(step, pose), motion).lidar.points_n5)
        before = pose
    return found


def test_what_stands_still_stays_where_it_is_and_every_point_has_its_age():
    found = played(SweepStack(10), 12)
    assert [len(points_n5) for points_n5 in found] == [*range(1, 11), 10, 10]
    here = transform_points(inverse(poses(12)[-1]), LANDMARK)[0]
    np.testing.assert_allclose(found[-1][:, :3], np.tile(here, (10, 1)), atol=1e-4)
    np.testing.assert_allclose(found[-1][:, 4], -0.1 * np.arange(10), atol=1e-6)


def test_earlier_sweeps_are_forgotten_where_the_motion_is_not_known():
    stack = SweepStack(10)
    played(stack, 5)
    assert len(stack.add(frame(5, np.eye(4)), None).lidar.points_n5) == 1
    played(stack, 3)
    stack.reset()
    assert len(stack.add(frame(5, np.eye(4)), np.eye(4)).lidar.points_n5) == 1


def test_a_frame_without_lidar_stays_so_and_the_sweeps_move_on():
    stack = SweepStack(3)
    here, there = poses(2)
    stack.add(frame(0, here), None)
    blind = Frame(100_000_000, None, None, None)
    assert stack.add(blind, inverse(there) @ here) is blind
    points_n5 = stack.add(frame(2, there), np.eye(4)).lidar.points_n5
    np.testing.assert_allclose(points_n5[0, :3], points_n5[1, :3], atol=1e-4)
    np.testing.assert_allclose(points_n5[:, 4], [0.0, -0.2], atol=1e-6)


def test_bytes_are_those_of_the_earlier_sweeps_in_half_precision():
    stack = SweepStack(10)
    played(stack, 20)
    assert stack.held_bytes == 9 * 5 * 2


def test_one_sweep_is_given_back_as_it_is():
    stack = SweepStack(1)
    each = frame(0, np.eye(4))
    assert stack.add(each, None) is each
    assert stack.held_bytes == 0
