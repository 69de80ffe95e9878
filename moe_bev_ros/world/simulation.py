"""The whole world, without ROS: steps with a command, is looked at by sensors, and knows the truth."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from moe_bev_ros.control.pedal_map import Pedals
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.footprints import footprints_of, overlap
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.ground import paint_ground
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scenario import Scenario
from moe_bev_ros.world.scene import Actor, Body, Scene, Signal
from moe_bev_ros.world.sensors import Sensed, SensorSuite
from moe_bev_ros.world.styles import GROUND_PALETTES
from moe_bev_ros.world.vehicle import DRY, WET, BicycleModel, DeadTime, VehicleState

STEP_NS = 20_000_000
STEP_S = STEP_NS / 1e9
EGO_ID = 2**32 - 1
NEAR_M = 15.0  # two that are farther apart do not touch


@dataclass(frozen=True)
class Truth:
    """What only the scorer may see.

    Attributes:
        distance_m: driven since reset.
        collisions: road users that the ego has begun to overlap with, since reset.
        lights: with their states now.
    """

    ego: VehicleState
    actors: tuple[Actor, ...]
    distance_m: float
    collisions: int
    lights: tuple[Signal, ...]


class World:
    """One run of one scenario. Equal scenarios and equal commands give equal worlds, to the last bit.

    Time is counted in steps of STEP_S; it begins one sweep after zero, because stamp zero means "no time yet" in ROS.

    Args:
        threads: that render.
        dead_time_steps: from a command until the actuators begin to follow it.
    """

    def __init__(
        self, scenario: Scenario, pedals: Pedals, rig: Rig, vehicle: Vehicle, threads: int = 2, dead_time_steps: int = 0
    ) -> None:
        self.scenario, self.rig, self.vehicle = scenario, rig, vehicle
        self.terrain = scenario.terrain
        wet = scenario.scene.condition.rain_mm_per_h > 0.0
        self.model = BicycleModel(vehicle, pedals, WET if wet else DRY)
        self.ego = scenario.start
        self.steps = round(rig.lidar.period_s / STEP_S)
        self.distance_m = 0.0
        self.collisions = 0  # road users that the ego has begun to overlap with
        self._touching: set[int] = set()
        self._dead_time = DeadTime(dead_time_steps)
        self._movers = scenario.movers()
        self._scene: Scene | None = scenario.scene
        self._lights = scenario.scene.lights
        self._history: deque[tuple[int, VehicleState]] = deque(maxlen=self.steps + 1)
        self._history.extend((step, _before(self.ego, (self.steps - step) * STEP_S)) for step in range(self.steps + 1))
        self._threads = threads

    @property
    def scene(self) -> Scene:
        """Everything but the ego now."""
        if self._scene is None:
            before = self.scenario.scene
            self._scene = Scene(self._movers.actors(), before.props, self._lights, before.condition)
        return self._scene

    @property
    def stamp_ns(self) -> int:
        """Simulated time."""
        return self.steps * STEP_NS

    @property
    def time_s(self) -> float:
        """Simulated time."""
        return self.steps * STEP_S

    @property
    def yaw_rate_radps(self) -> float:
        """Of the ego vehicle, left positive."""
        return self.model.yaw_rate_radps(self.ego)

    @property
    def map_se3_base_link(self) -> Array:
        """(4, 4) pose of the ego on its ground."""
        return self.terrain.pose(self.ego.x, self.ego.y, self.ego.yaw_rad)

    def step(self, command: Command) -> None:
        """Everything moves on by STEP_S."""
        before = self.ego
        self.ego = self.model.step(before, self._dead_time(command), STEP_S)
        self.steps += 1
        self.distance_m += float(np.hypot(self.ego.x - before.x, self.ego.y - before.y))
        self._history.append((self.steps, self.ego))
        self._move_others()
        self._count_collisions()

    def sense(self) -> Sensed:
        """What the sensors measure now."""
        history = [((step - self.steps) * STEP_S, ego.x, ego.y, ego.yaw_rad) for step, ego in self._history]
        return self._sensors.sense(self.scene, np.array(history), seed=self.scenario.seed * 100_003 + self.steps)

    def visible_shares(self) -> dict[int, float]:
        """How much of each actor the cameras see now, 0..1 by track id; actors that no image could show are left out."""
        return self._sensors.visible_shares(self.scene, self.map_se3_base_link)

    def truth(self) -> Truth:
        """What really is."""
        return Truth(self.ego, self.scene.actors, self.distance_m, self.collisions, self._lights)

    def ego_actor(self) -> Actor:
        """The ego vehicle as the other road users see it."""
        ahead = 0.5 * self.vehicle.length_m - self.vehicle.rear_overhang_m
        x, y = self.ego.x + ahead * np.cos(self.ego.yaw_rad), self.ego.y + ahead * np.sin(self.ego.yaw_rad)
        return Actor(EGO_ID, self._ego_body, float(x), float(y), self.ego.yaw_rad, self.ego.speed_mps)

    def close(self) -> None:
        """End the threads of the sensors."""
        if '_sensors' in self.__dict__:
            self._sensors.close()

    @cached_property
    def _sensors(self) -> SensorSuite:
        """Made when somebody looks first: painting the ground takes longer than a run without sensors."""
        scenario, rng = self.scenario, np.random.default_rng(self.scenario.seed)
        ground = paint_ground(scenario.network, scenario.terrain, GROUND_PALETTES[scenario.style], rng)
        return SensorSuite(self.rig, ground, scenario.scene.props, scenario.scene.condition, self._threads)

    @cached_property
    def _ego_body(self) -> Body:
        return Body(Label.CAR, (self.vehicle.length_m, self.vehicle.width_m, self.vehicle.height_m), ())

    def _move_others(self) -> None:
        states: dict[int, LightState] = {light.element_id: light.state for light in self._lights}
        self._movers.step(self.ego_actor(), states, self.time_s, STEP_S)
        self._lights = tuple(
            light if light.state is state else replace(light, state=state)
            for light, state in zip(self._lights, (cycle.state(self.time_s) for cycle in self.scenario.cycles), strict=True)
        )
        self._scene = None

    def _count_collisions(self) -> None:
        places = self._movers.places_m2
        if not (np.abs(places - (self.ego.x, self.ego.y)) < NEAR_M).all(axis=1).any():
            self._touching = set()
            return
        near = [a for a in self.scene.actors if abs(a.x - self.ego.x) < NEAR_M and abs(a.y - self.ego.y) < NEAR_M]
        boxes_n7 = np.array([actor.box_7 for actor in near], np.float32).reshape(-1, 7)
        touches_n = overlap(footprints_of(self.ego_actor().box_7), footprints_of(boxes_n7))
        touching = {actor.track_id for actor, hit in zip(near, touches_n) if hit}
        self.collisions += len(touching - self._touching)
        self._touching = touching


def _before(state: VehicleState, by_s: float) -> VehicleState:
    """Where the vehicle was, had it driven straight on at its speed."""
    way = state.speed_mps * by_s
    return replace(state, x=state.x - way * float(np.cos(state.yaw_rad)), y=state.y - way * float(np.sin(state.yaw_rad)))
