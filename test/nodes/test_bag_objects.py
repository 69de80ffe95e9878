import numpy as np
import pytest
from nav_msgs.msg import Odometry
from rclpy.serialization import serialize_message

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Label, Scene, TrackedObject
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.datasets.bag_writer import BagWriter
from moe_bev_ros.nodes.bag_objects import objects_of_bag
from moe_bev_ros.nodes.convert import BASE_LINK, header, pose_to_msg, scene_to_msg

CAR = TrackedObject(7, Label.CAR, 0.5, np.arange(7, dtype=np.float32), np.ones(2, np.float32), np.eye(4, dtype=np.float32))


def write_bag(path, odometry=True):
    with BagWriter(path) as bag:
        bag.add_topic('/moe_bev/bev_node/objects', 'moe_bev_ros/msg/Objects')
        if odometry:
            bag.add_topic('/localization/kinematic_state', 'nav_msgs/msg/Odometry')
        for step in range(1, 11):
            stamp_ns = step * 100_000_000
            if odometry:
                message = Odometry(header=header(stamp_ns, 'map'), child_frame_id=BASE_LINK)
                message.pose.pose = pose_to_msg(se3_from_xy_yaw(float(step), 0.0, 0.0))
                message.twist.twist.linear.x = 10.0
                bag.write_serialized('/localization/kinematic_state', stamp_ns, serialize_message(message))
            seen = scene_to_msg(Scene(stamp_ns - 50_000_000, (CAR,), True, True, True), 'clustering', Trace())
            bag.write_serialized('/moe_bev/bev_node/objects', stamp_ns, serialize_message(seen))


def test_recorded_objects_come_with_the_vehicles_pose_at_their_stamp(tmp_path):
    write_bag(tmp_path / 'bag')
    found = objects_of_bag(tmp_path / 'bag')
    assert [stamp_ns for stamp_ns, _, _ in found] == [step * 100_000_000 - 50_000_000 for step in range(1, 11)]
    stamp_ns, ego, scene = found[4]
    assert isinstance(ego, EgoMotion)
    np.testing.assert_allclose(ego.odom_se3_base_link, se3_from_xy_yaw(4.5, 0.0, 0.0), atol=1e-9)
    assert (scene.stamp_ns, scene.objects[0].track_id, scene.objects[0].label) == (stamp_ns, 7, Label.CAR)
    np.testing.assert_array_equal(scene.objects[0].box_7[:6], CAR.box_7[:6])


def test_without_odometry_there_is_no_pose(tmp_path):
    write_bag(tmp_path / 'bag', odometry=False)
    assert all(ego is None for _, ego, _ in objects_of_bag(tmp_path / 'bag'))


def test_a_bag_without_objects_is_an_error(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/localization/kinematic_state', 'nav_msgs/msg/Odometry')
    with pytest.raises(InputError, match=r'0 topics of moe_bev_ros/msg/Objects'):
        objects_of_bag(tmp_path / 'bag')
