"""Lanes as plain values, and the shortest way through them.

A lane is one Lanelet2 lanelet. The graph knows nothing of lanelet2, so that it can be made from any source and tested alone;
`lanelet_map.py` makes it from a file. Search is Dijkstra's algorithm over lane lengths.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array

LANE_CHANGE_COST_M = 50.0  # a lane change must save this much way
NEAREST_MAX_M = 10.0


@dataclass(frozen=True)
class TrafficLightElement:
    """A traffic light of the map.

    Attributes:
        element_id: Lanelet2 id of the regulatory element.
        stop_xy_2: where the lane's centre line meets the stop line, in the map frame [m].
    """

    element_id: int
    stop_xy_2: Array


@dataclass(frozen=True)
class Lane:
    """One lane, driven from the first to the last point; all coordinates in the map frame [m].

    Attributes:
        centre_m3: (M, 3) centre line.
        successors: ids of the lanes that begin where this one ends.
        left: id of the neighbour that one may change to; None: there is none.
    """

    lane_id: int
    centre_m3: Array
    speed_limit_mps: float
    successors: tuple[int, ...] = ()
    left: int | None = None
    right: int | None = None
    traffic_lights: tuple[TrafficLightElement, ...] = ()

    def __post_init__(self) -> None:
        if self.centre_m3.ndim != 2 or self.centre_m3.shape[1] != 3 or len(self.centre_m3) < 2:
            raise ValueError(f'lane {self.lane_id}: centre_m3 must be (>= 2, 3), got {self.centre_m3.shape}')

    @property
    def length_m(self) -> float:
        """Length of the centre line."""
        return float(np.linalg.norm(np.diff(self.centre_m3[:, :2], axis=0), axis=1).sum())


@dataclass(frozen=True)
class LaneGraph:
    """All lanes of a map that a car may use.

    Attributes:
        lanes: by id.
        warnings: what could not be read from the map.
    """

    lanes: dict[int, Lane]
    warnings: tuple[str, ...] = ()
    _samples: tuple[Array, Array, Array] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Collect the middle, direction and owner of every piece of centre line, for ``nearest``."""
        middles, yaws, owners = [], [], []
        for lane in self.lanes.values():
            points = resample(lane.centre_m3[:, :2], 2.0)
            steps = np.diff(points, axis=0)
            middles.append(points[:-1] + 0.5 * steps)
            yaws.append(np.arctan2(steps[:, 1], steps[:, 0]))
            owners.append(np.full(len(steps), lane.lane_id))
        samples = (np.concatenate(middles), np.concatenate(yaws), np.concatenate(owners)) if middles else _NO_SAMPLES
        object.__setattr__(self, '_samples', samples)

    def nearest(self, xy_2: Array, yaw_rad: float | None = None) -> int:
        """Id of the lane whose centre line is nearest; with a heading, only lanes within 60 degrees of it.

        Raises:
            InputError: there is none within NEAREST_MAX_M.
        """
        middles_p2, yaws_p, owners_p = self._samples
        distances = np.hypot(*(middles_p2 - xy_2).T)
        if yaw_rad is not None:
            distances = np.where(np.cos(yaws_p - yaw_rad) > 0.5, distances, np.inf)
        best = int(np.argmin(distances)) if len(distances) else -1
        if best < 0 or not distances[best] <= NEAREST_MAX_M:
            x, y = float(xy_2[0]), float(xy_2[1])
            raise InputError(f'no lane within {NEAREST_MAX_M:.0f} m of ({x:.1f}, {y:.1f}); check the map origin and the pose')
        return int(owners_p[best])

    def shortest_path(self, start_id: int, goal_id: int) -> tuple[int, ...]:
        """Ids of the lanes from start to goal, both included; a step is a successor or a lane change.

        Raises:
            InputError: a lane is not in the map, or the goal cannot be reached.
        """
        for lane_id in (start_id, goal_id):
            if lane_id not in self.lanes:
                raise InputError(f'lane {lane_id} is not in the map; use the id of a road lanelet')
        queue, costs, before = [(0.0, start_id)], {start_id: 0.0}, {start_id: start_id}
        while queue:
            cost, lane_id = heapq.heappop(queue)
            if lane_id == goal_id:
                return _walk_back(before, start_id, goal_id)
            if cost > costs[lane_id]:
                continue
            for next_id, step in self._steps(lane_id):
                if cost + step < costs.get(next_id, np.inf):
                    costs[next_id], before[next_id] = cost + step, lane_id
                    heapq.heappush(queue, (cost + step, next_id))
        raise InputError(f'no way from lane {start_id} to lane {goal_id}; choose another goal')

    def straightest_path(self, start_id: int, length_m: float) -> tuple[int, ...]:
        """Ids of the lanes that follow on with the least turning, until ``length_m`` or the map's end is reached."""
        path, driven = [start_id], 0.0
        while driven < length_m:
            lane = self.lanes[path[-1]]
            followers = [lane_id for lane_id in lane.successors if lane_id not in path]
            if not followers:
                break
            path.append(min(followers, key=lambda lane_id: abs(self._turn_rad(lane, self.lanes[lane_id]))))
            driven += self.lanes[path[-1]].length_m
        return tuple(path)

    def _steps(self, lane_id: int) -> list[tuple[int, float]]:
        lane = self.lanes[lane_id]
        steps = [(next_id, lane.length_m) for next_id in lane.successors]
        return steps + [(next_id, LANE_CHANGE_COST_M) for next_id in (lane.left, lane.right) if next_id is not None]

    @staticmethod
    def _turn_rad(lane: Lane, follower: Lane) -> float:
        end = lane.centre_m3[-1, :2] - lane.centre_m3[-2, :2]
        whole = follower.centre_m3[-1, :2] - follower.centre_m3[0, :2]
        return float(np.arctan2(end[0] * whole[1] - end[1] * whole[0], end @ whole))


def resample(points_kd: Array, spacing_m: float) -> Array:
    """Points at equal distances of about ``spacing_m`` along a polyline (K, D) -> (N >= 2, D); both ends are kept."""
    steps = np.linalg.norm(np.diff(points_kd[:, :2], axis=0), axis=1)
    keep = np.concatenate([[True], steps > 1e-6])
    s_k = np.concatenate([[0.0], np.cumsum(steps)])[keep]
    points_kd = points_kd[keep]
    if len(points_kd) < 2:
        raise InputError('a line needs two different points')
    s_n = np.linspace(0.0, s_k[-1], max(2, int(np.ceil(s_k[-1] / spacing_m)) + 1))
    return np.column_stack([np.interp(s_n, s_k, column) for column in points_kd.T])


_NO_SAMPLES = (np.zeros((0, 2)), np.zeros(0), np.zeros(0, int))


def _walk_back(before: dict[int, int], start_id: int, goal_id: int) -> tuple[int, ...]:
    path = [goal_id]
    while path[-1] != start_id:
        path.append(before[path[-1]])
    return tuple(reversed(path))
