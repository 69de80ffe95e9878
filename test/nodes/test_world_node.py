"""The world node with a driver that talks to it in real messages."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from harness import Harness, ros
from moe_bev_ros.core.command import Command
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.msg import TrafficLights, VehicleCommand, WorldTruth
from moe_bev_ros.nodes.base import STATE_QOS, TF_STATIC_QOS, stamp_to_ns
from moe_bev_ros.nodes.convert import command_to_msg
from moe_bev_ros.nodes.world_node import WorldNode
from moe_bev_ros.srv import ResetWorld
from moe_bev_ros.world.rigs import NUSCENES_RIG

CAMERAS = ('CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_BACK_RIGHT', 'CAM_BACK', 'CAM_BACK_LEFT', 'CAM_FRONT_LEFT')
SMALL = {'image_width': 88, 'image_height': 32}
GO = Command(0.3, 0.0, 0.0, 2.0, 8.0, engaged=True)


class Driver:
    """Hears everything, and answers each cloud with a command while ``answers``."""

    def __init__(self, h: Harness, command: Command = GO, trigger: str = 'cloud') -> None:
        self.h, self.command, self.answers = h, command, True
        self.order: list[tuple[str, int]] = []
        self.truth = h.listen(WorldTruth, '/world_node/output/truth', 50)
        self.lights = h.listen(TrafficLights, '/moe_bev/traffic_lights')
        self.infos = h.listen(CameraInfo, '/sensing/camera/CAM_BACK/camera_info')
        self.clouds: list[PointCloud2] = []
        self.images: list[Image] = []
        self.odometry: list[Odometry] = []
        self.trigger = trigger
        for name in CAMERAS:
            h.peer.create_subscription(Image, f'/sensing/camera/{name}/image_raw', self._on_image, 10)
        h.peer.create_subscription(PointCloud2, '/sensing/lidar/lidar_top/points', self._on_cloud, 10)
        h.peer.create_subscription(Odometry, '/localization/kinematic_state', self.odometry.append, 50)
        self.out = h.peer.create_publisher(VehicleCommand, '/world_node/input/command', STATE_QOS)

    def send(self, stamp_ns: int, first: bool = True) -> None:
        self.out.publish(command_to_msg(self.command, stamp_ns, first, Trace()))

    def knock(self) -> None:
        """Send commands that answer nothing until the world begins."""
        self.h.spin_until(lambda: self.out.get_subscription_count() > 0)
        self.h.spin_until(lambda: bool(self.send(0, first=False)) or self.odometry)

    def _on_cloud(self, message: PointCloud2) -> None:
        self.clouds.append(message)
        if self.answers and self.trigger == 'cloud':
            self.send(stamp_to_ns(message.header.stamp))

    def _on_image(self, message: Image) -> None:
        self.images.append(message)
        if self.answers and self.trigger == 'image' and message.header.frame_id == 'CAM_FRONT':
            self.send(stamp_to_ns(message.header.stamp))


def test_it_waits_for_the_stack_and_then_answers_every_command_with_a_frame():
    with ros({**SMALL, 'duration_s': 1.0}) as h:
        clocks = h.listen(Clock, '/clock', 50)
        static = h.listen(TFMessage, '/tf_static', TF_STATIC_QOS)
        h.start(WorldNode)
        h.spin_for(0.3)
        assert clocks == []
        driver = Driver(h)
        driver.knock()
        h.spin_until(lambda: driver.truth and driver.truth[-1].commands == 10)
        h.spin_until(lambda: len(driver.clouds) == 10 and len(driver.images) == 60)
        assert {t.child_frame_id for t in static[0].transforms} == {*CAMERAS, 'lidar_top'}
        assert driver.truth[-1].frames == 10
        assert driver.truth[-1].distance > 0.3
        assert len(driver.truth[-1].objects) > 20
        h.spin_until(lambda: len(driver.odometry) == 51 and len(clocks) == 11)
        assert [stamp_to_ns(c.clock) for c in clocks] == [100_000_000 * i for i in range(1, 12)]
        stamps = {stamp_to_ns(o.header.stamp) for o in driver.odometry}
        assert {stamp_to_ns(c.header.stamp) for c in driver.clouds} <= stamps
        assert driver.lights[0].lights[0].stop_position.x > 10.0
        lens = NUSCENES_RIG.cameras[CAMERAS.index(driver.infos[0].header.frame_id)].lens
        assert driver.infos[0].k[2] == pytest.approx(88 * lens.centre_2[0] - 0.5)
        before = len(driver.truth)
        h.spin_until(lambda: len(driver.truth) > before + 2)
        assert driver.truth[-1].frames == 10


def test_lock_step_stands_still_at_the_first_frame_until_the_stack_is_engaged():
    with ros(SMALL) as h:
        h.start(WorldNode)
        driver = Driver(h)
        driver.answers = False
        driver.knock()
        h.spin_until(lambda: driver.clouds)
        driver.command = Command(0.0, 1.0, 0.0, -8.0, 0.0)
        driver.send(stamp_to_ns(driver.clouds[0].header.stamp))
        h.spin_until(lambda: driver.truth[-1].commands == 1)
        h.spin_for(0.3)
        assert len(driver.clouds) == 1
        driver.command = GO
        driver.send(0, first=False)
        h.spin_until(lambda: len(driver.clouds) == 2)


def test_the_cloud_has_ring_and_time_for_every_point():
    with ros(SMALL) as h:
        h.start(WorldNode)
        driver = Driver(h)
        driver.answers = False
        driver.knock()
        h.spin_until(lambda: driver.clouds)
        cloud = driver.clouds[0]
        assert [f.name for f in cloud.fields] == ['x', 'y', 'z', 'intensity', 'ring', 'time']
        formats = {7: '<f4', 4: '<u2'}
        layout = np.dtype(
            {
                'names': [f.name for f in cloud.fields],
                'formats': [formats[f.datatype] for f in cloud.fields],
                'offsets': [f.offset for f in cloud.fields],
                'itemsize': cloud.point_step,
            }
        )
        points = np.frombuffer(cloud.data, layout)
        assert len(points) == cloud.width > 20_000
        assert points['ring'].max() == 31
        assert -0.1 <= points['time'].min() < -0.09
        assert points['time'].max() <= 0.0
        assert 20.0 < points['intensity'].max() <= 255.0


def test_a_frame_without_an_answer_brakes_and_is_not_counted():
    with ros({**SMALL, 'lockstep_timeout_s': 0.2}) as h:
        h.start(WorldNode)
        driver = Driver(h)
        driver.knock()
        h.spin_until(lambda: driver.odometry[-1].twist.twist.linear.x > 2.0)
        driver.answers = False
        h.spin_until(lambda: driver.odometry[-1].twist.twist.linear.x == 0.0)
        truth = driver.truth[-1]
        assert truth.frames >= truth.commands + 3


def test_a_silent_sensor_leaves_the_other_one_running():
    for blind, trigger in (('lidar', 'image'), ('cameras', 'cloud')):
        with ros({**SMALL, 'blind': blind, 'blind_after_s': 0.3, 'duration_s': 0.8}) as h:
            h.start(WorldNode)
            driver = Driver(h, trigger=trigger)
            driver.knock()
            h.spin_until(lambda: driver.truth and driver.truth[-1].commands == 8)  # noqa: B023
            num_clouds, num_images = len(driver.clouds), len(driver.images)
            assert (num_clouds, num_images) == ((3, 48) if blind == 'lidar' else (8, 18))


def test_reset_starts_again_at_the_same_place_and_time():
    with ros(SMALL) as h:
        h.start(WorldNode)
        driver = Driver(h)
        driver.knock()
        h.spin_until(lambda: len(driver.clouds) > 3)
        driver.answers = False
        client = h.peer.create_client(ResetWorld, '/world_node/reset')
        h.spin_until(client.service_is_ready)
        future = client.call_async(ResetWorld.Request(seed=4))
        h.spin_until(future.done)
        assert future.result().success
        num = len(driver.clouds)
        driver.odometry.clear()
        driver.knock()
        h.spin_until(lambda: len(driver.clouds) > num)
        assert stamp_to_ns(driver.clouds[-1].header.stamp) == 100_000_000
        h.spin_until(lambda: stamp_to_ns(driver.odometry[-1].header.stamp) == 100_000_000)
        assert driver.odometry[-1].pose.pose.position.x == 0.0
        h.spin_until(lambda: driver.truth[-1].frames == 1 and driver.truth[-1].commands == 0)


def test_realtime_keeps_the_wall_clock_and_brakes_when_commands_cease():
    with ros({**SMALL, 'realtime': True}) as h:
        h.start(WorldNode)
        driver = Driver(h)
        driver.knock()
        h.spin_until(lambda: bool(driver.send(0, first=False)) or driver.odometry[-1].twist.twist.linear.x > 1.0)
        driver.answers = False
        h.spin_until(lambda: driver.odometry[-1].twist.twist.linear.x == 0.0)
        assert driver.truth[-1].frames > 5


def test_the_goal_is_sent_when_the_run_begins():
    with ros({**SMALL, 'publish_goal': True}) as h:
        goals = h.listen(PoseStamped, '/goal_pose')
        h.start(WorldNode)
        driver = Driver(h)
        driver.knock()
        h.spin_until(lambda: goals)
        assert goals[0].header.frame_id == 'map'
        assert goals[0].pose.position.x > 150.0
