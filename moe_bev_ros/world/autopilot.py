"""Drives a world in one process and without ROS: the stack's own planner, controller and safety envelope, in lock-step.

Objects come from outside, once a frame: from an engine, or from the truth (`true_scene`). The envelope is asked at every
step of the world, as control_node is at 50 Hz. A plan takes effect some time after its frame, which is where a measured latency
goes in; until then the plan before it is followed, with the objects that emergency braking had then.
"""

from __future__ import annotations

from collections import deque
from functools import cache

import numpy as np

from moe_bev_ros.control.controller import Controller, ControllerSettings
from moe_bev_ros.control.controllers import controller_row
from moe_bev_ros.control.pedal_map import Pedals, load_pedals
from moe_bev_ros.control.safety import SafetyEnvelope, SafetySettings, Situation
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene, TrackedObject
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import Array, inverse, se3_from_xy_yaw
from moe_bev_ros.planning.planners import DrivingPlanner
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.world.scene import Actor
from moe_bev_ros.world.simulation import STEP_S, World
from moe_bev_ros.world.vehicle import FULL_BRAKE

FRAME_STEPS = 5  # of the world: sensors and planner at 10 Hz
TRUE_RANGE_M = 80.0
MAX_THROTTLE, MAX_BRAKE = 0.6, 0.8  # what control_node asks for outside an emergency
KNOWN_FRAMES = 100  # the age of a true object: nobody has to wait until it is believed
SURE_44 = np.diag([1e-4, 1e-4, 1e-4, 1e-4]).astype(np.float32)


@cache
def shipped_pedals(max_throttle: float = 1.0, max_brake: float = 1.0) -> Pedals:
    """The pedal maps of config/: with the bounds of control_node for the controller, without for the vehicle."""
    folder = config_dir() / 'pedals'
    return load_pedals(folder / 'accel_map.csv', folder / 'brake_map.csv', max_throttle=max_throttle, max_brake=max_brake)


def make_controller(name: str, vehicle: Vehicle) -> Controller:
    """A controller of this name with the settings that control_node has by default.

    Raises:
        InputError: there is none.
    """
    return controller_row(name)(vehicle, shipped_pedals(MAX_THROTTLE, MAX_BRAKE), ControllerSettings())


def ego_motion(world: World) -> EgoMotion:
    """The odometry that the world would publish now."""
    return EgoMotion(world.stamp_ns, world.map_se3_base_link, world.ego.speed_mps, world.yaw_rate_radps, 'map')


def true_scene(world: World, range_m: float = TRUE_RANGE_M) -> Scene:
    """All road users within ``range_m`` of base_link as perception would hand them over, were it perfect; hidden ones too."""
    ego, base_link_se3_map = world.ego, inverse(world.map_se3_base_link)
    near = (actor for actor in world.truth().actors if np.hypot(actor.x - ego.x, actor.y - ego.y) <= range_m)
    return Scene(world.stamp_ns, tuple(_tracked(actor, base_link_se3_map) for actor in near), True, True, True)


def _tracked(actor: Actor, base_link_se3_map: Array) -> TrackedObject:
    box_7 = np.asarray(actor.box_7, float)
    box_7[:3] = base_link_se3_map[:3, :3] @ box_7[:3] + base_link_se3_map[:3, 3]
    heading_2 = base_link_se3_map[:2, :2] @ (np.cos(actor.yaw_rad), np.sin(actor.yaw_rad))
    box_7[6] = np.arctan2(heading_2[1], heading_2[0])
    velocity_2 = (actor.speed_mps * heading_2).astype(np.float32)
    return TrackedObject(
        actor.track_id,
        actor.body.label,
        1.0,
        box_7.astype(np.float32),
        velocity_2,
        SURE_44,
        yaw_rate_radps=actor.yaw_rate_radps,
        age=KNOWN_FRAMES,
    )


class Autopilot:
    """Decides once a frame, and moves the world on; ``command`` and ``plan`` are those in effect now.

    Args:
        world: at the start of its run; its goal and its lanes are given to the planner.
        planner: without goal and map.
        controller: of the world's vehicle.
        safety: settings of the envelope; those of control_node by default.
    """

    def __init__(
        self, world: World, planner: DrivingPlanner, controller: Controller, safety: SafetySettings | None = None
    ) -> None:
        self.world, self.planner = world, planner
        self.envelope = SafetyEnvelope(controller, safety or SafetySettings())
        self.command: Command = FULL_BRAKE
        self.plan: Plan | None = None
        self._scene: Scene | None = None
        self._pending: deque[tuple[float, Plan, Scene]] = deque()
        planner.set_graph(world.scenario.network.graph)
        planner.set_goal(se3_from_xy_yaw(*world.scenario.goal_3))

    def frame(self, objects: Scene, latency_s: float = 0.0) -> Plan:
        """Answer one frame and drive until the next."""
        plan = self.decide(objects, latency_s)
        for _ in range(FRAME_STEPS):
            self.step()
        return plan

    def decide(self, objects: Scene, latency_s: float = 0.0) -> Plan:
        """Plan from the objects of now (in base_link).

        Args:
            latency_s: from this frame until its plan is followed; it counts in steps of the world, and a part of a step as a
                whole one. The first plan of a run is followed at once: before it there is none.
        """
        plan = self.plan_for(objects)
        self.answer(plan, objects, latency_s)
        return plan

    def plan_for(self, objects: Scene) -> Plan:
        """Plan, and do not follow it yet: for `answer`, where the latency is known afterwards."""
        world = self.world
        self.planner.observe_lights(world.scene.lights, world.time_s)
        return self.planner.update(objects, ego_motion(world), world.time_s)

    def answer(self, plan: Plan, objects: Scene, latency_s: float) -> None:
        """Follow a plan from ``latency_s`` after now on."""
        due_s = self.world.time_s + (latency_s if self.plan else 0.0)
        self._pending.append((due_s, plan, objects))
        self._take_what_is_due()

    def step(self) -> Command:
        """Ask the envelope and move the world on by one step of it."""
        self._take_what_is_due()
        situation = Situation(self.world.time_s, True, self.plan, ego_motion(self.world), self._scene)
        self.command = self.envelope.command(situation)
        self.world.step(self.command)
        return self.command

    def _take_what_is_due(self) -> None:
        while self._pending and self._pending[0][0] <= self.world.time_s + 0.01 * STEP_S:
            _, self.plan, self._scene = self._pending.popleft()
