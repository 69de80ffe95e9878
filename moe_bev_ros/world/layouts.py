"""Road layouts, drawn from a random generator. Traffic keeps right.

Every layout has `start_3` and `goal_3` on lanes that lead from one to the other, and `places`: x, y, yaw in map, in the middle
of a lane and along it unless said otherwise.

- all: 'middle' (on the ego's lane, before anything happens: for something that drives or stands ahead).
- street, straight, curve, parking_street, crossing: 'crossing' (on the ego's lane, painted in street and crossing), 'kerb' and
  'kerb_far' (beside it, where somebody stands who is about to cross from the right or from the left, looking across the road).
- street: 'stop_line', 'blocked' (where something stands in the lane).
- junction: 'stop_line', 'conflict' (half-way of the ego's left turn), 'goal_straight' (the goal), 'goal_left', 'goal_right',
  'oncoming', 'from_left', 'from_right' (40 m before the other arms' stop lines), 'crossing', 'kerb', 'kerb_far' (ego's arm).
- roundabout: 'yield_line', 'conflict' (where the ego's way meets the ring), 'ring' (on the ring, before the ego's mouth),
  'goal_straight'; with four arms also 'goal_left', 'goal_right', 'oncoming', 'from_left', 'from_right'.
- merge: 'ramp_end' (end of the lane beside the main road), 'merge_point' (where both ways are one), 'main' (on the lane that
  one merges into, about as far from the merge point as the ego's start).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from moe_bev_ros.world.layout_curves import Curve, bend
from moe_bev_ros.world.layout_junctions import junction, roundabout
from moe_bev_ros.world.layout_parts import (
    FOREGROUND_M,
    KERB_M,
    Layout,
    NetworkBuilder,
    Road,
    Section,
    SignalPlace,
    draw_section,
    signal_place,
)
from moe_bev_ros.world.network import LineKind, Surface

__all__ = ['LAYOUTS', 'Layout', 'SignalPlace']

STREET_START_M, STREET_END_M, STREET_STOP_M = -60.0, 240.0, 19.0
BEHIND_M = 60.0  # of road behind the ego's start
BEYOND_M = 20.0  # of road behind the goal
SIDEWAYS_MPS2 = 2.2  # in the tightest bend of `curve`, at the speed limit


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
    return Layout(builder.build(), (0.0, 0.0, 0.0), curve.pose(curve.length_m - BEYOND_M, ego_m), places, (light,))


def straight(rng: np.random.Generator) -> Layout:
    """A straight road with one or two lanes a direction."""
    return _along(Curve.through((-BEHIND_M, 0.0, 0.0), [(460.0, 0.0, 0.0)]), draw_section(rng), rng)


def curve(rng: np.random.Generator) -> Layout:
    """Two bends, to the same side or to both, entered and left on clothoids."""
    section = draw_section(rng)
    tightest_m = max(35.0, (section.speed_kmh / 3.6) ** 2 / SIDEWAYS_MPS2)
    pieces = [(BEHIND_M + 40.0, 0.0, 0.0)]
    for _ in range(2):
        bend_per_m = float(rng.choice([-1.0, 1.0]) / (tightest_m * rng.uniform(1.0, 2.2)))
        ease_m = float(rng.uniform(20.0, 35.0))
        arc_m = float(np.clip(rng.uniform(0.6, 1.3) / abs(bend_per_m) - ease_m, 20.0, 80.0))
        pieces += [(ease_m, 0.0, bend_per_m), (arc_m, bend_per_m, bend_per_m), (ease_m, bend_per_m, 0.0)]
        pieces.append((float(rng.uniform(20.0, 50.0)), 0.0, 0.0))
    pieces.append((max(30.0, BEHIND_M + 320.0 - sum(piece[0] for piece in pieces)), 0.0, 0.0))
    return _along(Curve.through((-BEHIND_M, 0.0, 0.0), pieces), section, rng)


def parking_street(rng: np.random.Generator) -> Layout:
    """A narrow street with cars on both sides, straight or slightly bent."""
    parking, pavement = float(rng.uniform(1.9, 2.2)), float(rng.uniform(1.5, 2.4))
    section = Section(1, 1, float(rng.uniform(3.0, 3.2)), (parking, parking), (pavement, pavement), 30)
    bend_per_m = float(rng.uniform(-1.0, 1.0)) / 250.0 if rng.uniform() < 0.6 else 0.0
    pieces = [(BEHIND_M + 60.0, 0.0, 0.0), (60.0, 0.0, bend_per_m), (120.0, bend_per_m, 0.0), (100.0, 0.0, 0.0)]
    return _along(Curve.through((-BEHIND_M, 0.0, 0.0), pieces), section, rng)


def crossing(rng: np.random.Generator) -> Layout:
    """A road with a zebra crossing, straight or slightly bent."""
    bend_per_m = float(rng.uniform(-1.0, 1.0)) / 300.0 if rng.uniform() < 0.5 else 0.0
    pieces = [(BEHIND_M + 30.0, 0.0, 0.0), (80.0, 0.0, bend_per_m), (80.0, bend_per_m, 0.0), (180.0, 0.0, 0.0)]
    return _along(Curve.through((-BEHIND_M, 0.0, 0.0), pieces), draw_section(rng), rng, zebra=True)


def _along(curve: Curve, section: Section, rng: np.random.Generator, zebra: bool = False) -> Layout:
    """A layout whose way follows one road, in any of its lanes."""
    builder = NetworkBuilder()
    road = builder.road(curve, section)
    ego_m = section.lane_m(int(rng.integers(section.forward)))
    crossing_m = BEHIND_M + float(rng.uniform(90.0, 150.0))
    places = road.way_across(crossing_m, ego_m)
    places['middle'] = curve.pose(0.5 * (BEHIND_M + crossing_m), ego_m)
    if zebra:
        builder.zebra(road, crossing_m, ego_m)
    start, goal = curve.pose(BEHIND_M, ego_m), curve.pose(road.end_m - BEYOND_M, ego_m)
    return Layout(builder.build(), start, goal, places)


def merge(rng: np.random.Generator) -> Layout:
    """A ramp that joins a road of two lanes a direction: first a lane beside it, then a taper; the ego is on the ramp."""
    builder = NetworkBuilder()
    width = float(rng.uniform(3.4, 3.7))
    section = Section(2, 2, width, (0.0, 0.0), (0.0, 0.0), 60)
    beside_m, taper_m = float(rng.uniform(60.0, 90.0)), float(rng.uniform(35.0, 45.0))
    ends = np.cumsum([180.0, beside_m, taper_m, 150.0])
    curve = Curve.through((-180.0, 0.0, 0.0), [(float(ends[-1]), 0.0, 0.0)])
    stretches = [
        builder.road(curve, section, float(first), float(last), right_line=kind)
        for first, last, kind in zip(
            (0.0, *ends[:-1]), ends, (LineKind.SOLID, LineKind.DASHED, LineKind.DASHED, LineKind.SOLID), strict=True
        )
    ]
    for before, after in pairwise(stretches):
        for own, other in (*zip(before.forward, after.forward), *zip(after.backward, before.backward)):
            builder.join(own, other)
    ramp = _ramp(builder, rng, width)
    _taper(builder, ramp, stretches)
    places = {
        'middle': ramp.curve.pose(0.6 * ramp.end_m, ramp.section.lane_m(0)),
        'ramp_end': curve.pose(float(ends[1]), section.lane_m(2)),
        'merge_point': curve.pose(float(ends[2]), section.lane_m(1)),
        'main': curve.pose(10.0, section.lane_m(1)),
    }
    return Layout(
        builder.build(),
        ramp.curve.pose(10.0, ramp.section.lane_m(0)),
        curve.pose(curve.length_m - BEYOND_M, section.lane_m(1)),
        places,
    )


def _ramp(builder: NetworkBuilder, rng: np.random.Generator, width_m: float) -> Road:
    """A lane from the right that ends beside the main road, at x = 0."""
    bend_per_m = 1.0 / float(rng.uniform(100.0, 170.0))
    back = Curve.through(
        (0.0, -2.0 * width_m, np.pi), [(5.0, 0.0, 0.0), (40.0, 0.0, bend_per_m), (40.0, bend_per_m, 0.0), (95.0, 0.0, 0.0)]
    )
    return builder.road(back.reversed(), Section(1, 0, width_m, (0.0, 0.0), (0.0, 0.0), 60))


def _taper(builder: NetworkBuilder, ramp: Road, stretches: list[Road]) -> None:
    """The lane beside the main road and its end."""
    _, beside, _, beyond = stretches
    width = ramp.section.lane_width_m
    stations = beside.curve.samples(beside.start_m, beside.end_m)
    borders = [beside.curve.points(stations, -lanes * width) for lanes in (2, 3)]
    lane = builder.lane(borders[0], borders[1], ramp.section.speed_kmh, after=ramp.forward)
    builder.beside(beside.forward[-1], lane)
    ahead = np.array([1.0, 0.0])
    ends = [bend(own[-1], ahead, other[0], ahead) for own, other in zip(borders, builder.borders(beyond.forward[-1]))]
    builder.lane(ends[0], ends[1], ramp.section.speed_kmh, after=[lane], before=[beyond.forward[-1]])
    inward = np.array([0.0, width])
    for edge in (borders[1], ends[1]):
        builder.line(LineKind.SOLID, edge)
        for surface, beyond_m in ((Surface.ASPHALT, 0.0), (Surface.KERB, KERB_M), (Surface.FOREGROUND, FOREGROUND_M)):
            builder.area(surface, np.concatenate([edge - (0.0, beyond_m), edge[::-1] + inward]))


LAYOUTS: dict[str, Callable[[np.random.Generator], Layout]] = {
    'street': street,
    'straight': straight,
    'curve': curve,
    'junction': junction,
    'roundabout': roundabout,
    'merge': merge,
    'parking_street': parking_street,
    'crossing': crossing,
}
