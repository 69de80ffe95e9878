"""The whole world, without ROS: steps with a command, is looked at by sensors, and knows the truth."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from moe_bev_ros.control.pedal_map import Pedals
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.objects import Label
from moe_bev_ros.world.collision import overlaps
from moe_bev_ros.world.ground import paint_ground
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scenario import make_scenario
from moe_bev_ros.world.scene import Actor, Body, Scene
from moe_bev_ros.world.sensors import Sensed, SensorSuite
from moe_bev_ros.world.vehicle import BicycleModel, VehicleState

STEP_NS = 20_000_000
STEP_S = STEP_NS / 1e9
EGO_ID = 2**32 - 1


@dataclass(frozen=True)
class Truth:
    """What only the scorer may see.

    Attributes:
        distance_m: driven since reset.
        collisions: road users that the ego has begun to overlap with, since reset.
    """

    ego: VehicleState
    actors: tuple[Actor, ...]
    distance_m: float
    collisions: int


class World:
    """One run of one seed. Equal seeds and equal commands give equal worlds, to the last bit.

    Time is counted in steps of STEP_S; it begins one sweep after zero, because stamp zero means "no time yet" in ROS.
    """

    def __init__(self, seed: int, pedals: Pedals, rig: Rig, vehicle: Vehicle, threads: int = 2) -> None:
        self.scenario = make_scenario(seed)
        self.rig, self.vehicle = rig, vehicle
        self.model = BicycleModel(vehicle, pedals)
        self.scene: Scene = self.scenario.scene
        self.ego = VehicleState()
        self.steps = round(rig.lidar.period_s / STEP_S)
        self.distance_m = 0.0
        self.collisions = 0
        self._touching: set[int] = set()
        self._history: deque[tuple[int, VehicleState]] = deque(maxlen=self.steps + 1)
        self._history.extend((step, self.ego) for step in range(self.steps + 1))
        ground = paint_ground(self.scenario.road, self.scenario.markings, np.random.default_rng(seed))
        self._sensors = SensorSuite(rig, ground, self.scene.props, self.scene.condition, threads)

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

    def step(self, command: Command) -> None:
        """Everything moves on by STEP_S."""
        before = self.ego
        self.ego = self.model.step(before, command, STEP_S)
        self.steps += 1
        self.distance_m += float(np.hypot(self.ego.x - before.x, self.ego.y - before.y))
        self._history.append((self.steps, self.ego))
        self._move_others()
        self._count_collisions()

    def sense(self) -> Sensed:
        """What the sensors measure now."""
        history = [((step - self.steps) * STEP_S, ego.x, ego.y, ego.yaw_rad) for step, ego in self._history]
        return self._sensors.sense(self.scene, np.array(history), seed=self.scenario.seed * 100_003 + self.steps)

    def truth(self) -> Truth:
        """What really is."""
        return Truth(self.ego, self.scene.actors, self.distance_m, self.collisions)

    def ego_actor(self) -> Actor:
        """The ego vehicle as the other road users see it."""
        size = (self.vehicle.length_m, self.vehicle.width_m, self.vehicle.height_m)
        ahead = 0.5 * self.vehicle.length_m - self.vehicle.rear_overhang_m
        x, y = self.ego.x + ahead * np.cos(self.ego.yaw_rad), self.ego.y + ahead * np.sin(self.ego.yaw_rad)
        return Actor(EGO_ID, Body(Label.CAR, size, ()), float(x), float(y), self.ego.yaw_rad, self.ego.speed_mps)

    def close(self) -> None:
        """End the threads of the sensors."""
        self._sensors.close()

    def _move_others(self) -> None:
        ego, before, scripts = self.ego_actor(), self.scene.actors, self.scenario.scripts
        actors = tuple(
            scripts[actor.track_id].step(actor, ego, before, STEP_S) if actor.track_id in scripts else actor for actor in before
        )
        lights = tuple(
            replace(light, state=cycle.state(self.time_s)) for light, cycle in zip(self.scene.lights, self.scenario.cycles)
        )
        self.scene = replace(self.scene, actors=actors, lights=lights)

    def _count_collisions(self) -> None:
        ego_7 = self.ego_actor().box_7
        near = [a for a in self.scene.actors if abs(a.x - self.ego.x) < 15.0 and abs(a.y - self.ego.y) < 15.0]
        boxes_n7 = np.array([actor.box_7 for actor in near], np.float32).reshape(-1, 7)
        touching = {actor.track_id for actor, hit in zip(near, overlaps(ego_7, boxes_n7)) if hit}
        self.collisions += len(touching - self._touching)
        self._touching = touching
