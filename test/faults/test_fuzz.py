"""Fuzzed messages into every node: none may raise anything that was not foreseen, and the next good one must pass."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from control.vehicle_model import cruise
from geometry_msgs.msg import PoseStamped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from nodes.test_bev_node import bundle, sweep
from nodes.test_camera_node import TWO as CAMERAS
from nodes.test_camera_node import info, raw
from nodes.test_lidar_node import ONE as LIDAR
from nodes.test_lidar_node import TOPIC as POINTS
from nodes.test_lidar_node import cloud
from planning.closed_loop import actor, scene_of
from spoiling import NUM_WAYS, paths_of, spoiled

from harness import ros
from moe_bev_ros.core.frame import LidarPoints
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.msg import TrafficLight, TrafficLights
from moe_bev_ros.nodes.bev_node import BevNode
from moe_bev_ros.nodes.camera_node import CameraNode
from moe_bev_ros.nodes.control_node import ControlNode
from moe_bev_ros.nodes.convert import header, plan_to_msg, pose_to_msg, scene_to_msg
from moe_bev_ros.nodes.lidar_node import LidarNode
from moe_bev_ros.nodes.planner_node import PlannerNode

PERIOD_NS = 100_000_000
POINTS_N5 = np.random.default_rng(0).uniform((5, -5, 0, 0, -0.1), (20, 5, 1, 1, 0), (300, 5)).astype(np.float32)


def odometry() -> Odometry:
    message = Odometry(header=header(0, 'map'), child_frame_id='base_link')
    message.pose.pose = pose_to_msg(se3_from_xy_yaw(0.0, 0.0, 0.1))
    message.twist.twist.linear.x = 8.0
    return message


def objects() -> Any:
    return scene_to_msg(scene_of(actor(20.0, 0.0), actor(15.0, 4.0, vy=-2.0), stamp_ns=0), 'clustering', Trace())


def lights() -> TrafficLights:
    light = TrafficLight(state=TrafficLight.RED)
    light.stop_position.x = 30.0
    return TrafficLights(header=header(0, 'map'), lights=[light])


GOOD: dict[Any, tuple[dict[str, Any], dict[str, Any]]] = {
    CameraNode: (
        CAMERAS,
        {
            '/sensing/camera/left/camera_info': info(d=(0.1, 0.01, 0.0, 0.0, 0.0)),
            '/sensing/camera/right/camera_info': info(),
            '/sensing/camera/left/image_raw': raw(0),
            '/sensing/camera/right/image_raw': raw(0),
        },
    ),
    LidarNode: (LIDAR, {'/lidar_node/input/odometry': odometry(), POINTS: cloud(0)}),
    BevNode: (
        {},
        {
            '/bev_node/input/odometry': odometry(),
            '/bev_node/input/sweep': sweep(0, LidarPoints(POINTS_N5)),
            '/bev_node/input/bundle': bundle(0),
        },
    ),
    PlannerNode: (
        {},
        {
            '/planner_node/input/odometry': odometry(),
            '/planner_node/input/goal': PoseStamped(header=header(0, 'map'), pose=pose_to_msg(se3_from_xy_yaw(90.0, 0.0, 0.0))),
            '/planner_node/input/traffic_lights': lights(),
            '/planner_node/input/objects': objects(),
        },
    ),
    ControlNode: (
        {},
        {
            '/control_node/input/odometry': odometry(),
            '/control_node/input/objects': objects(),
            '/control_node/input/trajectory': plan_to_msg(cruise(8.0, 3.0, stamp_s=0.0), Trace()),
        },
    ),
}


class Feeder:
    """Hands messages to a node's own subscriptions, one frame after the other."""

    def __init__(self, node: Any, good: dict[str, Any]) -> None:
        self.node = node
        self.good = good
        self.callbacks = {item.topic_name: item.callback for item in node._subscriptions_made}
        self.stamp_ns = time.time_ns() - 3600 * 1_000_000_000

    def frame(self, topic: str = '', path: tuple[Any, ...] = (), way: int = 0) -> None:
        """One message on each topic; that of ``topic`` spoiled."""
        self.stamp_ns += PERIOD_NS
        for name, message in self.good.items():
            message.header.stamp = header(self.stamp_ns, '').stamp
            sent = spoiled(message, path, way) if name == topic else message
            self.callbacks[name](sent, {'received_timestamp': time.time_ns()})
        for timer in self.node._timers_made:
            timer.callback()


@pytest.mark.parametrize('make_node', list(GOOD), ids=lambda node: node.__name__)
def test_no_spoiled_field_raises_what_was_not_foreseen(make_node: Any) -> None:
    parameters, good = GOOD[make_node]
    choices = [(topic, path) for topic, message in good.items() for path in paths_of(message)]
    with ros(parameters) as harness:
        feeder = Feeder(harness.start(make_node), good)

        @settings(max_examples=150, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.sampled_from(choices), st.integers(0, NUM_WAYS - 1))
        def check(choice: tuple[str, tuple[Any, ...]], way: int) -> None:
            feeder.frame(*choice, way)
            assert not feeder.node.counters['failures'], (choice, way, feeder.node.warnings)

        feeder.frame()
        check()
        for _ in range(3):
            feeder.frame()
        rejected = feeder.node.counters['rejected']
        feeder.frame()
        assert feeder.node.counters['rejected'] == rejected
