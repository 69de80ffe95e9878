"""Everybody and everything around the event: traffic, parked rows, people, building sites, houses, trees, clutter.

The numbers follow what real frames show: many road users, most of them standing, half of them partly hidden.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import resample
from moe_bev_ros.world import props
from moe_bev_ros.world.actors import make_body
from moe_bev_ros.world.cast import Cast
from moe_bev_ros.world.furniture import clutter
from moe_bev_ros.world.lane_paths import LanePath, drawn_lanes, lane_conflicts, lane_path
from moe_bev_ros.world.layout_curves import Pose
from moe_bev_ros.world.scene import Body
from moe_bev_ros.world.stage import Stage

Rng = np.random.Generator
NEAR_M = 60.0
ROUTE_M = 200.0  # of the ego's way that it can drive in a run
PARKED_M = 90.0
RARE = 1  # of each class there are more than this, where there is room
NUM_NEAR = (130, 176)
MOVING_SHARES = {Label.CAR: 0.7, Label.TRUCK: 0.08, Label.BUS: 0.05, Label.MOTORCYCLE: 0.07, Label.BICYCLE: 0.1}
PARKED_SHARES = {
    Label.CAR: 0.78, Label.TRUCK: 0.06, Label.TRAILER: 0.04, Label.BUS: 0.03, Label.CONSTRUCTION_VEHICLE: 0.03,
    Label.MOTORCYCLE: 0.03, Label.BICYCLE: 0.03,
}  # fmt: skip
GROUP_SHARES = {
    Label.CAR: 0.5, Label.TRUCK: 0.5, Label.BUS: 0.4, Label.TRAILER: 0.5, Label.CONSTRUCTION_VEHICLE: 1.0,
    Label.PEDESTRIAN: 24.0, Label.MOTORCYCLE: 1.8, Label.BICYCLE: 1.8, Label.TRAFFIC_CONE: 12.0, Label.BARRIER: 1.5,
}  # fmt: skip
WIDE_LANE_M = 3.25
EGO_CLEAR_M = (9.0, 14.0)  # of the ego's way behind and before its start where no drawn traffic begins
JUNCTION_M = 30.0  # before ways cross, where no drawn traffic begins
YARD_M = (7.0, 40.0)  # from a lane's centre, where things stand off the road


def fill(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Add the background to the event that is already there."""
    near = _Near(cast, stage)
    _moving(cast, stage, rng, style)
    _parked(cast, stage, near, rng, style)
    _rare(cast, near, rng, style)
    _on_walkways(cast, near, rng, style)
    wanted = int(rng.integers(*NUM_NEAR))
    for _ in range(400):
        if near.count() >= wanted:
            break
        _GROUPS[_draw(rng, GROUP_SHARES)](cast, near.yard(rng), rng, style)
    _screens(cast, near, rng, style)
    _clutter(cast, near, rng, style)
    _houses(cast, rng, style)
    _trees(cast, rng, style)


class _Near:
    """What lies near the part of the ego's way that it can drive."""

    def __init__(self, cast: Cast, stage: Stage) -> None:
        first, last = int(2 * stage.start_m), int(2 * (stage.start_m + ROUTE_M))
        self._route_n2 = stage.ego_path.points_n2[first:last:8]
        self._cast = cast
        graph = cast.network.graph
        self.verges = [
            path
            for path in (lane_path(graph, (lane_id,)) for lane_id, lane in graph.lanes.items() if lane.right is None)
            if path.length_m > 12.0 and self.distance(path.points_n2).min() < NEAR_M
        ]
        self._weights = np.array([path.length_m for path in self.verges])

    def distance(self, xy_n2: Array) -> Array:
        """(N,) to the way [m]."""
        return np.asarray(np.linalg.norm(xy_n2[:, None] - self._route_n2[None], axis=2).min(axis=1))

    def count(self) -> int:
        """Actors near the way."""
        places = np.array([(actor.x, actor.y) for actor in self._cast.actors]).reshape(-1, 2)
        return int((self.distance(places) < NEAR_M).sum()) if len(places) else 0

    def verge(self, rng: Rng) -> tuple[LanePath, float]:
        """A lane with nothing but the verge on its right, and a place along it near the way."""
        for _ in range(50):
            path = self.verges[int(rng.choice(len(self.verges), p=self._weights / self._weights.sum()))]
            s = float(rng.uniform(0.0, path.length_m))
            if self.distance(np.array([path.pose(s)[:2]]))[0] < 0.6 * NEAR_M:
                break
        return path, s

    def yard(self, rng: Rng) -> Pose:
        """A pose off the road, along it."""
        path, s = self.verge(rng)
        return path.pose(s, -float(rng.uniform(*YARD_M)))


def _draw(rng: Rng, shares: dict[Label, float]) -> Label:
    labels = list(shares)
    return labels[int(rng.choice(len(labels), p=np.array(list(shares.values())) / sum(shares.values())))]


def _rider_size(label: Label, rng: Rng) -> tuple[float, float, float] | None:
    """Two-wheelers on the road have riders."""
    if label is Label.BICYCLE:
        return 1.75, 0.6, float(rng.uniform(1.62, 1.82))
    return (2.1, 0.8, float(rng.uniform(1.62, 1.8))) if label is Label.MOTORCYCLE else None


def _lane_width_m(cast: Cast, lane_id: int) -> float:
    left, right = cast.network.borders[lane_id]
    return float(np.linalg.norm(left[0] - right[0]))


# Traffic -------------------------------------------------------------------------------------------------------------------


def _moving(cast: Cast, stage: Stage, rng: Rng, style: str) -> None:
    """Drivers on all lanes, denser on those where the ego drives."""
    graph = cast.network.graph
    crossed = {lane_id for lane_id, _ in lane_conflicts(graph)}
    for lane_id, lane in graph.lanes.items():
        if lane.length_m < 30.0 or lane_id in crossed:
            continue
        before_end = JUNCTION_M if crossed.intersection(lane.successors) else 8.0
        at = float(rng.uniform(4.0, 40.0))
        while at < lane.length_m - 8.0:
            lanes = drawn_lanes(graph, lane_id, rng)
            if not _is_ego_ground(cast, stage, lane_id, at) and lane.length_m - at > before_end:
                _one_driver(cast, lanes, at, rng, style)
            at += float(rng.uniform(40.0, 140.0))


def _is_ego_ground(cast: Cast, stage: Stage, lane_id: int, at_m: float) -> bool:
    """Where the ego's event shall not be spoilt: on its way from behind its start to beyond the event."""
    lane = cast.network.graph.lanes[lane_id]
    beside = [side for side in (lane.left, lane.right) if side in stage.ego_lanes and stage.beside_free]
    same = lane_id if lane_id in stage.ego_lanes else beside[0] if beside else None
    if same is None:
        return False
    s = at_m + stage.ego_path.starts_k[stage.ego_lanes.index(same)]
    return stage.start_m - EGO_CLEAR_M[0] < s < max(stage.event_m + 25.0, stage.start_m + 90.0)


def _one_driver(cast: Cast, lanes: tuple[int, ...], at_m: float, rng: Rng, style: str) -> None:
    label = _draw(rng, MOVING_SHARES)
    if label in (Label.TRUCK, Label.BUS) and _lane_width_m(cast, lanes[0]) < WIDE_LANE_M:
        label = Label.CAR
    body = make_body(label, rng, _rider_size(label, rng), style)
    limit = cast.network.graph.lanes[lanes[0]].speed_limit_mps
    if label is Label.BICYCLE:
        cast.drive(body, lanes, at_m, float(rng.uniform(3.5, 5.5)), offset_m=-float(rng.uniform(0.9, 1.15)), may_change=False)
    else:
        cast.drive(body, lanes, at_m, float(rng.uniform(0.75, 1.02)) * limit, offset_m=float(rng.uniform(-0.12, 0.12)))


def _parked(cast: Cast, stage: Stage, near: _Near, rng: Rng, style: str) -> None:
    """Rows along the kerbs near the way, with gaps."""
    dense = float(rng.uniform(0.15, 0.45))
    narrow = stage.limit_mps < 9.0
    for line in cast.network.kerbsides:
        points = resample(line, 0.5)
        s, length = float(rng.uniform(0.5, 4.0)), 0.5 * (len(points) - 1)
        while s < length - 6.0:
            label = _draw(rng, PARKED_SHARES)
            if narrow and label in (Label.BUS, Label.TRAILER, Label.CONSTRUCTION_VEHICLE, Label.TRUCK):
                label = Label.CAR
            body = make_body(label, rng, style=style)
            s += 0.5 * body.size_3[0]
            is_near = near.distance(points[None, min(int(2 * s), len(points) - 1)])[0] < PARKED_M
            if s < length - 3.0 and rng.uniform() < dense and is_near:
                _park(cast, body, points, s, rng)
            s += 0.5 * body.size_3[0] + float(rng.uniform(0.6, 3.0) if rng.uniform() < 0.8 else rng.uniform(4.0, 12.0))


def _park(cast: Cast, body: Body, points_n2: Array, s_m: float, rng: Rng) -> None:
    index = min(int(2 * s_m), len(points_n2) - 2)
    step = points_n2[index + 1] - points_n2[index]
    yaw = float(np.arctan2(step[1], step[0]))
    away = max(0.0, 0.5 * body.size_3[1] - 1.0) + float(rng.uniform(0.0, 0.12))  # wide ones stand on the kerb
    x, y = points_n2[index] + away * np.array([np.sin(yaw), -np.cos(yaw)])
    turned = np.pi if rng.uniform() < 0.06 else 0.0
    if cast.road_distance_m(float(x), float(y)) > 0.5 * body.size_3[1] + 1.5:
        cast.stand(body, (float(x), float(y), yaw + turned + float(rng.normal(0.0, 0.015))))


def _on_walkways(cast: Cast, near: _Near, rng: Rng, style: str) -> None:
    """People alone and in groups; each side of a walkway has one pace, so that nobody overtakes."""
    for line in cast.network.walkways:
        length = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum())
        if length < 15.0 or near.distance(resample(line, 4.0)).min() > NEAR_M:
            continue
        for direction in (-1, 1):
            pace = float(rng.uniform(0.8, 1.6))
            for _ in range(int(rng.poisson(length / 45.0))):
                at = float(rng.uniform(3.0, length - 3.0))
                for member in range(1 + int(rng.integers(0, 6)) // 2):
                    body = make_body(Label.PEDESTRIAN, rng, style=style)
                    cast.walk(
                        body, line, at - 0.9 * (member // 2), direction, pace, direction * (-0.4 + 0.75 * (member % 2) - 0.2)
                    )


# Groups off the road -------------------------------------------------------------------------------------------------------

Group = Callable[[Cast, Pose, Rng, str], None]


def _beside(pose: Pose, along_m: float, left_m: float, turn_rad: float = 0.0) -> Pose:
    x, y, yaw = pose
    cos, sin = float(np.cos(yaw)), float(np.sin(yaw))
    return x + along_m * cos - left_m * sin, y + along_m * sin + left_m * cos, yaw + turn_rad


def _stand(cast: Cast, body: Body, pose: Pose, room_m: float = 0.25) -> None:
    if cast.is_off_road((*pose[:2], *body.size_3[:2], pose[2])):
        cast.stand(body, pose, room_m=room_m)


def _row(label: Label, num: tuple[int, int], across: bool) -> Group:
    """A group of one class, side by side across the road's direction or one behind the other."""

    def group(cast: Cast, pose: Pose, rng: Rng, style: str) -> None:
        at, turn = 0.0, 0.5 * np.pi * float(rng.choice([-1.0, 1.0])) if across else 0.0
        for _ in range(int(rng.integers(*num))):
            body = make_body(label, rng, style=style, lookalike=rng.uniform() < 0.2)
            size = body.size_3[1] if across else body.size_3[0]
            _stand(cast, body, _beside(pose, at + 0.5 * size, 0.0, turn + float(rng.normal(0.0, 0.03))))
            at += size + float(rng.uniform(0.35, 1.1))

    return group


def _car_park(cast: Cast, pose: Pose, rng: Rng, style: str) -> None:
    """Two rows of cars, of which the second is hidden by the first."""
    for row in range(int(rng.integers(1, 3))):
        _row(Label.CAR, (3, 7), across=True)(cast, _beside(pose, 0.0, -5.4 * row), rng, style)


def _people(cast: Cast, pose: Pose, rng: Rng, style: str) -> None:
    for _ in range(int(rng.integers(2, 8))):
        at = _beside(pose, float(rng.normal(0.0, 1.6)), float(rng.normal(0.0, 1.6)), float(rng.uniform(0.0, 6.28)))
        _stand(cast, make_body(Label.PEDESTRIAN, rng, style=style), at, 0.1)


def _site(cast: Cast, pose: Pose, rng: Rng, style: str) -> None:
    """A machine behind barriers and cones, and who works there."""
    _stand(cast, make_body(Label.CONSTRUCTION_VEHICLE, rng, style=style), _beside(pose, 0.0, -1.0, float(rng.normal(0.0, 0.3))))
    for index in range(int(rng.integers(3, 8))):
        barrier = make_body(Label.BARRIER, rng, style=style)
        _stand(cast, barrier, _beside(pose, 2.6 * index - 6.0, 2.2, np.pi / 2 + float(rng.normal(0.0, 0.05))), 0.02)
    for index in range(int(rng.integers(2, 6))):
        _stand(
            cast,
            make_body(Label.TRAFFIC_CONE, rng, style=style),
            _beside(pose, 2.0 * index - 5.0, 3.2 + float(rng.normal(0.0, 0.2))),
        )
    _people(cast, _beside(pose, 5.0, 0.0), rng, style)


def _barriers(cast: Cast, pose: Pose, rng: Rng, style: str) -> None:
    """A row that closes something off, along the road."""
    for index in range(int(rng.integers(3, 7))):
        _stand(cast, make_body(Label.BARRIER, rng, style=style), _beside(pose, 2.5 * index, 0.0, np.pi / 2), 0.02)


def _cones(cast: Cast, pose: Pose, rng: Rng, style: str) -> None:
    for index in range(int(rng.integers(3, 7))):
        cone = make_body(Label.TRAFFIC_CONE, rng, style=style)
        _stand(cast, cone, _beside(pose, 1.8 * index, float(rng.normal(0.0, 0.15))))


_GROUPS: dict[Label, Group] = {
    Label.CAR: _car_park,
    Label.TRUCK: _row(Label.TRUCK, (1, 3), across=False),
    Label.BUS: _row(Label.BUS, (1, 2), across=False),
    Label.TRAILER: _row(Label.TRAILER, (1, 3), across=False),
    Label.CONSTRUCTION_VEHICLE: _site,
    Label.PEDESTRIAN: _people,
    Label.MOTORCYCLE: _row(Label.MOTORCYCLE, (2, 5), across=True),
    Label.BICYCLE: _row(Label.BICYCLE, (2, 6), across=True),
    Label.TRAFFIC_CONE: _cones,
    Label.BARRIER: _barriers,
}


def _rare(cast: Cast, near: _Near, rng: Rng, style: str) -> None:
    """Groups of the classes of which there are few."""
    for label, group in _GROUPS.items():
        for _ in range(6):
            if sum(actor.body.label is label for actor in cast.actors) > RARE:
                break
            group(cast, near.yard(rng), rng, style)


# What never moves ----------------------------------------------------------------------------------------------------------


def _screens(cast: Cast, near: _Near, rng: Rng, style: str) -> None:
    """Hedges, walls and fences between the road and what stands off it, of which they hide the lower part."""
    for _ in range(int(rng.integers(70, 100))):
        path, s = near.verge(rng)
        length = float(rng.uniform(4.0, 13.0))
        x, y, yaw = path.pose(s, -float(rng.uniform(3.6, 20.0)))
        kind = int(rng.integers(3))
        if kind == 0:
            prop = props.hedge(rng, x, y, yaw, length, style)
        else:
            prop = (props.wall if kind == 1 else props.fence)(rng, x, y, yaw, length)
        cast.put(prop, (x, y, length, 0.9, yaw), room_m=0.05)


def _clutter(cast: Cast, near: _Near, rng: Rng, style: str) -> None:
    for _ in range(int(rng.integers(16, 30))):
        path, s = near.verge(rng)
        x, y, yaw = path.pose(s, -float(rng.uniform(2.6, 14.0)))
        prop = clutter(rng, style, x, y, yaw)
        size = 1.6 * props.reach_m(prop)
        cast.put(prop, (x, y, size, size, yaw), room_m=0.05)


def _houses(cast: Cast, rng: Rng, style: str) -> None:
    """Along every road, as near to it as there is room."""
    for path in _verges(cast):
        s = float(rng.uniform(0.0, 8.0))
        while s < path.length_m:
            length, depth = float(rng.uniform(9.0, 20.0)), float(rng.uniform(7.0, 11.0))
            if rng.uniform() < 0.85:
                _house(cast, path, s + 0.5 * length, (length, depth), rng, style)
            s += length + float(rng.uniform(0.5, 9.0))


def _house(cast: Cast, path: LanePath, s_m: float, size_2: tuple[float, float], rng: Rng, style: str) -> None:
    length, depth = size_2
    for away in (7.0, 9.5, 12.0, 16.0, 21.0, 27.0):
        x, y, yaw = path.pose(s_m, -(away + 0.5 * depth))
        rectangle = (x, y, length, depth, yaw)
        if cast.fits(rectangle, 0.4) and cast.is_off_road(rectangle, 4.5, 1.3):
            cast.put(props.building(rng, x, y, yaw, length, depth, style), rectangle, lane_half_m=4.5)
            return


def _trees(cast: Cast, rng: Rng, style: str) -> None:
    """Trees and lamps along every road, lamps at night's sake near it."""
    for path in _verges(cast):
        s = float(rng.uniform(2.0, 10.0))
        while s < path.length_m:
            lamp = rng.uniform() < 0.3
            x, y, yaw = path.pose(s, -float(rng.uniform(2.4, 6.5) if lamp else rng.uniform(3.2, 16.0)))
            prop = props.lamp_post(x, y, yaw + np.pi / 2) if lamp else props.tree(rng, x, y, style)
            cast.put(prop, (x, y, 0.4, 0.4, yaw), room_m=0.1)
            s += float(rng.uniform(6.0, 14.0))


def _verges(cast: Cast) -> list[LanePath]:
    lanes = cast.network.graph.lanes
    return [cast.path((lane_id,)) for lane_id, lane in lanes.items() if lane.right is None and lane.length_m > 12.0]
