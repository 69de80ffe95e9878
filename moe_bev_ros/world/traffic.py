"""Plays the roles of a scenario: where every actor is at each step, given what the ego does.

Who moves is kept in arrays, decisions fall at 10 Hz, and every step moves all. The same roles, seed and ego give the same
motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.world.drivers import DECISION_S, Drivers
from moe_bev_ros.world.people_on_foot import PeopleOnFoot
from moe_bev_ros.world.roles import Crosser, Traffic, Walker
from moe_bev_ros.world.scene import Actor
from moe_bev_ros.world.terrain import Terrain
from moe_bev_ros.world.traffic_kernels import COS, HALF_LENGTH, HALF_WIDTH, SIN, SPEED

WALK_AHEAD_S = 1.2  # drivers keep this much of a pedestrian's way free
NEW_ID_STEP = 10_000  # added to the track id of a driver that comes in again


class Movers(Protocol):
    """Moves all actors of a scenario but the ego.

    Attributes:
        places_m2: where everybody is now.
    """

    @property
    def places_m2(self) -> Array:  # noqa: D102
        ...

    def step(self, ego: Actor, lights: Mapping[int, LightState], time_s: float, dt_s: float) -> None:
        """Everybody goes on for ``dt_s``."""
        ...

    def actors(self) -> tuple[Actor, ...]:
        """Everybody who is there now."""
        ...


class TrafficMovers:
    """Drivers and people with roles, and those who stand.

    Args:
        actors: at time 0; their places agree with their roles.
        seed: of what is drawn on the way.
    """

    def __init__(self, graph: LaneGraph, terrain: Terrain, actors: tuple[Actor, ...], traffic: Traffic, seed: int) -> None:
        self._actors, self._terrain = actors, terrain
        row_of = {actor.track_id: row for row, actor in enumerate(actors)}
        sizes = np.array([actor.body.size_3[:2] for actor in actors], float).reshape(-1, 2)
        driver_rows = np.array([row_of[role.track_id] for role in traffic.drivers], np.int64)
        on_foot: tuple[Walker | Crosser, ...] = (*traffic.walkers, *traffic.crossers)
        self._drivers = Drivers(graph, traffic, driver_rows, sizes[driver_rows], seed)
        foot_rows = np.array([row_of[role.track_id] for role in on_foot], np.int64)
        self._people = PeopleOnFoot(traffic, foot_rows, self._drivers.ego_path)
        self._boxes_m7 = np.zeros((len(actors) + 1, 7))
        self._boxes_m7[:-1, HALF_LENGTH : HALF_WIDTH + 1] = 0.5 * sizes
        self._poses_m3 = np.array([(actor.x, actor.y, actor.yaw_rad) for actor in actors], float).reshape(-1, 3)
        self._speeds_m, self._yaw_rates_m = np.zeros(len(actors)), np.zeros(len(actors))
        self._steps_to_decision = 0
        self._write_back()

    def step(self, ego: Actor, lights: Mapping[int, LightState], time_s: float, dt_s: float) -> None:
        """Decide where it is time, and move."""
        if self._steps_to_decision <= 0:
            self._steps_to_decision = round(DECISION_S / dt_s)
            self._decide(ego, lights, time_s)
        self._steps_to_decision -= 1
        self._drivers.move(dt_s)
        self._people.move(dt_s)
        self._write_back()

    @property
    def places_m2(self) -> Array:
        """(M, 2) of all; who has left is far away."""
        return self._poses_m3[:, :2]

    def actors(self) -> tuple[Actor, ...]:
        """Everybody who is in the network now."""
        result: list[Actor | None] = list(self._actors)
        rows = np.concatenate([self._drivers.rows_n, self._people.rows_n])
        again = np.concatenate([self._drivers.generation_n, np.zeros(len(self._people.rows_n), np.int64)])
        heights = self._terrain.height(self._poses_m3[rows, :2])
        states = np.column_stack([self._poses_m3[rows], self._speeds_m[rows], self._yaw_rates_m[rows], heights])
        for row, generation, state in zip(rows.tolist(), again.tolist(), states.tolist(), strict=True):
            first = self._actors[row]
            result[row] = Actor(first.track_id + NEW_ID_STEP * generation, first.body, *state)
        for row in self._drivers.rows_n[self._drivers.gone_n].tolist():
            result[row] = None
        return tuple(actor for actor in result if actor is not None)

    def _write_back(self) -> None:
        for group in (self._drivers, self._people):
            self._poses_m3[group.rows_n], self._speeds_m[group.rows_n] = group.poses_n3, group.speeds_n
        self._yaw_rates_m[self._drivers.rows_n] = self._drivers.yaw_rates_n

    def _decide(self, ego: Actor, lights: Mapping[int, LightState], time_s: float) -> None:
        boxes = self._boxes(ego)
        on_path = self._drivers.ego_path.locate(ego.x, ego.y)
        self._people.decide(boxes, on_path)
        self._drivers.decide(_with_ways(boxes, self._people), on_path, lights, time_s)

    def _boxes(self, ego: Actor) -> Array:
        boxes = self._boxes_m7.copy()
        boxes[:-1, :2], boxes[:-1, SPEED] = self._poses_m3[:, :2], self._speeds_m
        boxes[:-1, COS], boxes[:-1, SIN] = np.cos(self._poses_m3[:, 2]), np.sin(self._poses_m3[:, 2])
        length, width, _ = ego.body.size_3
        boxes[-1] = ego.x, ego.y, np.cos(ego.yaw_rad), np.sin(ego.yaw_rad), 0.5 * length, 0.5 * width, ego.speed_mps
        return boxes


def _with_ways(boxes_m7: Array, people: PeopleOnFoot) -> Array:
    """Boxes in which those of people who walk reach over the ground that they are about to take."""
    boxes = boxes_m7.copy()
    rows = people.rows_n
    reach = 0.5 * WALK_AHEAD_S * people.speeds_n
    boxes[rows, HALF_LENGTH] += reach
    boxes[rows, 0] += reach * boxes[rows, COS]
    boxes[rows, 1] += reach * boxes[rows, SIN]
    return boxes
