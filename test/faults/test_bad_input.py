"""What goes wrong with a sensor, told by the command at the other end: all nodes in one process, on simulated time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from nodes.test_bev_node import car_on_a_road
from nodes.test_camera_node import TWO as CAMERAS
from nodes.test_camera_node import info, raw
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_srvs.srv import SetBool

from harness import Harness, ros
from moe_bev_ros.core.frame import LidarPoints
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.msg import Objects, Trajectory, VehicleCommand
from moe_bev_ros.nodes.base import SENSOR_QOS
from moe_bev_ros.nodes.bev_node import BevNode
from moe_bev_ros.nodes.camera_node import CameraNode
from moe_bev_ros.nodes.control_node import ControlNode, ControlParams
from moe_bev_ros.nodes.convert import header, pose_to_msg, time_to_msg
from moe_bev_ros.nodes.lidar_node import LidarNode
from moe_bev_ros.nodes.planner_node import PlannerNode
from moe_bev_ros.nodes.point_cloud_messages import points_to_msg

SPEED_MPS = 5.0
ODOMETRY, POINTS = '/localization/kinematic_state', '/sensing/lidar/lidar_top/points'
OBJECTS, TRAJECTORY, COMMAND = '/moe_bev/objects', '/moe_bev/trajectory', '/moe_bev/vehicle_command'
REMAPPINGS = {
    '/camera_node/output/bundle': '/moe_bev/camera_bundle',
    '/bev_node/input/bundle': '/moe_bev/camera_bundle',
    '/lidar_node/output/sweep': '/moe_bev/lidar_sweep',
    '/bev_node/input/sweep': '/moe_bev/lidar_sweep',
    '/bev_node/output/objects': OBJECTS,
    '/planner_node/input/objects': OBJECTS,
    '/control_node/input/objects': OBJECTS,
    '/planner_node/output/trajectory': TRAJECTORY,
    '/control_node/input/trajectory': TRAJECTORY,
    '/control_node/output/command': COMMAND,
    **{f'/{node}/input/odometry': ODOMETRY for node in ('lidar_node', 'bev_node', 'planner_node', 'control_node')},
}
PARAMETERS = {
    'use_sim_time': True,
    **{f'camera_node:{name}': value for name, value in CAMERAS.items()},
    'lidar_node:extrinsics': [0.0] * 6,
    'planner_node:drive_without_goal': True,
}
CAMERA_NAMES = ('left', 'right')


class Stack:
    """Camera, LiDAR, BEV, planner and control node, and the sensors of a vehicle that drives straight on."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.camera, self.lidar, self.bev, self.planner, self.control = self.nodes = [
            harness.start(node) for node in (CameraNode, LidarNode, BevNode, PlannerNode, ControlNode)
        ]
        self.clock = harness.peer.create_publisher(Clock, '/clock', 10)
        self.images = {name: harness.talk(Image, f'/sensing/camera/{name}/image_raw', SENSOR_QOS) for name in CAMERA_NAMES}
        infos = [harness.talk(CameraInfo, f'/sensing/camera/{name}/camera_info', SENSOR_QOS) for name in CAMERA_NAMES]
        self.points = harness.talk(PointCloud2, POINTS, SENSOR_QOS)
        self.odometry = harness.peer.create_publisher(Odometry, ODOMETRY, 10)
        self.objects: list[Objects] = harness.listen(Objects, OBJECTS, 50)
        self.plans: list[Trajectory] = harness.listen(Trajectory, TRAJECTORY, 50)
        self.commands: list[VehicleCommand] = harness.listen(VehicleCommand, COMMAND, 200)
        self.cloud = car_on_a_road(25.0)
        harness.spin_until(lambda: self.odometry.get_subscription_count() == 4 and self._is_connected())
        for publisher in infos:
            publisher.publish(info())
        harness.spin_until(lambda: all(camera.info_key for camera in self.camera._cameras))

    def _is_connected(self) -> bool:
        """Every output has its readers, and every reader its writer."""
        outputs = [('/moe_bev/camera_bundle', 1), ('/moe_bev/lidar_sweep', 1), (OBJECTS, 3), (TRAJECTORY, 2), (COMMAND, 1)]
        return all(self.harness.peer.count_subscribers(topic) == num for topic, num in outputs) and all(
            publisher.get_subscription_count()
            for publisher in (
                self.camera._bundles,
                self.lidar.sweep_publisher,
                self.bev.objects_publisher,
                self.planner._trajectory,
                self.control._output,
            )
        )

    def tick(self, stamp_ns: int) -> None:
        self.clock.publish(Clock(clock=time_to_msg(stamp_ns)))
        self.harness.spin_until(lambda: all(node.now_ns() == stamp_ns for node in self.nodes))

    def drive(self, stamp_ns: int) -> None:
        """Time and odometry."""
        self.tick(stamp_ns)
        message = Odometry(header=header(stamp_ns, 'map'), child_frame_id='base_link')
        message.pose.pose = pose_to_msg(se3_from_xy_yaw(SPEED_MPS * stamp_ns / 1e9, 0.0, 0.0))
        message.twist.twist.linear.x = SPEED_MPS
        inputs = [node.inputs[ODOMETRY] for node in self.nodes[1:]]
        before = [health.num_received for health in inputs]
        self.odometry.publish(message)
        self.harness.spin_until(lambda: all(health.num_received > num for health, num in zip(inputs, before)))

    def engage(self, stamp_s: float) -> None:
        """One frame with whose plan control is engaged; what was heard until then is forgotten."""
        self.frame(stamp_s)
        client = self.harness.peer.create_client(SetBool, '/control_node/engage')
        self.harness.spin_until(client.service_is_ready)
        future = client.call_async(SetBool.Request(data=True))
        self.harness.spin_until(future.done)
        assert future.result().success, future.result().message
        for messages in (self.objects, self.plans, self.commands):
            messages.clear()

    def send(self, stamp_ns: int, cameras: tuple[str, ...] = CAMERA_NAMES, lidar: bool = True) -> None:
        """One frame of sensors."""
        for name in cameras:
            self.images[name].publish(raw(stamp_ns))
        if lidar:
            self.points.publish(points_to_msg(self.cloud, stamp_ns))

    def frame(self, stamp_s: float, cameras: tuple[str, ...] = CAMERA_NAMES, lidar: bool = True) -> VehicleCommand:
        """One frame of everything, and the command that answers it."""
        stamp_ns = round(stamp_s * 1e9)
        self.drive(stamp_ns)
        self.send(stamp_ns, cameras, lidar)
        return self.answer(stamp_ns)

    def answer(self, stamp_ns: int) -> VehicleCommand:
        def found() -> list[VehicleCommand]:
            return [c for c in self.commands if c.first_of_plan and c.header.stamp == time_to_msg(stamp_ns)]

        self.harness.spin_until(found)
        return found()[0]

    def command_for(self, reason: str, stamp_ns: int) -> VehicleCommand:
        """What control repeats for this reason once time is there, without a new plan."""
        self.tick(stamp_ns)
        self.harness.spin_until(lambda: self.commands and reason in self.commands[-1].reason)
        return self.commands[-1]

    @property
    def doubt(self) -> str:
        """What control brakes for, if it does not follow the plan."""
        return self.control.extra_diagnostics()['braking for']

    def warnings(self) -> str:
        return ' | '.join(text for node in self.nodes for text in node.warnings)


@pytest.fixture
def stack() -> Iterator[Stack]:
    arguments = [part for old, new in REMAPPINGS.items() for part in ('-r', f'{old}:={new}')]
    with ros(PARAMETERS, arguments) as harness:
        stack = Stack(harness)
        stack.engage(4.9)
        yield stack
        assert not any(node.counters['failures'] for node in stack.nodes)


def test_a_bag_loop_disengages_and_leaves_no_old_track_plan_or_command(stack: Stack) -> None:
    stack.engage(99.9)
    for index in range(6):
        stack.frame(100.0 + 0.1 * index)
    old_tracks = {item.track_id for item in stack.objects[-1].objects}
    assert max(item.age for item in stack.objects[-1].objects) >= 5
    stack.harness.spin_for(0.2)  # a repeat of the old time may still be on its way; none follows while the clock stands
    for messages in (stack.objects, stack.plans, stack.commands):
        messages.clear()
    stack.cloud = car_on_a_road(35.0)
    stack.tick(3_000_000_000)
    command = stack.command_for('no odometry; no plan', 3_020_000_000)
    assert command.brake > 0.0
    assert stack.frame(3.1).reason == 'not engaged; call the engage service'
    (objects,), (plan,) = stack.objects, stack.plans
    assert {item.age for item in objects.objects} == {1}
    assert not old_tracks & {item.track_id for item in objects.objects}
    assert plan.points[0].x == pytest.approx(3.1 * SPEED_MPS, abs=0.5)
    assert all(command.header.stamp.sec == 3 for command in stack.commands)


def test_without_a_camera_the_frames_go_on_and_the_camera_is_named(stack: Stack) -> None:
    stack.frame(5.0)
    for index in range(1, 4):
        stack.frame(5.0 + 0.1 * index, cameras=('left',))
    assert '/sensing/camera/right/image_raw: no image within 50 ms of the anchor left' in stack.warnings()
    for index in range(4, 7):
        assert stack.frame(5.0 + 0.1 * index, cameras=()).reason == ''
    assert not stack.objects[-1].camera_valid
    stack.frame(5.7)  # the first bundle shows that the cameras live again, the next is waited for
    stack.frame(5.8)
    assert stack.objects[-1].camera_valid
    assert stack.bev.counters['dropped_by_policy'] == 0


def test_when_the_lidar_stops_the_vehicle_brakes_within_its_limits_until_it_is_back(stack: Stack) -> None:
    stack.frame(5.0)  # what it braked with until it was engaged is let go within the limit of jerk
    for index in range(1, 5):
        assert stack.frame(5.0 + 0.1 * index).brake == 0.0
    stack.commands.clear()
    blind = [stack.frame(5.5 + 0.1 * index, lidar=False) for index in range(8)]
    assert not stack.objects[-1].perception_valid
    assert not stack.objects[-1].objects or all(item.missed for item in stack.objects[-1].objects)
    assert all(plan.stop for plan in stack.plans[-8:])
    assert blind[3].brake > 0.0
    assert 'perception blind for 0.8 s' in blind[-1].reason
    hardest = ControlParams().max_deceleration_mps2
    assert all(-hardest <= command.acceleration <= 0.5 and not command.emergency for command in stack.commands[2:])
    assert 'engine clustering lacks its sensors' in stack.warnings()
    again = [stack.frame(6.3 + 0.1 * index) for index in range(3)]
    assert stack.objects[-1].perception_valid
    assert 'blind' not in again[-1].reason


def test_when_the_planner_goes_the_vehicle_brakes_within_half_a_second(stack: Stack) -> None:
    stack.frame(5.0)
    assert stack.frame(5.1).reason == ''
    stack.planner.trigger_deactivate()
    for index in range(1, 5):
        stack.drive(5_100_000_000 + index * 100_000_000)
    assert stack.doubt == ''
    stack.drive(5_600_000_000)
    command = stack.command_for('plan is 0.52 s old', 5_620_000_000)
    assert command.brake > 0.0
    assert not command.first_of_plan
    stack.planner.trigger_activate()
    stack.frame(5.7)
    assert stack.doubt == ''


def test_when_the_odometry_stops_the_vehicle_brakes_and_goes_on_when_it_is_back(stack: Stack) -> None:
    stack.frame(5.0)
    answers = []
    for index in range(1, 8):
        stamp_ns = 5_000_000_000 + index * 100_000_000
        stack.tick(stamp_ns)
        stack.send(stamp_ns)
        answers.append(stack.answer(stamp_ns))
    assert answers[2].reason == 'no odometry at the stamp of the objects'
    assert 'odometry is 0.70 s old' in answers[-1].reason
    assert all(command.brake > 0.0 and command.throttle == 0.0 for command in answers[2:])
    assert f'{OBJECTS}: no plan: no odometry' in stack.warnings()
    stack.frame(5.8)
    assert stack.doubt == ''


def test_a_camera_that_jitters_stays_valid_and_one_that_lags_is_masked(stack: Stack) -> None:
    jitter_ns = np.random.default_rng(1).integers(-20_000_000, 20_000_000, 6)
    for index in range(6):
        stamp_ns = 5_000_000_000 + index * 100_000_000
        stack.drive(stamp_ns)
        stack.images['right'].publish(raw(stamp_ns + int(jitter_ns[index])))
        stack.send(stamp_ns, cameras=('left',))
        stack.answer(stamp_ns)
    assert [camera.num_valid for camera in stack.camera._cameras] == [7, 7]
    for index in range(6, 12):
        stamp_ns = 5_000_000_000 + index * 100_000_000
        stack.drive(stamp_ns)
        if index >= 9:
            stack.images['right'].publish(raw(stamp_ns - 300_000_000))
        stack.send(stamp_ns, cameras=('left',))
        stack.answer(stamp_ns)
    assert [camera.num_valid for camera in stack.camera._cameras] == [13, 7]
    assert 'lag 300 ms' in stack.camera.extra_diagnostics()['right']


def test_two_drivers_on_one_topic_are_said_and_each_frame_is_answered_once(stack: Stack) -> None:
    heard = stack.harness.listen(DiagnosticArray, '/diagnostics', 50)
    second = stack.harness.talk(PointCloud2, POINTS, SENSOR_QOS)
    stack.harness.spin_until(lambda: second.get_subscription_count() and stack.points.get_subscription_count())
    for index in range(4):
        stamp_ns = 5_000_000_000 + index * 100_000_000
        stack.drive(stamp_ns)
        second.publish(points_to_msg(LidarPoints(stack.cloud.points_n5[:100]), stamp_ns))
        stack.send(stamp_ns)
        stack.answer(stamp_ns)
    stack.harness.spin_until(lambda: stack.lidar.counters['rejected'] == 4)
    assert len([command for command in stack.commands if command.first_of_plan]) == 4

    def said() -> str:
        return ' | '.join(status.message for array in heard for status in array.status)

    stack.harness.spin_until(lambda: f'{POINTS}: 2 publishers, wanted 1' in said() or 'is not after' in said())
    stack.harness.spin_until(lambda: f'{POINTS}: 2 publishers, wanted 1' in said())


@pytest.mark.parametrize('stamp_ns', [0, 500_000_000_000])
def test_one_stamp_out_of_time_is_refused_and_the_vehicle_stays_engaged(stack: Stack, stamp_ns: int) -> None:
    stack.frame(5.0)
    stack.frame(5.1)
    stack.send(stamp_ns, cameras=('left',))
    stack.odometry.publish(Odometry(header=header(stamp_ns, 'map')))
    stack.harness.spin_until(lambda: all(node.counters['rejected'] for node in stack.nodes))
    command = stack.frame(5.2)
    assert command.reason == ''
    assert command.engaged
    assert stack.objects[-1].objects[0].age == 4
    assert f'{POINTS}: stamp' in stack.warnings()
    assert f'{ODOMETRY}: stamp' in stack.warnings()
