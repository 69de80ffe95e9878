"""Frames from pairs: where the points lie, and how the vehicle moved since the last one."""

import numpy as np
import pytest

from moe_bev_ros.core.frame import CameraImages, EgoMotion, LidarPoints
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.perception.frame_builder import Bundle, FrameBuilder, Sweep
from moe_bev_ros.perception.pairing import Pair

STEP_NS = 100_000_000
POINT = np.array([[10.0, 1.0, 0.5, 0.2, 0.0]], np.float32)
IMAGES = CameraImages(
    np.zeros((1, 8, 16, 3), np.uint8), np.eye(3, dtype=np.float32)[None], np.eye(4)[None], np.ones(1, bool), ('a',)
)


@pytest.fixture
def builder():
    """Of a vehicle that drives 1 m to the east in each step."""
    made = FrameBuilder(0.2)
    for step in range(1, 6):
        made.odometry.add(EgoMotion(step * STEP_NS, se3_from_xy_yaw(float(step), 0.0, 0.0), 10.0, 0.0, 'map'))
    return made


def sweep(stamp_ns, points=POINT, receive_ns=7):
    return Sweep(LidarPoints(points), True, stamp_ns, Trace(receive_ns), 9)


def test_points_of_another_instant_are_moved_to_where_they_lie_from_the_vehicle_now(builder):
    taken = sweep(2 * STEP_NS)
    frame = builder.build(Pair(3 * STEP_NS, Bundle(IMAGES, Trace(5), 6), taken))
    np.testing.assert_allclose(frame.lidar.points_n5, [[9.0, 1.0, 0.5, 0.2, 0.0]], atol=1e-6)
    assert taken.points.points_n5[0, 0] == 10.0
    assert frame.trace.receive_ns == 5


def test_without_odometry_points_stay_and_the_frame_tells_no_motion(builder):
    builder.forget()
    frame = builder.build(Pair(3 * STEP_NS, Bundle(IMAGES, Trace(5), 6), sweep(2 * STEP_NS)))
    assert frame.lidar.points_n5[0, 0] == 10.0
    assert frame.ego is None
    assert builder.motion_to(frame) is None


def test_the_motion_is_that_since_the_last_frame_and_not_known_after_a_new_beginning(builder):
    first, second, third = (builder.build(Pair(step * STEP_NS, None, sweep(step * STEP_NS))) for step in (1, 3, 4))
    assert builder.motion_to(first) is None
    np.testing.assert_allclose(builder.motion_to(second)[:2, 3], [-2.0, 0.0], atol=1e-9)
    builder.begin_anew()
    assert builder.motion_to(third) is None


def test_a_trace_without_a_time_gets_that_of_its_message(builder):
    frame = builder.build(Pair(STEP_NS, None, sweep(STEP_NS, receive_ns=0)))
    assert frame.trace.receive_ns == 9


def test_the_gap_is_counted_from_the_last_frame(builder):
    assert builder.gap_s(STEP_NS) == 0.0
    assert builder.gap_s(3 * STEP_NS) == pytest.approx(0.2)
