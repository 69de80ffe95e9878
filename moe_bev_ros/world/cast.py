"""Collects who is in a scenario and what they do, so that nobody stands in anybody else nor where others must pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from moe_bev_ros.core.footprints import overlap
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import resample
from moe_bev_ros.world.drivers import AXLES
from moe_bev_ros.world.lane_paths import LanePath, lane_path
from moe_bev_ros.world.layout_curves import Pose
from moe_bev_ros.world.network import RoadNetwork
from moe_bev_ros.world.roles import Crosser, Driver, Event, Traffic, Walker
from moe_bev_ros.world.scene import Actor, Body, Prop

ROOM_M = 0.25  # between any two at the start
LANE_HALF_M = 2.1  # kept free on both sides of a lane's centre by what stands beside it
WALK_HALF_M = 0.9  # the same for lines that people walk along
FAR_M = 1e3


class Cast:
    """Actors, roles and props of one scenario in the making.

    Args:
        ego_lanes: the way that the ego will take.
        ego_rectangle_5: ground that the ego takes at the start.
    """

    def __init__(self, network: RoadNetwork, ego_lanes: tuple[int, ...], ego_rectangle_5: Sequence[float]) -> None:
        self.network, self.ego_lanes = network, ego_lanes
        self.actors: list[Actor] = []
        self.props: list[Prop] = []
        self.drivers: list[Driver] = []
        self.walkers: list[Walker] = []
        self.crossers: list[Crosser] = []
        self._rectangles: list[Sequence[float]] = [ego_rectangle_5]
        self._paths: dict[tuple[int, ...], LanePath] = {}
        self._roads = _tree([lane.centre_m3[:, :2] for lane in network.graph.lanes.values()])
        self._walks = _tree(network.walkways)

    def path(self, lanes: tuple[int, ...]) -> LanePath:
        """Samples of a way, kept."""
        if lanes not in self._paths:
            self._paths[lanes] = lane_path(self.network.graph, lanes)
        return self._paths[lanes]

    @property
    def ego_path(self) -> LanePath:
        """The ego's way."""
        return self.path(self.ego_lanes)

    def fits(self, rectangle_5: Sequence[float], room_m: float = ROOM_M) -> bool:
        """Whether nobody and nothing is there."""
        x, y, length, width, yaw = rectangle_5
        others = np.array(self._rectangles)
        return not overlap(np.array([x, y, length + 2 * room_m, width + 2 * room_m, yaw]), others).any()

    def is_off_road(
        self, rectangle_5: Sequence[float], lane_half_m: float = LANE_HALF_M, walk_half_m: float = WALK_HALF_M
    ) -> bool:
        """Whether lanes and walkways stay free."""
        edge = _outline(rectangle_5)
        return self._clear(self._roads, edge) > lane_half_m and self._clear(self._walks, edge) > walk_half_m

    @staticmethod
    def _clear(tree: cKDTree, points_n2: Array) -> float:
        distances, _ = tree.query(points_n2)
        return float(np.min(distances))

    def road_distance_m(self, x: float, y: float) -> float:
        """To the nearest centre line of a lane."""
        return float(self._roads.query((x, y))[0])

    def stand(self, body: Body, pose: Pose, *, room_m: float = ROOM_M) -> Actor | None:
        """Put somebody who does not move; None: there is no room."""
        x, y, yaw = pose
        rectangle = (x, y, *body.size_3[:2], yaw)
        if not self.fits(rectangle, room_m):
            return None
        actor = Actor(len(self.actors) + 1, body, x, y, float((yaw + np.pi) % (2 * np.pi) - np.pi))
        self.actors.append(actor)
        self._rectangles.append(rectangle)
        return actor

    def drive(
        self, body: Body, lanes: tuple[int, ...], start_m: float, desired_mps: float, *,
        offset_m: float = 0.0, may_change: bool = True, event: Event | None = None, room_m: float | None = None,
    ) -> Driver | None:  # fmt: skip
        """Put a driver on its way; ``room_m`` is kept before and behind, None: what the speed asks for."""
        path = self.path(lanes)
        reach = AXLES * body.size_3[0]
        front, rear = (path.pose(start_m + side * reach, offset_m) for side in (1.0, -1.0))
        yaw = float(np.arctan2(front[1] - rear[1], front[0] - rear[0]))
        pose = (0.5 * (front[0] + rear[0]), 0.5 * (front[1] + rear[1]), yaw)
        inside = 0.5 * body.size_3[0] < start_m < path.length_m - 0.5 * body.size_3[0]
        room = max(3.0, min(desired_mps, path.cap_mps(start_m))) if room_m is None else room_m
        longer = (*pose[:2], body.size_3[0] + 2 * room, body.size_3[1], yaw)
        actor = self.stand(body, pose) if inside and self.fits(longer) else None
        if actor is None:
            return None
        role = Driver(actor.track_id, lanes, start_m, desired_mps, offset_m, may_change, event)
        self.drivers.append(role)
        return role

    def walk(self, body: Body, line_k2: Array, start_m: float, direction: int, pace_mps: float, offset_m: float) -> None:
        """Put somebody who walks to and fro, where there is room."""
        steps = np.linalg.norm(np.diff(line_k2, axis=0), axis=1)
        at = np.concatenate([[0.0], np.cumsum(steps)])
        index = int(np.clip(np.searchsorted(at, start_m) - 1, 0, len(steps) - 1))
        ahead = (line_k2[index + 1] - line_k2[index]) / steps[index]
        x, y = line_k2[index] + ahead * (start_m - at[index]) + offset_m * np.array([-ahead[1], ahead[0]])
        yaw = float(np.arctan2(direction * ahead[1], direction * ahead[0]))
        actor = self.stand(body, (float(x), float(y), yaw))
        if actor is not None:
            self.walkers.append(Walker(actor.track_id, line_k2, start_m, direction, pace_mps, offset_m))

    def cross(self, body: Body, line_k2: Array, pace_mps: float, *, meets_ego: bool = False) -> Actor | None:
        """Put somebody who waits at the beginning of a line and goes along it."""
        ahead = line_k2[1] - line_k2[0]
        yaw = float(np.arctan2(ahead[1], ahead[0]))
        actor = self.stand(body, (float(line_k2[0, 0]), float(line_k2[0, 1]), yaw), room_m=0.1)
        if actor is not None:
            self.crossers.append(Crosser(actor.track_id, line_k2, pace_mps, meets_ego))
        return actor

    def put(self, prop: Prop, rectangle_5: Sequence[float], *, room_m: float = ROOM_M, lane_half_m: float = 2.3) -> bool:
        """Put something that never moves, where it is in nobody's way."""
        if not (self.fits(rectangle_5, room_m) and self.is_off_road(rectangle_5, lane_half_m)):
            return False
        self.props.append(prop)
        self._rectangles.append(rectangle_5)
        return True

    def traffic(self, *, returns: bool = True) -> Traffic:
        """All roles."""
        return Traffic(self.ego_lanes, tuple(self.drivers), tuple(self.walkers), tuple(self.crossers), returns)


def _tree(lines: Sequence[Array]) -> cKDTree:
    points = [resample(line, 1.0) for line in lines]
    return cKDTree(np.concatenate([*points, [[FAR_M, FAR_M]]]))


def _outline(rectangle_5: Sequence[float]) -> Array:
    """Points about a metre apart on the edge of a rectangle, and its middle."""
    x, y, length, width, yaw = rectangle_5
    u = np.linspace(-0.5, 0.5, max(2, int(np.ceil(length)) + 1)) * length
    v = np.linspace(-0.5, 0.5, max(2, int(np.ceil(width)) + 1)) * width
    sides = [(u, np.full_like(u, side * width)) for side in (-0.5, 0.5)]
    sides += [(np.full_like(v, side * length), v) for side in (-0.5, 0.5)]
    along = np.concatenate([first for first, _ in sides] + [[0.0]])
    aside = np.concatenate([second for _, second in sides] + [[0.0]])
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.column_stack([x + along * cos - aside * sin, y + along * sin + aside * cos])
