"""The named kinds of scenarios: where each plays, and the event near the ego that it is named after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.actors import make_body
from moe_bev_ros.world.cast import Cast
from moe_bev_ros.world.lane_paths import ring_lanes
from moe_bev_ros.world.roles import BrakeHard, CutIn, StopAndGo
from moe_bev_ros.world.scene import Body
from moe_bev_ros.world.stage import START_SHARE, Stage, draw_stage

Rng = np.random.Generator
EGO_FRONT_M = 3.7  # from base_link
VAN_3 = (5.4, 2.0, 2.5)
CARS_ONLY = (Label.CAR,)
LEADERS = (Label.CAR, Label.CAR, Label.CAR, Label.TRUCK, Label.BUS)


@dataclass(frozen=True)
class Plan:
    """One kind.

    Attributes:
        stage: draws where it plays.
        event: adds those who make it what it is named after; they come first among the actors.
    """

    stage: Callable[[Rng], Stage]
    event: Callable[[Cast, Stage, Rng, str], None]


def _body(rng: Rng, labels: tuple[Label, ...], style: str) -> Body:
    return make_body(labels[int(rng.integers(len(labels)))], rng, style=style)


def _ahead_m(stage: Stage, gap_m: float, body: Body) -> float:
    """Where along the ego's way a body stands whose rear is this far ahead of the ego's front."""
    return stage.start_m + EGO_FRONT_M + gap_m + 0.5 * body.size_3[0]


def _nothing(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """The road is free, or what is named lies in the layout."""


def _lead(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Somebody drives ahead, slower than allowed."""
    body = _body(rng, LEADERS, style)
    cast.drive(
        body, stage.ego_lanes, _ahead_m(stage, float(rng.uniform(12.0, 22.0)), body),
        float(rng.uniform(0.45, 0.75)) * stage.limit_mps, may_change=False,
    )  # fmt: skip


def _cut_in(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Somebody in the next lane comes from beside, changes close before the ego and drives on slower."""
    graph = stage.layout.network.graph
    lane = graph.lanes[stage.ego_lanes[0]]
    side = next(lane_id for lane_id in (lane.left, lane.right) if lane_id is not None)
    body = make_body(Label.CAR, rng, style=style)
    trigger = CutIn(
        float(rng.uniform(5.0, 9.0)), float(rng.uniform(0.5, 0.7)) * stage.limit_mps, after_s=float(rng.uniform(1.0, 2.5))
    )
    gap = trigger.ego_gap_m + float(rng.uniform(0.0, 3.0))
    cast.drive(body, (side,), _ahead_m(stage, gap, body), 0.9 * stage.limit_mps, may_change=False, event=trigger)


def _brake(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Somebody drives ahead and brakes hard when the ego has come near."""
    body = _body(rng, LEADERS, style)
    event = BrakeHard(45.0, *(float(rng.uniform(*limits)) for limits in ((2.0, 4.0), (4.5, 6.5), (3.0, 6.0))))
    at = _ahead_m(stage, float(rng.uniform(13.0, 18.0)), body)
    cast.drive(body, stage.ego_lanes, at, START_SHARE * stage.limit_mps, may_change=False, event=event)


def _oncoming(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Cars that come straight on where the ego turns left, with gaps in between."""
    x, y, yaw = stage.layout.places['oncoming']
    graph = stage.layout.network.graph
    lanes = graph.straightest_path(graph.nearest(np.array((x, y)), yaw), 500.0)
    at = cast.path(lanes).locate(x, y)[0] + 20.0
    for _ in range(int(rng.integers(4, 7))):
        body = _body(rng, (Label.CAR, Label.CAR, Label.CAR, Label.TRUCK, Label.MOTORCYCLE), style)
        cast.drive(body, lanes, at, float(rng.uniform(0.75, 0.95)) * stage.limit_mps, may_change=False)
        at -= float(rng.uniform(14.0, 40.0))


def _crossing(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Somebody crosses so as to meet the ego; others follow when nobody comes."""
    from_left = rng.uniform() < 0.5
    line = _way_across(stage, from_left)
    cast.cross(make_body(Label.PEDESTRIAN, rng, style=style), line, float(rng.uniform(1.2, 1.9)), meets_ego=True)
    for _ in range(int(rng.integers(1, 4))):
        other = _way_across(stage, rng.uniform() < 0.5) + rng.uniform(-1.4, 1.4) * _along(stage)
        cast.cross(make_body(Label.PEDESTRIAN, rng, style=style), other, float(rng.uniform(1.0, 1.5)))


def _occluded(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """A van stands at the kerb, or on the lane's edge; somebody steps out from behind it."""
    near, far = _way_across(stage, from_left=False)
    x, y, yaw = stage.ego_path.pose(stage.event_m)
    to_left = np.array([-np.sin(yaw), np.cos(yaw)])
    kerb_m = float((near - (x, y)) @ to_left)
    van_m = float(np.clip(kerb_m + 1.35, -4.4, -2.75))  # in the parking strip, or with two wheels on the kerb
    van = make_body(Label.TRUCK if rng.uniform() < 0.4 else Label.CAR, rng, VAN_3, style)
    at = stage.event_m - 0.5 * van.size_3[0] - float(rng.uniform(0.7, 1.0))
    cast.stand(van, stage.ego_path.pose(at, van_m))
    line = np.array([(x, y) + (van_m + 0.1) * to_left, far])
    cast.cross(make_body(Label.PEDESTRIAN, rng, style=style), line, float(rng.uniform(1.4, 2.0)), meets_ego=True)


def _cyclist(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Somebody rides ahead at the right edge."""
    body = make_body(Label.BICYCLE, rng, (1.75, 0.6, float(rng.uniform(1.65, 1.8))), style)
    at = _ahead_m(stage, float(rng.uniform(20.0, 30.0)), body)
    cast.drive(
        body, stage.ego_lanes, at, float(rng.uniform(3.5, 5.0)), offset_m=-float(rng.uniform(1.0, 1.25)), may_change=False
    )


def _jam(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Queues that stop and go, in the ego's lane and those beside it."""
    graph = stage.layout.network.graph
    lane = graph.lanes[stage.ego_lanes[0]]
    for lane_id in (lane.lane_id, lane.left, lane.right):
        if lane_id is None:
            continue
        at = stage.start_m + EGO_FRONT_M + float(rng.uniform(12.0, 18.0))
        for _ in range(int(rng.integers(6, 9))):
            body = _body(rng, LEADERS, style)
            at += 0.5 * body.size_3[0]
            stop = StopAndGo(float(rng.uniform(7.0, 10.0)), float(rng.uniform(3.5, 5.0)), float(rng.uniform(0.0, 7.0)))
            cast.drive(body, (lane_id,), at, float(rng.uniform(3.0, 4.5)), may_change=False, event=stop, room_m=1.0)
            at += 0.5 * body.size_3[0] + float(rng.uniform(2.5, 6.0))


def _cones(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Cones that take a part of the lane from the right, a barrier or two, a machine behind them, and workers."""
    left, right = stage.layout.network.borders[stage.ego_lanes[0]]
    half = 0.5 * float(np.linalg.norm(left[0] - right[0]))
    reach = float(rng.uniform(0.45, 0.75))  # how far into the lane
    length = float(rng.uniform(18.0, 30.0))
    stations = np.arange(0.0, length, float(rng.uniform(2.2, 3.2)))
    for station in stations:
        offset = -half - 0.4 + (reach + 0.4) * min(1.0, station / 8.0, (length - station + 2.0) / 6.0)
        cast.stand(make_body(Label.TRAFFIC_CONE, rng, style=style), stage.ego_path.pose(stage.event_m + station, offset))
    for station in (7.0, 0.5 * length):
        x, y, yaw = stage.ego_path.pose(stage.event_m + station, -half - 0.9)
        cast.stand(make_body(Label.BARRIER, rng, style=style), (x, y, yaw))
    machine = make_body(Label.CONSTRUCTION_VEHICLE, rng, style=style)
    cast.stand(machine, stage.ego_path.pose(stage.event_m + 0.75 * length, -half - 0.6 - 0.5 * machine.size_3[1]))
    for _ in range(3):
        at = stage.event_m + float(rng.uniform(8.0, length - 4.0))
        cast.stand(make_body(Label.PEDESTRIAN, rng, style=style), stage.ego_path.pose(at, -half - float(rng.uniform(0.3, 1.6))))


def _roundabout(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Others circulate, not one right behind the other."""
    graph = stage.layout.network.graph
    ring, taken = ring_lanes(graph), set(stage.ego_lanes)
    for lane_id in sorted(ring):
        if lane_id in taken or rng.uniform() < 0.25:
            continue
        taken.update(
            (*graph.lanes[lane_id].successors, *(before for before in ring if lane_id in graph.lanes[before].successors))
        )
        lanes = (lane_id, *graph.straightest_path(lane_id, 300.0)[1:])
        body = _body(rng, CARS_ONLY, style)
        cast.drive(body, lanes, 0.5 * graph.lanes[lane_id].length_m, 7.0, may_change=False, room_m=4.0)


def _merge(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Traffic on the lane that the ego merges into."""
    x, y, yaw = stage.layout.places['main']
    graph = stage.layout.network.graph
    lanes = graph.straightest_path(graph.nearest(np.array((x, y)), yaw), 600.0)
    path = cast.path(lanes)
    merge_m = path.locate(*stage.layout.places['merge_point'][:2])[0]
    to_merge = stage.ego_path.locate(*stage.layout.places['merge_point'][:2])[0] - stage.start_m
    at = merge_m - to_merge + 45.0
    for _ in range(5):
        body = _body(rng, LEADERS, style)
        cast.drive(body, lanes, at, float(rng.uniform(0.75, 0.95)) * stage.limit_mps, may_change=False, room_m=6.0)
        at -= float(rng.uniform(22.0, 38.0))


def _way_across(stage: Stage, from_left: bool) -> Array:
    near, far = (np.array(stage.layout.places[name][:2]) for name in ('kerb', 'kerb_far'))
    return np.array([far, near] if from_left else [near, far])


def _along(stage: Stage) -> Array:
    _, _, yaw = stage.ego_path.pose(stage.event_m)
    return np.array([np.cos(yaw), np.sin(yaw)])


OPEN_ROADS = ('straight', 'curve')
PLANS: dict[str, Plan] = {
    'free_driving': Plan(lambda rng: draw_stage(rng, OPEN_ROADS), _nothing),
    'car_following': Plan(lambda rng: draw_stage(rng, OPEN_ROADS), _lead),
    'cut_in': Plan(lambda rng: draw_stage(rng, OPEN_ROADS, lanes=2), _cut_in),
    'hard_braking_ahead': Plan(lambda rng: draw_stage(rng, OPEN_ROADS), _brake),
    'unprotected_left_turn': Plan(
        lambda rng: draw_stage(
            rng,
            ('junction',),
            place='conflict',
            goal='goal_left',
            lead_m=(55.0, 75.0),
            green_s=24.0,
            phase_s=float(rng.uniform(0.0, 4.0)),
        ),
        _oncoming,
    ),
    'crossing_pedestrian': Plan(lambda rng: draw_stage(rng, ('crossing',), place='crossing'), _crossing),
    'occluded_pedestrian': Plan(lambda rng: draw_stage(rng, ('straight', 'parking_street'), place='crossing'), _occluded),
    'cyclist_overtake': Plan(lambda rng: draw_stage(rng, (*OPEN_ROADS, 'parking_street')), _cyclist),
    'roundabout': Plan(lambda rng: draw_stage(rng, ('roundabout',), place='yield_line', lead_m=(45.0, 70.0)), _roundabout),
    'merge': Plan(lambda rng: draw_stage(rng, ('merge',), place='merge_point', lead_m=(120.0, 150.0)), _merge),
    'parked_cars_narrow_street': Plan(lambda rng: draw_stage(rng, ('parking_street',)), _nothing),
    'red_light': Plan(
        lambda rng: draw_stage(rng, ('junction',), place='stop_line', green_s=12.0, phase_s=float(rng.uniform(10.0, 14.0))),
        _nothing,
    ),
    'traffic_jam': Plan(lambda rng: draw_stage(rng, OPEN_ROADS, start_share=0.4), _jam),
    'construction_cones': Plan(lambda rng: draw_stage(rng, OPEN_ROADS, lead_m=(45.0, 70.0)), _cones),
}
KINDS: tuple[str, ...] = tuple(PLANS)
