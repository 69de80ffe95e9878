import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2, PointField
from tf2_msgs.msg import TFMessage

from harness import ros
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.msg import LidarSweep
from moe_bev_ros.nodes.base import TF_STATIC_QOS
from moe_bev_ros.nodes.convert import header, lidar_from_msg, uint8_array
from moe_bev_ros.nodes.lidar_node import LidarNode
from moe_bev_ros.nodes.point_cloud_messages import cloud_from_msg
from moe_bev_ros.perception import point_kernels

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
TOPIC, TOPIC2 = '/sensing/lidar/lidar_top/points', '/sensing/lidar/rear/points'
ONE = {'lidar_names': ['lidar_top'], 'points_topics': [TOPIC], 'extrinsics': [1.0, 0.0, 2.0, 0.0, 0.0, 0.0]}
TWO = {
    'lidar_names': ['lidar_top', 'rear'],
    'points_topics': [TOPIC, TOPIC2],
    'extrinsics': [1.0, 0.0, 2.0, 0.0, 0.0, 0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 3.141592653589793],
    'wait_s': 0.2,
}


def cloud(
    index,
    points=((10.0, 0.0, 0.0), (20.0, 5.0, -1.0)),
    *,
    frame_id='lidar',
    shift_ns=0,
    names=('x', 'y', 'z', 'intensity', 't'),
):
    rows = np.zeros((len(points), len(names)), np.float32)
    rows[:, :3] = np.array(points, np.float32).reshape(-1, 3)
    if 't' in names:
        rows[:, names.index('t')] = np.linspace(-0.1, 0.0, len(points))
    step = 4 * len(names)
    return PointCloud2(
        header=header(START_NS + index * PERIOD_NS + shift_ns, frame_id),
        height=1,
        width=len(points),
        fields=[PointField(name=name, offset=4 * at, datatype=PointField.FLOAT32, count=1) for at, name in enumerate(names)],
        point_step=step,
        row_step=step * len(points),
        data=uint8_array(rows),
    )


def odometry(stamp_ns, x, speed_mps=10.0):
    message = Odometry(header=header(stamp_ns, 'map'), child_frame_id='base_link')
    message.pose.pose.position.x = float(x)
    message.pose.pose.orientation.w = 1.0
    message.twist.twist.linear.x = speed_mps
    return message


def last(harness, received, count=1):
    harness.spin_until(lambda: len(received) >= count)
    return received[-1]


def warnings_of(node):
    return node.warnings


def test_a_cloud_becomes_a_sweep_in_base_link():
    with ros(ONE) as h:
        h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        h.talk(PointCloud2, TOPIC).publish(cloud(0))
        sweep = last(h, sweeps)
    np.testing.assert_allclose(lidar_from_msg(sweep).points_n5[:, :3], [[11, 0, 2], [21, 5, 1]], atol=1e-5)
    assert sweep.header == header(START_NS, 'base_link')
    assert (sweep.names, sweep.valid, sweep.motion_compensated) == (['lidar_top'], [True], False)
    assert list(sweep.trace.stages) == ['lidar_node']
    assert 0 < sweep.trace.receive_ns <= sweep.trace.publish_at_ns[0]


def test_the_first_cloud_finds_its_kernels_compiled():
    with ros(ONE) as h:
        h.start(LidarNode)
        compiled = [list(kernel.signatures) for kernel in (point_kernels.scan, point_kernels.fuse)]
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        h.talk(PointCloud2, TOPIC).publish(cloud(0))
        last(h, sweeps)
    assert compiled == [kernel.signatures for kernel in (point_kernels.scan, point_kernels.fuse)]


def test_points_are_compensated_once_there_is_odometry():
    with ros(ONE) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        clouds, poses = h.talk(PointCloud2, TOPIC), h.talk(Odometry, '/lidar_node/input/odometry')
        clouds.publish(cloud(0))
        assert not last(h, sweeps).motion_compensated
        assert node.extra_diagnostics()['motion compensation'] == 'no odometry yet'
        for index in range(11):
            poses.publish(odometry(START_NS + index * PERIOD_NS // 10, x=index * 0.1))
        h.spin_until(lambda: len(node.odometry) == 11)
        clouds.publish(cloud(1))
        sweep = last(h, sweeps, 2)
    assert sweep.motion_compensated
    np.testing.assert_allclose(lidar_from_msg(sweep).points_n5[:, 0], [10.0, 21.0], atol=0.01)


def test_extrinsics_come_from_tf_static_and_a_missing_one_is_named():
    with ros({**ONE, 'extrinsics': []} | {'lidar_names': ['lidar_top']}) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        clouds = h.talk(PointCloud2, TOPIC)
        clouds.publish(cloud(0, frame_id='roof'))
        h.spin_until(lambda: node.counters['rejected'] == 1)
        assert any(TOPIC in text and 'roof' in text and '/tf_static' in text for text in warnings_of(node))
        transform = TransformStamped(header=header(0, 'base_link'), child_frame_id='roof')
        transform.transform.translation.z = 3.0
        transform.transform.rotation.w = 1.0
        tf = h.talk(TFMessage, '/tf_static', TF_STATIC_QOS)
        tf.publish(TFMessage(transforms=[transform]))
        h.spin_until(lambda: _known(node, 'roof'))
        clouds.publish(cloud(1, frame_id='roof'))
        sweep = last(h, sweeps)
    assert len(sweeps) == 1
    np.testing.assert_allclose(lidar_from_msg(sweep).points_n5[0, :3], [10, 0, 3], atol=1e-5)


def _known(node, frame):
    try:
        node.transforms.lookup('base_link', frame)
    except InputError:
        return False
    return True


def test_two_lidars_become_one_sweep_and_a_dead_one_is_masked():
    with ros(TWO) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        front, rear = h.talk(PointCloud2, TOPIC), h.talk(PointCloud2, TOPIC2)
        front.publish(cloud(0))
        rear.publish(cloud(0, shift_ns=20_000_000))
        both = last(h, sweeps)
        assert list(both.valid) == [True, True]
        assert both.num_points == 4
        np.testing.assert_allclose(lidar_from_msg(both).points_n5[2, :3], [-11, 0, 1], atol=1e-5)
        front.publish(cloud(1))
        alone = last(h, sweeps, 2)
    assert list(alone.valid) == [True, False]
    assert any(TOPIC2 in text and 'no cloud within' in text for text in warnings_of(node))


def test_another_lidar_leads_when_the_anchor_dies():
    with ros(TWO) as h:
        h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        h.talk(PointCloud2, TOPIC).publish(cloud(0))
        rear = h.talk(PointCloud2, TOPIC2)
        for index in range(8):
            rear.publish(cloud(index))
        h.spin_until(lambda: sweeps and list(sweeps[-1].valid) == [False, True])


@pytest.mark.parametrize(
    ('spoil', 'fact'),
    [
        (lambda message: setattr(message, 'width', 3), 'truncated'),
        (lambda message: setattr(message, 'fields', message.fields[1:]), 'field x is missing'),
        (lambda message: setattr(message, 'point_step', 12), 'of 12 bytes'),
        (
            lambda message: setattr(message, 'data', message.data[:-1]),
            'truncated: 2 x 1 points of 20 bytes need 40 bytes, got 39',
        ),
        (lambda message: setattr(message, 'data', message.data[:0]), 'truncated'),
        (lambda message: setattr(message, 'fields', []), 'field x is missing (fields: none)'),
        (lambda message: setattr(message.fields[0], 'datatype', 77), 'unknown datatype 77'),
        (lambda message: setattr(message.fields[1], 'offset', 2), 'fields x and y overlap'),
        (lambda message: setattr(message, 'width', 0), '0 x 1 points but 40 bytes'),
    ],
)
def test_a_bad_cloud_is_named_and_the_next_good_one_used(spoil, fact):
    bad = cloud(0)
    spoil(bad)
    with ros(ONE) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        clouds = h.talk(PointCloud2, TOPIC)
        clouds.publish(bad)
        h.spin_until(lambda: node.counters['rejected'] == 1)
        clouds.publish(cloud(1))
        sweep = last(h, sweeps)
        assert any(TOPIC in text and fact in text for text in warnings_of(node))
    assert sweep.header == header(START_NS + PERIOD_NS, 'base_link')
    assert len(sweeps) == 1


@pytest.mark.parametrize(('value', 'fact'), [(float('nan'), 'twist must be finite'), (1e9, 'not beyond 300')])
def test_odometry_that_cannot_be_is_named_and_the_sweep_goes_out_uncompensated(value, fact):
    with ros(ONE) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        clouds, poses = h.talk(PointCloud2, TOPIC), h.talk(Odometry, '/lidar_node/input/odometry')
        poses.publish(odometry(START_NS, x=0.0, speed_mps=value))
        h.spin_until(lambda: node.counters['rejected'] == 1)
        clouds.publish(cloud(0))
        assert not last(h, sweeps).motion_compensated
        assert any('/lidar_node/input/odometry' in text and fact in text for text in node.warnings)
        poses.publish(odometry(START_NS + PERIOD_NS, x=0.0))
        h.spin_until(lambda: len(node.odometry) == 1)
        clouds.publish(cloud(1))
        h.spin_until(lambda: len(sweeps) == 2)
        assert node.counters['failures'] == 0


def test_transforms_that_cannot_be_are_named_and_the_good_one_beside_them_taken():
    no_rotation, ring, good = (TransformStamped(header=header(0, 'base_link'), child_frame_id='lidar') for _ in range(3))
    no_rotation.transform.rotation.w = 0.0
    ring.child_frame_id = 'base_link'
    good.transform.translation.x = 2.0
    with ros({'points_topics': [TOPIC]}) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        clouds = h.talk(PointCloud2, TOPIC)
        h.talk(TFMessage, '/tf_static', TF_STATIC_QOS).publish(TFMessage(transforms=[no_rotation, ring, good]))
        h.spin_until(lambda: len(node.warnings) >= 2)
        clouds.publish(cloud(0))
        last(h, sweeps)
        assert any('/tf_static: lidar not taken: a quaternion of norm 0' in text for text in node.warnings)
        assert any('/tf_static: base_link not taken' in text for text in node.warnings)


def test_empty_clouds_and_nan_points_are_warned_of_and_go_on():
    with ros(ONE) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        clouds = h.talk(PointCloud2, TOPIC)
        clouds.publish(cloud(0, points=()))
        assert last(h, sweeps).num_points == 0
        clouds.publish(cloud(1, points=((np.nan, 0, 0), (10, 0, 0))))
        assert last(h, sweeps, 2).num_points == 1
        assert any(TOPIC in text and 'no points' in text for text in warnings_of(node))
        assert any(TOPIC in text and 'NaN' in text for text in warnings_of(node))
        assert node.counters['not_finite_points'] == 1


def test_poses_and_time_offsets_change_while_running():
    with ros({**ONE, 'time_offsets_s': [0.0]}) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        clouds = h.talk(PointCloud2, TOPIC)
        clouds.publish(cloud(0))
        last(h, sweeps)
        changes = {'extrinsics': [5.0, 0.0, 2.0, 0.0, 0.0, 0.0], 'time_offsets_s': [0.01]}
        results = node.set_parameters([Parameter(name, value=value) for name, value in changes.items()])
        assert all(result.successful for result in results)
        clouds.publish(cloud(1))
        sweep = last(h, sweeps, 2)
        assert not node.set_parameters([Parameter('extrinsics', value=[1.0])])[0].successful
    np.testing.assert_allclose(lidar_from_msg(sweep).points_n5[0, :3], [15, 0, 2], atol=1e-5)
    assert sweep.header == header(START_NS + PERIOD_NS + 10_000_000, 'base_link')


def test_clouds_that_wait_when_time_jumps_are_counted():
    with ros(TWO) as h:
        node = h.start(LidarNode)
        clouds = h.talk(PointCloud2, TOPIC)
        clouds.publish(cloud(50))
        h.spin_until(lambda: node.inputs[TOPIC].num_received == 1)
        clouds.publish(cloud(0))
        h.spin_until(lambda: node.counters['sweeps_given_up'] == 1)
        assert node.counters['dropped_by_policy'] == 0  # only bev_node can tell whether it was a frame


def test_a_jump_back_in_time_forgets_the_odometry():
    with ros(ONE) as h:
        node = h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        clouds, poses = h.talk(PointCloud2, TOPIC), h.talk(Odometry, '/lidar_node/input/odometry')
        poses.publish(odometry(START_NS + 50 * PERIOD_NS, x=0.0))
        h.spin_until(lambda: len(node.odometry) == 1)
        clouds.publish(cloud(50))
        last(h, sweeps)
        clouds.publish(cloud(0))
        assert not last(h, sweeps, 2).motion_compensated
        assert len(node.odometry) == 0


def test_points_for_rviz_come_only_while_someone_listens():
    with ros(ONE) as h:
        node = h.start(LidarNode)
        clouds = h.talk(PointCloud2, TOPIC)
        shown = h.listen(PointCloud2, '/lidar_node/output/points')
        h.spin_until(lambda: node.points_publisher.get_subscription_count() == 1)
        clouds.publish(cloud(0))
        message = last(h, shown)
    assert message.header.frame_id == 'base_link'
    np.testing.assert_allclose(cloud_from_msg(message).column('x')[0], [11, 21], atol=1e-5)


@pytest.mark.parametrize(
    'wrong',
    [
        {'stamp_reference': 'middle'},
        {'anchor': 'nobody'},
        {'ego_box': [1.0, 0.0, 0.0, 1.0, 0.0, 1.0]},
        {'extrinsics': [1.0, 2.0]},
        {'extrinsics': [float('inf'), 0.0, 0.0, 0.0, 0.0, 0.0]},
        {'time_offsets_s': [float('inf')]},
        {'lidar_names': ['a', 'b'], 'points_topics': [TOPIC, TOPIC], 'extrinsics': [0.0] * 12},
        {'lidar_names': ['a', 'b']},
        {'tolerance_s': 5.0},
    ],
)
def test_a_wrong_parameter_is_refused_by_name(wrong):
    with ros({**ONE, **wrong}), pytest.raises(InputError, match=next(iter(wrong)).split('_')[0]):
        LidarNode()


def test_a_real_cloud_of_a_driver_goes_through(data_dir):
    message = deserialize_message((data_dir / 'ros/pointcloud2.cdr').read_bytes(), PointCloud2)
    with ros({**ONE, 'stamp_reference': 'start'}) as h:
        h.start(LidarNode)
        sweeps = h.listen(LidarSweep, '/lidar_node/output/sweep')
        h.talk(PointCloud2, TOPIC).publish(message)
        points = lidar_from_msg(last(h, sweeps)).points_n5
    assert 40_000 < len(points) < 64_000
    assert 0.0 <= points[:, 3].min() <= points[:, 3].max() == 1.0
    assert -1e-6 < points[:, 4].min() < points[:, 4].max() < 0.05


def test_our_reading_agrees_with_sensor_msgs_py(data_dir):
    point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2')
    message = deserialize_message((data_dir / 'ros/pointcloud2.cdr').read_bytes(), PointCloud2)
    theirs = point_cloud2.read_points(message)
    ours = cloud_from_msg(message)
    for name in ('x', 'y', 'z', 'intensity', 'ring', 'timestamp'):
        np.testing.assert_array_equal(ours.column(name).ravel(), theirs[name].ravel())
