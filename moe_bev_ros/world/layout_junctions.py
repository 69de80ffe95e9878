"""Layouts where roads meet: a junction with lights, and a roundabout.

Arms are numbered counter-clockwise from the ego's, which comes from the west; each arm's curve leads from outside to the middle
of the junction, which is map's origin. So a right turn leads from arm i to arm i + 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.layout_curves import Curve, Pose, bend, beside_line, pose_on
from moe_bev_ros.world.layout_parts import (
    FIRST_SIGNAL_ID,
    FOREGROUND_M,
    KERB_M,
    Layout,
    NetworkBuilder,
    Road,
    Section,
    draw_section,
    signal_place,
)
from moe_bev_ros.world.network import LineKind, Surface

CROSSING_ROOM_M = 5.5  # between a stop line and the corner
NO_PARKING_M = 14.0  # before a junction
ROUND_LEAD_M = 12.0
ROUND_SPEED_KMH = 30.0


def junction(rng: np.random.Generator) -> Layout:
    """Four arms with lights; the two that face each other are green together."""
    builder = NetworkBuilder()
    main, side = draw_section(rng), draw_section(rng, max_lanes=1)
    if rng.uniform() < 0.3:
        side = main
    jitter = rng.uniform(-0.12, 0.12, 2)
    angles = (np.pi, 1.5 * np.pi + jitter[0], 0.0, 0.5 * np.pi + jitter[1])
    sections = (main, side, main, side)
    stop_m = (
        max(section.forward * section.lane_width_m for section in sections) + float(rng.uniform(9.5, 12.0)) + CROSSING_ROOM_M
    )
    lengths = (170.0, 90.0, 170.0, 170.0)
    arms = [_arm(builder, *arm, stop_m) for arm in zip(angles, lengths, sections)]
    lefts = [_turns(builder, arms, index) for index in range(4)]
    _junction_surfaces(builder, arms)
    places: dict[str, Pose] = {}
    signals = []
    for index, arm in enumerate(arms):
        builder.stop_line(arm, arm.end_m)
        zebra = builder.zebra(arm, arm.end_m + 2.8, arm.section.lane_m(0), from_parking=False)
        places = places or zebra
        signals.append(signal_place(arm, arm.end_m, FIRST_SIGNAL_ID + index, index % 2))
        for lane, lane_id in enumerate(arm.forward):
            x, y, _ = arm.curve.pose(arm.end_m - 0.4, arm.section.lane_m(lane))
            builder.obey(lane_id, FIRST_SIGNAL_ID + index, (x, y))
    ego = arms[0]
    places |= _arm_places(arms) | {
        'stop_line': ego.curve.pose(ego.end_m - 0.4, ego.section.lane_m(0)),
        'middle': ego.curve.pose(0.5 * ego.end_m, ego.section.lane_m(0)),
        'conflict': pose_on(0.5 * (lefts[0][0] + lefts[0][1])),
    }
    start = ego.curve.pose(15.0, ego.section.lane_m(0))
    return Layout(builder.build(), start, places['goal_straight'], places, tuple(signals))


def roundabout(rng: np.random.Generator) -> Layout:
    """One lane round an island, with three or four arms of one lane a direction; the ego leaves opposite."""
    builder = NetworkBuilder()
    section = draw_section(rng, max_lanes=1)
    num = 4 if rng.uniform() < 0.7 else 3
    turns = [0.0, 0.5 * np.pi, np.pi, 1.5 * np.pi] if num == 4 else [0.0, float(rng.choice([0.5, 1.5])) * np.pi, np.pi]
    angles = [np.pi + turn + float(rng.uniform(-0.1, 0.1)) * (turn % np.pi > 0.1) for turn in sorted(turns)]
    radius, width = float(rng.uniform(14.0, 19.0)), float(rng.uniform(4.2, 4.8))
    opening = float(rng.uniform(0.52, 0.6))
    stop_m = radius + 0.5 * width + ROUND_LEAD_M
    lengths = [150.0 if np.cos(angle) ** 2 > 0.5 else 80.0 for angle in angles]
    arms = [_arm(builder, angle, length, section, stop_m) for angle, length in zip(angles, lengths)]
    ring = _Ring(builder, radius, width, opening, angles)
    mouths = [_mouth(builder, arm, *ring.ids(index)) for index, arm in enumerate(arms)]
    _roundabout_surfaces(builder, arms, mouths, radius, width)
    ego = arms[0]
    left_of_ego = builder.borders(ring.ids(0)[0])
    places = _arm_places(arms) if num == 4 else {}
    goal = arms[angles.index(max(angles, key=np.cos))]
    places |= {
        'goal_straight': goal.curve.pose(20.0, -goal.section.lane_m(0), np.pi),
        'yield_line': ego.curve.pose(ego.end_m, ego.section.lane_m(0)),
        'middle': ego.curve.pose(0.5 * ego.end_m, ego.section.lane_m(0)),
        'conflict': pose_on(sum(builder.borders(ring.ids(0)[2]), np.zeros(2)) * 0.5, 0.0),
        'ring': pose_on(0.5 * (left_of_ego[0] + left_of_ego[1])),
    }
    return Layout(builder.build(), ego.curve.pose(15.0, ego.section.lane_m(0)), places['goal_straight'], places)


def _arm(builder: NetworkBuilder, angle_rad: float, length_m: float, section: Section, stop_m: float) -> Road:
    """A road from outside to ``stop_m`` before the middle."""
    away = np.array([np.cos(angle_rad), np.sin(angle_rad)]) * (length_m + stop_m)
    curve = Curve.through((float(away[0]), float(away[1]), angle_rad + np.pi), [(length_m + stop_m, 0.0, 0.0)])
    return builder.road(curve, section, 0.0, length_m, parking=(0.0, length_m - NO_PARKING_M), walk=False)


def _arm_places(arms: Sequence[Road]) -> dict[str, Pose]:
    """Where traffic comes from and where one may go, for four arms."""
    names = ('right', 'straight', 'left')
    places = {f'goal_{name}': arm.curve.pose(20.0, -arm.section.lane_m(0), np.pi) for name, arm in zip(names, arms[1:])}
    sources = ('from_right', 'oncoming', 'from_left')
    return places | {name: arm.curve.pose(arm.end_m - 40.0, arm.section.lane_m(0)) for name, arm in zip(sources, arms[1:])}


def _turns(builder: NetworkBuilder, arms: Sequence[Road], index: int) -> tuple[Array, Array]:
    """Lanes from one arm to the others; returns the borders of the left turn."""
    arm = arms[index]
    ahead, right, left = arms[(index + 2) % 4], arms[(index + 1) % 4], arms[(index + 3) % 4]
    for own, other in zip(arm.forward, ahead.backward):
        _connect(builder, own, other)
    _connect(builder, arm.forward[-1], right.backward[-1])
    return _connect(builder, arm.forward[0], left.backward[0])


def _connect(builder: NetworkBuilder, own: int, other: int) -> tuple[Array, Array]:
    """A lane from the end of one lane to the begin of another, straight beside the crossings."""
    borders = []
    for before, after in zip(builder.borders(own), builder.borders(other)):
        inward, outward = _unit(before[-1] - before[-2]), _unit(after[1] - after[0])
        middle = bend(before[-1] + CROSSING_ROOM_M * inward, inward, after[0] - CROSSING_ROOM_M * outward, outward)
        borders.append(np.concatenate([before[-1:], middle, after[:1]]))
    builder.lane(borders[0], borders[1], builder.speed_kmh(own), after=[own], before=[other])
    return borders[0], borders[1]


def _junction_surfaces(builder: NetworkBuilder, arms: Sequence[Road]) -> None:
    corners = []
    for index, arm in enumerate(arms):
        other = arms[(index + 1) % len(arms)]
        first = builder.borders(arm.forward[-1])[1][-2:]
        last = builder.borders(other.backward[-1])[1][:2]
        inward, outward = _unit(first[1] - first[0]), _unit(last[1] - last[0])
        curve = bend(first[1] + CROSSING_ROOM_M * inward, inward, last[0] - CROSSING_ROOM_M * outward, outward)
        corners.append(np.concatenate([first[1:], curve, last[:1]]))
    _lay(builder, corners, arms)


def _lay(builder: NetworkBuilder, corners: Sequence[Array], arms: Sequence[Road]) -> None:
    """Asphalt within the corners' kerbs, pavement and walkways around them; corner i leads from arm i to the next."""
    edges: dict[Surface, list[Array]] = {surface: [] for surface in (Surface.FOREGROUND, Surface.PAVEMENT, Surface.KERB)}
    for index, corner in enumerate(corners):
        arm, other = arms[index], arms[(index + 1) % len(arms)]
        share = np.linspace(0.0, 1.0, len(corner))
        wall = (1 - share) * _pavement_m(arm, 0) + share * _pavement_m(other, 1)
        foot = (1 - share) * _walk_m(arm, 0) + share * _walk_m(other, 1)
        edges[Surface.FOREGROUND].append(beside_line(corner, -wall - FOREGROUND_M))
        edges[Surface.PAVEMENT].append(beside_line(corner, -wall))
        edges[Surface.KERB].append(beside_line(corner, np.full(len(corner), -KERB_M)))
        stations = arm.curve.samples(0.0, arm.end_m), other.curve.samples(0.0, other.end_m)[::-1]
        before = arm.curve.points(stations[0], arm.section.edges_m[0] - _walk_m(arm, 0))
        after = other.curve.points(stations[1], other.section.edges_m[1] + _walk_m(other, 1))
        builder.walkways.append(np.concatenate([before, beside_line(corner, -foot)[1:-1], after]))
        builder.line(LineKind.SOLID, corner)
    for surface, lines in edges.items():
        builder.area(surface, np.concatenate(lines))
    builder.area(Surface.ASPHALT, np.concatenate(corners))


def _pavement_m(arm: Road, side: int) -> float:
    """From the edge of the lanes to the end of the pavement."""
    return abs(arm.section.walls_m[side] - arm.section.edges_m[side])


def _walk_m(arm: Road, side: int) -> float:
    """From the edge of the lanes to the middle of the pavement."""
    return abs(0.5 * (arm.section.walls_m[side] + arm.section.kerbs_m[side]) - arm.section.edges_m[side])


class _Ring:
    """The lanes round the island: before each arm one that passes its mouth, and one from there to the next arm."""

    def __init__(
        self, builder: NetworkBuilder, radius_m: float, width_m: float, opening_rad: float, angles: Sequence[float]
    ) -> None:
        self.passing: list[int] = []
        self.between: list[int] = []
        following = [*angles[1:], angles[0] + 2 * np.pi]
        for angle, after in zip(angles, following):
            for first, last, ids in (
                (angle - opening_rad, angle + opening_rad, self.passing),
                (angle + opening_rad, after - opening_rad, self.between),
            ):
                inner, outer = (_arc(first, last, radius_m + side * 0.5 * width_m) for side in (-1, 1))
                ids.append(builder.lane(inner, outer, ROUND_SPEED_KMH))
                builder.line(LineKind.SOLID, inner)
                builder.line(LineKind.DASHED if ids is self.passing else LineKind.SOLID, outer)
        for index in range(len(angles)):
            before, here, after = self.ids(index)
            builder.join(before, here)
            builder.join(here, after)

    def ids(self, index: int) -> tuple[int, int, int]:
        """Lanes before the mouth of an arm, past it, and after it."""
        return self.between[index - 1], self.passing[index], self.between[index]


def _mouth(builder: NetworkBuilder, arm: Road, before: int, past: int, after: int) -> tuple[Array, Array]:
    """The way in and the way out of a roundabout; returns their right borders, and lays an island between them."""
    ways = []
    speed = builder.speed_kmh(past)
    for own, other in ((arm.forward[0], after), (before, arm.backward[0])):
        borders = []
        for from_k2, to_k2 in zip(builder.borders(own), builder.borders(other)):
            borders.append(bend(from_k2[-1], _unit(from_k2[-1] - from_k2[-2]), to_k2[0], _unit(to_k2[1] - to_k2[0])))
        builder.lane(borders[0], borders[1], speed, after=[own], before=[other])
        ways.append(borders)
    outer_m = float(np.hypot(*builder.borders(past)[1][0]))
    tips = [line[np.hypot(*line.T) > outer_m + 0.6] for line in (ways[0][0], ways[1][0])]
    builder.island(Surface.PAVEMENT, np.concatenate(tips))
    return ways[0][1], ways[1][1]


def _roundabout_surfaces(
    builder: NetworkBuilder, arms: Sequence[Road], mouths: Sequence[tuple[Array, Array]], radius_m: float, width_m: float
) -> None:
    corners = []
    for index, (way_in, _) in enumerate(mouths):
        way_out = mouths[(index + 1) % len(mouths)][1]
        first, last = (float(np.arctan2(point[1], point[0])) for point in (way_in[-1], way_out[0]))
        arc = _arc(first, first + (last - first) % (2 * np.pi), radius_m + 0.5 * width_m)
        corners.append(np.concatenate([way_in, arc[1:-1], way_out]))
    _lay(builder, corners, arms)
    builder.island(Surface.KERB, _arc(0.0, 2 * np.pi, radius_m - 0.5 * width_m - 0.3)[:-1])
    builder.island(Surface.GRASS, _arc(0.0, 2 * np.pi, radius_m - 0.5 * width_m - 0.3 - KERB_M)[:-1])


def _arc(first_rad: float, last_rad: float, radius_m: float) -> Array:
    """Points on a circle about map's origin, counter-clockwise."""
    angles = np.linspace(first_rad, last_rad, max(2, int(np.ceil((last_rad - first_rad) / 0.05)) + 1))
    return radius_m * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _unit(step_2: Array) -> Array:
    return np.asarray(step_2 / np.linalg.norm(step_2))
