"""A road network as plain values: lanes to drive on, surfaces and paint to look at, and where people walk and park.

The lanes are those of `planning.lane_graph`, so that what the world drives on and what the planner reads are one type. Networks
come from the generator (`layouts`), from Lanelet2 files (`lanelet_files`) and from recorded tracks (`recorded_tracks`).
All coordinates are in map [m].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from scipy.spatial import cKDTree

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import LaneGraph


class Surface(IntEnum):
    """What the ground is made of; areas are painted in the order in which a network lists them."""

    GRASS = 0
    FOREGROUND = 1  # between pavement and houses
    PAVEMENT = 2
    KERB = 3
    PARKING = 4
    ASPHALT = 5


class LineKind(IntEnum):
    """How a line is painted."""

    SOLID = 0
    DASHED = 1
    STOP = 2
    BAY = 3  # between parking places


@dataclass(frozen=True)
class Area:
    """A closed outline, without repeating its first point."""

    surface: Surface
    outline_n2: Array


@dataclass(frozen=True)
class PaintLine:
    """A painted line; lane dividers are the SOLID and DASHED ones."""

    kind: LineKind
    points_n2: Array
    width_m: float = 0.12


@dataclass(frozen=True)
class Crossing:
    """A zebra crossing.

    Attributes:
        start_2, end_2: ends of the way that people walk, kerb to kerb.
        width_m: across the way.
    """

    start_2: Array
    end_2: Array
    width_m: float = 4.0


@dataclass(frozen=True)
class RoadNetwork:
    """Everything that lies on the ground.

    Attributes:
        graph: the lanes that vehicles drive on.
        borders: left and right border (K, 2) of each lane, by lane id, in the lane's direction.
        areas, lines: what is painted, in order.
        walkways: (K, 2) lines that people walk along, off the road.
        kerbsides: (K, 2) centre lines of parking strips, in the direction in which one parks there.
    """

    graph: LaneGraph
    borders: dict[int, tuple[Array, Array]]
    areas: tuple[Area, ...]
    lines: tuple[PaintLine, ...]
    crossings: tuple[Crossing, ...] = ()
    walkways: tuple[Array, ...] = ()
    kerbsides: tuple[Array, ...] = ()

    def box(self, margin_m: float = 0.0) -> tuple[float, float, float, float]:
        """x0, y0, x1, y1 around everything [m]."""
        outlines = [area.outline_n2 for area in self.areas] + [border for pair in self.borders.values() for border in pair]
        points = np.concatenate(outlines)
        (x0, y0), (x1, y1) = points.min(axis=0) - margin_m, points.max(axis=0) + margin_m
        return float(x0), float(y0), float(x1), float(y1)

    def around(self, way_n2: Array, reach_m: float) -> RoadNetwork:
        """What lies within ``reach_m`` of a way (N, 2), lanes and areas as a whole."""
        tree = cKDTree(way_n2)

        def is_near(points_k2: Array) -> bool:
            return bool(np.min(tree.query(points_k2[:, :2])[0]) < reach_m)

        kept = {lane_id for lane_id, lane in self.graph.lanes.items() if is_near(lane.centre_m3)}
        lanes = {
            lane_id: replace(
                lane,
                successors=tuple(follower for follower in lane.successors if follower in kept),
                left=lane.left if lane.left in kept else None,
                right=lane.right if lane.right in kept else None,
            )
            for lane_id, lane in self.graph.lanes.items()
            if lane_id in kept
        }
        return RoadNetwork(
            LaneGraph(lanes, self.graph.warnings),
            {lane_id: self.borders[lane_id] for lane_id in lanes},
            tuple(area for area in self.areas if is_near(area.outline_n2)),
            tuple(line for line in self.lines if is_near(line.points_n2)),
            tuple(crossing for crossing in self.crossings if is_near(np.stack([crossing.start_2, crossing.end_2]))),
            tuple(line for line in self.walkways if is_near(line)),
            tuple(line for line in self.kerbsides if is_near(line)),
        )
