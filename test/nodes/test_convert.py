"""Messages there and back."""

import numpy as np
import pytest

from moe_bev_ros import msg as m
from moe_bev_ros.core.command import Command, Gear
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, LidarPoints
from moe_bev_ros.core.objects import Forecast, Label, Scene, TrackedObject
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import yaw_of
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.nodes import convert

STAMP_NS = 1_700_000_000_123_456_789
TRACE = Trace(5, ('camera_node',), (6,), (7,))


def test_camera_bundle_there_and_back_without_copy() -> None:
    rng = np.random.default_rng(0)
    images = CameraImages(
        rng.integers(0, 255, (2, 4, 6, 3), dtype=np.uint8),
        rng.random((2, 3, 3), dtype=np.float32),
        rng.random((2, 4, 4)),
        np.array([True, False]),
        ('front', 'back'),
    )
    message = convert.cameras_to_msg(images, STAMP_NS, [STAMP_NS, STAMP_NS - 5], TRACE)
    back = convert.cameras_from_msg(message)
    for name in ('images_nhw3', 'intrinsics_n33', 'base_link_se3_camera_n44', 'valid_n'):
        np.testing.assert_array_equal(getattr(back, name), getattr(images, name))
    assert np.shares_memory(back.images_nhw3, np.frombuffer(message.data, np.uint8))
    assert convert.trace_from_msg(message.trace) == TRACE


def test_a_truncated_bundle_is_refused() -> None:
    with pytest.raises(InputError, match='2 cameras'):
        convert.cameras_from_msg(m.CameraBundle(names=['a', 'b'], height=4, width=6, valid=[True, True]))


def test_lidar_sweep_there_and_back() -> None:
    points = LidarPoints(np.random.default_rng(0).random((100, 5), dtype=np.float32))
    message = convert.lidar_to_msg(points, STAMP_NS, ['top'], [True], True, TRACE)
    np.testing.assert_array_equal(convert.lidar_from_msg(message).points_n5, points.points_n5)
    message.num_points = 99
    with pytest.raises(InputError, match='99 points need 1980 bytes, got 2000'):
        convert.lidar_from_msg(message)


def test_an_empty_sweep_is_a_sweep() -> None:
    message = convert.lidar_to_msg(LidarPoints(np.zeros((0, 5), np.float32)), STAMP_NS, ['top'], [True], False, TRACE)
    assert convert.lidar_from_msg(message).points_n5.shape == (0, 5)


def test_scene_there_and_back() -> None:
    item = TrackedObject(
        7,
        Label.PEDESTRIAN,
        0.5,
        np.array([1, 2, 0.9, 0.6, 0.7, 1.8, 0.3], np.float32),
        np.array([1.5, -0.2], np.float32),
        np.eye(4, dtype=np.float32),
        forecasts=(Forecast(1.0, 0.5, np.ones((6, 2), np.float32)),),
    )
    scene = Scene(STAMP_NS, (item,), perception_valid=True, lidar_valid=True, camera_valid=False)
    back = convert.scene_from_msg(convert.scene_to_msg(scene, 'clustering', TRACE))
    assert (back.stamp_ns, back.perception_valid, back.lidar_valid, back.camera_valid) == (STAMP_NS, True, True, False)
    np.testing.assert_allclose(back.objects[0].box_7, item.box_7, atol=1e-6)
    np.testing.assert_array_equal(back.objects[0].forecasts[0].positions_t2, item.forecasts[0].positions_t2)
    assert back.objects[0].label is Label.PEDESTRIAN


def test_plan_there_and_back() -> None:
    plan = Plan(STAMP_NS, 'map', np.arange(21.0).reshape(3, 7), stop=True, reason='red light')
    back = convert.plan_from_msg(convert.plan_to_msg(plan, TRACE))
    np.testing.assert_allclose(back.points_t7, plan.points_t7)
    assert (back.frame_id, back.stop, back.reason) == ('map', True, 'red light')
    assert len(convert.path_to_msg(plan).poses) == 3


def test_a_trajectory_of_one_point_is_refused() -> None:
    with pytest.raises(InputError):
        convert.plan_from_msg(m.Trajectory(points=[m.TrajectoryPoint()]))


def test_command_there_and_back() -> None:
    command = Command(0.25, 0.0, -0.125, 1.0, 5.0, Gear.DRIVE, engaged=True, reason='')
    assert convert.command_from_msg(convert.command_to_msg(command, STAMP_NS, True, TRACE)) == command


def test_a_command_with_both_pedals_is_refused() -> None:
    with pytest.raises(InputError, match='both'):
        convert.command_from_msg(m.VehicleCommand(throttle=0.5, brake=0.5))


def test_an_odometry_with_a_zero_quaternion_is_refused() -> None:
    from nav_msgs.msg import Odometry

    message = Odometry(child_frame_id='base_link')
    message.pose.pose.orientation.w = 0.0
    with pytest.raises(InputError, match='norm 0'):
        convert.ego_from_msg(message)


@pytest.mark.parametrize('child', ['', 'gnss_antenna'])
def test_an_odometry_of_another_frame_than_base_link_is_refused(child: str) -> None:
    from nav_msgs.msg import Odometry

    message = Odometry(child_frame_id=child)
    message.pose.pose.orientation.w = 1.0
    with pytest.raises(InputError, match=f"odometry of child frame '{child}'; publish that of base_link"):
        convert.ego_from_msg(message)


def test_an_unknown_label_is_refused() -> None:
    with pytest.raises(InputError, match='label 77'):
        convert.object_from_msg(m.Object(label=77))


def object_with(*forecasts: m.ForecastPath) -> m.Object:
    return m.Object(forecast=list(forecasts))


def test_forecasts_of_different_lengths_are_kept_apart() -> None:
    short, long = (
        m.ForecastPath(time_step_s=0.5, x=[1.0], y=[2.0]),
        m.ForecastPath(time_step_s=0.25, x=[3.0, 4.0], y=[5.0, 6.0]),
    )
    first, none, second = convert.object_from_msg(object_with(short, m.ForecastPath(time_step_s=1.0), long)).forecasts
    np.testing.assert_array_equal(first.positions_t2, [[1.0, 2.0]])
    assert none.positions_t2.shape == (0, 2)
    np.testing.assert_array_equal(second.positions_t2, [[3.0, 5.0], [4.0, 6.0]])
    assert (first.time_step_s, second.time_step_s) == (0.5, 0.25)


@pytest.mark.parametrize(
    ('forecast', 'fact'),
    [
        (m.ForecastPath(time_step_s=0.5, x=[1.0, 2.0], y=[1.0]), '2 x and 1 y'),
        (m.ForecastPath(time_step_s=0.5, x=[float('nan')], y=[1.0]), 'finite'),
        (m.ForecastPath(time_step_s=0.0, x=[1.0], y=[1.0]), 'time step'),
    ],
)
def test_a_forecast_that_cannot_be_is_refused_where_it_is_read(forecast: m.ForecastPath, fact: str) -> None:
    message = object_with(m.ForecastPath(time_step_s=0.5, x=[1.0], y=[1.0]), forecast)
    with pytest.raises(InputError, match=fact):
        convert.object_from_msg(message)
    assert convert.object_from_msg(message, with_forecasts=False).forecasts == ()


def test_a_path_has_the_headings_of_its_plan() -> None:
    points_t7 = np.zeros((3, 7))
    points_t7[:, 3] = (-3.0, 0.0, 2.0)
    for place, yaw in zip(convert.path_to_msg(Plan(STAMP_NS, 'map', points_t7)).poses, points_t7[:, 3]):
        assert yaw_of(convert.pose_from_msg(place.pose)) == pytest.approx(yaw)
