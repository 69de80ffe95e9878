"""All pedestrians of a simulation who move, in arrays: who walks to and fro, and who waits and crosses once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import resample
from moe_bev_ros.world.lane_paths import PATH_STEP_M, LanePath, arc_of
from moe_bev_ros.world.path_table import PathTable
from moe_bev_ros.world.roles import Crosser, Traffic, Walker
from moe_bev_ros.world.traffic_kernels import COS, HALF_LENGTH, SIN, SPEED, X, Y

YIELDING_EGO_M = 25.0
GAP_S, GAP_M = 1.5, 4.0  # kept to a vehicle that comes, when nobody is to be met
TOUCH_M = 1.3  # nobody walks into a vehicle that moves


class PeopleOnFoot:
    """The pedestrians of one run.

    Attributes:
        rows_n: row of each among all actors; those who walk first, then those who cross.
        poses_n3, speeds_n: in map.
    """

    def __init__(self, traffic: Traffic, rows_n: NDArray[np.int64], ego_path: LanePath) -> None:
        self.rows_n = rows_n
        self._crossers, self._first = traffic.crossers, len(traffic.walkers)
        roles: tuple[Walker | Crosser, ...] = (*traffic.walkers, *traffic.crossers)
        self._table = PathTable([_line(role.line_k2) for role in roles])
        self._line_n = np.arange(len(roles))
        self._ends_n = PATH_STEP_M * (self._table.sizes_p - 1.0)
        self._s_n = np.array([walker.start_m for walker in traffic.walkers] + [0.0] * len(traffic.crossers), float)
        self._way_n = np.array([walker.direction for walker in traffic.walkers] + [1] * len(traffic.crossers), float)
        self._pace_n = np.array([role.pace_mps for role in roles], float)
        self._offset_n = np.array([walker.offset_m for walker in traffic.walkers] + [0.0] * len(traffic.crossers), float)
        self._ego_path, self._meets_n2 = ego_path, [_meeting(role, ego_path) for role in traffic.crossers]
        self.speeds_n = np.concatenate([self._pace_n[: self._first], np.zeros(len(traffic.crossers))])
        self.poses_n3 = self._poses()

    def move(self, dt_s: float) -> None:
        """Walk on; turn round where a line ends."""
        self._s_n += self._way_n * self.speeds_n * dt_s
        walkers = slice(None, self._first)
        self._way_n[walkers] = np.where(self._s_n[walkers] <= 0.0, 1.0, self._way_n[walkers])
        self._way_n[walkers] = np.where(self._s_n[walkers] >= self._ends_n[walkers], -1.0, self._way_n[walkers])
        self._s_n = np.clip(self._s_n, 0.0, self._ends_n)
        self.poses_n3 = self._poses()

    def decide(self, boxes_m7: Array, ego_on_path: tuple[float, float]) -> None:
        """Who waits at a kerb starts; who has arrived stands; who would walk into something that moves waits."""
        moving = np.flatnonzero(boxes_m7[:, SPEED] > 0.5)
        moving = moving[boxes_m7[moving, HALF_LENGTH] > 0.6]
        vehicles, others_m7 = boxes_m7[moving], boxes_m7[moving[moving < len(boxes_m7) - 1]]
        self.speeds_n[: self._first] = self._pace_n[: self._first]
        for index, role in enumerate(self._crossers):
            row = self._first + index
            if self._s_n[row] >= self._ends_n[row] - 0.05:
                self.speeds_n[row] = 0.0
            elif self._s_n[row] == 0.0 and self.speeds_n[row] == 0.0:
                meets = self._meets(index, role, boxes_m7[-1], ego_on_path) if role.meets_ego else self._has_gap(row, vehicles)
                self.speeds_n[row] = role.pace_mps if meets else 0.0
            else:
                others = others_m7 if role.meets_ego else vehicles
                self.speeds_n[row] = 0.0 if self._would_touch(row, others) else role.pace_mps

    def _poses(self) -> Array:
        if not len(self._line_n):
            return np.zeros((0, 3))
        rows = self._table.at(self._line_n, self._s_n, self._offset_n)
        return np.column_stack([rows[:, :2], np.arctan2(self._way_n * rows[:, 3], self._way_n * rows[:, 2])])

    def _meets(self, index: int, role: Crosser, ego_7: Array, ego_on_path: tuple[float, float]) -> bool:
        ego_m, walk_m = self._meets_n2[index]
        distance = ego_m - ego_on_path[0] - ego_7[HALF_LENGTH]
        if distance < 0.0:
            return False
        waits_for_us = ego_7[SPEED] < 0.5 and distance < YIELDING_EGO_M
        return bool(waits_for_us or distance <= ego_7[SPEED] * walk_m / role.pace_mps)

    def _has_gap(self, row: int, vehicles_m7: Array) -> bool:
        """Nobody who comes would be there before one has crossed."""
        middle = self._table.at(self._line_n[[row]], 0.5 * self._ends_n[[row]], np.zeros(1))[0]
        to = middle[:2] - vehicles_m7[:, [X, Y]]
        along = to[:, 0] * vehicles_m7[:, COS] + to[:, 1] * vehicles_m7[:, SIN]
        reach = vehicles_m7[:, SPEED] * (self._ends_n[row] / self._pace_n[row] + GAP_S) + GAP_M + vehicles_m7[:, HALF_LENGTH]
        return not ((along > -3.0) & (np.hypot(*to.T) < reach + 0.5 * self._ends_n[row])).any()

    def _would_touch(self, row: int, vehicles_m7: Array) -> bool:
        x, y, yaw = self.poses_n3[row]
        x, y = x + TOUCH_M * np.cos(yaw), y + TOUCH_M * np.sin(yaw)
        dx, dy = x - vehicles_m7[:, X], y - vehicles_m7[:, Y]
        along = dx * vehicles_m7[:, COS] + dy * vehicles_m7[:, SIN]
        aside = np.abs(dy * vehicles_m7[:, COS] - dx * vehicles_m7[:, SIN])
        ahead = vehicles_m7[:, HALF_LENGTH] + vehicles_m7[:, SPEED] * 1.0
        return bool(((along > -vehicles_m7[:, HALF_LENGTH]) & (along < ahead) & (aside < 1.6)).any())


def _line(line_k2: Array) -> tuple[Array, Array]:
    points = resample(line_k2, PATH_STEP_M)
    s_k = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    s_n = PATH_STEP_M * np.arange(max(2, int(s_k[-1] / PATH_STEP_M) + 1))
    points = np.column_stack([np.interp(s_n, s_k, column) for column in points.T])
    steps = np.gradient(points, axis=0)
    return points, np.arctan2(steps[:, 1], steps[:, 0])


def _meeting(role: Crosser, ego_path: LanePath) -> tuple[float, float]:
    """Distances along the ego's way and along the crosser's line of the place where they come nearest."""
    line = resample(role.line_k2, 0.25)
    away = np.linalg.norm(line[:, None] - ego_path.points_n2[None], axis=2)
    on_line, on_path = np.unravel_index(int(np.argmin(away)), away.shape)
    return PATH_STEP_M * float(on_path), arc_of(role.line_k2, line[on_line])
