"""From a seed to a street with something to stop for: a light, somebody crossing, and a car that stands in the lane."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from moe_bev_ros.world import actors, props
from moe_bev_ros.world.conditions import Condition
from moe_bev_ros.world.roads import (
    EGO_OFFSET_M,
    LEFT_EDGE_M,
    LEFT_KERB_M,
    LEFT_WALL_M,
    ONCOMING_OFFSET_M,
    PARKING_WIDTH_M,
    RIGHT_KERB_M,
    RIGHT_WALL_M,
    Markings,
    Road,
    turned,
)
from moe_bev_ros.world.scene import Actor, Body, Prop, Scene, Signal
from moe_bev_ros.world.traffic import Cross, Drive, LightCycle, Script, Walk

BLOCK_M = 20.0
RIGHT_PARKING_M = RIGHT_KERB_M + 0.5 * PARKING_WIDTH_M - 0.1
LEFT_PARKING_M = LEFT_EDGE_M + 0.5 * PARKING_WIDTH_M + 0.1


@dataclass(frozen=True)
class Scenario:
    """How a run begins and who does what.

    Attributes:
        scene: at time 0.
        scripts: by track id; an actor without a script stands still.
        cycles: one for each of the scene's lights.
        goal_3: x, y, yaw in map [m, rad], in the ego's lane.
    """

    seed: int
    road: Road
    markings: Markings
    scene: Scene
    scripts: dict[int, Script]
    cycles: tuple[LightCycle, ...]
    goal_3: tuple[float, float, float]


class _Cast:
    """Collects actors and their scripts, numbering them."""

    def __init__(self, road: Road) -> None:
        self.road = road
        self.actors: list[Actor] = []
        self.scripts: dict[int, Script] = {}

    def add(self, body: Body, station_m: float, offset_m: float, *, back: bool = False, script: Script | None = None) -> None:
        """Put a body on the road, heading along it, or against it with ``back``."""
        x, y, yaw = self.road.pose(station_m, offset_m)
        actor = Actor(len(self.actors) + 1, body, x, y, turned(yaw) if back else yaw)
        if isinstance(script, Drive):
            actor = replace(actor, speed_mps=script.desired_mps)
        self.actors.append(actor)
        if script is not None:
            self.scripts[actor.track_id] = script


def make_scenario(seed: int) -> Scenario:
    """The street of a seed; equal seeds give equal scenarios."""
    rng = np.random.default_rng(seed)
    road = Road()
    light_m, crossing_m, blocked_m = 19.0, float(rng.uniform(40.0, 56.0)), float(rng.uniform(108.0, 126.0))
    cast = _Cast(road)
    _add_crossing_pedestrian(cast, rng, crossing_m)
    stopped = actors.truck(rng) if rng.uniform() < 0.25 else actors.car(rng)
    cast.add(stopped, blocked_m + 0.5 * stopped.size_3[0], EGO_OFFSET_M + float(rng.uniform(-0.2, 0.2)))
    for side in (-0.7, 0.7):
        cast.add(actors.cone(rng), blocked_m + stopped.size_3[0] + 3.0, side)
    _add_parked(cast, rng, (light_m, crossing_m))
    _add_traffic(cast, rng)
    _add_walkers(cast, rng)
    light, cycle = _light(road, rng, light_m)
    along = np.pi * (seed % 2)  # the sun stands over the street, or the houses would leave it in the shade
    sun_azimuth, sun_elevation = float(along + rng.uniform(-0.7, 0.7)), float(rng.uniform(0.6, 1.0))
    condition = Condition(sun_azimuth_rad=sun_azimuth, sun_elevation_rad=sun_elevation)
    scene = Scene(tuple(cast.actors), _roadside(road, rng, (light_m, crossing_m)), (light,), condition)
    markings = Markings(stop_lines_m=(light_m,), crossings_m=(crossing_m,))
    return Scenario(seed, road, markings, scene, cast.scripts, (cycle,), road.pose(road.end_m - 20.0))


def _add_crossing_pedestrian(cast: _Cast, rng: np.random.Generator, crossing_m: float) -> None:
    pace = float(rng.uniform(1.7, 2.1))
    start, end = RIGHT_KERB_M - 0.4, LEFT_KERB_M + 1.2
    cast.add(actors.pedestrian(rng), crossing_m, start, script=Cross(cast.road, crossing_m, end, pace))
    first = cast.actors[-1]
    cast.actors[-1] = replace(first, yaw_rad=first.yaw_rad + np.pi / 2)


def _add_parked(cast: _Cast, rng: np.random.Generator, keep_free_m: tuple[float, ...]) -> None:
    """Cars along both kerbs, with gaps, and clear sight at the light and the crossing."""
    for offset, back in ((RIGHT_PARKING_M, False), (LEFT_PARKING_M, True)):
        station = -40.0 + float(rng.uniform(0.0, 4.0))
        while station < 170.0:
            body = actors.car(rng) if rng.uniform() < 0.92 else actors.truck(rng)
            middle = station + 0.5 * body.size_3[0]
            if all(not -14.0 < middle - free < 7.0 for free in keep_free_m) and rng.uniform() < 0.62:
                cast.add(body, middle, offset + float(rng.uniform(-0.1, 0.1)), back=back)
            station += body.size_3[0] + float(rng.uniform(1.2, 6.0))


def _add_traffic(cast: _Cast, rng: np.random.Generator) -> None:
    """Oncoming cars, and a cyclist among them."""
    station = float(rng.uniform(25.0, 45.0))
    for index in range(5):
        cyclist = index == 2
        body = actors.bicycle(rng) if cyclist else actors.truck(rng) if rng.uniform() < 0.2 else actors.car(rng)
        offset = ONCOMING_OFFSET_M + (1.1 if cyclist else float(rng.uniform(-0.1, 0.2)))
        speed = float(rng.uniform(4.0, 5.0) if cyclist else rng.uniform(6.5, 9.0))
        cast.add(body, station, offset, back=True, script=Drive(cast.road, offset, -1, speed))
        station += float(rng.uniform(24.0, 42.0))


def _add_walkers(cast: _Cast, rng: np.random.Generator) -> None:
    """People on both pavements."""
    for index in range(6):
        back = index % 2 == 1
        kerb, wall = (RIGHT_KERB_M, RIGHT_WALL_M) if index < 3 else (LEFT_KERB_M, LEFT_WALL_M)
        offset = float(rng.uniform(0.6, 0.95)) * (wall - kerb) + kerb
        walk = Walk(cast.road, offset, -1 if back else 1, float(rng.uniform(0.9, 1.5)))
        station = -10.0 + 45.0 * (index % 3 + float(rng.uniform(0.0, 0.9)))
        cast.add(actors.pedestrian(rng), station, offset, back=back, script=walk)


def _light(road: Road, rng: np.random.Generator, stop_m: float) -> tuple[Signal, LightCycle]:
    """Green when the ego comes, for two seeds of three; else red for its first seconds."""
    red_first_s = float(rng.uniform(2.0, 3.2)) if rng.uniform() < 0.34 else 0.0
    cycle = LightCycle(green_s=40.0, amber_s=2.0, red_s=8.0, phase_s=-red_first_s)
    x, y, yaw = road.pose(stop_m + 1.0, RIGHT_KERB_M - 0.5)
    stop_x, stop_y, _ = road.pose(stop_m - 0.4, EGO_OFFSET_M)
    light = Signal(0, (stop_x, stop_y), cycle.state(0.0), x, y, turned(yaw))
    return light, cycle


def _roadside(road: Road, rng: np.random.Generator, keep_free_m: tuple[float, ...]) -> tuple[Prop, ...]:
    """Houses, trees, lamps and bushes."""
    result: list[Prop] = []
    for wall, side in ((RIGHT_WALL_M, -1.0), (LEFT_WALL_M, 1.0)):
        station = road.start_m
        while station < road.end_m:
            length, depth = float(rng.uniform(11.0, BLOCK_M)), float(rng.uniform(8.0, 11.0))
            x, y, yaw = road.pose(station + 0.5 * length, wall + side * (0.5 * depth + float(rng.uniform(0.6, 3.5))))
            result.append(props.building(rng, x, y, yaw, length, depth))
            if rng.uniform() < 0.35:
                bx, by, _ = road.pose(station + length + 1.5, wall + side * 1.5)
                result.append(props.bush(rng, bx, by))
            station += length + float(rng.uniform(0.5, 7.0))
    for kerb, side in ((RIGHT_KERB_M, -1.0), (LEFT_KERB_M, 1.0)):
        for station in np.arange(road.start_m, road.end_m, 12.0):
            place = float(station) + float(rng.uniform(-2.5, 2.5))
            if any(abs(place - free) < 6.0 for free in keep_free_m):
                continue
            x, y, yaw = road.pose(place, kerb + side * 0.7)
            lamp = rng.uniform() < 0.3
            result.append(props.lamp_post(x, y, yaw - side * np.pi / 2) if lamp else props.tree(rng, x, y))
    return tuple(result)
