"""Reads a Lanelet2 map with lanelet2's own library and hands it out as a LaneGraph.

Two kinds of ``.osm`` exist. Plain ones hold latitude and longitude and need an origin; they are projected to east, north, up
around it. Autoware's hold metres in ``local_x`` and ``local_y`` tags, which win where present; their latitude and longitude may
be empty, and lanelet2 would then guess the driving direction wrongly, so they are filled in before it reads the file.
A ``.bin`` (what ``LaneletMapBin`` carries) holds metres already. Lanes that may be driven both ways are taken in the direction
in which they are drawn.
"""

from __future__ import annotations

import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightPlace
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph, TrafficLightElement

METRES_PER_DEGREE = 111_319.5
CENTRE_SPACING_M = 1.0
MAX_WARNINGS = 5


def load_lane_graph(path: Path, origin_lat_lon: tuple[float, float] | None = None) -> LaneGraph:
    """Read a map file.

    Args:
        path: ``.osm`` or ``.bin``.
        origin_lat_lon: where the map frame's origin lies [degrees]; needed for ``.osm`` without local_x tags.

    Raises:
        InputError: the file is missing, malformed, needs an origin, or holds no lane for cars.
    """
    return lane_graph_of(*load_lanelet_map(path, origin_lat_lon), path)


def load_lanelet_map(path: Path, origin_lat_lon: tuple[float, float] | None = None) -> tuple[Any, tuple[str, ...]]:
    """Read a map file as lanelet2's own map, in metres, with warnings of what could not be read.

    Raises:
        InputError: the file is missing, malformed, or needs an origin.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such map file; set map_path')
    if path.suffix == '.osm' and b'local_x' in path.read_bytes():
        lanelet_map, warnings = _load_local(path)
    elif path.suffix == '.osm' and origin_lat_lon is None:
        raise InputError(f'{path}: holds no local_x tags; set map_origin to the latitude and longitude of the map frame')
    else:
        lanelet_map, warnings = _load(path, origin_lat_lon or (0.0, 0.0))
    return lanelet_map, tuple(warnings[:MAX_WARNINGS])


def load_light_places(path: Path, origin_lat_lon: tuple[float, float] | None = None) -> list[LightPlace]:
    """The housings of the traffic lights that lanes obey, in the map frame, by id.

    Lights are drawn as Autoware wants them: the lower edge of a housing, from left to right as one sees the lamps, with a tag
    ``height`` [m]. One without this tag may be drawn anywhere and is left out.

    Raises:
        InputError: as `load_lane_graph`.
    """
    lanelet_map, warnings = load_lanelet_map(path, origin_lat_lon)
    lanes = lane_graph_of(lanelet_map, warnings, path).lanes
    stops = {
        light.element_id: (float(light.stop_xy_2[0]), float(light.stop_xy_2[1]))
        for lane_id in sorted(lanes, reverse=True)
        for light in lanes[lane_id].traffic_lights
    }
    elements = {int(light.id): light for item in lanelet_map.laneletLayer for light in item.trafficLights()}
    found = [
        _housing(light_id, stops[light_id], line) for light_id in sorted(stops) for line in elements[light_id].trafficLights
    ]
    return [place for place in found if place is not None]


def _housing(element_id: int, stop_xy_m: tuple[float, float], line: Any) -> LightPlace | None:
    points_k3 = _points(line)
    try:
        height_m = float(line.attributes['height']) if 'height' in line.attributes else 0.0
    except ValueError:
        height_m = 0.0
    across_3 = points_k3[-1] - points_k3[0]
    if not height_m > 0.0 or not np.hypot(across_3[0], across_3[1]) > 0.0:
        return None
    x, y, z = (0.5 * (points_k3[0] + points_k3[-1])).tolist()
    yaw_rad = float(np.arctan2(-across_3[0], across_3[1]))
    return LightPlace(element_id, stop_xy_m, (x, y, z + 0.5 * height_m), yaw_rad, height_m)


def lane_graph_from_bytes(data: bytes) -> LaneGraph:
    """Read the ``data`` of an autoware_map_msgs/LaneletMapBin (a lanelet2 ``.bin``).

    Raises:
        InputError: as `load_lane_graph`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'LaneletMapBin.bin'
        path.write_bytes(data)
        return load_lane_graph(path)


def _load(path: Path, origin_lat_lon: tuple[float, float]) -> tuple[Any, list[str]]:
    """Read a file; an element that cannot be read becomes a warning, a broken file an InputError."""
    from lanelet2.io import Origin, loadRobust
    from lanelet2.projection import LocalCartesianProjector

    try:
        lanelet_map, errors = loadRobust(str(path), LocalCartesianProjector(Origin(*origin_lat_lon)))
    except RuntimeError as err:
        raise InputError(f'{path}: not a Lanelet2 map: {" ".join(str(err).split())}') from err
    return lanelet_map, [f'{path}: {" ".join(error.split())}' for error in errors[1:]]


def _load_local(path: Path) -> tuple[Any, list[str]]:
    """Read an .osm whose nodes carry local_x and local_y."""
    try:
        tree = ElementTree.parse(path)
        local = {int(node.attrib['id']): _local_xyz(node) for node in tree.iter('node')}
    except (ElementTree.ParseError, KeyError, ValueError) as err:
        raise InputError(f'{path}: not a Lanelet2 map: {err}') from err
    for node in tree.iter('node'):
        x, y, _ = local[int(node.attrib['id'])]
        node.set('lon', repr(x / METRES_PER_DEGREE))
        node.set('lat', repr(y / METRES_PER_DEGREE))
    with tempfile.TemporaryDirectory() as folder:
        filled = Path(folder) / path.name
        tree.write(filled, encoding='UTF-8', xml_declaration=True)
        lanelet_map, warnings = _load(filled, (0.0, 0.0))
    for point in lanelet_map.pointLayer:
        if point.id in local:
            point.x, point.y, point.z = local[point.id]
    return lanelet_map, [warning.replace(str(filled), str(path)) for warning in warnings]


def _local_xyz(node: ElementTree.Element) -> tuple[float, float, float]:
    tags = {tag.attrib['k']: tag.attrib['v'] for tag in node.iter('tag')}
    if 'local_x' not in tags or 'local_y' not in tags:
        raise ValueError(f'node {node.attrib["id"]} has no local_x and local_y, others have; tag all nodes or none')
    return float(tags['local_x']), float(tags['local_y']), float(tags.get('ele', 0.0))


def lane_graph_of(lanelet_map: Any, warnings: tuple[str, ...], path: Path) -> LaneGraph:
    """The lanes of lanelet2's map.

    Args:
        path: of the file, for messages.

    Raises:
        InputError: there is no lane for cars, or a coordinate that is not finite.
    """
    from lanelet2.routing import RoutingGraph
    from lanelet2.traffic_rules import Locations, Participants, create

    rules = create(Locations.Germany, Participants.Vehicle)  # the only location that lanelet2 implements
    lanelets = {item.id: item for item in lanelet_map.laneletLayer if rules.canPass(item)}
    if not lanelets:
        total = len(lanelet_map.laneletLayer)
        raise InputError(f'{path}: {total} lanelets, none that a car may use; check subtype and participant tags')
    routing = RoutingGraph(lanelet_map, rules)
    lanes = {lane_id: _lane(item, rules, routing, lanelets) for lane_id, item in lanelets.items()}
    if not all(np.all(np.isfinite(lane.centre_m3)) for lane in lanes.values()):
        raise InputError(f'{path}: holds coordinates that are not finite')
    return LaneGraph(lanes, warnings)


def _lane(item: Any, rules: Any, routing: Any, lanelets: dict[int, Any]) -> Lane:
    left, right = _points(item.leftBound), _points(item.rightBound)
    centre = _points(item.centerline) if item.centerline.id else centre_between(left, right, item.id)
    left_lane, right_lane = routing.left(item), routing.right(item)
    return Lane(
        lane_id=item.id,
        centre_m3=centre,
        speed_limit_mps=float(rules.speedLimit(item).speedLimit) / 3.6,
        successors=_ids(routing.following(item), lanelets),
        left=next(iter(_ids([left_lane] if left_lane is not None else [], lanelets)), None),
        right=next(iter(_ids([right_lane] if right_lane is not None else [], lanelets)), None),
        traffic_lights=tuple(_traffic_light(light, centre) for light in item.trafficLights()),
    )


def _traffic_light(light: Any, centre_m3: Array) -> TrafficLightElement:
    """Without a stop line one stops at the end of the lane, as Lanelet2 defines it."""
    stop = centre_m3[-1, :2]
    if light.stopLine is not None:
        line = _points(light.stopLine)[:, :2]
        stop = nearest_on(centre_m3[:, :2], 0.5 * (line[0] + line[-1]))
    return TrafficLightElement(int(light.id), np.asarray(stop, float))


def nearest_on(points_k2: Array, xy_2: Array) -> Array:
    """The place on a line that is nearest to another place."""
    steps = np.diff(points_k2, axis=0)
    shares = np.sum((xy_2 - points_k2[:-1]) * steps, axis=1) / np.maximum(np.sum(steps * steps, axis=1), 1e-12)
    feet = points_k2[:-1] + np.clip(shares, 0.0, 1.0)[:, None] * steps
    return np.asarray(feet[np.argmin(np.linalg.norm(feet - xy_2, axis=1))])


def centre_between(left_k3: Array, right_k3: Array, lane_id: int) -> Array:
    """The line half-way between two borders; smoother than lanelet2's own, which has a corner at every border point."""
    try:
        length = max(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in (left_k3, right_k3))
        num = max(2, int(np.ceil(length / CENTRE_SPACING_M)) + 1)
        return 0.5 * (_in_pieces(left_k3, num) + _in_pieces(right_k3, num))
    except ValueError as err:
        raise InputError(f'lanelet {lane_id}: {err}') from err


def _in_pieces(points_k3: Array, num: int) -> Array:
    s_k = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points_k3[:, :2], axis=0), axis=1))])
    return np.column_stack([np.interp(np.linspace(0.0, s_k[-1], num), s_k, column) for column in points_k3.T])


def _points(line: Any) -> Array:
    return np.array([(point.x, point.y, point.z) for point in line], float).reshape(-1, 3)


def _ids(items: Any, lanelets: dict[int, Any]) -> tuple[int, ...]:
    return tuple(item.id for item in items if item.id in lanelets and not item.inverted())
