"""Scene in, timed trajectory out: find the route, the leads along it, and a speed for every moment of the horizon.

The way is the reference line of the route; the speed comes from a callable (IDM today), so that a learned policy can stand in
its place. The vehicle stops, and says why, when perception is not valid, when it left its route, or when there is no goal or
route; without odometry there is no plan at all, and the controller brakes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene, TrackedObject
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import Array, wrap_angle, yaw_of
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.planning.idm import (
    CAP_SPACING_M,
    STANDING_MPS,
    IdmParams,
    IdmSpeed,
    Lead,
    Situation,
    required_deceleration_mps2,
    speed_cap,
)
from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.planning.obstacles import FORECAST_STEP_S, CorridorParams, EgoOnLine, obstacle_leads, to_odom, trusted_velocity
from moe_bev_ros.planning.reference_line import ReferenceLine, straight_line
from moe_bev_ros.planning.route import RouteFile, corridor_ahead, route_along_lane, route_from_file, route_to_goal
from moe_bev_ros.planning.traffic_lights import TrafficLightMemory

SpeedPolicy = Callable[[Situation], Array]
"""From a situation to (T, 3): distance from here [m], speed [m/s], acceleration [m/s2], at equal steps of time."""

BEHIND_M = 12.0
PAST_LINE_M = 3.0
ENTERING_FRAMES = 2
URGENT_FRAMES = 2  # an emergency lasts to standstill; until it is confirmed, the plan brakes as hard as plans may
EASY_BRAKING_MPS2 = 1.0
LIGHT_OFFSET_M = 3.0
NO_POINTS = np.zeros((0, 7))
NO_GOAL = 'no goal; send /goal_pose or give route_path'


@dataclass(frozen=True)
class PlannerConfig:
    """What the planner may do.

    Attributes:
        light_keep_m: distance of the front bumper to a stop line.
        off_route_m: farther aside the vehicle has left its route.
        off_route_rad: turned farther away it has left its route.
        emergency_mps2: a lead that is certain and asks for more braking is an emergency.
        amber_mps2: one stops at an amber light when this much braking suffices.
        corridor_length_m: of the straight way where there is no map.
        drive_without_goal: without goal and route follow the lane, or the corridor; else stand and ask for one.
        stop_at_unknown_light: a light of the map whose state nobody tells is red; else one drives on, with a warning.
    """

    cruise_speed_mps: float = 10.0
    max_lateral_mps2: float = 2.0
    idm: IdmParams = field(default_factory=IdmParams)
    corridor: CorridorParams = field(default_factory=CorridorParams)
    vehicle: Vehicle = field(default_factory=Vehicle)
    light_keep_m: float = 1.0
    off_route_m: float = 3.0
    off_route_rad: float = 1.0
    emergency_mps2: float = 4.5
    amber_mps2: float = 3.0
    corridor_length_m: float = 2000.0
    drive_without_goal: bool = False
    stop_at_unknown_light: bool = True
    num_steps: int = 50
    step_s: float = 0.1


class Planner:
    """Plans frame by frame; remembers the route, where it is on it, and the traffic lights."""

    def __init__(
        self,
        config: PlannerConfig,
        graph: LaneGraph | None = None,
        route: RouteFile | None = None,
        speed_policy: SpeedPolicy | None = None,
    ) -> None:
        self.reconfigure(config, speed_policy)
        self._graph, self._route_file = graph, route
        self._goal: Array | None = None
        self._lights = TrafficLightMemory()
        self._entering: dict[float, dict[int, int]] = {}
        self._urgent_frames = 0
        self._seen_at: dict[int, Array] = {}
        self._line: ReferenceLine | None = None
        self._line_error = ''
        self._last_s: float | None = None

    def reconfigure(self, config: PlannerConfig, speed_policy: SpeedPolicy | None = None) -> None:
        """Take over other limits while driving; the route stays."""
        self.config = config
        self._idm = IdmSpeed(config.idm, config.num_steps, config.step_s)
        self._speed_policy = speed_policy or self._idm

    def set_graph(self, graph: LaneGraph) -> None:
        """Use another map from the next update on."""
        self._graph = graph
        self._drop_line()

    def set_goal(self, odom_se3_goal: Array) -> None:
        """Drive to a pose of base_link; the way is searched at the next update, and takes the place of a route file."""
        self._goal, self._route_file = odom_se3_goal, None
        self._drop_line()

    def drop_goal(self) -> None:
        """The goal's frame is gone."""
        self._goal = None
        self._drop_line()

    @property
    def has_map(self) -> bool:
        """Whether there is a lane graph."""
        return self._graph is not None

    def observe_lights(self, lights: tuple[TrafficLight, ...], now_s: float) -> None:
        """Take over the state of traffic lights, in the frame of the odometry."""
        self._lights.observe(lights, now_s)

    def forget(self) -> None:
        """Time jumped: drop lights and position, search the way anew. Map, goal and route file stay."""
        self._lights.forget()
        self._entering = {}
        self._urgent_frames = 0
        self._seen_at = {}
        self._drop_line()

    def update(self, scene: Scene, ego: EgoMotion | None, now_s: float) -> Plan:
        """Plan from the objects of one frame and the vehicle's motion at its stamp.

        Args:
            scene: objects in base_link.
            ego: pose and speed at the scene's stamp; None: not known.
            now_s: node time, for the age of traffic lights.

        Raises:
            InputError: an object is not finite.
        """
        if ego is None:
            return Plan(scene.stamp_ns, '', NO_POINTS, stop=True, reason='no odometry at the stamp of the objects')
        values_n9 = np.array([(*item.box_7, *item.velocity_2) for item in scene.objects]).reshape(-1, 9)
        if not np.isfinite(values_n9).all():
            broken = scene.objects[int(np.argmin(np.isfinite(values_n9).all(axis=1)))]
            raise InputError(f'object {broken.track_id} has a box or a velocity that is not finite')
        line, warnings, stop_reason = self._way(ego)
        if not scene.perception_valid:
            stop_reason = stop_reason or 'perception not valid'
        return self._plan(scene, ego, line, now_s, stop_reason, warnings)

    # The way -----------------------------------------------------------------------------------------------------------

    def _way(self, ego: EgoMotion) -> tuple[ReferenceLine, tuple[str, ...], str]:
        """The part of the route around the vehicle, warnings, and why it must stop (or nothing)."""
        xy, yaw = ego.odom_se3_base_link[:2, 3], yaw_of(ego.odom_se3_base_link)
        ahead = self._lookahead_m(ego.speed_mps)
        if self._goal is None and self._route_file is None and not self.config.drive_without_goal:
            self._drop_line()
            return straight_line(xy, yaw, ahead, ''), (NO_GOAL,), NO_GOAL
        if self._line is None and not self._line_error:
            self._search(ego)
        if self._line is None:
            return straight_line(xy, yaw, ahead, ''), (self._line_error,), 'no route'
        line = self._line
        if self._last_s is not None:
            line = line.window(self._last_s - BEHIND_M, self._last_s + ahead)
        s_1, d_1 = line.project(xy[None])
        offset = abs(float(d_1[0]))
        turned = abs(wrap_angle(yaw - float(np.interp(s_1[0], line.s_n, line.yaw_n))))
        self._last_s = float(s_1[0])
        if offset > self.config.off_route_m or turned > self.config.off_route_rad:
            limits = f'{self.config.off_route_m:.1f} m or {np.degrees(self.config.off_route_rad):.0f} degrees'
            text = f'off the route by more than {limits}; give a new goal'
            return straight_line(xy, yaw, ahead, ''), (text,), 'off the route'
        return self._line.window(self._last_s - BEHIND_M, self._last_s + ahead), self._line.warnings, ''

    def _search(self, ego: EgoMotion) -> None:
        pose, length = ego.odom_se3_base_link, self.config.corridor_length_m
        try:
            if self._route_file is not None:
                self._line = route_from_file(self._route_file, self._graph)
            elif self._graph is None:
                self._line = corridor_ahead(pose, length, self._goal)
            elif self._goal is not None:
                self._line = route_to_goal(self._graph, pose, self._goal)
            else:
                self._line = route_along_lane(self._graph, pose, length)
        except InputError as err:
            self._line_error = f'no route: {err}'

    def _drop_line(self) -> None:
        self._line, self._line_error, self._last_s = None, '', None

    def _lookahead_m(self, speed_mps: float) -> float:
        """As far as the vehicle may drive within the horizon, and stop from there."""
        speed = max(self.config.cruise_speed_mps, speed_mps)
        return speed * self.config.corridor.horizon_s + speed**2 / (2.0 * self.config.idm.deceleration_mps2) + 20.0

    # The speed ---------------------------------------------------------------------------------------------------------

    def _plan(
        self, scene: Scene, ego: EgoMotion, line: ReferenceLine, now_s: float, stop_reason: str, warnings: tuple[str, ...]
    ) -> Plan:
        c, speed = self.config, max(ego.speed_mps, 0.0)
        lights, light_warnings = self._light_leads(line, ego, now_s)
        objects = self._where_seen(scene.objects, ego.odom_se3_base_link)
        situation, leads = self._situation(line, ego, objects, lights, bool(stop_reason))
        s = float(line.project(ego.odom_se3_base_link[None, :2, 3])[0][0])
        rows_t3 = self._speed_policy(situation)
        points_t7 = self._points(rows_t3, line, s)
        urgent = any(lead.certain and required_deceleration_mps2(lead, speed) > c.emergency_mps2 for lead in leads)
        self._urgent_frames = self._urgent_frames + 1 if urgent and speed > 2 * STANDING_MPS else 0
        return Plan(
            stamp_ns=scene.stamp_ns,
            frame_id=ego.frame_id,
            points_t7=points_t7,
            stop=bool(rows_t3[-1, 1] < STANDING_MPS),
            emergency=self._urgent_frames >= URGENT_FRAMES,
            reason=stop_reason or self._reason(situation, line, s, rows_t3),
            warnings=(*warnings, *light_warnings),
        )

    def _situation(
        self,
        line: ReferenceLine,
        ego: EgoMotion,
        objects: tuple[TrackedObject, ...],
        lights: list[Lead],
        stop: bool,
        way: float = 0.0,
    ) -> tuple[Situation, tuple[Lead, ...]]:
        """What the choice of speed along a line depends on, and all leads on it.

        Args:
            way: lateral offset of the line, where several are looked at.
        """
        s_1, d_1 = line.project(ego.odom_se3_base_link[None, :2, 3])
        s, d, speed = float(s_1[0]), float(d_1[0]), max(ego.speed_mps, 0.0)
        cap_n = self._cap(line, s)
        on_line = EgoOnLine(ego.odom_se3_base_link, s, d, self._free_travel(Situation(speed, cap_n)))
        obstacles = self._lasting(obstacle_leads(objects, on_line, line, self.config.vehicle, self.config.corridor), way)
        leads = (*(lead for lead in obstacles if not can_wait(lead, speed)), *lights)
        return Situation(speed, cap_n, strictest(leads), stop=stop or self._arrived(line, s, speed)), leads

    def _where_seen(self, objects: tuple[TrackedObject, ...], odom_se3_base_link: Array) -> tuple[TrackedObject, ...]:
        """Put what is out of sight, and has no believable velocity, back to where it was last seen."""
        before, placed = self._seen_at, []
        self._seen_at = {}
        now_n2 = to_odom(np.array([item.box_7[:2] for item in objects], float).reshape(-1, 2), odom_se3_base_link)
        for item, now_2 in zip(objects, now_n2):
            at_2 = before.get(item.track_id, now_2) if item.missed else now_2
            if item.missed and not trusted_velocity(item, self.config.corridor).any():
                box_7 = item.box_7.copy()
                box_7[:2] = (at_2 - odom_se3_base_link[:2, 3]) @ odom_se3_base_link[:2, :2]
                item = replace(item, box_7=box_7)
            self._seen_at[item.track_id] = at_2
            placed.append(item)
        return tuple(placed)

    def _lasting(self, leads: list[Lead], way: float = 0.0) -> list[Lead]:
        """Leave out what has been foreseen to enter for fewer than ENTERING_FRAMES frames in a row: a flicker of the boxes.

        Args:
            way: lateral offset of the way that they are in; each way has a memory of its own.
        """
        before = self._entering.get(way, {})
        now = {lead.entering: before.get(lead.entering, 0) + 1 for lead in leads if lead.entering is not None}
        self._entering[way] = now
        return [lead for lead in leads if lead.entering is None or now[lead.entering] >= ENTERING_FRAMES]

    def _cap(self, line: ReferenceLine, s_m: float) -> Array:
        """(N,) allowed speed every CAP_SPACING_M from here to the end of the window [m/s]."""
        at_n = np.arange(s_m, max(line.s_n[-1], s_m) + CAP_SPACING_M, CAP_SPACING_M)
        limit_n = np.minimum(np.interp(at_n, line.s_n, line.speed_limit_n), self.config.cruise_speed_mps)
        if self._line is not None and line.s_n[-1] >= self._line.s_n[-1]:
            limit_n[at_n >= line.s_n[-1]] = 0.0
        curvature_n = np.interp(at_n, line.s_n, line.curvature_n)
        return speed_cap(
            limit_n,
            curvature_n,
            CAP_SPACING_M,
            lateral_mps2=self.config.max_lateral_mps2,
            braking_mps2=0.75 * self.config.idm.deceleration_mps2,
        )

    def _free_travel(self, free: Situation) -> Array:
        """(T,) distance every FORECAST_STEP_S if nothing stood in the way [m]."""
        travel_t = self._idm(free)[:, 0]
        times_t = np.arange(0.0, self.config.corridor.horizon_s + 1e-6, FORECAST_STEP_S)
        grid_t = self.config.step_s * np.arange(len(travel_t))
        last_mps = (travel_t[-1] - travel_t[-2]) / self.config.step_s
        return np.asarray(np.interp(times_t, grid_t, travel_t) + last_mps * np.maximum(times_t - grid_t[-1], 0.0), float)

    def _arrived(self, line: ReferenceLine, s_m: float, speed_mps: float) -> bool:
        at_end = self._line is not None and self._line.s_n[-1] - s_m < 1.0 and line.end != ''
        return at_end and speed_mps < 2.0

    def _points(self, rows_t3: Array, line: ReferenceLine, s_m: float) -> Array:
        s_t = np.minimum(s_m + rows_t3[:, 0], max(line.s_n[-1], s_m))
        xy_t2, yaw_t, curvature_t = line.at(s_t)
        times_t = self.config.step_s * np.arange(len(rows_t3))
        return np.column_stack([times_t, xy_t2, np.arctan2(np.sin(yaw_t), np.cos(yaw_t)), rows_t3[:, 1:], curvature_t])

    def _reason(self, situation: Situation, line: ReferenceLine, s_m: float, rows_t3: Array) -> str:
        """What keeps the vehicle from driving freely; empty: nothing does."""
        if situation.stop:
            return f'{line.end} reached'
        speed = situation.speed_mps
        slowing = [(self._idm.interaction_mps2(lead, speed, lead.gap_m), lead) for lead in situation.leads]
        braking, lead = min(slowing, key=lambda pair: pair[0], default=(0.0, None))
        standing = speed < STANDING_MPS and rows_t3[-1, 1] < STANDING_MPS
        if lead is not None and (braking < -0.5 * self.config.idm.acceleration_mps2 or standing):
            return f'{lead.what} {lead.gap_m:.1f} m ahead'
        if situation.cap_n[-1] == 0.0 and rows_t3[-1, 1] < 0.8 * self.config.cruise_speed_mps:
            return f'{line.end} {line.s_n[-1] - s_m:.1f} m ahead'
        return ''

    # Traffic lights ----------------------------------------------------------------------------------------------------

    @property
    def has_lights_ahead(self) -> bool:
        """Whether the map knows traffic lights on the rest of the route, so that their states must come."""
        here_m = self._last_s or 0.0
        return self._line is not None and any(light.s_m > here_m for light in self._line.lights)

    def _light_leads(self, line: ReferenceLine, ego: EgoMotion, now_s: float) -> tuple[list[Lead], list[str]]:
        """Leads at the stop lines of the lights on the way: those of the map by id, others by position."""
        s_1, _ = line.project(ego.odom_se3_base_link[None, :2, 3])
        front_s, speed = float(s_1[0]) + self.config.vehicle.front_m, max(ego.speed_mps, 0.0)
        self._drop_lights_behind(line, ego)
        leads, warnings = [], []
        for light in line.lights:
            if light.s_m > line.s_n[-1] or light.s_m - front_s <= -PAST_LINE_M:
                continue
            seen = self._lights.by_id(light.element_id, now_s)
            state, what = seen.state, f'{seen.state.name.lower()} light'
            if not seen.is_fresh:
                what = f'traffic light {light.element_id}: no state'
                warnings.append(what)
            if state is LightState.UNKNOWN and self.config.stop_at_unknown_light:
                state = LightState.RED
            leads += self._stop_at(light.s_m - front_s, state, speed, what)
        for reported, seen in self._lights.by_position(now_s):
            s_1, d_1 = line.project(np.array([reported.stop_xy_m]))
            gap = float(s_1[0]) - front_s
            if abs(float(d_1[0])) >= LIGHT_OFFSET_M:
                continue
            if seen.state is LightState.UNKNOWN and gap > 0.0:
                warnings.append('a traffic light ahead has never shown a known state; driving on')
            leads += self._stop_at(gap, seen.state, speed, f'{seen.state.name.lower()} light')
        if self._graph is None and self._lights.ids:
            warnings.append(f'traffic light {self._lights.ids[0]}: there is no map; send its stop_position with id 0')
        return leads, warnings

    def _drop_lights_behind(self, line: ReferenceLine, ego: EgoMotion) -> None:
        pose, ahead = ego.odom_se3_base_link, {light.element_id for light in line.lights}

        def is_wanted(light: TrafficLight) -> bool:
            if light.element_id:
                return self._graph is None or light.element_id in ahead
            return float((np.array(light.stop_xy_m) - pose[:2, 3]) @ pose[:2, 0]) > -BEHIND_M

        self._lights.keep(is_wanted)

    def _stop_at(self, gap_m: float, state: LightState, speed_mps: float, what: str) -> list[Lead]:
        """A line that is passed at speed lies behind; a vehicle that came to rest a little beyond it waits there."""
        if state not in (LightState.RED, LightState.AMBER):
            return []
        if gap_m <= 0.0:
            must_stop = gap_m > -PAST_LINE_M and speed_mps < 1.5
        else:
            must_stop = state is LightState.RED or speed_mps**2 / (2.0 * gap_m) <= self.config.amber_mps2
        return [Lead(max(gap_m, 0.0), 0.0, self.config.light_keep_m, what)] if must_stop else []


def can_wait(lead: Lead, speed_mps: float) -> bool:
    """Whether something new is so far away that another look costs nothing: most of it is gone in the next frame."""
    return lead.is_new and required_deceleration_mps2(lead, speed_mps, lead.keep_m) < EASY_BRAKING_MPS2


def strictest(leads: tuple[Lead, ...]) -> tuple[Lead, ...]:
    """Of everything that stands, what stops first is enough; of what moves, the nearest four."""
    standing = sorted((lead for lead in leads if lead.speed_mps < STANDING_MPS), key=lambda lead: lead.gap_m - lead.keep_m)
    moving = sorted((lead for lead in leads if lead.speed_mps >= STANDING_MPS), key=lambda lead: lead.gap_m)
    return (*standing[:1], *moving[:4])
