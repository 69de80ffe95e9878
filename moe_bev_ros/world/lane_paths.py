"""Ways through a lane graph as dense samples, and where two ways cross or merge.

A path is what one vehicle drives along. Everything is sampled every PATH_STEP_M, so that kernels find a place by division.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.idm import speed_cap
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph

PATH_STEP_M = 0.5
LATERAL_MPS2 = 2.2
BRAKING_MPS2 = 2.0
CONFLICT_M = 2.7  # two centre lines nearer than this cannot both be driven on
SMOOTH_M = 3.0  # headings are taken over this length
RANK_SECONDS_PER_RAD = 2.0  # how much later the straighter one may come and still go first
MAX_BIAS_S = 3.0


@dataclass(frozen=True)
class LanePath:
    """One way.

    Attributes:
        lanes: ids, each a successor of the one before.
        starts_k: (K,) where each lane begins along the path [m].
        points_n2, yaws_n: centre line and heading every PATH_STEP_M.
        caps_n: (N,) speed limit, lowered in and before curves [m/s].
        stops: element id and distance along the path of each traffic light's stop line.
    """

    lanes: tuple[int, ...]
    starts_k: Array
    points_n2: Array
    yaws_n: Array
    caps_n: Array
    stops: tuple[tuple[int, float], ...]

    @property
    def length_m(self) -> float:
        """Of the whole path."""
        return PATH_STEP_M * (len(self.points_n2) - 1)

    def pose(self, s_m: float, offset_m: float = 0.0) -> tuple[float, float, float]:
        """x, y, yaw at a distance along the path, ``offset_m`` to its left."""
        s_n = PATH_STEP_M * np.arange(len(self.points_n2))
        x, y = (float(np.interp(s_m, s_n, column)) for column in self.points_n2.T)
        yaw = float(np.interp(s_m, s_n, np.unwrap(self.yaws_n)))
        return x - offset_m * float(np.sin(yaw)), y + offset_m * float(np.cos(yaw)), yaw

    def locate(self, x: float, y: float) -> tuple[float, float]:
        """Distance along the path and offset to its left of a place near it."""
        away = np.hypot(self.points_n2[:, 0] - x, self.points_n2[:, 1] - y)
        k = int(np.argmin(away))
        cos, sin = np.cos(self.yaws_n[k]), np.sin(self.yaws_n[k])
        dx, dy = x - self.points_n2[k, 0], y - self.points_n2[k, 1]
        return float(PATH_STEP_M * k + dx * cos + dy * sin), float(dy * cos - dx * sin)

    def cap_mps(self, s_m: float) -> float:
        """Allowed at a distance along the path."""
        return float(self.caps_n[min(max(int(s_m / PATH_STEP_M), 0), len(self.caps_n) - 1)])

    @cached_property
    def lane_set(self) -> frozenset[int]:
        """Ids of its lanes."""
        return frozenset(self.lanes)


def lane_path(graph: LaneGraph, lanes: Sequence[int]) -> LanePath:
    """Sample the centre lines of successive lanes as one line."""
    parts, starts, total, stops = [], [], 0.0, []
    for lane_id in lanes:
        lane = graph.lanes[lane_id]
        starts.append(total)
        line = lane.centre_m3[:, :2]
        stops += [(light.element_id, total + arc_of(line, light.stop_xy_2)) for light in lane.traffic_lights]
        parts.append((line, np.full(len(line), lane.speed_limit_mps)))
        total += lane.length_m
    line = np.concatenate([part for part, _ in parts])
    limits = np.concatenate([limit for _, limit in parts])
    s_k = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    s_n = PATH_STEP_M * np.arange(max(2, int(s_k[-1] / PATH_STEP_M) + 1))
    points = np.column_stack([np.interp(s_n, s_k, column) for column in line.T])
    yaws = _headings(points)
    curvature = np.gradient(np.unwrap(yaws), PATH_STEP_M)
    caps = speed_cap(np.interp(s_n, s_k, limits), curvature, PATH_STEP_M, lateral_mps2=LATERAL_MPS2, braking_mps2=BRAKING_MPS2)
    return LanePath(tuple(lanes), np.array(starts), points, yaws, caps, tuple(stops))


def arc_of(line_k2: Array, xy_2: Array) -> float:
    """Distance along a polyline of its point nearest to a place."""
    starts, steps = line_k2[:-1], np.diff(line_k2, axis=0)
    lengths = np.maximum(np.linalg.norm(steps, axis=1), 1e-9)
    share = np.clip(((xy_2 - starts) * steps).sum(axis=1) / lengths**2, 0.0, 1.0)
    best = int(np.argmin(np.linalg.norm(starts + share[:, None] * steps - xy_2, axis=1)))
    return float(lengths[:best].sum() + share[best] * lengths[best])


def drawn_lanes(graph: LaneGraph, lane_id: int, rng: np.random.Generator, length_m: float = 600.0) -> tuple[int, ...]:
    """A lane and what follows it, every fork drawn; ends where the graph does, or after ``length_m``."""
    lanes, driven = [lane_id], graph.lanes[lane_id].length_m
    while driven < length_m and graph.lanes[lanes[-1]].successors:
        followers = graph.lanes[lanes[-1]].successors
        lanes.append(int(followers[int(rng.integers(len(followers)))]))
        driven += graph.lanes[lanes[-1]].length_m
    return tuple(lanes)


def entry_lanes(graph: LaneGraph) -> tuple[int, ...]:
    """Lanes that no lane leads to and none lies beside that goes on: where traffic enters the network."""
    reached = {follower for lane in graph.lanes.values() for follower in lane.successors}
    return tuple(lane_id for lane_id in graph.lanes if lane_id not in reached)


@dataclass(frozen=True)
class Conflict:
    """Where one lane may not be used while another is: arcs [m] along each, whether both end as one, and who waits.

    Attributes:
        bias_s: the other one goes first even if it comes this much later; negative: the other way round.
    """

    start_m: float
    end_m: float
    other_start_m: float
    other_end_m: float
    is_merge: bool
    bias_s: float


def lane_conflicts(graph: LaneGraph) -> dict[tuple[int, int], Conflict]:
    """By ordered pair of lane ids; each pair appears in both orders."""
    samples = {lane_id: _lane_samples(lane) for lane_id, lane in graph.lanes.items()}
    ranks = {lane_id: _rank(lane) for lane_id, lane in graph.lanes.items()}
    for lane_id in ring_lanes(graph):
        ranks[lane_id] = 0.0
    result: dict[tuple[int, int], Conflict] = {}
    for a in graph.lanes:
        for b in graph.lanes:
            if a < b and not _belong_together(graph.lanes[a], graph.lanes[b]):
                found = _conflict(samples[a], samples[b], ranks[a] - ranks[b])
                if found is not None:
                    result[a, b] = found
                    result[b, a] = Conflict(
                        found.other_start_m, found.other_end_m, found.start_m, found.end_m, found.is_merge, -found.bias_s
                    )
    return result


def _headings(points_n2: Array) -> Array:
    reach = max(1, min(int(SMOOTH_M / PATH_STEP_M / 2), (len(points_n2) - 1) // 2))
    ahead = np.concatenate([points_n2[reach:], np.repeat(points_n2[-1:], reach, axis=0)])
    behind = np.concatenate([np.repeat(points_n2[:1], reach, axis=0), points_n2[:-reach]])
    return np.asarray(np.arctan2(ahead[:, 1] - behind[:, 1], ahead[:, 0] - behind[:, 0]))


def _lane_samples(lane: Lane) -> Array:
    line = lane.centre_m3[:, :2]
    s_k = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    s_n = np.arange(0.0, s_k[-1] + 1e-6, 1.0)
    return np.column_stack([np.interp(s_n, s_k, line[:, 0]), np.interp(s_n, s_k, line[:, 1])])


def _rank(lane: Lane) -> float:
    """How much it turns [rad]; left turns, which cross more, count more."""
    steps = np.diff(lane.centre_m3[:, :2], axis=0)
    turns = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
    return float(np.abs(turns).sum() + 0.4 * max(0.0, turns.sum()))


def ring_lanes(graph: LaneGraph) -> set[int]:
    """Lanes from which one can come back to them: they circulate, and go first."""
    ring: set[int] = set()
    for start in graph.lanes:
        seen: set[int] = set()
        queue = list(graph.lanes[start].successors)
        while queue and start not in seen:
            lane_id = queue.pop()
            if lane_id not in seen:
                seen.add(lane_id)
                queue.extend(graph.lanes[lane_id].successors)
        if start in seen:
            ring.add(start)
    return ring


def _belong_together(a: Lane, b: Lane) -> bool:
    """One follows the other, they lie side by side, or they begin as one."""
    follows = b.lane_id in a.successors or a.lane_id in b.successors
    beside = b.lane_id in (a.left, a.right) or a.lane_id in (b.left, b.right)
    return follows or beside or bool(np.linalg.norm(a.centre_m3[0, :2] - b.centre_m3[0, :2]) < 1.0)


def _conflict(a_n2: Array, b_m2: Array, rank_difference: float) -> Conflict | None:
    low, high = np.maximum(a_n2.min(axis=0), b_m2.min(axis=0)), np.minimum(a_n2.max(axis=0), b_m2.max(axis=0))
    if (low > high + CONFLICT_M).any():
        return None
    near = np.linalg.norm(a_n2[:, None] - b_m2[None], axis=2) < CONFLICT_M
    if not near.any():
        return None
    on_a, on_b = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    merge = bool(np.linalg.norm(a_n2[-1] - b_m2[-1]) < 2.0)
    bias = float(np.clip(RANK_SECONDS_PER_RAD * rank_difference, -MAX_BIAS_S, MAX_BIAS_S))
    return Conflict(float(on_a[0]), float(on_a[-1]) + 1.0, float(on_b[0]), float(on_b[-1]) + 1.0, merge, bias)
