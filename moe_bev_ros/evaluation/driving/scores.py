"""Scores of one closed-loop run, after nuPlan's closed-loop metrics (challenges 2 and 3 of 2023).

Source: motional/nuplan-devkit, docs/metrics_description.md and docs/nuplan_metrics_aggeregation.md, and the thresholds in
nuplan/planning/metrics/evaluation_metrics. The score of a run is a product of conditions (no collision at fault, drivable area,
driving direction, making progress) times a weighted mean (time to collision 5, progress 5, speed limit 4, comfort 2). All is
sampled at 10 Hz. Where this differs from nuPlan:

- Progress is compared with that of a reference run instead of a recorded human (`closed_loop`), along the route to the goal.
- There is no layer of intersections: the ego counts as in one where two lanes that are not connected lie under its rear axle.
- The drivable area is what is painted as asphalt or parking, and the lanes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from moe_bev_ros.core.footprints import corners_of, overlap
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.evaluation.driving.area import DriveArea
from moe_bev_ros.planning.reference_line import ReferenceLine

SAMPLE_S = 0.1
WEIGHTS = {'ttc': 5.0, 'progress': 5.0, 'speed_limit': 4.0, 'comfort': 2.0}
LEAST_TTC_S = 0.95
TTC_HORIZON_S = 3.0
EGO_STOPPED_MPS, TRACK_STOPPED_MPS, TTC_STOPPED_MPS = 0.05, 0.005, 0.005
AHEAD_RAD, BEHIND_RAD = np.radians(20.0), np.radians(150.0)
OFF_ROAD_M = 0.3
AGAINST_TRAFFIC_M = (2.0, 6.0)  # within a second: from here on half the score, from here on none
LEAST_PROGRESS = 0.2
PROGRESS_FLOOR_M = 0.1
OVERSPEED_MPS = 2.23
ON_ROUTE_M = 1.5
THINGS = (Label.TRAFFIC_CONE, Label.BARRIER, Label.UNKNOWN)
# Bounds of comfort; jerk is that of the acceleration's magnitude.
COMFORT = {
    'lon_acceleration': (-4.05, 2.40),
    'lat_acceleration': (-4.89, 4.89),
    'jerk': (-8.37, 8.37),
    'lon_jerk': (-4.13, 4.13),
    'yaw_rate': (-0.95, 0.95),
    'yaw_acceleration': (-1.93, 1.93),
}


@dataclass(frozen=True)
class Others:
    """All other road users at one sample, in map.

    Attributes:
        footprints_n5: x, y, length, width, yaw [m, rad].
        velocities_n2: [m/s].
    """

    ids_n: NDArray[np.int64]
    labels_n: NDArray[np.uint8]
    footprints_n5: Array
    velocities_n2: Array


@dataclass(frozen=True)
class DriveLog:
    """What happened, every SAMPLE_S.

    Attributes:
        poses_t3: x, y, yaw of base_link in map [m, rad].
        speeds_t: [m/s].
        accelerations_t: along the heading [m/s2].
        others: one a sample.
        size_2: length and width of the ego vehicle [m].
        centre_ahead_m: from base_link to the centre of the footprint.
        lights: with their states, one tuple a sample; empty: there are none.
    """

    poses_t3: Array
    speeds_t: Array
    accelerations_t: Array
    others: tuple[Others, ...]
    size_2: tuple[float, float]
    centre_ahead_m: float
    lights: tuple[tuple[TrafficLight, ...], ...] = ()

    def __post_init__(self) -> None:
        num = len(self.others)
        if num < 2 or not len(self.poses_t3) == len(self.speeds_t) == len(self.accelerations_t) == num:
            raise ValueError(f'a log needs two samples or more and one value of each kind a sample, got {num} samples')

    @property
    def footprints_t5(self) -> Array:
        """Of the ego."""
        x, y, yaw = self.poses_t3.T
        ahead, (length, width) = self.centre_ahead_m, self.size_2
        sizes_t2 = np.broadcast_to((length, width), (len(x), 2))
        return np.column_stack([x + ahead * np.cos(yaw), y + ahead * np.sin(yaw), sizes_t2, yaw])


class CollisionKind(Enum):
    """How the ego met another road user."""

    STOPPED_EGO = 'it ran into the standing ego'
    STOPPED_TRACK = 'the ego ran into what stood'
    REAR = 'it hit the ego from behind'
    FRONT = 'the ego hit it with its front'
    SIDE = 'they touched at their sides'


@dataclass(frozen=True)
class Collision:
    """The first contact with one road user."""

    sample: int
    track_id: int
    label: Label
    kind: CollisionKind
    at_fault: bool


@dataclass(frozen=True)
class DriveScore:
    """The parts of a run's score, each 0..1; `progress_share` and `total_score` need the reference run as well.

    Attributes:
        progress_m: along the route.
        least_ttc_s: infinite where nothing came nearer than TTC_HORIZON_S.
        uncomfortable: names of COMFORT that left their bounds.
        red_lights: stop lines that the front passed at red; nuPlan has no such term, so it is told and not scored.
    """

    collisions: tuple[Collision, ...]
    collision_score: float
    drivable: float
    direction: float
    ttc: float
    speed_limit: float
    comfort: float
    progress_m: float
    least_ttc_s: float
    uncomfortable: tuple[str, ...]
    red_lights: int


def score_drive(log: DriveLog, area: DriveArea, route: ReferenceLine) -> DriveScore:
    """All that one run shows by itself.

    Args:
        route: from the ego's start to its goal.
    """
    several_t = ~area.in_one_lane(corners_of(log.footprints_t5))
    collisions = find_collisions(log, several_t)
    ttc_t = times_to_collision(log, several_t | area.at_crossing_lanes(log.poses_t3[:, :2]), collisions)
    uncomfortable = comfort_breaches(log)
    along_t = along_route(log, route)
    return DriveScore(
        collisions=collisions,
        collision_score=collision_score(collisions),
        drivable=float(not area.off_road(corners_of(log.footprints_t5).reshape(-1, 2), OFF_ROAD_M).any()),
        direction=direction_score(log, area),
        ttc=float(ttc_t.min() >= LEAST_TTC_S),
        speed_limit=speed_limit_score(log, area),
        comfort=float(not uncomfortable),
        progress_m=min(float(along_t[-1]), float(route.s_n[-1])) - float(along_t[0]),
        least_ttc_s=float(ttc_t.min()),
        uncomfortable=uncomfortable,
        red_lights=red_lights_passed(log, along_t, route),
    )


def progress_share(ego_m: float, reference_m: float) -> float:
    """nuPlan's ratio of progress to that of the expert, 0..1."""
    if ego_m < -PROGRESS_FLOOR_M:
        return 0.0
    return min(1.0, max(ego_m, PROGRESS_FLOOR_M) / max(reference_m, PROGRESS_FLOOR_M))


def total_score(conditions: tuple[float, ...], *, ttc: float, progress: float, speed_limit: float, comfort: float) -> float:
    """Product of the conditions (collisions, drivable area, direction; making progress is one more) times the weighted mean."""
    terms = {'ttc': ttc, 'progress': progress, 'speed_limit': speed_limit, 'comfort': comfort}
    mean = sum(WEIGHTS[name] * value for name, value in terms.items()) / sum(WEIGHTS.values())
    return float(np.prod(conditions)) * float(progress >= LEAST_PROGRESS) * mean


def find_collisions(log: DriveLog, several_t: NDArray[np.bool_]) -> tuple[Collision, ...]:
    """The first contact with each road user.

    Args:
        several_t: (T,) whether the ego's footprint is not within one lane; only then is a contact at the sides its fault.
    """
    ego_t5, seen, result = log.footprints_t5, set[int](), []
    for sample, others in enumerate(log.others):
        for index in np.flatnonzero(overlap(ego_t5[sample], others.footprints_n5)):
            track_id = int(others.ids_n[index])
            if track_id in seen:
                continue
            seen.add(track_id)
            kind = _kind_of(log, sample, int(index))
            at_fault = kind in (CollisionKind.FRONT, CollisionKind.STOPPED_TRACK)
            at_fault |= kind is CollisionKind.SIDE and bool(several_t[sample])
            result.append(Collision(sample, track_id, Label(int(others.labels_n[index])), kind, at_fault))
    return tuple(result)


def _kind_of(log: DriveLog, sample: int, index: int) -> CollisionKind:
    others, pose_3 = log.others[sample], log.poses_t3[sample]
    if log.speeds_t[sample] <= EGO_STOPPED_MPS:
        return CollisionKind.STOPPED_EGO
    if np.hypot(*others.velocities_n2[index]) <= TRACK_STOPPED_MPS:
        return CollisionKind.STOPPED_TRACK
    if _bearings(pose_3, others.footprints_n5[index : index + 1])[0] > BEHIND_RAD:
        return CollisionKind.REAR
    x, y, length, width, yaw = log.footprints_t5[sample]
    bumper_5 = np.array([x + 0.5 * length * np.cos(yaw), y + 0.5 * length * np.sin(yaw), 1e-3, width, yaw])
    return CollisionKind.FRONT if overlap(bumper_5, others.footprints_n5[index]) else CollisionKind.SIDE


def _bearings(pose_3: Array, footprints_n5: Array) -> Array:
    """(N,) angle between the ego's heading and the way from its rear axle to each centre, 0..pi."""
    dx, dy = footprints_n5[:, 0] - pose_3[0], footprints_n5[:, 1] - pose_3[1]
    turn = np.arctan2(dy, dx) - pose_3[2]
    return np.asarray(np.abs(np.arctan2(np.sin(turn), np.cos(turn))), float)


def collision_score(collisions: tuple[Collision, ...]) -> float:
    """0 for a fault with a vehicle or a vulnerable road user, or with two things; 0.5 with one thing; else 1."""
    labels = [collision.label for collision in collisions if collision.at_fault]
    things = sum(label in THINGS for label in labels)
    return 0.0 if len(labels) > things else max(0.0, 1.0 - 0.5 * things)


def times_to_collision(log: DriveLog, sides_too_t: NDArray[np.bool_], collisions: tuple[Collision, ...]) -> Array:
    """(T,) time until the footprints would meet if all kept speed and heading [s]; 0 in a collision at fault, else at least
    SAMPLE_S; infinite beyond TTC_HORIZON_S.

    Args:
        sides_too_t: (T,) where road users beside the ego count too, and not only those ahead.
    """
    first_contact = {collision.track_id: collision.sample for collision in collisions}
    faults = {collision.sample for collision in collisions if collision.at_fault}
    ego_t5, result = log.footprints_t5, np.full(len(log.others), np.inf)
    times_k = SAMPLE_S * np.arange(1, round(TTC_HORIZON_S / SAMPLE_S))
    for sample, others in enumerate(log.others):
        if sample in faults:
            result[sample] = 0.0
        elif log.speeds_t[sample] > TTC_STOPPED_MPS and len(others.ids_n):
            touched_n = np.array([first_contact.get(int(track_id), sample + 1) <= sample for track_id in others.ids_n])
            limit = BEHIND_RAD if sides_too_t[sample] else AHEAD_RAD
            counts_n = ~touched_n & (_bearings(log.poses_t3[sample], others.footprints_n5) < limit)
            velocity_2 = log.speeds_t[sample] * _direction(ego_t5[sample, 4])
            meets_k = _meets(ego_t5[sample], velocity_2, others, counts_n, times_k)
            result[sample] = times_k[np.argmax(meets_k)] if meets_k.any() else np.inf
    return result


def _meets(ego_5: Array, velocity_2: Array, others: Others, counts_n: NDArray[np.bool_], times_k: Array) -> NDArray[np.bool_]:
    """(K,) whether the ego meets any of those who count at each time, all keeping their velocities."""
    closing_n2 = others.velocities_n2 - velocity_2
    reach_n = np.hypot(*closing_n2.T) * times_k[-1] + np.hypot(*others.footprints_n5[:, 2:4].T) + np.hypot(*ego_5[2:4])
    counts_n = counts_n & (np.hypot(*(others.footprints_n5[:, :2] - ego_5[:2]).T) < reach_n)
    moved_kn5 = np.broadcast_to(others.footprints_n5[counts_n], (len(times_k), int(counts_n.sum()), 5)).copy()
    moved_kn5[..., :2] += times_k[:, None, None] * closing_n2[counts_n]
    return np.asarray(overlap(ego_5, moved_kn5).any(axis=1))


def direction_score(log: DriveLog, area: DriveArea) -> float:
    """1 unless the ego has driven against the lanes' direction by AGAINST_TRAFFIC_M within a second."""
    steps_t2 = np.diff(log.poses_t3[:, :2], axis=0)
    along_t = area.along_lanes(log.poses_t3[1:], steps_t2)
    window = round(1.0 / SAMPLE_S)
    against = -min(float(along_t[max(0, end - window) : end].sum()) for end in range(1, len(along_t) + 1))
    half, none = AGAINST_TRAFFIC_M
    return 1.0 if against < half else 0.5 if against < none else 0.0


def speed_limit_score(log: DriveLog, area: DriveArea) -> float:
    """1 minus the mean speed above the limit, as a share of OVERSPEED_MPS; off the lanes there is no limit."""
    above_t = np.maximum(log.speeds_t - area.speed_limits(log.poses_t3[:, :2]), 0.0)
    duration_s = SAMPLE_S * (len(above_t) - 1)
    return max(0.0, 1.0 - float(above_t.sum()) * SAMPLE_S / (OVERSPEED_MPS * duration_s))


def comfort_breaches(log: DriveLog) -> tuple[str, ...]:
    """Names of COMFORT whose bounds were left; smoothed and derived by Savitzky-Golay filters as in nuPlan."""
    window = min(15, (len(log.speeds_t) - 1) // 2 * 2 + 1)
    yaw_t = np.unwrap(log.poses_t3[:, 2])
    lon_t = _filtered(log.accelerations_t, min(8, window), 2)
    lat_t = _filtered(log.speeds_t * _filtered(yaw_t, window, 2, 1), min(8, window), 2)
    values = {
        'lon_acceleration': lon_t,
        'lat_acceleration': lat_t,
        'jerk': _filtered(np.hypot(lon_t, lat_t), window, 2, 1),
        'lon_jerk': _filtered(lon_t, window, 2, 1),
        'yaw_rate': _filtered(yaw_t, window, 2, 1),
        'yaw_acceleration': _filtered(yaw_t, window, 3, 2),
    }
    return tuple(name for name, (low, high) in COMFORT.items() if not (low < values[name].min() and values[name].max() < high))


def _filtered(values_t: Array, window: int, order: int, derivative: int = 0) -> Array:
    order = min(order, window - 1)
    if derivative > order:
        return np.zeros_like(values_t)
    return np.asarray(savgol_filter(values_t, window, order, deriv=derivative, delta=SAMPLE_S), float)


def along_route(log: DriveLog, route: ReferenceLine) -> Array:
    """(T,) position of base_link along the route [m]; followed step by step, as a route may come near itself."""
    along = [float(route.project(log.poses_t3[:1, :2])[0][0])]
    for pose_3 in log.poses_t3[1:]:
        near = route.window(along[-1] - 5.0, along[-1] + 10.0)
        along.append(float(near.project(pose_3[None, :2])[0][0]))
    return np.array(along)


def red_lights_passed(log: DriveLog, along_t: Array, route: ReferenceLine) -> int:
    """Stop lines on the route that the front bumper passed while their light was red."""
    front_t = along_t + log.centre_ahead_m + 0.5 * log.size_2[0]
    count = 0
    for sample, lights in enumerate(log.lights[:-1]):
        red = [light.stop_xy_m for light in lights if light.state is LightState.RED]
        if red and front_t[sample + 1] > front_t[sample]:
            stops_s, stops_d = route.project(np.array(red))
            passed = (stops_s > front_t[sample]) & (stops_s <= front_t[sample + 1]) & (np.abs(stops_d) < ON_ROUTE_M)
            count += int(passed.sum())
    return count


def _direction(yaw_rad: float) -> Array:
    return np.array([np.cos(yaw_rad), np.sin(yaw_rad)])
