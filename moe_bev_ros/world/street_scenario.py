"""The demo's street: something to stop for, parked cars, oncoming traffic, people, houses."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.world import props
from moe_bev_ros.world.actors import make_body
from moe_bev_ros.world.cast import Cast
from moe_bev_ros.world.layout_curves import Pose, turned
from moe_bev_ros.world.layout_parts import Layout
from moe_bev_ros.world.roles import LightCycle
from moe_bev_ros.world.scene import Prop

# Distances to the left of the ego's lane, which lies along map's x axis [m].
LEFT_OF_EGO_M = 3.5
RIGHT_EDGE_M, LEFT_EDGE_M = -1.75, 5.25
RIGHT_KERB_M, LEFT_KERB_M = -4.15, 7.65
RIGHT_WALL_M, LEFT_WALL_M = -6.55, 10.05
RIGHT_PARKING_M, LEFT_PARKING_M = -3.05, 6.55
START_M, END_M = -60.0, 240.0
BLOCK_M = 20.0


def _pose(station_m: float, offset_m: float, *, back: bool = False) -> Pose:
    return station_m, offset_m, turned(0.0) if back else 0.0


def fill_street(cast: Cast, layout: Layout, rng: np.random.Generator) -> LightCycle:
    """Everybody and everything; returns the cycle of the light."""
    light_m, crossing_m = layout.places['stop_line'][0] + 0.4, layout.places['crossing'][0]
    _add_crossing_pedestrian(cast, rng, crossing_m)
    _add_what_blocks(cast, rng, layout.places['blocked'][0])
    _add_parked(cast, rng, (light_m, crossing_m))
    _add_traffic(cast, rng)
    _add_walkers(cast, rng)
    red_first_s = float(rng.uniform(2.0, 3.2)) if rng.uniform() < 0.34 else 0.0
    cast.props.extend(_roadside(rng, (light_m, crossing_m)))
    return LightCycle(green_s=40.0, amber_s=2.0, red_s=8.0, phase_s=-red_first_s)


def _add_crossing_pedestrian(cast: Cast, rng: np.random.Generator, crossing_m: float) -> None:
    pace = float(rng.uniform(1.7, 2.1))
    line = np.array([(crossing_m, RIGHT_KERB_M - 0.4), (crossing_m, LEFT_KERB_M + 1.2)])
    cast.cross(make_body(Label.PEDESTRIAN, rng), line, pace, meets_ego=True)


def _add_what_blocks(cast: Cast, rng: np.random.Generator, blocked_m: float) -> None:
    stopped = make_body(Label.TRUCK if rng.uniform() < 0.25 else Label.CAR, rng)
    cast.stand(stopped, _pose(blocked_m + 0.5 * stopped.size_3[0], float(rng.uniform(-0.2, 0.2))))
    for side in (-0.7, 0.7):
        cast.stand(make_body(Label.TRAFFIC_CONE, rng), _pose(blocked_m + stopped.size_3[0] + 3.0, side))


def _add_parked(cast: Cast, rng: np.random.Generator, keep_free_m: tuple[float, ...]) -> None:
    """Cars along both kerbs, with gaps, and clear sight at the light and the crossing."""
    for offset, back in ((RIGHT_PARKING_M, False), (LEFT_PARKING_M, True)):
        station = -40.0 + float(rng.uniform(0.0, 4.0))
        while station < 170.0:
            body = make_body(Label.CAR if rng.uniform() < 0.92 else Label.TRUCK, rng)
            middle = station + 0.5 * body.size_3[0]
            if all(not -14.0 < middle - free < 7.0 for free in keep_free_m) and rng.uniform() < 0.62:
                cast.stand(body, _pose(middle, offset + float(rng.uniform(-0.1, 0.1)), back=back))
            station += body.size_3[0] + float(rng.uniform(1.2, 6.0))


def _add_traffic(cast: Cast, rng: np.random.Generator) -> None:
    """Oncoming cars, and a cyclist among them."""
    lane = cast.network.graph.nearest(np.array([0.0, LEFT_OF_EGO_M]), np.pi)
    station = float(rng.uniform(25.0, 45.0))
    for index in range(5):
        cyclist = index == 2
        if cyclist:
            body = make_body(Label.BICYCLE, rng, (1.75, 0.6, float(rng.uniform(1.65, 1.8))))  # so high with its rider
        else:
            body = make_body(Label.TRUCK if rng.uniform() < 0.2 else Label.CAR, rng)
        offset = -1.1 if cyclist else -float(rng.uniform(-0.1, 0.2))
        speed = float(rng.uniform(4.0, 5.0) if cyclist else rng.uniform(6.5, 9.0))
        cast.drive(body, (lane,), END_M - station, speed, offset_m=offset)
        station += float(rng.uniform(24.0, 42.0))


def _add_walkers(cast: Cast, rng: np.random.Generator) -> None:
    """People on both pavements."""
    for index in range(6):
        kerb, wall = (RIGHT_KERB_M, RIGHT_WALL_M) if index < 3 else (LEFT_KERB_M, LEFT_WALL_M)
        offset, pace = float(rng.uniform(0.6, 0.95)) * (wall - kerb) + kerb, float(rng.uniform(0.9, 1.5))
        station = -10.0 + 45.0 * (index % 3 + float(rng.uniform(0.0, 0.9)))
        line = np.array([(START_M, offset), (END_M, offset)])
        cast.walk(make_body(Label.PEDESTRIAN, rng), line, station - START_M, -1 if index % 2 else 1, pace, 0.0)


def _roadside(rng: np.random.Generator, keep_free_m: tuple[float, ...]) -> list[Prop]:
    """Houses, trees, lamps and bushes."""
    result: list[Prop] = []
    for wall, side in ((RIGHT_WALL_M, -1.0), (LEFT_WALL_M, 1.0)):
        station = START_M
        while station < END_M:
            length, depth = float(rng.uniform(11.0, BLOCK_M)), float(rng.uniform(8.0, 11.0))
            y = wall + side * (0.5 * depth + float(rng.uniform(0.6, 3.5)))
            result.append(props.building(rng, station + 0.5 * length, y, 0.0, length, depth))
            if rng.uniform() < 0.35:
                result.append(props.bush(rng, station + length + 1.5, wall + side * 1.5))
            station += length + float(rng.uniform(0.5, 7.0))
    for kerb, side in ((RIGHT_KERB_M, -1.0), (LEFT_KERB_M, 1.0)):
        for station in np.arange(START_M, END_M, 12.0):
            place = float(station) + float(rng.uniform(-2.5, 2.5))
            if any(abs(place - free) < 6.0 for free in keep_free_m):
                continue
            y = kerb + side * 0.7
            lamp = rng.uniform() < 0.3
            result.append(props.lamp_post(place, y, -side * np.pi / 2) if lamp else props.tree(rng, place, y))
    return result
