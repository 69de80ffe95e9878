"""Which objects stand, or will stand, in the way: footprints against the corridor that the vehicle sweeps.

The corridor is the vehicle's width and a margin on both sides of the reference line. A footprint, or its forecast, is clipped
to the corridor in the coordinates of the line, so that only the part inside counts: a wall along the road has none. Who is
inside now is a lead at once. Who enters later is a lead where the vehicle, if it drove on freely, would be there at that time,
give or take ``time_margin_s``; so it waits for those who cross before it, and not for those who cross behind it or far ahead.
Who on foot will be inside before anybody could stop is as certain as who is inside now: waiting for the first step into the
corridor would give away the metres that emergency braking needs. A vehicle's box often only seems to come.

Boxes around pieces of walls and hedges seem to move, mostly sideways and fast. So a velocity is believed only where it is well
measured and fits the class: what is longer than wide moves along its length; barriers, cones and what has no class are not
foreseen to enter the corridor, though they count where they are; and what is out of sight without such a velocity stays where
it was last seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.objects import Forecast, Label, TrackedObject
from moe_bev_ros.core.se3 import Array, yaw_of
from moe_bev_ros.planning.idm import Lead
from moe_bev_ros.planning.reference_line import ReferenceLine

FORECAST_STEP_S = 0.25
LEAST_SPEED_MPS = 0.4
SIGNIFICANT_SIGMA = 1.5  # a speed below this many standard deviations is taken for noise
LARGEST_SIGMA_MPS = 1.3
LONG_RATIO = 1.5
SAME_PLACE_M = 0.2
LONG_M = 1.2
ALONG_AXIS_COS = np.cos(np.radians(35.0))
IN_LANE_COS = np.cos(np.radians(20.0))
NOT_FORESEEN = (Label.UNKNOWN, Label.BARRIER, Label.TRAFFIC_CONE)
COMMITTED_S = 0.5  # who walks and would be in the corridor so soon can hardly stop outside any more
REMEMBERED_FRAMES = 3  # an unseen object other than a pedestrian is followed on its way no longer than this
CLEARANCE_ABOVE_M = 0.3
NEAR_M = 15.0
CORNERS_82 = np.array([(1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0)], float) / 2.0


@dataclass(frozen=True)
class CorridorParams:
    """How much room the vehicle takes.

    Attributes:
        margin_m: on each side of the vehicle.
        keep_m: distance to what one stops behind.
        horizon_s: how far forecasts are followed.
        time_margin_s: two users of one place must be this far apart in time.
        min_age: younger tracks [frames] have no speed that could be trusted; they count where they are.
    """

    margin_m: float = 0.3
    keep_m: float = 3.5
    horizon_s: float = 6.0
    time_margin_s: float = 1.0
    min_age: int = 3


@dataclass(frozen=True)
class EgoOnLine:
    """The vehicle on its line.

    Attributes:
        s_m: of base_link.
        d_m: of base_link, left positive.
        free_travel_t: (T,) distance it would drive if the road were free, every FORECAST_STEP_S [m].
    """

    odom_se3_base_link: Array
    s_m: float
    d_m: float
    free_travel_t: Array


def obstacle_leads(
    objects: tuple[TrackedObject, ...], ego: EgoOnLine, line: ReferenceLine, vehicle: Vehicle, params: CorridorParams
) -> list[Lead]:
    """All objects (in base_link) that the vehicle must stop for or follow."""
    leads = []
    for item in _relevant(objects, ego, line, vehicle, params):
        velocity_2 = _in_its_lane(item, trusted_velocity(item, params), ego, line)
        centres_t2 = _centres(item, velocity_2, len(ego.free_travel_t))
        span = _corridor_span(item, centres_t2, ego, line, vehicle, params)
        lead = _lead(item, span, velocity_2, ego, line, vehicle, params)
        if lead is not None:
            leads.append(lead)
    return leads


def _relevant(
    objects: tuple[TrackedObject, ...], ego: EgoOnLine, line: ReferenceLine, vehicle: Vehicle, params: CorridorParams
) -> list[TrackedObject]:
    """Leave out what hangs above the vehicle, and what cannot reach the corridor within the horizon."""
    if not objects:
        return []
    boxes_n7 = np.array([item.box_7 for item in objects], float)
    speeds_n = np.hypot(*np.array([item.velocity_2 for item in objects], float).T)
    low_n = boxes_n7[:, 2] - 0.5 * boxes_n7[:, 5] < vehicle.height_m + CLEARANCE_ABOVE_M
    xy_n2 = to_odom(boxes_n7[:, :2], ego.odom_se3_base_link)
    s_n, d_n = line.project(xy_n2)
    has_forecast_n = np.array([bool(item.forecasts) for item in objects])
    reach_n = 0.5 * np.hypot(boxes_n7[:, 3], boxes_n7[:, 4]) + np.where(has_forecast_n, 1.5, 1.0) * speeds_n * params.horizon_s
    half = 0.5 * vehicle.width_m + params.margin_m + abs(ego.d_m)
    front = ego.s_m + vehicle.front_m
    ahead_n = s_n + 0.5 * np.hypot(boxes_n7[:, 3], boxes_n7[:, 4]) > front
    near_n = (np.abs(d_n) - reach_n < half) & (s_n - reach_n < line.s_n[-1] + vehicle.front_m)
    return [objects[index] for index in np.flatnonzero(low_n & ahead_n & near_n)]


def trusted_velocity(item: TrackedObject, params: CorridorParams) -> Array:
    """The object's velocity in base_link's axes, or 0 where it may be noise."""
    velocity_2 = np.asarray(item.velocity_2, float)
    speed = float(np.hypot(*velocity_2))
    if not np.isfinite(speed) or speed < LEAST_SPEED_MPS or item.age < params.min_age:
        return np.zeros(2)
    direction_2 = velocity_2 / speed
    variance = float(direction_2 @ np.asarray(item.covariance_44, float)[2:, 2:] @ direction_2)
    sigma = float(np.sqrt(max(variance, 0.0)))
    forgotten = item.missed > REMEMBERED_FRAMES and item.label is not Label.PEDESTRIAN
    if sigma > LARGEST_SIGMA_MPS or speed < SIGNIFICANT_SIGMA * sigma or forgotten:
        return np.zeros(2)
    return _fit_for_shape(item, velocity_2)


def _fit_for_shape(item: TrackedObject, velocity_2: Array) -> Array:
    """Long things roll along their length: 0 where the velocity points elsewhere. Its direction stays that of the way
    that was covered, which is better known than the heading of a box of which two sides are seen at best."""
    length, width, yaw = (float(value) for value in item.box_7[[3, 4, 6]])
    if max(length, width) < LONG_M or max(length, width) < LONG_RATIO * min(length, width):
        return velocity_2
    axis = yaw if length >= width else yaw + 0.5 * np.pi
    along = float(velocity_2 @ (np.cos(axis), np.sin(axis)))
    return velocity_2 if abs(along) > ALONG_AXIS_COS * float(np.hypot(*velocity_2)) else np.zeros(2)


def _in_its_lane(item: TrackedObject, velocity_2: Array, ego: EgoOnLine, line: ReferenceLine) -> Array:
    """Oncoming vehicles are expected to stay in their lane: the little that they seem to move aside is noise.

    One that does come over counts from when its footprint is in the corridor, or when it is clearly turning.
    """
    if item.label is Label.PEDESTRIAN or not velocity_2.any():
        return velocity_2
    s_1, _ = line.project(to_odom(np.asarray(item.box_7[None, :2], float), ego.odom_se3_base_link))
    yaw = float(np.interp(s_1[0], line.s_n, line.yaw_n)) - yaw_of(ego.odom_se3_base_link)
    along_2 = np.array([np.cos(yaw), np.sin(yaw)])
    along = float(velocity_2 @ along_2)
    return along * along_2 if along < -IN_LANE_COS * float(np.hypot(*velocity_2)) else velocity_2


def _centres(item: TrackedObject, velocity_2: Array, num_steps: int) -> list[Array]:
    """Possible ways of the centre, each (T, 2) in base_link: the likely forecasts, or constant velocity; (1, 2) at rest."""
    now_2 = np.asarray(item.box_7[:2], float)
    if not velocity_2.any():
        return [now_2[None]]
    times_t = FORECAST_STEP_S * np.arange(num_steps)
    likely = [path for path in item.forecasts if path.probability >= 0.1 and not _is_constant_velocity(path, item)]
    if not likely:
        return [now_2 + times_t[:, None] * velocity_2]
    return [_resampled(now_2, np.asarray(path.positions_t2, float), path.time_step_s, times_t) for path in likely]


def _is_constant_velocity(path: Forecast, item: TrackedObject) -> bool:
    """Whether a forecast says no more than the velocity does."""
    end_s = path.time_step_s * len(path.positions_t2)
    straight_2 = item.box_7[:2] + end_s * item.velocity_2
    return not len(path.positions_t2) or bool(np.hypot(*(path.positions_t2[-1] - straight_2)) < SAME_PLACE_M)


def _resampled(now_2: Array, positions_p2: Array, step_s: float, times_t: Array) -> Array:
    """Positions at ``times_t``; the first given one is at ``step_s``; beyond the last it goes on at its last velocity."""
    known_p2 = np.vstack([now_2, positions_p2])
    times_p = step_s * np.arange(len(known_p2))
    last_2 = (known_p2[-1] - known_p2[-2]) / step_s
    beyond_t = np.maximum(times_t - times_p[-1], 0.0)
    inside_t2 = np.column_stack([np.interp(times_t, times_p, column) for column in known_p2.T])
    return np.asarray(inside_t2 + beyond_t[:, None] * last_2, float)


def _corridor_span(
    item: TrackedObject,
    ways: list[Array],
    ego: EgoOnLine,
    line: ReferenceLine,
    vehicle: Vehicle,
    params: CorridorParams,
) -> list[Array]:
    """For each way (T, 2): nearest and farthest position of the footprint inside the corridor, NaN while outside."""
    length, width, yaw = (float(value) for value in item.box_7[[3, 4, 6]])
    rotation = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    outline_82 = (CORNERS_82 * (length, width)) @ rotation.T
    spans = []
    for centres_t2 in ways:
        corners = to_odom((centres_t2[:, None] + outline_82).reshape(-1, 2), ego.odom_se3_base_link)
        s, d = (values.reshape(-1, 8) for values in line.project(corners))
        half = 0.5 * vehicle.width_m + params.margin_m
        near_t = s.min(axis=1) < ego.s_m + vehicle.front_m + NEAR_M  # on its way back to the line it sweeps the gap as well
        low_t = -half + np.where(near_t, min(ego.d_m, 0.0), 0.0)
        high_t = half + np.where(near_t, max(ego.d_m, 0.0), 0.0)
        spans.append(_clip(s, d, low_t[:, None], high_t[:, None]))
    return spans


def _clip(s_t8: Array, d_t8: Array, low_t1: Array, high_t1: Array) -> Array:
    """(T, 2) smallest and largest s of a closed outline within the strip ``low <= d <= high``; NaN without such a part."""
    s_next, d_next = np.roll(s_t8, -1, axis=1), np.roll(d_t8, -1, axis=1)
    step = d_next - d_t8
    step = np.where(np.abs(step) < 1e-9, 1e-9, step)
    first, second = (low_t1 - d_t8) / step, (high_t1 - d_t8) / step
    enter = np.clip(np.minimum(first, second), 0.0, 1.0)
    leave = np.clip(np.maximum(first, second), 0.0, 1.0)
    inside = (np.maximum(first, second) >= 0.0) & (np.minimum(first, second) <= 1.0)
    ends = np.stack([s_t8 + enter * (s_next - s_t8), s_t8 + leave * (s_next - s_t8)])
    nearest = np.where(inside, ends, np.inf).min(axis=(0, 2))
    farthest = np.where(inside, ends, -np.inf).max(axis=(0, 2))
    return np.where(np.isfinite(nearest)[:, None], np.column_stack([nearest, farthest]), np.nan)


def _lead(
    item: TrackedObject,
    spans: list[Array],
    velocity_2: Array,
    ego: EgoOnLine,
    line: ReferenceLine,
    vehicle: Vehicle,
    params: CorridorParams,
) -> Lead | None:
    """The strictest lead that the object makes, over all its ways."""
    front = ego.s_m + vehicle.front_m
    name = item.label.name.lower().replace('_', ' ')
    along = _along(velocity_2, spans[0], ego, line)
    now, is_sure = spans[0][0], item.missed == 0 and item.age >= params.min_age
    if np.isfinite(now[0]):
        if now[1] < front:
            return None
        kind = 'crossing ' if velocity_2.any() and along < 0.5 * float(np.hypot(*velocity_2)) else ''
        gap = max(float(now[0]) - front, 0.0)
        return Lead(gap, max(along, 0.0), params.keep_m, kind + name, certain=is_sure, is_new=item.age < params.min_age)
    if item.label in NOT_FORESEEN:
        return None
    nearest = min((_conflict(span, ego, vehicle, params, max(along, 0.0)) for span in spans), default=np.inf)
    if not np.isfinite(nearest):
        return None
    gap, certain = max(nearest - front, 0.0), is_sure and item.label is Label.PEDESTRIAN and _is_committed(spans)
    return Lead(gap, max(along, 0.0), params.keep_m, f'crossing {name}', certain=certain, entering=item.track_id)


def _is_committed(spans: list[Array]) -> bool:
    """Whether each way (T, 2) leads into the corridor within COMMITTED_S."""
    soon = int(COMMITTED_S / FORECAST_STEP_S) + 1
    return all(bool(np.isfinite(span_t2[:soon, 0]).any()) for span_t2 in spans)


def _along(velocity_2: Array, span_t2: Array, ego: EgoOnLine, line: ReferenceLine) -> float:
    """Speed of the object along the path, where it is in the corridor first [m/s]."""
    inside = np.flatnonzero(np.isfinite(span_t2[:, 0]))
    if not len(inside) or not velocity_2.any():
        return 0.0
    yaw = float(np.interp(span_t2[inside[0], 0], line.s_n, line.yaw_n)) - yaw_of(ego.odom_se3_base_link)
    return float(velocity_2 @ (np.cos(yaw), np.sin(yaw)))


def _conflict(span_t2: Array, ego: EgoOnLine, vehicle: Vehicle, params: CorridorParams, along_mps: float) -> float:
    """Where an object that enters later stands in the way, as if it were there now [m]; infinite: nowhere."""
    num = len(span_t2)
    if num != len(ego.free_travel_t):
        return float(np.inf)
    times_t = FORECAST_STEP_S * np.arange(num)
    front_t = _shifted(ego.free_travel_t, times_t + params.time_margin_s) + ego.s_m + vehicle.front_m
    rear_t = _shifted(ego.free_travel_t, times_t - params.time_margin_s) + ego.s_m - vehicle.rear_overhang_m
    meets_t: NDArray[np.bool_] = (span_t2[:, 0] <= front_t) & (span_t2[:, 1] >= rear_t)
    meets_t &= span_t2[:, 1] > ego.s_m + vehicle.front_m
    if not meets_t.any():
        return float(np.inf)
    return float(np.min(span_t2[meets_t, 0] - along_mps * times_t[meets_t]))


def _shifted(travel_t: Array, times_t: Array) -> Array:
    """Travelled distance at other times; before now 0, after the end at the last speed."""
    grid_t = FORECAST_STEP_S * np.arange(len(travel_t))
    last_mps = (travel_t[-1] - travel_t[-2]) / FORECAST_STEP_S
    return np.interp(times_t, grid_t, travel_t) + last_mps * np.maximum(times_t - grid_t[-1], 0.0)


def to_odom(points_n2: Array, odom_se3_base_link: Array) -> Array:
    """Move (N, 2) points from base_link to the fixed frame."""
    return np.asarray(points_n2 @ odom_se3_base_link[:2, :2].T + odom_se3_base_link[:2, 3], float)
