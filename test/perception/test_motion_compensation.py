import numpy as np
import pytest

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.se3 import inverse, se3_from_xy_yaw, se3_from_xyz_rpy
from moe_bev_ros.perception.motion_compensation import OdometryBuffer

STAMP_NS = 1_700_000_000_000_000_000
FAR = se3_from_xyz_rpy(50_000.0, -80_000.0, 30.0, 0.01, 0.02, 2.5)


def turning(time_s, speed_mps=12.0, yaw_rate_radps=0.4):
    """Pose of a vehicle on a circle, in a map whose origin is far away."""
    yaw = yaw_rate_radps * time_s
    radius = speed_mps / yaw_rate_radps
    return FAR @ se3_from_xy_yaw(radius * np.sin(yaw), radius * (1 - np.cos(yaw)), yaw)


def ego(time_s, frame_id='map'):
    return EgoMotion(STAMP_NS + round(time_s * 1e9), turning(time_s), 12.0, 0.4, frame_id)


def buffer(*times_s):
    result = OdometryBuffer()
    for time_s in times_s:
        result.add(ego(time_s))
    return result


def largest_error(odometry, times_s):
    wanted = np.array([inverse(turning(0.0)) @ turning(time_s) for time_s in times_s])
    return np.abs(odometry.poses(STAMP_NS, np.array(times_s)) - wanted).max()


def test_poses_between_samples_follow_the_motion():
    assert largest_error(buffer(*np.arange(-0.2, 0.05, 0.02)), np.linspace(-0.1, 0.0, 50)) < 1e-3


def test_poses_are_continued_beyond_the_samples():
    odometry = buffer(-0.06, -0.05)
    assert odometry.gap(STAMP_NS - 100_000_000, STAMP_NS) == ''
    assert largest_error(odometry, np.linspace(-0.1, 0.0, 50)) < 0.01


def test_a_single_pose_is_enough_for_a_short_motion():
    assert largest_error(buffer(0.0), [-0.05, 0.0, 0.05]) < 0.01


def test_the_pose_at_the_stamp_itself_is_identity():
    np.testing.assert_allclose(buffer(-0.1, 0.0).poses(STAMP_NS, np.zeros(1))[0], np.eye(4), atol=1e-9)


@pytest.mark.parametrize(
    ('times_s', 'fact'),
    [
        ((), 'no odometry yet'),
        ((-0.3, -0.2), 'older than the sweep'),
        ((0.1, 0.2), 'before the first odometry'),
        ((-1.0, 0.1), 'missing for more than'),
        ((-0.15, 0.05), ''),
        ((-0.5, 0.05), ''),
    ],
)
def test_a_motion_that_is_not_known_is_said(times_s, fact):
    reason = buffer(*times_s).gap(STAMP_NS - 100_000_000, STAMP_NS)
    assert fact in reason
    assert bool(fact) == bool(reason)


def test_old_poses_and_poses_of_another_frame_are_forgotten():
    odometry = buffer(*np.arange(0.0, 10.0, 0.1))
    assert 29 <= len(odometry) <= 32
    odometry.add(ego(5.0))
    assert 29 <= len(odometry) <= 32
    odometry.add(ego(10.0, frame_id='odom'))
    assert len(odometry) == 1


def test_the_motion_at_a_stamp_lies_between_its_samples_or_continues_the_last():
    odometry = buffer(-0.1, -0.05, 0.0)
    for time_s in (-0.1, -0.07, 0.0, 0.08):
        found = odometry.at(STAMP_NS + round(time_s * 1e9))
        assert found.stamp_ns == STAMP_NS + round(time_s * 1e9)
        np.testing.assert_allclose(found.odom_se3_base_link, turning(time_s), atol=0.01)
    assert odometry.at(STAMP_NS + 300_000_000) is None
    assert OdometryBuffer().at(STAMP_NS) is None
