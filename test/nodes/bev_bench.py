"""A BEV node and who talks to it, for its tests: a road with a car on it, cameras without anything to see."""

import numpy as np
from nav_msgs.msg import Odometry

from moe_bev_ros.core.frame import CameraImages, LidarPoints
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.msg import CameraBundle, LidarSweep, Objects
from moe_bev_ros.nodes.base import SENSOR_QOS
from moe_bev_ros.nodes.bev_node import BevNode
from moe_bev_ros.nodes.convert import cameras_to_msg, header, lidar_to_msg

STEP_NS = 100_000_000
IN, OUT = '/bev_node/input', '/bev_node/output'


def car_on_a_road(x=15.0):
    angle = np.linspace(-np.pi, np.pi, 360, endpoint=False)
    radii = np.arange(3.0, 40.0, 0.5)
    ring = np.stack([np.outer(radii, np.cos(angle)), np.outer(radii, np.sin(angle))], -1).reshape(-1, 2)
    up, side = np.meshgrid(np.arange(0.1, 1.5, 0.1), np.arange(-0.9, 0.91, 0.08))
    rear = np.column_stack([np.full(up.size, x), side.ravel(), up.ravel()])
    xyz = np.concatenate([np.column_stack([ring, np.zeros(len(ring))]), rear])
    return LidarPoints(np.column_stack([xyz, np.zeros((len(xyz), 2))]).astype(np.float32))


def sweep(frame, points=None, valid=(True,), offset_ns=0, receive_ns=7):
    points = car_on_a_road() if points is None else points
    names = [f'lidar_{i}' for i in range(len(valid))]
    return lidar_to_msg(
        points, frame * STEP_NS + offset_ns, names, list(valid), True, Trace(receive_ns, ('lidar_node',), (8,), (9,))
    )


def bundle(frame, valid=True):
    images = CameraImages(
        np.zeros((1, 8, 16, 3), np.uint8), np.eye(3, dtype=np.float32)[None], np.eye(4)[None], np.array([valid]), ('front',)
    )
    return cameras_to_msg(images, frame * STEP_NS, [frame * STEP_NS], Trace(5, ('camera_node',), (6,), (7,)))


def odometry(frame, x=0.0, speed=0.0):
    message = Odometry(header=header(frame * STEP_NS, 'map'), child_frame_id='base_link')
    message.pose.pose.position.x = x
    message.pose.pose.orientation.w = 1.0
    message.twist.twist.linear.x = speed
    return message


class Bench:
    """The node with its publishers and what it said."""

    def __init__(self, harness):
        self.harness = harness
        self.node = harness.start(BevNode)
        self.objects = harness.listen(Objects, f'{OUT}/objects')
        self.bundles = harness.talk(CameraBundle, f'{IN}/bundle', SENSOR_QOS)
        self.sweeps = harness.talk(LidarSweep, f'{IN}/sweep', SENSOR_QOS)
        self.odometry = harness.talk(Odometry, f'{IN}/odometry', 10)
        harness.spin_until(lambda: harness.peer.count_publishers(f'{OUT}/objects'))
        harness.spin_until(lambda: self.node.objects_publisher.get_subscription_count())

    def wait(self, num):
        self.harness.spin_until(lambda: len(self.objects) >= num)
        return self.objects[-1]
