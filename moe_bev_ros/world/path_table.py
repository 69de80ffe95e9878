"""All paths of a simulation in one table that kernels and array code read, with the zones where they cross."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.world.lane_paths import PATH_STEP_M, Conflict, LanePath, lane_conflicts

CHANGE_ROOM_M = 40.0  # a lane that ends sooner is not worth a change
Rows = NDArray[np.int64]


class PathTable:
    """Samples of many lines, laid end to end.

    Attributes:
        points_k2, yaws_k, bases_p, sizes_p: see `traffic_kernels`.
    """

    def __init__(self, lines: Sequence[tuple[Array, Array]]) -> None:
        points, yaws = [line for line, _ in lines], [yaw for _, yaw in lines]
        self.points_k2 = np.ascontiguousarray(np.concatenate([np.zeros((0, 2)), *points]))
        self.yaws_k = np.concatenate([np.zeros(0), *yaws])
        self.sizes_p: Rows = np.array([len(line) for line in points], np.int64)
        self.bases_p: Rows = np.concatenate([[0], np.cumsum(self.sizes_p)[:-1]]).astype(np.int64)[: len(points)]
        self._columns_k4 = np.column_stack([self.points_k2, np.cos(self.yaws_k), np.sin(self.yaws_k)])

    def at(self, paths_n: Rows, s_n: Array, offsets_n: Array) -> Array:
        """(N, 4) x, y, cos, sin of places beside paths; beyond the ends the last sample counts."""
        position = np.clip(s_n / PATH_STEP_M, 0.0, self.sizes_p[paths_n] - 1.000001)
        index = position.astype(np.int64)
        share = (position - index)[:, None]
        index += self.bases_p[paths_n]
        row = self._columns_k4[index] * (1.0 - share) + self._columns_k4[index + 1] * share
        row[:, 0] -= offsets_n * row[:, 3]
        row[:, 1] += offsets_n * row[:, 2]
        return np.asarray(row)


class LanePathTable(PathTable):
    """Paths along lanes, with speeds, lights, crossings of paths, and the paths beside.

    Attributes:
        paths: in the table's order.
        first_zone_p, zones_z8: see `traffic_kernels.find_yields`.
    """

    def __init__(self, graph: LaneGraph, paths: Sequence[LanePath]) -> None:
        super().__init__([(path.points_n2, path.yaws_n) for path in paths])
        self.graph, self.paths = graph, tuple(paths)
        self.index = {path.lanes: row for row, path in enumerate(paths)}
        self.lengths_p = np.array([path.length_m for path in paths])
        self._caps_k = np.concatenate([path.caps_n for path in paths])
        self.first_zone_p, self.zones_z8 = _zones(paths, lane_conflicts(graph))

    def caps(self, paths_n: Rows, s_n: Array) -> Array:
        """(N,) speeds allowed at places [m/s]."""
        index = np.clip((s_n / PATH_STEP_M).astype(np.int64), 0, self.sizes_p[paths_n] - 1)
        return np.asarray(self._caps_k[self.bases_p[paths_n] + index])

    def zone_ahead(self, path: int, s_m: float, within_m: float) -> bool:
        """Whether paths cross on the next metres."""
        zones = self.zones_z8[self.first_zone_p[path] : self.first_zone_p[path + 1]]
        return bool(((zones[:, 2] < s_m + within_m) & (zones[:, 3] > s_m - 10.0)).any())

    def beside(self, path: int, s_m: float) -> list[tuple[int, bool]]:
        """Paths that one may change to from here, and whether that is to the right."""
        way = self.paths[path]
        place = max(0, int(np.searchsorted(way.starts_k, s_m, side='right')) - 1)
        lane = self.graph.lanes[way.lanes[place]]
        rest = way.starts_k[place] + lane.length_m - s_m
        if rest < CHANGE_ROOM_M:
            return []
        found = ((side_lanes(self.graph, way.lanes[place:], to_right), to_right) for to_right in (False, True))
        return [(self.index[lanes], to_right) for lanes, to_right in found if lanes in self.index]


def side_lanes(graph: LaneGraph, lanes: tuple[int, ...], to_right: bool) -> tuple[int, ...]:
    """The way beside the first of these lanes: like them where it can, else with the least turning; empty: there is none."""
    first = graph.lanes[lanes[0]].right if to_right else graph.lanes[lanes[0]].left
    if first is None:
        return ()
    way, wanted = [first], lanes[1:]
    for lane_id in wanted:
        lane = graph.lanes[lane_id]
        choices = [other for other in graph.lanes[way[-1]].successors if other in (lane_id, lane.left, lane.right)]
        if not choices:
            return (*way, *graph.straightest_path(way[-1], 300.0)[1:])
        way.append(choices[0])
    return tuple(way)


def with_side_ways(graph: LaneGraph, ways: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The ways, and all that one can change to from them, again and again."""
    known, queue = dict.fromkeys(ways), list(ways)
    while queue:
        lanes = queue.pop()
        for place in range(len(lanes)):
            for to_right in (False, True):
                side = side_lanes(graph, lanes[place:], to_right)
                if side and side not in known:
                    known[side] = None
                    queue.append(side)
    return list(known)


def _zones(paths: Sequence[LanePath], conflicts: dict[tuple[int, int], Conflict]) -> tuple[Rows, Array]:
    by_lane: dict[int, list[tuple[int, Conflict]]] = {}
    for (lane, other), conflict in conflicts.items():
        by_lane.setdefault(lane, []).append((other, conflict))
    users: dict[int, list[tuple[int, float]]] = {}
    for row, path in enumerate(paths):
        for lane_id, start in zip(path.lanes, path.starts_k):
            users.setdefault(lane_id, []).append((row, float(start)))
    rows: list[tuple[float, ...]] = []
    first = [0]
    for row, path in enumerate(paths):
        for lane_id, start in zip(path.lanes, path.starts_k):
            for other, found in by_lane.get(lane_id, ()):
                own = (start + found.start_m, start + found.end_m)
                rows += [
                    (row, user, *own, at + found.other_start_m, at + found.other_end_m, float(found.is_merge), found.bias_s)
                    for user, at in users.get(other, ())
                    if user != row
                ]
        first.append(len(rows))
    return np.array(first, np.int64), np.array(rows, np.float64).reshape(-1, 8)
