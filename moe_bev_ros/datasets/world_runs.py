"""Drives a scenario of the world with true objects, and hands out what sensors measure and what is true, 10 times a second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.traffic_light import TrafficLight
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.world.autopilot import FRAME_STEPS, Autopilot, ego_motion, make_controller, shipped_pedals, true_scene
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scenario import Scenario
from moe_bev_ros.world.scene import Actor
from moe_bev_ros.world.sensors import Sensed
from moe_bev_ros.world.simulation import World

KEYFRAME_TICKS = 5  # of 0.1 s


@dataclass(frozen=True)
class Moment:
    """One tenth of a second.

    Attributes:
        odometry: knows the vehicle's motion during the sweep.
        visible_shares: by track id, 0..1, at keyframes; None between them.
    """

    stamp_ns: int
    ego: EgoMotion
    odometry: OdometryBuffer
    sensed: Sensed
    actors: tuple[Actor, ...]
    lights: tuple[TrafficLight, ...]
    visible_shares: dict[int, float] | None

    @property
    def is_keyframe(self) -> bool:
        """Whether it shall be annotated."""
        return self.visible_shares is not None


def num_ticks(seconds: float) -> int:
    """How many tenths of a second a scene has: two keyframes a second, the last of which ends it."""
    return KEYFRAME_TICKS * (round(2 * seconds) - 1) + 1


class WorldRun:
    """One scenario, driven by the stack's own planner and controller, which know the truth.

    Args:
        threads: that render.
    """

    def __init__(self, scenario: Scenario, rig: Rig, threads: int = 1) -> None:
        self.scenario = scenario
        self.world = World(scenario, shipped_pedals(), rig, Vehicle(), threads)

    @property
    def actors(self) -> tuple[Actor, ...]:
        """Everybody who is there now."""
        return self.world.truth().actors

    def drive(self, ticks: int, first: int = 0) -> Iterator[Moment]:
        """Moments in order, from the one with the number ``first`` on; the world moves on between them."""
        world = self.world
        pilot = Autopilot(world, Planner(PlannerConfig()), make_controller('pure_pursuit', Vehicle()))
        odometry = OdometryBuffer()
        odometry.add(self._ego())
        for tick in range(ticks):
            if tick >= first:
                shares = world.visible_shares() if tick % KEYFRAME_TICKS == 0 else None
                state = (world.sense(), world.truth().actors, tuple(world.scene.lights), shares)
                yield Moment(world.stamp_ns, self._ego(), odometry, *state)
            pilot.decide(true_scene(world))
            for _ in range(FRAME_STEPS):
                pilot.step()
                odometry.add(self._ego())

    def close(self) -> None:
        """End the threads."""
        self.world.close()

    def _ego(self) -> EgoMotion:
        """The vehicle's motion, with the slope of the ground in its pose."""
        return replace(ego_motion(self.world), odom_se3_base_link=self.world.map_se3_base_link)
