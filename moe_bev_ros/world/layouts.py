"""Road layouts, drawn from a random generator. Traffic keeps right.

Every layout has `start_3` and `goal_3` and these `places` (x, y, yaw in map; on the ego's lane and along it, unless said
otherwise):

- all: 'middle' (half-way along the ego's lane before anything happens: a place for something that stands in the way).
- street: 'stop_line', 'crossing', 'blocked' (where something stands in the lane).
- crossing: 'crossing'. Both also have 'kerb' and 'kerb_far': where somebody stands who is about to cross from the right or from
  the left, looking across the road.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moe_bev_ros.world.layout_parts import Curve, Layout, NetworkBuilder, Pose, Road, Section, SignalPlace

__all__ = ['LAYOUTS', 'Layout', 'SignalPlace', 'draw_section', 'straight', 'street']

STREET_START_M, STREET_END_M, STREET_STOP_M = -60.0, 240.0, 19.0
SPEEDS_KMH = (30, 50, 60)


def street(rng: np.random.Generator) -> Layout:
    """The demo's street: a light, a crossing, and something that stands in the lane; the ego starts at map's origin."""
    crossing_m, blocked_m = float(rng.uniform(40.0, 56.0)), float(rng.uniform(108.0, 126.0))
    section = Section()
    builder = NetworkBuilder()
    ahead_m = -STREET_START_M  # station of map's origin
    curve = Curve.through((STREET_START_M, 0.5 * section.lane_width_m, 0.0), [(STREET_END_M - STREET_START_M, 0.0, 0.0)])
    road = builder.road(curve, section)
    ego_m = section.lane_m(0)
    builder.stop_line(road, ahead_m + STREET_STOP_M)
    places = builder.zebra(road, ahead_m + crossing_m, ego_m)
    places['stop_line'] = curve.pose(ahead_m + STREET_STOP_M - 0.4, ego_m)
    places['blocked'] = curve.pose(ahead_m + blocked_m, ego_m)
    places['middle'] = curve.pose(ahead_m + 0.5 * crossing_m, ego_m)
    light = signal_place(road, ahead_m + STREET_STOP_M, 0)
    return Layout(builder.build(), (0.0, 0.0, 0.0), curve.pose(curve.length_m - 20.0, ego_m), places, (light,))


def straight(rng: np.random.Generator) -> Layout:
    """A straight road with one or two lanes a direction."""
    section = draw_section(rng)
    builder = NetworkBuilder()
    curve = Curve.through((-60.0, 0.0, 0.0), [(460.0, 0.0, 0.0)])
    road = builder.road(curve, section)
    return _along(builder, road, rng, {})


def _along(builder: NetworkBuilder, road: Road, rng: np.random.Generator, places: dict[str, Pose]) -> Layout:
    """A layout whose way follows one road, in any of its lanes."""
    ego_m = road.section.lane_m(int(rng.integers(road.section.forward)))
    pose, end_m = road.curve.pose, road.end_m
    places = {'middle': pose(0.5 * end_m, ego_m), **places}
    return Layout(builder.build(), pose(60.0, ego_m), pose(end_m - 20.0, ego_m), places)


def draw_section(rng: np.random.Generator, max_lanes: int = 2) -> Section:
    """A cross-section with the same lanes in both directions."""
    lanes = int(rng.integers(1, max_lanes + 1))
    speed = int(SPEEDS_KMH[rng.integers(1 if lanes == 2 else 0, 3)])
    park = [float(rng.uniform(2.1, 2.5)) if rng.uniform() < (0.25 if speed == 60 else 0.7) else 0.0 for _ in range(2)]
    pave = [float(rng.uniform(1.8, 3.2)) for _ in range(2)]
    width = float(rng.uniform(3.25, 3.7) if speed > 30 else rng.uniform(3.0, 3.5))
    return Section(lanes, lanes, width, (park[0], park[1]), (pave[0], pave[1]), speed)


def signal_place(road: Road, stop_m: float, element_id: int, group: int = 0) -> SignalPlace:
    """A light on the right pavement, just behind the stop line that ends at a station."""
    stop_x, stop_y, _ = road.curve.pose(stop_m - 0.4, road.section.lane_m(0))
    x, y, yaw = road.curve.pose(stop_m + 1.0, road.section.kerbs_m[0] - 0.5, np.pi)
    return SignalPlace(element_id, (stop_x, stop_y), x, y, yaw, group)


LAYOUTS: dict[str, Callable[[np.random.Generator], Layout]] = {'street': street, 'straight': straight}
