"""The whole loop in one process and without ROS: world, LiDAR, clustering, tracker, planner, controller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.engine.clustering import ClusteringEngine
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.point_cloud import CloudLayout, PointField, read_cloud
from moe_bev_ros.perception.sweep import Crop, SensorCloud, build_sweep
from moe_bev_ros.perception.tracker import Tracker
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.world.autopilot import FRAME_STEPS, Autopilot, ego_motion, make_controller, shipped_pedals
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.simulation import World

LAYOUT_FIELDS = tuple(PointField(name, 4 * i, 7, 1) for i, name in enumerate(('x', 'y', 'z', 'intensity', 'ring', 'time')))
CROP = Crop((-1.0, 3.8, -1.05, 1.05, -0.5, 2.2), (-80.0, 80.0, -80.0, 80.0, -5.0, 5.0))
CAMERALESS = Rig(cameras=(), image_width=16, image_height=16)


@dataclass(frozen=True)
class Moment:
    """One frame: what was true, what was seen, what was decided."""

    world: World
    scene: Scene
    plan: Plan


class Street:
    """A seed's world and the stack that drives through it, in lock-step."""

    def __init__(self, seed: int, config: PlannerConfig | None = None) -> None:
        vehicle = Vehicle()
        self.world = World(seed, shipped_pedals(), CAMERALESS, vehicle)
        self.engine, self.tracker = ClusteringEngine(), Tracker()
        self.autopilot = Autopilot(self.world, Planner(config or PlannerConfig()), make_controller('pure_pursuit', vehicle))
        self.odometry = OdometryBuffer()
        self.odometry.add(ego_motion(self.world))

    def drive(self, seconds: float) -> Iterator[Moment]:
        """Frame by frame."""
        for _ in range(round(seconds * 10)):
            scene = self._see()
            yield Moment(self.world, scene, self.autopilot.decide(scene))
            for _ in range(FRAME_STEPS):
                self.autopilot.step()
                self.odometry.add(ego_motion(self.world))

    def _see(self) -> Scene:
        points_n6 = self.world.sense().points_n6
        num, stamp_ns = len(points_n6), self.world.stamp_ns
        layout = CloudLayout(LAYOUT_FIELDS, 1, num, 24, 24 * num, False)
        cloud = read_cloud(layout, np.ascontiguousarray(points_n6).view(np.uint8).ravel(), stamp_ns)
        sensor = SensorCloud(cloud, stamp_ns, self.world.rig.lidar.base_link_se3_lidar)
        ego = ego_motion(self.world)
        sweep = build_sweep(stamp_ns, (sensor,), CROP, self.odometry)
        output = self.engine.step(Frame(stamp_ns, None, sweep.points, ego), None)
        objects = self.tracker.update(output.detections, stamp_ns, ego)
        return Scene(stamp_ns, objects, output.perception_valid, True, False)
