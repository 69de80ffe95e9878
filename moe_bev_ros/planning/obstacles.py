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

import math
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
LIKELY = 0.4  # a future of a lower probability is not acted upon: of six, some lead every oncoming car into the vehicle's lane
LONG_M = 1.2
ALONG_AXIS_COS = math.cos(math.radians(35.0))
IN_LANE_COS = math.cos(math.radians(20.0))
NOT_FORESEEN = (Label.UNKNOWN, Label.BARRIER, Label.TRAFFIC_CONE)
COMMITTED_S = 0.5  # who walks and would be in the corridor so soon can hardly stop outside any more
REMEMBERED_FRAMES = 3  # an unseen object other than a pedestrian is followed on its way no longer than this
CLEARANCE_ABOVE_M = 0.3
NEAR_M = 15.0
SLACK_M = 1.0  # of the distance to a line, which is that to the nearest of its samples
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
    corridor = _Corridor(ego, line, vehicle, params)
    items = _relevant(objects, corridor)
    if not items:
        return []
    boxes_n7 = np.array([item.box_7 for item in items], float)
    velocities_n2 = _in_their_lanes(items, boxes_n7, np.array([trusted_velocity(item, params) for item in items]), corridor)
    spans_n2 = corridor.spans(boxes_n7[:, :2], boxes_n7)
    is_inside_n = np.isfinite(spans_n2[:, 0])
    comes_n = ~is_inside_n & velocities_n2.any(axis=1) & np.array([item.label not in NOT_FORESEEN for item in items])
    leads: dict[int, Lead] = {}
    along_n = _along(velocities_n2, spans_n2[:, 0], corridor)
    for index in np.flatnonzero(is_inside_n & (spans_n2[:, 1] >= corridor.front_m)).tolist():
        leads[index] = _lead_inside(items[index], spans_n2[index], velocities_n2[index], float(along_n[index]), corridor)
    coming = np.flatnonzero(comes_n)
    if len(coming):
        who = [items[index] for index in coming]
        found = _leads_entering(who, boxes_n7[coming], velocities_n2[coming], corridor)
        leads.update((index, lead) for index, lead in zip(coming.tolist(), found) if lead)
    return [leads[index] for index in sorted(leads)]


def _relevant(objects: tuple[TrackedObject, ...], corridor: _Corridor) -> list[TrackedObject]:
    """Leave out what hangs above the vehicle, and what cannot reach the corridor within the horizon."""
    if not objects:
        return []
    ego, line, vehicle = corridor.ego, corridor.line, corridor.vehicle
    boxes_n7 = np.array([item.box_7 for item in objects], float)
    speeds_n = np.hypot(*np.array([item.velocity_2 for item in objects], float).T)
    low_n = boxes_n7[:, 2] - 0.5 * boxes_n7[:, 5] < vehicle.height_m + CLEARANCE_ABOVE_M
    s_n, d_n = line.project(to_odom(boxes_n7[:, :2], ego.odom_se3_base_link))
    has_forecast_n = np.array([bool(item.forecasts) for item in objects])
    size_n = 0.5 * np.hypot(boxes_n7[:, 3], boxes_n7[:, 4])
    reach_n = size_n + np.where(has_forecast_n, 1.5, 1.0) * speeds_n * corridor.params.horizon_s
    ahead_n = s_n + size_n > corridor.front_m
    near_n = (np.abs(d_n) - reach_n < corridor.half_m + abs(ego.d_m)) & (s_n - reach_n < line.s_n[-1] + vehicle.front_m)
    return [objects[index] for index in np.flatnonzero(low_n & ahead_n & near_n)]


def trusted_velocity(item: TrackedObject, params: CorridorParams) -> Array:
    """The object's velocity in base_link's axes, or 0 where it may be noise."""
    vx, vy = item.velocity_2.tolist()
    speed = math.hypot(vx, vy)
    if not math.isfinite(speed) or speed < LEAST_SPEED_MPS or item.age < params.min_age:
        return np.zeros(2)
    (xx, xy), (yx, yy) = item.covariance_44[2:, 2:].tolist()
    sigma = math.sqrt(max(vx * (xx * vx + xy * vy) + vy * (yx * vx + yy * vy), 0.0)) / speed
    forgotten = item.missed > REMEMBERED_FRAMES and item.label is not Label.PEDESTRIAN
    if sigma > LARGEST_SIGMA_MPS or speed < SIGNIFICANT_SIGMA * sigma or forgotten:
        return np.zeros(2)
    return np.array([vx, vy]) if _fits_shape(item, vx, vy) else np.zeros(2)


def _fits_shape(item: TrackedObject, vx: float, vy: float) -> bool:
    """Long things roll along their length: False where the velocity points elsewhere. Its direction stays that of the way
    that was covered, which is better known than the heading of a box of which two sides are seen at best."""
    _, _, _, length, width, _, yaw = item.box_7.tolist()
    if max(length, width) < LONG_M or max(length, width) < LONG_RATIO * min(length, width):
        return True
    axis = yaw if length >= width else yaw + 0.5 * math.pi
    return abs(vx * math.cos(axis) + vy * math.sin(axis)) > ALONG_AXIS_COS * math.hypot(vx, vy)


def _in_their_lanes(items: list[TrackedObject], boxes_n7: Array, velocities_n2: Array, corridor: _Corridor) -> Array:
    """(N, 2) velocities. Oncoming vehicles are expected to stay in their lane: the little that they move aside is noise.

    One that does come over counts from when its footprint is in the corridor, or when it is clearly turning.
    """
    is_vehicle_n = np.array([item.label is not Label.PEDESTRIAN for item in items])
    s_n, _ = corridor.line.project(to_odom(boxes_n7[:, :2], corridor.ego.odom_se3_base_link))
    directions_n2 = corridor.directions(s_n)
    along_n = (velocities_n2 * directions_n2).sum(axis=1)
    is_oncoming_n = is_vehicle_n & (along_n < -IN_LANE_COS * np.hypot(*velocities_n2.T))
    return np.where(is_oncoming_n[:, None], along_n[:, None] * directions_n2, velocities_n2)


def _ways(items: list[TrackedObject], boxes_n7: Array, velocities_n2: Array, num_steps: int) -> tuple[NDArray[np.int64], Array]:
    """Possible ways of the centres of what moves: the likely forecasts, or constant velocity.

    Returns:
        Index of the object of each way (W,), rising, and the ways (W, T, 2) in base_link.
    """
    times_t = FORECAST_STEP_S * np.arange(num_steps)
    owners, paths = [], []
    for index, item in enumerate(items):
        likely = [path for path in item.forecasts if path.probability >= LIKELY and not _is_constant_velocity(path, item)]
        owners += [index] * len(likely)
        paths += likely
    steady_k = np.setdiff1d(np.arange(len(items)), owners)
    ways_kt2 = boxes_n7[steady_k, None, :2] + times_t[:, None] * velocities_n2[steady_k, None]
    if not paths:
        return steady_k, ways_kt2
    owner_m = np.array(owners)
    owner_w = np.concatenate([steady_k, owner_m])
    ways_wt2 = np.concatenate([ways_kt2, _resampled(boxes_n7[owner_m, :2], paths, times_t)])
    order_w = np.argsort(owner_w, kind='stable')
    return owner_w[order_w], ways_wt2[order_w]


def _is_constant_velocity(path: Forecast, item: TrackedObject) -> bool:
    """Whether a forecast says no more than the velocity does."""
    if not len(path.positions_t2):
        return True
    end_s, (x, y) = path.time_step_s * len(path.positions_t2), path.positions_t2[-1].tolist()
    (x_now, y_now), (vx, vy) = item.box_7[:2].tolist(), item.velocity_2.tolist()
    return math.hypot(x - x_now - end_s * vx, y - y_now - end_s * vy) < SAME_PLACE_M


def _resampled(now_m2: Array, paths: list[Forecast], times_t: Array) -> Array:
    """(M, T, 2) positions at ``times_t``; the first given one is at its ``time_step_s``; beyond the last a path goes on at its
    last velocity."""
    result_mt2 = np.empty((len(paths), len(times_t), 2))
    kinds = [(path.time_step_s, len(path.positions_t2)) for path in paths]
    for step_s, num in set(kinds):
        m = [index for index, kind in enumerate(kinds) if kind == (step_s, num)]
        known_mp2 = np.concatenate([now_m2[m, None], np.array([paths[index].positions_t2 for index in m], float)], axis=1)
        speeds_mp2 = np.diff(known_mp2, axis=1) / step_s
        before_t = np.clip((times_t / step_s).astype(int), 0, num - 1)
        result_mt2[m] = known_mp2[:, before_t] + (times_t - step_s * before_t)[:, None] * speeds_mp2[:, before_t]
    return result_mt2


@dataclass(frozen=True)
class _Corridor:
    """The vehicle's corridor along its line."""

    ego: EgoOnLine
    line: ReferenceLine
    vehicle: Vehicle
    params: CorridorParams

    @property
    def front_m(self) -> float:
        """Position of the front bumper along the line."""
        return self.ego.s_m + self.vehicle.front_m

    @property
    def half_m(self) -> float:
        """Half of its width."""
        return 0.5 * self.vehicle.width_m + self.params.margin_m

    def directions(self, s_n: Array) -> Array:
        """(N, 2) direction of the line in base_link's axes."""
        yaw_n = np.interp(s_n, self.line.s_n, self.line.yaw_n) - yaw_of(self.ego.odom_se3_base_link)
        return np.column_stack([np.cos(yaw_n), np.sin(yaw_n)])

    def spans(self, centres_r2: Array, boxes_r7: Array) -> Array:
        """(R, 2) nearest and farthest position along the line of footprints inside the corridor; NaN outside.

        Args:
            centres_r2: where the boxes are, in base_link.
            boxes_r7: their size and heading.
        """
        centres_r2, spans_r2 = to_odom(centres_r2, self.ego.odom_se3_base_link), np.full((len(centres_r2), 2), np.nan)
        reach_r = 0.5 * np.hypot(boxes_r7[:, 3], boxes_r7[:, 4])
        near_q = np.flatnonzero(self._may_touch(centres_r2, reach_r))
        if not len(near_q):
            return spans_r2
        outlines_q82 = _outlines(boxes_r7[near_q], yaw_of(self.ego.odom_se3_base_link))
        s, d = self.line.project((centres_r2[near_q, None] + outlines_q82).reshape(-1, 2))
        s_q8, d_q8 = s.reshape(-1, 8), d.reshape(-1, 8)
        before_q = s_q8.min(axis=1) < self.front_m + NEAR_M  # on its way back to the line it sweeps the gap as well
        low_q = -self.half_m + np.where(before_q, min(self.ego.d_m, 0.0), 0.0)
        high_q = self.half_m + np.where(before_q, max(self.ego.d_m, 0.0), 0.0)
        spans_r2[near_q] = _clip(s_q8, d_q8, low_q[:, None], high_q[:, None])
        return spans_r2

    def _may_touch(self, centres_r2: Array, reach_r: Array) -> NDArray[np.bool_]:
        """Which discs come near the corridor, or to where it goes on straight beyond an end of the line."""
        away_r = self.line.distance(centres_r2)
        end_r = np.minimum(*(np.hypot(*(centres_r2 - end_2).T) for end_2 in self.line.xy_n2[[0, -1]]))
        return (away_r < reach_r + self.half_m + abs(self.ego.d_m) + SLACK_M) | (end_r < away_r + 2.0 * reach_r)


def _outlines(boxes_n7: Array, turn_rad: float) -> Array:
    """(N, 8, 2) corners and middles of the sides around the centre, with the boxes turned."""
    x_n8, y_n8 = boxes_n7[:, 3, None] * CORNERS_82[:, 0], boxes_n7[:, 4, None] * CORNERS_82[:, 1]
    yaw_n1 = boxes_n7[:, 6, None] + turn_rad
    cos_n1, sin_n1 = np.cos(yaw_n1), np.sin(yaw_n1)
    return np.stack([x_n8 * cos_n1 - y_n8 * sin_n1, x_n8 * sin_n1 + y_n8 * cos_n1], axis=-1)


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


def _lead_inside(item: TrackedObject, span_2: Array, velocity_2: Array, along_mps: float, corridor: _Corridor) -> Lead:
    """The lead that an object makes whose footprint is in the corridor now."""
    is_new, is_crossing = item.age < corridor.params.min_age, along_mps < 0.5 * math.hypot(*velocity_2.tolist())
    gap, kind = max(float(span_2[0]) - corridor.front_m, 0.0), 'crossing ' if is_crossing else ''
    certain = item.missed == 0 and not is_new
    return Lead(gap, max(along_mps, 0.0), corridor.params.keep_m, kind + _name(item), certain=certain, is_new=is_new)


def _leads_entering(
    items: list[TrackedObject], boxes_n7: Array, velocities_n2: Array, corridor: _Corridor
) -> list[Lead | None]:
    """The strictest lead that each object outside makes, over all its ways."""
    num_steps = len(corridor.ego.free_travel_t)
    owner_w, ways_wt2 = _ways(items, boxes_n7, velocities_n2, num_steps)
    spans_wt2 = corridor.spans(ways_wt2.reshape(-1, 2), np.repeat(boxes_n7[owner_w], num_steps, axis=0)).reshape(ways_wt2.shape)
    first_n = np.searchsorted(owner_w, np.arange(len(items)))  # way of each object
    is_inside_wt = np.isfinite(spans_wt2[..., 0])
    entry_n = spans_wt2[first_n, is_inside_wt[first_n].argmax(axis=1), 0]  # NaN: nowhere
    along_n = np.maximum(_along(velocities_n2, entry_n, corridor), 0.0)
    nearest_n = np.minimum.reduceat(_conflicts(spans_wt2, along_n[owner_w], corridor), first_n)
    soon = int(COMMITTED_S / FORECAST_STEP_S) + 1
    is_committed_n = np.logical_and.reduceat(is_inside_wt[:, :soon].any(axis=1), first_n)
    keep_m, min_age = corridor.params.keep_m, corridor.params.min_age
    return [
        Lead(
            max(nearest - corridor.front_m, 0.0),
            along,
            keep_m,
            f'crossing {_name(item)}',
            certain=item.missed == 0 and item.age >= min_age and item.label is Label.PEDESTRIAN and is_committed,
            entering=item.track_id,
        )
        if math.isfinite(nearest)
        else None
        for item, nearest, along, is_committed in zip(items, nearest_n.tolist(), along_n.tolist(), is_committed_n.tolist())
    ]


def _name(item: TrackedObject) -> str:
    return item.label.name.lower().replace('_', ' ')


def _along(velocities_n2: Array, s_n: Array, corridor: _Corridor) -> Array:
    """(N,) speed of objects along the path at ``s_n`` [m/s]; 0 where that is NaN."""
    return np.nan_to_num((velocities_n2 * corridor.directions(s_n)).sum(axis=1))


def _conflicts(spans_wt2: Array, along_w: Array, corridor: _Corridor) -> Array:
    """(W,) where who comes on a way stands in the way, as if it were there now [m]; infinite: nowhere."""
    ego, vehicle, margin_s = corridor.ego, corridor.vehicle, corridor.params.time_margin_s
    times_t = FORECAST_STEP_S * np.arange(spans_wt2.shape[1])
    front_t = _shifted(ego.free_travel_t, times_t + margin_s) + ego.s_m + vehicle.front_m
    rear_t = _shifted(ego.free_travel_t, times_t - margin_s) + ego.s_m - vehicle.rear_overhang_m
    meets_wt = (spans_wt2[..., 0] <= front_t) & (spans_wt2[..., 1] >= rear_t) & (spans_wt2[..., 1] > corridor.front_m)
    return np.where(meets_wt, spans_wt2[..., 0] - along_w[:, None] * times_t, np.inf).min(axis=1)


def _shifted(travel_t: Array, times_t: Array) -> Array:
    """Travelled distance at other times; before now 0, after the end at the last speed."""
    grid_t = FORECAST_STEP_S * np.arange(len(travel_t))
    last_mps = (travel_t[-1] - travel_t[-2]) / FORECAST_STEP_S
    return np.interp(times_t, grid_t, travel_t) + last_mps * np.maximum(times_t - grid_t[-1], 0.0)


def to_odom(points_n2: Array, odom_se3_base_link: Array) -> Array:
    """Move (N, 2) points from base_link to the fixed frame."""
    return np.asarray(points_n2 @ odom_se3_base_link[:2, :2].T + odom_se3_base_link[:2, 3], float)
