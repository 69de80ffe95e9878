import numpy as np
import pytest

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.se3 import inverse, se3_from_xy_yaw, se3_from_xyz_rpy, transform_points
from moe_bev_ros.perception import point_kernels as k
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.point_cloud import CloudLayout, PointField, read_cloud
from moe_bev_ros.perception.sweep import Crop, SensorCloud, build_sweep

STAMP_NS = 1_700_000_000_000_000_000
MOUNT = se3_from_xyz_rpy(0.94, 0.1, 1.84, 0.01, -0.02, 0.3)
WIDE = Crop((0.0, 0.0, 0.0, 0.0, -9e9, -9e9), (-200.0, 200.0, -200.0, 200.0, -50.0, 50.0))
FIELDS = tuple(PointField(name, 4 * at, k.FLOAT32) for at, name in enumerate(('x', 'y', 'z', 'intensity', 'time')))


def pose_at(time_s):
    """15 m/s with a yaw rate of 0.5 rad/s."""
    yaw = 0.5 * time_s
    return se3_from_xy_yaw(30 * np.sin(yaw), 30 * (1 - np.cos(yaw)), yaw)


def odometry():
    result = OdometryBuffer()
    for index in range(-20, 3):
        result.add(EgoMotion(STAMP_NS + index * 10_000_000, pose_at(index * 0.01), 15.0, 0.5, 'map'))
    return result


def sensor_cloud(points_n5, *, with_time=True, stamp_ns=STAMP_NS, mount=MOUNT):
    raw = np.ascontiguousarray(points_n5, np.float32)
    layout = CloudLayout(FIELDS if with_time else FIELDS[:4], 1, len(raw), 20, raw.nbytes)
    return SensorCloud(read_cloud(layout, raw, stamp_ns), stamp_ns, mount)


def scanned_wall(num=5000, *, later_s=0.0, mount=MOUNT):
    """A wall at x = 30 m of base_link(STAMP), seen point by point while the vehicle turns: (N, 5) in the sensor's frame."""
    rng = np.random.default_rng(3)
    wall = np.column_stack([np.full(num, 30.0), rng.uniform(-15, 15, num), rng.uniform(0.0, 4.0, num)])
    times_s = np.linspace(-0.1, 0.0, num)
    rows = []
    for point, time_s in zip(wall, times_s):
        base_link_then_se3_now = inverse(pose_at(time_s + later_s)) @ pose_at(0.0)
        rows.append(transform_points(inverse(mount) @ base_link_then_se3_now, point[None])[0])
    return np.column_stack([rows, np.full(num, 0.5), times_s]), wall


def test_a_wall_scanned_while_turning_is_flat_again():
    points, wall = scanned_wall()
    skewed = build_sweep(STAMP_NS, (sensor_cloud(points),), WIDE)
    straight = build_sweep(STAMP_NS, (sensor_cloud(points),), WIDE, odometry())
    assert not skewed.motion_compensated
    assert straight.motion_compensated
    assert np.ptp(skewed.points.points_n5[:, 0]) > 1.0
    assert np.ptp(straight.points.points_n5[:, 0]) < 0.03
    np.testing.assert_allclose(straight.points.points_n5[:, :3], wall, atol=0.02)
    np.testing.assert_allclose(straight.points.points_n5[:, 4], points[:, 4], atol=1e-6)


def test_a_second_sensor_is_moved_from_its_own_stamp():
    rear = se3_from_xyz_rpy(-1.0, 0.0, 1.0, 0.0, 0.0, 3.0)
    points, wall = scanned_wall(200)
    later, _ = scanned_wall(200, later_s=-0.04, mount=rear)
    clouds = (sensor_cloud(points), sensor_cloud(later, stamp_ns=STAMP_NS - 40_000_000, mount=rear))
    sweep = build_sweep(STAMP_NS, clouds, WIDE, odometry())
    assert sweep.valid == (True, True)
    np.testing.assert_allclose(sweep.points.points_n5[200:, :3], wall, atol=0.02)
    np.testing.assert_allclose(sweep.points.points_n5[200:, 4], later[:, 4] - 0.04, atol=1e-6)


def test_without_time_per_point_or_odometry_points_pass_uncompensated_with_the_reason():
    points, _ = scanned_wall(100)
    wanted = transform_points(MOUNT, points[:, :3])
    for cloud, motion, reason in (
        (sensor_cloud(points, with_time=False), odometry(), 'no time per point'),
        (sensor_cloud(points), OdometryBuffer(), 'no odometry yet'),
        (sensor_cloud(points), None, 'switched off'),
    ):
        sweep = build_sweep(STAMP_NS, (cloud,), WIDE, motion)
        assert (sweep.motion_compensated, sweep.reason) == (False, reason)
        np.testing.assert_allclose(sweep.points.points_n5[:, :3], wanted, atol=1e-4)


def test_the_vehicle_itself_and_what_is_far_are_cut_out():
    rows = [(5.0, 0, 0, 1, 0), (0.5, 0.2, 0.1, 1, 0), (90.0, 0, 0, 1, 0), (5.0, 0, 9.0, 1, 0), (-5.0, 1, 0, 1, 0)]
    crop = Crop((-1.0, 3.8, -1.0, 1.0, -0.5, 2.0), (-80.0, 80.0, -80.0, 80.0, -5.0, 5.0))
    sweep = build_sweep(STAMP_NS, (sensor_cloud(rows, mount=np.eye(4)),), crop)
    np.testing.assert_array_equal(sweep.points.points_n5[:, 0], [5.0, -5.0])


def test_the_bonnet_is_cut_out_where_it_was_seen_not_where_it_would_be_moved():
    rows = [(3.7, 0.0, 0.8, 1.0, -0.1), (8.0, 0.0, 0.8, 1.0, 0.0)]
    crop = Crop((-1.0, 3.8, -1.0, 1.0, -0.5, 2.0), WIDE.range_m)
    sweep = build_sweep(STAMP_NS, (sensor_cloud(rows, mount=np.eye(4)),), crop, odometry())
    assert len(sweep.points.points_n5) == 1


def test_a_sensor_without_a_cloud_is_not_valid():
    points, _ = scanned_wall(10)
    assert build_sweep(STAMP_NS, (sensor_cloud(points), None), WIDE).valid == (True, False)


@pytest.mark.parametrize('box', [(0.0, 1.0), (1.0, 0.0, 0.0, 1.0, 0.0, 1.0), (float('nan'), 1.0, 0.0, 1.0, 0.0, 1.0)])
def test_a_box_with_min_above_max_is_refused(box):
    with pytest.raises(ValueError, match='ego_box'):
        Crop(box, WIDE.range_m)
