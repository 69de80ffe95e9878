"""All drivers of a simulation, in arrays: they decide at 10 Hz and move at every step.

A driver heeds whoever is ahead in its corridor (drivers, the ego, people, things), red lights, others where paths cross, its
path's speeds, and, where its path ends near the ego, that end.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.world.driver_model import IntelligentDriver, LaneChangeModel
from moe_bev_ros.world.lane_paths import LanePath, drawn_lanes, entry_lanes, lane_path
from moe_bev_ros.world.path_table import LanePathTable, with_side_ways
from moe_bev_ros.world.roles import BrakeHard, CutIn, StopAndGo, Traffic
from moe_bev_ros.world.traffic_kernels import find_leaders, find_yields

DECISION_S = 0.1
MARGIN_M = 0.2  # kept free on each side of a corridor
LOOK_S, LOOK_M = 5.0, 20.0  # how far one looks ahead
CHANGE_S = 3.5
CHANGE_EVERY = 10  # decisions between two looks for a better lane
STANDING_MPS = 0.3
AXLES = 0.3  # of the length, before and behind the middle
LIGHT_KEEP_M = 1.0
AMBER_BRAKING_MPS2 = 3.0
UNSEEN_M = 60.0  # nobody comes or goes nearer to the ego
ENTRY_ROOM_M = 15.0
ENTRIES_PER_LANE = 2
AWAY_M = 1e6  # where those are who have left
NOT_ON_A_PATH = -1


class Drivers:
    """The drivers of one run.

    Attributes:
        rows_n: row of each driver among all actors.
        poses_n3, speeds_n, yaw_rates_n: in map; who has left is AWAY_M from everything.
        generation_n: how often each has come in again, as somebody new.
    """

    def __init__(self, graph: LaneGraph, traffic: Traffic, rows_n: NDArray[np.int64], sizes_n2: Array, seed: int) -> None:
        self.roles, self.rows_n = traffic.drivers, rows_n
        self._rng = np.random.default_rng((seed, 77))
        self.model, self.mobil = IntelligentDriver(), LaneChangeModel()
        entries = _entry_ways(graph, self._rng) if traffic.returns else []
        ways = with_side_ways(graph, list(dict.fromkeys([traffic.ego_lanes, *(role.lanes for role in self.roles), *entries])))
        self.table = LanePathTable(graph, [lane_path(graph, lanes) for lanes in ways])
        self._entries = [self.table.index[lanes] for lanes in entries]
        num = len(self.roles)
        self.path_n = np.array([self.table.index[role.lanes] for role in self.roles], np.int64)
        self.s_n = np.array([role.start_m for role in self.roles], float)
        self.desired_n = np.array([role.desired_mps for role in self.roles], float)
        self.half_n2 = 0.5 * sizes_n2
        self.offset_n = np.array([role.offset_m for role in self.roles], float)
        self._shift_n, self._shift_left_n, self._shift_time_n = np.zeros(num), np.zeros(num), np.ones(num)
        self.speeds_n = np.minimum(self.desired_n, self.table.caps(self.path_n, self.s_n)) if num else np.zeros(0)
        self.accelerations_n, self._waited_n = np.zeros(num), np.zeros(num)
        self.gone_n, self.generation_n = np.zeros(num, np.bool_), np.zeros(num, np.int64)
        self._event_at_n = np.full(num, np.inf)
        self._decisions = 0
        self.yaw_rates_n = np.zeros(num)
        self.poses_n3 = self._poses()

    # Motion --------------------------------------------------------------------------------------------------------------

    def move(self, dt_s: float) -> None:
        """Go on with the accelerations that were decided."""
        later = np.maximum(0.0, self.speeds_n + self.accelerations_n * dt_s)
        self.s_n += 0.5 * (self.speeds_n + later) * dt_s
        self.speeds_n = later
        self._shift_left_n = np.maximum(0.0, self._shift_left_n - dt_s * (later > STANDING_MPS))
        before = self.poses_n3[:, 2]
        self.poses_n3 = self._poses()
        self.yaw_rates_n = ((self.poses_n3[:, 2] - before + np.pi) % (2 * np.pi) - np.pi) / dt_s

    def _poses(self) -> Array:
        """Middle of the two axles, which stand on the path."""
        reach, shift = 2 * AXLES * self.half_n2[:, 0], self._shift_now()
        front, rear = (self.table.at(self.path_n, self.s_n + side * reach, shift) for side in (1.0, -1.0))
        to_front = front[:, :2] - rear[:, :2]
        slope = np.arctan2(self._shift_rate(), np.maximum(self.speeds_n, 2.0))
        yaw = np.arctan2(to_front[:, 1], to_front[:, 0]) + slope
        poses = np.column_stack([0.5 * (front[:, :2] + rear[:, :2]), (yaw + np.pi) % (2 * np.pi) - np.pi])
        poses[self.gone_n, :2] = AWAY_M
        return poses

    def _shift_now(self) -> Array:
        left = self._shift_left_n / self._shift_time_n
        return np.asarray(self.offset_n + self._shift_n * left * left * (3.0 - 2.0 * left))

    def _shift_rate(self) -> Array:
        left = self._shift_left_n / self._shift_time_n
        return np.asarray(-self._shift_n * 6.0 * left * (1.0 - left) / self._shift_time_n * (self.speeds_n > STANDING_MPS))

    # Decisions -----------------------------------------------------------------------------------------------------------

    def decide(
        self, boxes_m7: Array, ego_on_path: tuple[float, float], lights: Mapping[int, LightState], time_s: float
    ) -> None:
        """Choose accelerations and lanes for the next DECISION_S.

        Args:
            boxes_m7: all actors in order, then the ego; see `traffic_kernels`.
            ego_on_path: distance along its way and offset of the ego [m].
            lights: by element id.
        """
        if not len(self.roles):
            return
        self._come_and_go(boxes_m7)
        leaders_n3 = self._leaders(boxes_m7)
        held_n, light_n = self._held_by_lights(lights)
        behind_standing = (leaders_n3[:, 1] < STANDING_MPS) & (leaders_n3[:, 0] < 3.5)
        held_n = np.minimum(held_n, np.where(behind_standing, self.s_n + self.half_n2[:, 0] + leaders_n3[:, 0], np.inf))
        yields_n2 = self._yields(boxes_m7, ego_on_path, held_n)
        ends_n = self._ends(boxes_m7[-1, :2])
        desired = self._desired(time_s)
        none_n = np.zeros(len(self.roles))
        options = [
            (leaders_n3[:, 0], leaders_n3[:, 1]),
            (light_n, none_n),
            (yields_n2[:, 0], yields_n2[:, 1]),
            (ends_n, none_n),
        ]
        chosen = [self.model.accelerations(self.speeds_n, desired, gaps, speeds) for gaps, speeds in options]
        self.accelerations_n = np.minimum.reduce(chosen)
        waits = (self.speeds_n < STANDING_MPS) & (yields_n2[:, 0] < 8.0)
        self._waited_n = np.where(waits, self._waited_n + DECISION_S, np.where(self.speeds_n > 2.0, 0.0, self._waited_n))
        self._play_events(boxes_m7, ego_on_path, time_s)
        self._change_lanes(boxes_m7, chosen[0])
        self._decisions += 1

    def _desired(self, time_s: float) -> Array:
        desired = np.minimum(self.desired_n, self.table.caps(self.path_n, self.s_n))
        for row, role in enumerate(self.roles):
            if isinstance(role.event, StopAndGo) and (time_s + role.event.phase_s) % role.event.period_s < role.event.stand_s:
                desired[row] = 0.2
        return desired

    def _leaders(self, boxes_m7: Array) -> Array:
        room = np.maximum(self.speeds_n, 3.0) * np.maximum(self._shift_left_n, 0.1)
        share = np.where(self._shift_left_n > 0.0, 1.0 / room, 0.0)
        half, look = self.half_n2, LOOK_M + LOOK_S * self.speeds_n
        ways = (self.path_n, self.s_n, half[:, 0], half[:, 1] + MARGIN_M)
        queries = np.column_stack([*ways, self._shift_now(), share, look, self.rows_n])
        leaders = np.empty((len(queries), 3))
        find_leaders(queries, *self._table_arrays, boxes_m7, leaders)
        return leaders

    @property
    def _table_arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Array, Array]:
        return self.table.bases_p, self.table.sizes_p, self.table.points_k2, self.table.yaws_k

    def _held_by_lights(self, lights: Mapping[int, LightState]) -> tuple[Array, Array]:
        """Where along the path a light holds each driver (inf: nowhere), and the gap to drive by."""
        held, gaps = np.full(len(self.roles), np.inf), np.full(len(self.roles), np.inf)
        for row, path in enumerate(self.path_n):
            front = self.s_n[row] + self.half_n2[row, 0]
            for element_id, stop_m in self.table.paths[path].stops:
                state, gap = lights.get(element_id, LightState.UNKNOWN), stop_m - front
                late = self.speeds_n[row] ** 2 > 2 * AMBER_BRAKING_MPS2 * max(gap, 0.1)
                stops = state is LightState.RED or (state is LightState.AMBER and not late)
                if stops and gap > -1.0 and stop_m < held[row]:
                    held[row], gaps[row] = stop_m, gap + self.model.standstill_gap_m - LIGHT_KEEP_M
        return held, gaps

    def _yields(self, boxes_m7: Array, ego_on_path: tuple[float, float], held_n: Array) -> Array:
        path = np.where(self.gone_n, NOT_ON_A_PATH, self.path_n)
        half, waited = self.half_n2[:, 0], self._waited_n
        movers = np.column_stack([path, self.s_n, half, self.speeds_n, np.maximum(self.desired_n, 1.0), waited, held_n])
        ego = boxes_m7[-1]
        ego_path = 0 if abs(ego_on_path[1]) < 3.0 else NOT_ON_A_PATH
        ego_row = (ego_path, ego_on_path[0], ego[4], ego[6], max(ego[6], 5.0), 0.0, np.inf)
        stops = np.empty((len(movers) + 1, 2))
        find_yields(np.vstack([movers, ego_row]), self.table.first_zone_p, self.table.zones_z8, stops)
        stops[:, 0] += np.where(stops[:, 1] == 0.0, 1.0, 0.0)  # one may stop nearer to a place than to somebody
        return stops[:-1]

    def _ends(self, ego_2: Array) -> Array:
        """Gap to the path's end where the ego would see one vanish."""
        rest = self.table.lengths_p[self.path_n] - self.s_n - self.half_n2[:, 0]
        ends = np.array([self.table.paths[path].points_n2[-1] for path in self.path_n])
        near = np.hypot(*(ends - ego_2).T) < UNSEEN_M + 15.0
        return np.where(near, np.maximum(rest, 0.0), np.inf)

    def _come_and_go(self, boxes_m7: Array) -> None:
        """Who reaches the end of its path leaves; who has left comes in where there is room and the ego does not see it."""
        ego_2 = boxes_m7[-1, :2]
        at_end = self.s_n > self.table.lengths_p[self.path_n] - 1.0
        unseen = np.hypot(*(self.poses_n3[:, :2] - ego_2).T) > UNSEEN_M
        self.gone_n |= at_end & unseen
        self.speeds_n[at_end] = 0.0
        for row in np.flatnonzero(self.gone_n):
            boxes_m7[self.rows_n[row], :2] = AWAY_M
            if self._entries:
                self._come_in(int(row), boxes_m7)

    def _come_in(self, row: int, boxes_m7: Array) -> None:
        path = self._entries[int(self._rng.integers(len(self._entries)))]
        s = float(self.half_n2[row, 0]) + 0.5
        place = self.table.paths[path].points_n2[int(2 * s)]
        away = np.hypot(boxes_m7[:, 0] - place[0], boxes_m7[:, 1] - place[1]) - boxes_m7[:, 4]
        if away.min() < ENTRY_ROOM_M + s or away[-1] < UNSEEN_M:
            return
        self.path_n[row], self.s_n[row] = path, s
        self.speeds_n[row] = 0.8 * min(self.desired_n[row], float(self.table.caps(self.path_n[[row]], self.s_n[[row]])[0]))
        self.gone_n[row] = False
        self.generation_n[row] += 1
        self._shift_left_n[row] = 0.0
        boxes_m7[self.rows_n[row], :2] = place

    # Events --------------------------------------------------------------------------------------------------------------

    def _play_events(self, boxes_m7: Array, ego_on_path: tuple[float, float], time_s: float) -> None:
        for row, role in enumerate(self.roles):
            event = role.event
            if isinstance(event, BrakeHard | CutIn) and not self.generation_n[row]:
                if not np.isfinite(self._event_at_n[row]) and self._is_due(row, event, boxes_m7, ego_on_path, time_s):
                    self._event_at_n[row] = time_s
                    if isinstance(event, CutIn):
                        self._cut_in(row, event)
                if isinstance(event, BrakeHard) and time_s - self._event_at_n[row] >= 0.0:
                    self._brake(row, event, time_s - self._event_at_n[row])

    def _is_due(
        self, row: int, event: BrakeHard | CutIn, boxes_m7: Array, ego_on_path: tuple[float, float], time_s: float
    ) -> bool:
        s, _ = self.ego_path.locate(*self.poses_n3[row, :2])
        gap = s - self.half_n2[row, 0] - ego_on_path[0] - boxes_m7[-1, 4]
        near = 0.0 < gap <= event.ego_gap_m if isinstance(event, BrakeHard) else event.ego_gap_m <= gap < event.ego_gap_m + 25.0
        return time_s >= event.after_s and near

    def _brake(self, row: int, event: BrakeHard, since_s: float) -> None:
        stands_s = self.desired_n[row] / event.braking_mps2 + event.hold_s
        if since_s < stands_s:
            self.accelerations_n[row] = min(self.accelerations_n[row], -event.braking_mps2)

    def _cut_in(self, row: int, event: CutIn) -> None:
        lanes = self.ego_path.lane_set
        for path, _ in self.table.beside(int(self.path_n[row]), float(self.s_n[row])):
            if self.table.paths[path].lanes[0] in lanes:
                self._start_change(row, path, event.change_s)
                self.desired_n[row] = event.then_mps

    @property
    def ego_path(self) -> LanePath:
        """The way that the ego is expected to take."""
        return self.table.paths[0]

    # Lane changes --------------------------------------------------------------------------------------------------------

    def _change_lanes(self, boxes_m7: Array, now_n: Array) -> None:
        """MOBIL, for a tenth of the drivers at a time."""
        wishes = []
        for row, role in enumerate(self.roles):
            turn = (row + self._decisions) % CHANGE_EVERY == 0
            free = turn and role.may_change and not self.gone_n[row] and self._shift_left_n[row] == 0.0
            if not free or self.speeds_n[row] < 2.0 or self.table.zone_ahead(int(self.path_n[row]), self.s_n[row], 40.0):
                continue
            wishes += [(row, path, right) for path, right in self.table.beside(int(self.path_n[row]), float(self.s_n[row]))]
        done: set[int] = set()
        for row, path, right in wishes:
            if not done and self._is_worth(row, path, right, boxes_m7, float(now_n[row])):
                self._start_change(row, path, CHANGE_S)
                done.add(row)

    def _is_worth(self, row: int, path: int, right: bool, boxes_m7: Array, now: float) -> bool:
        s, offset = self.table.paths[path].locate(*self.poses_n3[row, :2])
        if not 2.0 < abs(offset) < 5.0:
            return False
        rows, speed = self.rows_n[[row]], self.speeds_n[[row]]
        desired = np.minimum(self.desired_n[[row]], self.table.caps(self.path_n[[row]], self.s_n[[row]]))
        query = np.array([[path, s - 2.0, *self.half_n2[row] + (0.0, MARGIN_M), 0.0, 0.0, LOOK_M + LOOK_S * speed[0], rows[0]]])
        ahead = np.empty((1, 3))
        find_leaders(query, *self._table_arrays, boxes_m7, ahead)
        after = float(self.model.accelerations(speed, desired, ahead[:, 0] - 2.0, ahead[:, 1])[0])
        before_f, after_f = self._follower(row, path, s, boxes_m7)
        wants = self.mobil.wants(np.array([after - now]), np.array([before_f]), np.array([after_f]), np.array([right]))
        return bool(wants[0]) and ahead[0, 0] > 4.0

    def _follower(self, row: int, path: int, s: float, boxes_m7: Array) -> tuple[float, float]:
        """Acceleration of the one who would be behind, before and after; the ego and drivers on the other lane count."""
        way, best, speed = self.table.paths[path], np.inf, 0.0
        for index in np.flatnonzero(np.hypot(*(boxes_m7[:, :2] - self.poses_n3[row, :2]).T) < 50.0):
            other_s, other_offset = way.locate(*boxes_m7[index, :2])
            gap = s - other_s - self.half_n2[row, 0] - boxes_m7[index, 4]
            beside = index != self.rows_n[row] and abs(other_offset) < 2.4
            if beside and abs(other_s - s) < self.half_n2[row, 0] + boxes_m7[index, 4] + 1.5:
                return 0.0, -np.inf
            if index != self.rows_n[row] and abs(other_offset) < 1.8 and other_s < s + 1.0 and gap < best:
                best, speed = gap, float(boxes_m7[index, 6])
        own, desired = np.array([speed]), np.array([max(speed, 1.0) * 1.05])
        leader = self.speeds_n[[row]]
        free = float(self.model.accelerations(own, desired, np.array([np.inf]), leader)[0])
        return free, float(self.model.accelerations(own, desired, np.array([best]), leader)[0])

    def _start_change(self, row: int, path: int, seconds: float) -> None:
        s, offset = self.table.paths[path].locate(*self.poses_n3[row, :2])
        self.path_n[row], self.s_n[row] = path, s
        self._shift_n[row], self._shift_left_n[row], self._shift_time_n[row] = offset - self.offset_n[row], seconds, seconds


def _entry_ways(graph: LaneGraph, rng: np.random.Generator) -> list[tuple[int, ...]]:
    lanes = [lane_id for lane_id in entry_lanes(graph) for _ in range(ENTRIES_PER_LANE)]
    return [drawn_lanes(graph, lane_id, rng) for lane_id in lanes]
