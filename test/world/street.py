"""The whole loop in one process and without ROS: world, LiDAR, clustering, tracker, planner, controller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.engine.clustering import ClusteringEngine
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.world.autopilot import FRAME_STEPS, Autopilot, make_controller, shipped_pedals
from moe_bev_ros.world.perceiving import Perceiver
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scenario import make_scenario
from moe_bev_ros.world.simulation import World

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
        self.world = World(make_scenario(seed), shipped_pedals(), CAMERALESS, vehicle)
        self.autopilot = Autopilot(self.world, Planner(config or PlannerConfig()), make_controller('pure_pursuit', vehicle))
        self.perceiver = Perceiver(self.world, ClusteringEngine())

    def drive(self, seconds: float) -> Iterator[Moment]:
        """Frame by frame."""
        for _ in range(round(seconds * 10)):
            scene = self.perceiver.see()
            yield Moment(self.world, scene, self.autopilot.decide(scene))
            for _ in range(FRAME_STEPS):
                self.autopilot.step()
                self.perceiver.moved()
