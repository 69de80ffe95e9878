"""A rule planner after PDM-Closed: propose, simulate, score, take the best.

Dauner, Hallgarten, Geiger, Chitta, "Parting with Misconceptions about Learning-based Vehicle Motion Planning", CoRL 2023:
proposals are lateral offsets of the route times target speeds of the Intelligent Driver Model; each is simulated for 4 s
against forecasts of constant velocity, and scored by nuPlan's terms. Here as there: 3 offsets x 5 speeds, no collision at
fault and the drivable area as factors, time to collision 5, progress 5, comfort 2 as weights, and full braking where even the
best one collides within 2 s. What differs:

- The vehicle is simulated along its way, which leaves its present place and heading smoothly; no tracking controller.
- The speed limit binds every proposal, so it is not scored; nor is the driving direction, as 1 m aside stays in the lane.
- There is no map of the drivable area: it is LANE_HALF_M to both sides of all lanes' centre lines.
- Leads (with people about to enter, and traffic lights) are those of the IDM planner, found for each offset.
- A little is added for the middle of the lane and for the choice of before, against dithering.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moe_bev_ros.core.footprints import corners_of, footprints_of, overlap
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene, TrackedObject
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import Array, wrap_angle, yaw_of
from moe_bev_ros.planning.idm import STANDING_MPS, IdmSpeed, Situation
from moe_bev_ros.planning.lane_graph import LaneGraph, resample
from moe_bev_ros.planning.obstacles import CLEARANCE_ABOVE_M, to_odom, trusted_velocity
from moe_bev_ros.planning.planner import URGENT_FRAMES, Planner, PlannerConfig, SpeedPolicy
from moe_bev_ros.planning.reference_line import ReferenceLine
from moe_bev_ros.planning.route import RouteFile

OFFSETS_M = (0.0, -1.0, 1.0)
SPEED_SHARES = (1.0, 0.8, 0.6, 0.4, 0.2)
SIMULATED_S, STEP_S = 4.0, 0.2
SHIFT_S, LEAST_SHIFT_M, MOST_SHIFT_M = 2.0, 6.0, 30.0
REACH_M = 15.0
LANE_HALF_M, LANE_TOLERANCE_M, LANE_SAMPLE_M = 1.75, 0.1, 0.5
TTC_AHEAD_S = (0.3, 0.6, 0.9)
AHEAD_COS, BEHIND_COS = np.cos(np.radians(20.0)), np.cos(np.radians(150.0))
WEIGHTS = {'ttc': 5.0, 'progress': 5.0, 'comfort': 2.0}
LEAST_PROGRESS_M = 1.0  # of the best proposal; below, nobody can get on, and progress says nothing
MIDDLE_BONUS, SAME_BONUS = 0.03, 0.02  # the middle weighs more, or one would stay aside for ever
IMMINENT_S = 2.0
ACCELERATION_MPS2, JERK_MPS3, LATERAL_MPS2 = (-4.05, 2.40), 4.13, 4.89
NO_WAY_OUT = 'no proposal avoids a collision'


@dataclass(frozen=True)
class Simulated:
    """All proposals over time, in the odometry's frame; P proposals, T times.

    Attributes:
        footprints_pt5: of the ego.
        speeds_pt, accelerations_pt, curvatures_pt: along the way.
        travel_p: at the end [m].
    """

    footprints_pt5: Array
    speeds_pt: Array
    accelerations_pt: Array
    curvatures_pt: Array
    travel_p: Array


@dataclass(frozen=True)
class Forecasts:
    """Where N others will be, at constant velocity, in the odometry's frame."""

    footprints_tn5: Array
    velocities_n2: Array


class ProposalPlanner(Planner):
    """See the module."""

    def __init__(self, config: PlannerConfig, graph: LaneGraph | None = None, route: RouteFile | None = None) -> None:
        super().__init__(config, graph, route)
        self._lanes = _lane_tree(graph)
        self._before = 0  # index of the proposal that was taken

    def reconfigure(self, config: PlannerConfig, speed_policy: SpeedPolicy | None = None) -> None:
        """Take over other limits while driving; the route stays."""
        super().reconfigure(config, speed_policy)
        self._simulating = IdmSpeed(config.idm, round(SIMULATED_S / STEP_S), STEP_S)

    def set_graph(self, graph: LaneGraph) -> None:
        """Use another map from the next update on."""
        super().set_graph(graph)
        self._lanes = _lane_tree(graph)

    def _plan(
        self, scene: Scene, ego: EgoMotion, line: ReferenceLine, now_s: float, stop_reason: str, warnings: tuple[str, ...]
    ) -> Plan:
        speed = max(ego.speed_mps, 0.0)
        lights, light_warnings = self._light_leads(line, ego, now_s)
        objects = self._where_seen(scene.objects, ego.odom_se3_base_link)
        proposals = []
        for offset in OFFSETS_M:
            way = shifted(line, ego, offset)
            situation, _ = self._situation(way, ego, objects, lights, bool(stop_reason), offset)
            proposals += [(way, replace(situation, cap_n=share * situation.cap_n)) for share in SPEED_SHARES]
        self._before, collision_s = self._best(self._simulate(proposals, ego), self._forecasts(objects, ego))
        way, situation = proposals[self._before]
        imminent = collision_s <= IMMINENT_S and speed > 2 * STANDING_MPS
        self._urgent_frames = self._urgent_frames + 1 if imminent else 0
        rows_t3 = self._full_braking(speed) if imminent else self._speed_policy(situation)
        s = float(way.project(ego.odom_se3_base_link[None, :2, 3])[0][0])
        return Plan(
            stamp_ns=scene.stamp_ns,
            frame_id=ego.frame_id,
            points_t7=self._points(rows_t3, way, s),
            stop=bool(rows_t3[-1, 1] < STANDING_MPS),
            emergency=self._urgent_frames >= URGENT_FRAMES,
            reason=stop_reason or (NO_WAY_OUT if imminent else self._reason(situation, way, s, rows_t3)),
            warnings=(*warnings, *light_warnings),
        )

    def _full_braking(self, speed_mps: float) -> Array:
        """(T, 3) as `SpeedPolicy`."""
        times_t, hardest = self.config.step_s * np.arange(self.config.num_steps + 1), self.config.idm.max_deceleration_mps2
        braking_t = np.minimum(times_t, speed_mps / hardest)
        speeds_t = np.maximum(speed_mps - hardest * times_t, 0.0)
        return np.column_stack([speed_mps * braking_t - 0.5 * hardest * braking_t**2, speeds_t, -hardest * (speeds_t > 0.0)])

    def _simulate(self, proposals: list[tuple[ReferenceLine, Situation]], ego: EgoMotion) -> Simulated:
        vehicle, rows, places = self.config.vehicle, [], []
        ahead_m = 0.5 * vehicle.length_m - vehicle.rear_overhang_m
        for way, situation in proposals:
            rows_t3 = self._simulating(situation)
            s = float(way.project(ego.odom_se3_base_link[None, :2, 3])[0][0])
            xy_t2, yaw_t, curvature_t = way.at(s + rows_t3[:, 0])
            centre_t2 = xy_t2 + ahead_m * np.column_stack([np.cos(yaw_t), np.sin(yaw_t)])
            rows.append(rows_t3)
            places.append(np.column_stack([centre_t2, yaw_t, curvature_t]))
        rows_pt3, places_pt4 = np.stack(rows), np.stack(places)
        sizes_pt2 = np.broadcast_to((vehicle.length_m, vehicle.width_m), (*rows_pt3.shape[:2], 2))
        footprints_pt5 = np.concatenate([places_pt4[..., :2], sizes_pt2, places_pt4[..., 2:3]], axis=-1)
        return Simulated(footprints_pt5, rows_pt3[..., 1], rows_pt3[..., 2], places_pt4[..., 3], rows_pt3[:, -1, 0])

    def _forecasts(self, objects: tuple[TrackedObject, ...], ego: EgoMotion) -> Forecasts:
        """Of what is neither above the vehicle, nor out of its reach, nor in its own place."""
        pose, reach_m = ego.odom_se3_base_link, ego.speed_mps * SIMULATED_S + REACH_M
        times_t = STEP_S * np.arange(round(SIMULATED_S / STEP_S) + 1)
        low = [
            item for item in objects if item.box_7[2] - 0.5 * item.box_7[5] < self.config.vehicle.height_m + CLEARANCE_ABOVE_M
        ]
        velocities_n2 = np.array([trusted_velocity(item, self.config.corridor) for item in low]).reshape(-1, 2)
        boxes_n5 = footprints_of(np.array([item.box_7 for item in low]).reshape(-1, 7))
        reaches_n = np.hypot(*boxes_n5[:, :2].T) - np.hypot(*velocities_n2.T) * SIMULATED_S < reach_m
        vehicle = self.config.vehicle
        own_5 = np.array([0.5 * vehicle.length_m - vehicle.rear_overhang_m, 0.0, vehicle.length_m, vehicle.width_m, 0.0])
        counts_n = reaches_n & ~overlap(own_5, boxes_n5)
        boxes_n5, velocities_n2 = boxes_n5[counts_n], velocities_n2[counts_n] @ pose[:2, :2].T
        boxes_n5[:, :2] = to_odom(boxes_n5[:, :2], pose)
        boxes_n5[:, 4] += yaw_of(pose)
        footprints_tn5 = np.broadcast_to(boxes_n5, (len(times_t), *boxes_n5.shape)).copy()
        footprints_tn5[..., :2] += times_t[:, None, None] * velocities_n2
        return Forecasts(footprints_tn5, velocities_n2)

    # The score ---------------------------------------------------------------------------------------------------------

    def _best(self, simulated: Simulated, forecasts: Forecasts) -> tuple[int, float]:
        """Index of the best proposal, and when it collides [s]."""
        collision_p = collision_times(simulated, forecasts)
        free_p = ~np.isfinite(collision_p) & self._drivable(simulated)
        progress_p = np.ones(len(collision_p))
        farthest_m = simulated.travel_p[free_p].max(initial=0.0)
        if farthest_m >= LEAST_PROGRESS_M:
            progress_p = np.minimum(simulated.travel_p / farthest_m, 1.0)
        terms = {'ttc': keeps_time(simulated, forecasts), 'progress': progress_p, 'comfort': comfortable(simulated)}
        score_p = MIDDLE_BONUS * (np.arange(len(collision_p)) < len(SPEED_SHARES))
        for name, value_p in terms.items():
            score_p += WEIGHTS[name] / sum(WEIGHTS.values()) * value_p
        score_p[self._before] += SAME_BONUS
        if free_p.any():
            best = int(np.argmax(np.where(free_p, score_p, -1.0)))
        else:  # what collides last, and of those the best
            best = int(np.lexsort((-score_p, -collision_p))[0])
        return best, float(collision_p[best])

    def _drivable(self, simulated: Simulated) -> NDArray[np.bool_]:
        """(P,) whether the footprint stays on the lanes; true for all where there is no map, or where none does."""
        num = len(simulated.travel_p)
        if self._lanes is None:
            return np.ones(num, np.bool_)
        corners = corners_of(simulated.footprints_pt5).reshape(-1, 2)
        away, _ = self._lanes.query(corners, distance_upper_bound=LANE_HALF_M + LANE_TOLERANCE_M)
        inside_p = np.isfinite(away).reshape(num, -1).all(axis=1)
        return inside_p if inside_p.any() else ~inside_p


def shifted(line: ReferenceLine, ego: EgoMotion, offset_m: float) -> ReferenceLine:
    """A line beside another, approached from the vehicle's place and heading by a cubic; ``s`` stays that of the other."""
    s_1, d_1 = line.project(ego.odom_se3_base_link[None, :2, 3])
    s, d = float(s_1[0]), float(d_1[0])
    slope = np.tan(np.clip(wrap_angle(yaw_of(ego.odom_se3_base_link) - float(np.interp(s, line.s_n, line.yaw_n))), -1.0, 1.0))
    length_m = float(np.clip(SHIFT_S * ego.speed_mps, LEAST_SHIFT_M, MOST_SHIFT_M))
    share_n = np.clip((line.s_n - s) / length_m, 0.0, 1.0)
    to_target_n = share_n * share_n * (3.0 - 2.0 * share_n)
    d_n = d + (offset_m - d) * to_target_n + slope * length_m * share_n * (1.0 - share_n) ** 2
    d_n += slope * np.minimum(line.s_n - s, 0.0)
    xy_n2 = line.xy_n2 + d_n[:, None] * np.column_stack([-np.sin(line.yaw_n), np.cos(line.yaw_n)])
    way_n = np.concatenate([[0.0], np.cumsum(np.maximum(np.hypot(*np.diff(xy_n2, axis=0).T), 1e-3))])
    steps_n2 = np.gradient(xy_n2, way_n, axis=0)
    yaw_n = np.unwrap(np.arctan2(steps_n2[:, 1], steps_n2[:, 0]))
    return replace(line, xy_n2=xy_n2, yaw_n=yaw_n, curvature_n=np.gradient(yaw_n, way_n))


def collision_times(simulated: Simulated, forecasts: Forecasts) -> Array:
    """(P,) first time at which the moving ego meets somebody who is not behind it [s]; infinite: never."""
    ego_pt15, others_tn5 = simulated.footprints_pt5[:, :, None], forecasts.footprints_tn5
    meets_ptn = overlap(ego_pt15, others_tn5) & (simulated.speeds_pt > STANDING_MPS)[..., None]
    meets_ptn &= _bearing_cos(ego_pt15, others_tn5) > BEHIND_COS
    meets_pt = meets_ptn.any(axis=2)
    return np.where(meets_pt.any(axis=1), STEP_S * np.argmax(meets_pt, axis=1), np.inf)


def keeps_time(simulated: Simulated, forecasts: Forecasts) -> Array:
    """(P,) 1 where the ego never is within TTC_AHEAD_S of somebody ahead, both keeping speed and heading; else 0."""
    ego_pt15, others_tn5 = simulated.footprints_pt5[:, :, None], forecasts.footprints_tn5
    yaw_pt1, speed_pt1 = ego_pt15[..., 4], simulated.speeds_pt[..., None]
    reach_ptn = 0.5 * (ego_pt15[..., 2] + others_tn5[..., 2]) + TTC_AHEAD_S[-1] * (
        speed_pt1 + np.hypot(*forecasts.velocities_n2.T)
    )
    dx, dy = others_tn5[..., 0] - ego_pt15[..., 0], others_tn5[..., 1] - ego_pt15[..., 1]
    near_ptn = (dx * dx + dy * dy < (reach_ptn + 1.0) ** 2) & (_bearing_cos(ego_pt15, others_tn5) > AHEAD_COS)
    p, t, n = np.nonzero(near_ptn & (speed_pt1 > STANDING_MPS))
    ego_q5, other_q5 = simulated.footprints_pt5[p, t].copy(), others_tn5[t, n]
    heading_q2 = np.column_stack([np.cos(yaw_pt1[p, t, 0]), np.sin(yaw_pt1[p, t, 0])])
    closing_q2 = simulated.speeds_pt[p, t, None] * heading_q2 - forecasts.velocities_n2[n]
    result = np.ones(len(simulated.travel_p))
    for ahead_s, before_s in zip(TTC_AHEAD_S, (0.0, *TTC_AHEAD_S)):
        ego_q5[:, :2] += (ahead_s - before_s) * closing_q2
        result[p[overlap(ego_q5, other_q5)]] = 0.0
    return result


def comfortable(simulated: Simulated) -> Array:
    """(P,) 1 where accelerations and jerk stay within nuPlan's bounds of comfort, else 0."""
    low, high = ACCELERATION_MPS2
    fine_pt = (simulated.accelerations_pt > low) & (simulated.accelerations_pt < high)
    fine_pt &= np.abs(simulated.speeds_pt**2 * simulated.curvatures_pt) < LATERAL_MPS2
    fine_pt[:, 1:] &= np.abs(np.diff(simulated.accelerations_pt, axis=1)) < JERK_MPS3 * STEP_S
    return fine_pt.all(axis=1).astype(float)


def _bearing_cos(ego_5: Array, other_5: Array) -> Array:
    """Cosine of the angle between the ego's heading and the way to the other's centre."""
    dx, dy = other_5[..., 0] - ego_5[..., 0], other_5[..., 1] - ego_5[..., 1]
    yaw = ego_5[..., 4]
    return np.asarray((dx * np.cos(yaw) + dy * np.sin(yaw)) / np.maximum(np.hypot(dx, dy), 1e-6), float)


def _lane_tree(graph: LaneGraph | None) -> cKDTree | None:
    if graph is None or not graph.lanes:
        return None
    return cKDTree(np.vstack([resample(lane.centre_m3[:, :2], LANE_SAMPLE_M) for lane in graph.lanes.values()]))
