"""What layouts are put together from: cross-sections, and a builder that collects lanes and surfaces.

A road lies along a reference curve between its two directions; ``station`` is the distance along it, ``offset`` the distance to
its left. Traffic keeps right, so the lanes that run along the curve have negative offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph, TrafficLightElement
from moe_bev_ros.planning.lanelet_map import centre_between
from moe_bev_ros.world.layout_curves import Curve, Pose
from moe_bev_ros.world.network import Area, Crossing, LineKind, PaintLine, RoadNetwork, Surface

FIRST_LANE_ID = 9001
FIRST_SIGNAL_ID = 7001
FOREGROUND_M = 2.0
KERB_M = 0.2
BAY_SPACING_M = 6.0
SPEEDS_KMH = (30, 50, 60)


@dataclass(frozen=True)
class SignalPlace:
    """Where a traffic light stands.

    Attributes:
        element_id: of the regulatory element of the lanes that obey it; 0: no lane of the map knows it.
        stop_xy: where the ego lane's centre line meets the stop line [m].
        x, y, yaw_rad: foot of the pole in map; yaw is the direction in which the lamps shine.
        group: lights of one group are green together; groups take turns.
    """

    element_id: int
    stop_xy: tuple[float, float]
    x: float
    y: float
    yaw_rad: float
    group: int = 0


@dataclass(frozen=True)
class Layout:
    """A road network with a way through it.

    Attributes:
        start_3, goal_3: x, y, yaw in map where the ego begins and where it shall go.
        places: x, y, yaw by name; `layouts` says which layout has which.
    """

    network: RoadNetwork
    start_3: Pose
    goal_3: Pose
    places: dict[str, Pose] = field(default_factory=dict)
    signals: tuple[SignalPlace, ...] = ()


@dataclass(frozen=True)
class Section:
    """What lies beside each other across a road.

    Attributes:
        forward, backward: lanes along the curve and against it.
        parking_m, pavement_m: widths on the right and on the left; 0: none.
    """

    forward: int = 1
    backward: int = 1
    lane_width_m: float = 3.5
    parking_m: tuple[float, float] = (2.4, 2.4)
    pavement_m: tuple[float, float] = (2.4, 2.4)
    speed_kmh: int = 30

    @property
    def edges_m(self) -> tuple[float, float]:
        """Offsets at which the lanes end on the right and on the left."""
        return -self.forward * self.lane_width_m, self.backward * self.lane_width_m

    @property
    def kerbs_m(self) -> tuple[float, float]:
        """Offsets of the kerbs where one parks."""
        return self.edges_m[0] - self.parking_m[0], self.edges_m[1] + self.parking_m[1]

    @property
    def walls_m(self) -> tuple[float, float]:
        """Offsets at which the pavements end."""
        return self.kerbs_m[0] - self.pavement_m[0], self.kerbs_m[1] + self.pavement_m[1]

    def lane_m(self, index: int) -> float:
        """Offset of the centre of the lane along the curve with this number, counted from the middle of the road."""
        return -(index + 0.5) * self.lane_width_m


@dataclass(frozen=True)
class Road:
    """A road that was built.

    Attributes:
        start_m, end_m: stations between which it lies.
        forward, backward: lane ids, from the middle of the road outwards.
    """

    curve: Curve
    section: Section
    start_m: float
    end_m: float
    forward: tuple[int, ...]
    backward: tuple[int, ...]

    def way_across(self, station_m: float, ego_offset_m: float, from_parking: bool = True) -> dict[str, Pose]:
        """Places of somebody who crosses: 'crossing' on the ego's lane, 'kerb' and 'kerb_far' at the ends."""
        right, left = self.section.kerbs_m if from_parking else self.section.edges_m
        return {
            'crossing': self.curve.pose(station_m, ego_offset_m),
            'kerb': self.curve.pose(station_m, right - 0.4, np.pi / 2),
            'kerb_far': self.curve.pose(station_m, left + 0.4, -np.pi / 2),
        }


@dataclass
class _Draft:
    """A lane that is not finished."""

    left_k2: Array
    right_k2: Array
    speed_kmh: float
    successors: list[int] = field(default_factory=list)
    left: int | None = None
    right: int | None = None
    lights: list[TrafficLightElement] = field(default_factory=list)


class NetworkBuilder:
    """Collects lanes, surfaces and paint, and makes a RoadNetwork of them."""

    def __init__(self) -> None:
        self.crossings: list[Crossing] = []
        self.walkways: list[Array] = []
        self.kerbsides: list[Array] = []
        self._islands: list[Area] = []
        self._areas: list[Area] = []
        self._lines: list[PaintLine] = []
        self._lanes: dict[int, _Draft] = {}

    def build(self) -> RoadNetwork:
        """The finished network."""
        lanes = {lane_id: _lane(lane_id, draft) for lane_id, draft in self._lanes.items()}
        borders = {lane_id: (draft.left_k2, draft.right_k2) for lane_id, draft in self._lanes.items()}
        areas = (*sorted(self._areas, key=lambda area: area.surface), *self._islands)
        extras = tuple(self.crossings), tuple(self.walkways), tuple(self.kerbsides)
        return RoadNetwork(LaneGraph(lanes), borders, areas, tuple(self._lines), *extras)

    def lane(
        self, left_k2: Array, right_k2: Array, speed_kmh: float, after: Sequence[int] = (), before: Sequence[int] = ()
    ) -> int:
        """Add a lane that follows some lanes and leads to others; returns its id."""
        lane_id = FIRST_LANE_ID + len(self._lanes)
        self._lanes[lane_id] = _Draft(left_k2, right_k2, speed_kmh, successors=list(before))
        for other in after:
            self._lanes[other].successors.append(lane_id)
        return lane_id

    def join(self, lane_id: int, successor: int) -> None:
        """Let one lane follow another."""
        self._lanes[lane_id].successors.append(successor)

    def beside(self, left_id: int, right_id: int) -> None:
        """Let one change between two lanes."""
        self._lanes[left_id].right, self._lanes[right_id].left = right_id, left_id

    def borders(self, lane_id: int) -> tuple[Array, Array]:
        """Left and right border of a lane, in its direction."""
        return self._lanes[lane_id].left_k2, self._lanes[lane_id].right_k2

    def speed_kmh(self, lane_id: int) -> float:
        """Speed limit of a lane."""
        return self._lanes[lane_id].speed_kmh

    def obey(self, lane_id: int, element_id: int, stop_xy: tuple[float, float]) -> None:
        """Let a lane obey a traffic light."""
        self._lanes[lane_id].lights.append(TrafficLightElement(element_id, np.array(stop_xy)))

    def area(self, surface: Surface, outline_n2: Array) -> None:
        """Add a surface; those with a higher number cover the others."""
        self._areas.append(Area(surface, outline_n2))

    def island(self, surface: Surface, outline_n2: Array) -> None:
        """Add a surface that covers the asphalt, and the islands before it."""
        self._islands.append(Area(surface, outline_n2))

    def line(self, kind: LineKind, points_n2: Array, width_m: float = 0.12) -> None:
        """Add a painted line."""
        self._lines.append(PaintLine(kind, points_n2, width_m))

    def road(
        self, curve: Curve, section: Section, start_m: float = 0.0, end_m: float | None = None,
        parking: tuple[float, float] | None = None, walk: bool = True, right_line: LineKind = LineKind.SOLID,
    ) -> Road:  # fmt: skip
        """Add a road with everything beside it.

        Args:
            parking: stations between which one may park; None: everywhere.
            walk: whether to add the walkways.
            right_line: how the right edge is painted.
        """
        end_m = curve.length_m if end_m is None else end_m
        stations = curve.samples(start_m, end_m)
        width, speed = section.lane_width_m, section.speed_kmh
        forward, backward = [], []
        for index in range(section.forward):
            left, right = (curve.points(stations, -(index + side) * width) for side in (0, 1))
            forward.append(self.lane(left, right, speed))
        for index in range(section.backward):
            left, right = (curve.points(stations[::-1], (index + side) * width) for side in (0, 1))
            backward.append(self.lane(left, right, speed))
        for ids in (forward, backward):
            for inner, outer in pairwise(ids):
                self.beside(inner, outer)
        self._surfaces(curve, section, start_m, end_m, parking or (start_m, end_m))
        self._dividers(curve, section, start_m, end_m, right_line)
        if walk:
            self._walks(curve, section, start_m, end_m)
        return Road(curve, section, start_m, end_m, tuple(forward), tuple(backward))

    def _surfaces(self, curve: Curve, section: Section, start_m: float, end_m: float, parking: tuple[float, float]) -> None:
        """Pavement, kerb, parking strips and asphalt, and the lines along which one parks."""
        (right_wall, left_wall), (right_edge, left_edge) = section.walls_m, section.edges_m
        strip = curve.strip
        self.area(Surface.FOREGROUND, strip(start_m, end_m, right_wall - FOREGROUND_M, left_wall + FOREGROUND_M))
        self.area(Surface.PAVEMENT, strip(start_m, end_m, right_wall, left_wall))
        self.area(Surface.KERB, strip(start_m, end_m, right_edge - KERB_M, left_edge + KERB_M))
        self.area(Surface.ASPHALT, strip(start_m, end_m, right_edge, left_edge))
        for side, edge, kerb in zip((-1, 1), section.edges_m, section.kerbs_m):
            if kerb != edge and parking[1] - parking[0] >= BAY_SPACING_M:
                self._bays(curve, edge, kerb, side, *parking)

    def _walks(self, curve: Curve, section: Section, start_m: float, end_m: float) -> None:
        for kerb, wall in zip(section.kerbs_m, section.walls_m):
            if wall != kerb:
                self.walkways.append(curve.points(curve.samples(start_m, end_m), 0.5 * (kerb + wall)))

    def _bays(self, curve: Curve, edge_m: float, kerb_m: float, side: int, start_m: float, end_m: float) -> None:
        low, high = min(edge_m, kerb_m), max(edge_m, kerb_m)
        self.area(Surface.KERB, curve.strip(start_m, end_m, low - KERB_M, high + KERB_M))
        self.area(Surface.PARKING, curve.strip(start_m, end_m, low, high))
        for station in np.arange(start_m, end_m, BAY_SPACING_M):
            ends = [curve.points(np.array([station + 0.05]), offset)[0] for offset in (low, high)]
            self.line(LineKind.BAY, np.array(ends), 0.1)
        middle = 0.5 * (edge_m + kerb_m) + side * 0.1
        kerbside = curve.points(curve.samples(start_m, end_m), middle)
        self.kerbsides.append(kerbside if side < 0 else kerbside[::-1])

    def _dividers(self, curve: Curve, section: Section, start_m: float, end_m: float, right_line: LineKind) -> None:
        """Solid at the edges, dashed between lanes, and between the directions solid where the road has several lanes."""
        stations = curve.samples(start_m, end_m)
        for index in range(-section.forward, section.backward + 1):
            edge = index in (-section.forward, section.backward)
            solid = edge or (index == 0 and section.forward + section.backward > 2)
            kind = LineKind.SOLID if solid else LineKind.DASHED
            kind = right_line if index == -section.forward else kind
            self.line(kind, curve.points(stations, index * section.lane_width_m), 0.12 if solid else 0.14)

    def stop_line(self, road: Road, station_m: float) -> None:
        """Paint a stop line across the lanes along the curve; it ends at the station."""
        right, left = road.section.edges_m[0], 0.0
        points = np.concatenate([road.curve.points(np.array([station_m - 0.2]), offset) for offset in (right, left)])
        self.line(LineKind.STOP, points, 0.4)

    def zebra(self, road: Road, station_m: float, ego_offset_m: float, from_parking: bool = True) -> dict[str, Pose]:
        """Paint a crossing; returns the places of `Road.way_across`."""
        right, left = road.section.kerbs_m if from_parking else road.section.edges_m
        ends = [road.curve.points(np.array([station_m]), offset)[0] for offset in (right, left)]
        self.crossings.append(Crossing(ends[0], ends[1]))
        return road.way_across(station_m, ego_offset_m, from_parking)


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


def _lane(lane_id: int, draft: _Draft) -> Lane:
    left_k3, right_k3 = (np.column_stack([line, np.zeros(len(line))]) for line in (draft.left_k2, draft.right_k2))
    return Lane(
        lane_id,
        centre_between(left_k3, right_k3, lane_id),
        draft.speed_kmh / 3.6,
        tuple(draft.successors),
        draft.left,
        draft.right,
        tuple(draft.lights),
    )
