"""From where the vehicle is to where it shall go: a reference line through the map, through waypoints, or straight ahead.

A route file is YAML with exactly one of these keys, in the frame of the odometry::

    waypoints: [[0.0, 0.0], [50.0, 0.0], [80.0, 10.0]]   # x, y [m]; joined by straight pieces, corners rounded
    lanelets: [20, 21, 25]                               # ids to pass, in order; what lies between is searched for
    speed_limit_mps: 8.0                                 # optional, for waypoints
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array, yaw_of
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph
from moe_bev_ros.planning.reference_line import ReferenceLine, smooth_line, straight_line

NO_LIMIT_MPS = 1e3
GOAL_OFFSET_M = 5.0
LANE_OFFSET_M = 1.8  # a line this far beside the centre still drives in the lane
LANE_SAMPLES = 50


@dataclass(frozen=True)
class RouteFile:
    """What a route file asks for; exactly one of the two is given.

    Attributes:
        waypoints_k2: (K, 2) [m].
        lanelets: ids.
    """

    waypoints_k2: Array | None = None
    lanelets: tuple[int, ...] = ()
    speed_limit_mps: float = NO_LIMIT_MPS


def load_route_file(path: Path) -> RouteFile:
    """Read a route file.

    Raises:
        InputError: missing, not YAML, or not of the form above.
    """
    try:
        content = yaml.safe_load(path.read_text())
        given = [key for key in ('waypoints', 'lanelets') if key in content]
        if len(given) != 1:
            raise ValueError('give either waypoints or lanelets')
        limit = float(content.get('speed_limit_mps', NO_LIMIT_MPS))
        if not limit > 0.0:
            raise ValueError(f'speed_limit_mps must be above 0, got {limit}')
        if given == ['lanelets']:
            return RouteFile(lanelets=tuple(int(lane_id) for lane_id in content['lanelets']), speed_limit_mps=limit)
        waypoints = np.array(content['waypoints'], float)
        if waypoints.ndim != 2 or waypoints.shape[1] != 2 or len(waypoints) < 2 or not np.all(np.isfinite(waypoints)):
            raise ValueError('waypoints must be two or more pairs x, y')
    except (OSError, TypeError, ValueError, yaml.YAMLError) as err:
        raise InputError(f'{path}: not a route: {" ".join(str(err).split())}') from err
    return RouteFile(waypoints_k2=waypoints, speed_limit_mps=limit)


def route_from_file(route: RouteFile, graph: LaneGraph | None) -> ReferenceLine:
    """The line that a route file describes.

    Raises:
        InputError: lanelets without a map, unknown ids, or no way between them.
    """
    if route.waypoints_k2 is not None:
        limits_k = np.full(len(route.waypoints_k2), route.speed_limit_mps)
        line = smooth_line(route.waypoints_k2, limits_k)
        return smooth_line(route.waypoints_k2, limits_k, _lights_passed(line, graph)) if graph is not None else line
    if graph is None:
        raise InputError('the route names lanelets, but there is no map; set map_path')
    if not route.lanelets:
        raise InputError('the route names no lanelet')
    path = list(route.lanelets[:1])
    for lane_id in route.lanelets[1:]:
        path += graph.shortest_path(path[-1], lane_id)[1:]
    return _along_lanes(graph, tuple(path), None, None, 'end of the route')


def _lights_passed(line: ReferenceLine, graph: LaneGraph) -> tuple[tuple[int, Array], ...]:
    """Id and stop position of the lights of the lanes that a line of waypoints follows."""
    found = []
    for lane in graph.lanes.values():
        for light in lane.traffic_lights:
            s_1, d_1 = line.project(light.stop_xy_2[None])
            _, yaw_1, _ = line.at(s_1)
            along_2 = np.array([np.cos(yaw_1[0]), np.sin(yaw_1[0])])
            centre_m2 = lane.centre_m3[:, :2]
            nearest = min(int(np.argmin(np.hypot(*(centre_m2 - light.stop_xy_2).T))), len(centre_m2) - 2)
            step_2 = centre_m2[nearest + 1] - centre_m2[nearest]
            if abs(float(d_1[0])) < LANE_OFFSET_M and float(step_2 @ along_2) > 0.5 * float(np.hypot(*step_2)):
                found.append((light.element_id, light.stop_xy_2))
    return tuple(found)


def route_to_goal(graph: LaneGraph, odom_se3_base_link: Array, odom_se3_goal: Array) -> ReferenceLine:
    """The shortest way through the lanes, from the pose to the goal; it ends beside the goal.

    Raises:
        InputError: no lane near the pose or the goal, or no way.
    """
    start, goal = odom_se3_base_link[:2, 3], odom_se3_goal[:2, 3]
    start_id = graph.nearest(start, yaw_of(odom_se3_base_link))
    goal_id = graph.nearest(goal, yaw_of(odom_se3_goal))
    path = graph.shortest_path(start_id, goal_id)
    if start_id == goal_id and _along(graph.lanes[goal_id], goal) <= _along(graph.lanes[start_id], start):
        raise InputError(f'the goal lies behind the vehicle on lane {goal_id}; choose another goal')
    return _along_lanes(graph, path, start, goal, 'goal')


def route_along_lane(graph: LaneGraph, odom_se3_base_link: Array, length_m: float) -> ReferenceLine:
    """Without a goal: follow the lane straight on.

    Raises:
        InputError: no lane near the pose.
    """
    start = odom_se3_base_link[:2, 3]
    path = graph.straightest_path(graph.nearest(start, yaw_of(odom_se3_base_link)), length_m)
    return _along_lanes(graph, path, start, None, 'end of the map')


def corridor_ahead(odom_se3_base_link: Array, length_m: float, odom_se3_goal: Array | None = None) -> ReferenceLine:
    """Without a map: a straight line along the heading, up to the goal where there is one.

    Raises:
        InputError: the goal does not lie on that line.
    """
    start, yaw = odom_se3_base_link[:2, 3], yaw_of(odom_se3_base_link)
    if odom_se3_goal is None:
        return straight_line(start, yaw, length_m, 'end of the corridor')
    delta = odom_se3_goal[:2, 3] - start
    along = float(delta @ (np.cos(yaw), np.sin(yaw)))
    offset = float(delta @ (-np.sin(yaw), np.cos(yaw)))
    if along < 1.0 or abs(offset) > GOAL_OFFSET_M:
        raise InputError(
            f'without a map the goal must lie straight ahead, not {along:.1f} m ahead and {offset:.1f} m aside; load a map'
        )
    return straight_line(start, yaw, along, 'goal')


def _along_lanes(graph: LaneGraph, path: tuple[int, ...], start: Array | None, goal: Array | None, end: str) -> ReferenceLine:
    """Join the centre lines; neighbours in the path are a lane change, blended over the length of the lanes."""
    groups: list[list[Lane]] = []
    for lane_id in path:
        lane = graph.lanes[lane_id]
        if groups and lane_id in (groups[-1][-1].left, groups[-1][-1].right):
            groups[-1].append(lane)
        else:
            groups.append([lane])
    pieces = []
    for index, lanes in enumerate(groups):
        first = _along(lanes[0], start) if start is not None and index == 0 else 0.0
        last = _along(lanes[-1], goal) if goal is not None and index == len(groups) - 1 else 1.0
        pieces.append(_piece(lanes, first, max(last, first)))
    rows_k3 = np.vstack(pieces)
    lights = tuple(
        (light.element_id, light.stop_xy_2) for lane in dict.fromkeys(path) for light in graph.lanes[lane].traffic_lights
    )
    return smooth_line(rows_k3[:, :2], rows_k3[:, 2], lights, end)


def _piece(lanes: list[Lane], first: float, last: float) -> Array:
    """(M, 3) x, y, speed limit from share ``first`` of the first lane's length to share ``last`` of the last one's."""
    shares_m = np.linspace(first, last, max(2, int(np.ceil((last - first) * lanes[-1].length_m)) + 1))
    position_m = np.linspace(0.0, len(lanes) - 1, len(shares_m))
    index_m = np.minimum(position_m.astype(int), max(len(lanes) - 2, 0))
    blend = position_m - index_m
    blend = (blend * blend * (3.0 - 2.0 * blend))[:, None]
    all_xy = np.stack([_at_shares(lane, shares_m) for lane in lanes])
    rows = np.arange(len(shares_m))
    xy = (1.0 - blend) * all_xy[index_m, rows] + blend * all_xy[np.minimum(index_m + 1, len(lanes) - 1), rows]
    return np.column_stack([xy, np.full(len(xy), min(lane.speed_limit_mps for lane in lanes))])


def _at_shares(lane: Lane, shares_m: Array) -> Array:
    s_k = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(lane.centre_m3[:, :2], axis=0).T))])
    return np.column_stack([np.interp(shares_m * s_k[-1], s_k, column) for column in lane.centre_m3[:, :2].T])


def _along(lane: Lane, xy_2: Array) -> float:
    """Share of the lane's length [0..1] at which it comes nearest to a point."""
    shares = np.linspace(0.0, 1.0, max(LANE_SAMPLES, int(lane.length_m)) + 1)
    return float(shares[np.argmin(np.hypot(*(_at_shares(lane, shares) - xy_2).T))])
