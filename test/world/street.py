"""The whole loop in one process and without ROS: world, LiDAR, clustering, tracker, planner, controller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from moe_bev_ros.control.controller import Controller, ControllerSettings
from moe_bev_ros.control.pedal_map import Pedals, load_pedals
from moe_bev_ros.control.safety import SafetyEnvelope, SafetySettings, Situation
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.frame import EgoMotion, Frame
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.engine.clustering import ClusteringEngine
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.point_cloud import CloudLayout, PointField, read_cloud
from moe_bev_ros.perception.sweep import Crop, SensorCloud, build_sweep
from moe_bev_ros.perception.tracker import Tracker
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.simulation import World

FRAME_STEPS = 5
LAYOUT_FIELDS = tuple(PointField(name, 4 * i, 7, 1) for i, name in enumerate(('x', 'y', 'z', 'intensity', 'ring', 'time')))
CROP = Crop((-1.0, 3.8, -1.05, 1.05, -0.5, 2.2), (-80.0, 80.0, -80.0, 80.0, -5.0, 5.0))
CAMERALESS = Rig(cameras=(), image_width=16, image_height=16)


@cache
def shipped_pedals() -> Pedals:
    """As the nodes load them by default."""
    return load_pedals(config_dir() / 'pedals/accel_map.csv', config_dir() / 'pedals/brake_map.csv')


@dataclass(frozen=True)
class Moment:
    """One frame: what was true, what was seen, what was decided."""

    world: World
    scene: Scene
    plan: Plan
    command: Command


class Street:
    """A seed's world and the stack that drives through it, in lock-step."""

    def __init__(self, seed: int, config: PlannerConfig | None = None) -> None:
        self.world = World(seed, shipped_pedals(), CAMERALESS, Vehicle())
        self.engine, self.tracker = ClusteringEngine(), Tracker()
        self.planner = Planner(config or PlannerConfig())
        self.planner.set_goal(se3_from_xy_yaw(*self.world.scenario.goal_3))
        pedals = load_pedals(
            config_dir() / 'pedals/accel_map.csv', config_dir() / 'pedals/brake_map.csv', max_throttle=0.6, max_brake=0.8
        )
        self.envelope = SafetyEnvelope(Controller(Vehicle(), pedals, ControllerSettings()), SafetySettings())
        self.odometry = OdometryBuffer()
        self.odometry.add(self._ego())

    def drive(self, seconds: float) -> Iterator[Moment]:
        """Frame by frame."""
        for _ in range(round(seconds * 10)):
            scene = self._see()
            world, now_s = self.world, self.world.time_s
            self.planner.observe_lights(world.scene.lights, now_s)
            plan = self.planner.update(scene, self._ego(), now_s)
            command = self.envelope.command(Situation(now_s, True, plan, self._ego(), scene))
            yield Moment(world, scene, plan, command)
            for _ in range(FRAME_STEPS):
                world.step(command)
                self.odometry.add(self._ego())

    def _ego(self) -> EgoMotion:
        ego = self.world.ego
        pose = se3_from_xy_yaw(ego.x, ego.y, ego.yaw_rad)
        return EgoMotion(self.world.stamp_ns, pose, ego.speed_mps, self.world.yaw_rate_radps, 'map')

    def _see(self) -> Scene:
        points_n6 = self.world.sense().points_n6
        num, stamp_ns = len(points_n6), self.world.stamp_ns
        layout = CloudLayout(LAYOUT_FIELDS, 1, num, 24, 24 * num, False)
        cloud = read_cloud(layout, np.ascontiguousarray(points_n6).view(np.uint8).ravel(), stamp_ns)
        sensor = SensorCloud(cloud, stamp_ns, self.world.rig.lidar.base_link_se3_lidar)
        sweep = build_sweep(stamp_ns, (sensor,), CROP, self.odometry)
        output = self.engine.step(Frame(stamp_ns, None, sweep.points, self._ego()), None)
        objects = self.tracker.update(output.detections, stamp_ns, self._ego())
        return Scene(stamp_ns, objects, output.perception_valid, True, False)
