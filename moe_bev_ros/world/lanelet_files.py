"""Road networks as Lanelet2 files, and Lanelet2 files as road networks.

Written files hold metres in ``local_x`` and ``local_y``; their latitude and longitude lie around 0, 0 and are not meant to be
read. Borders that lanes share are one way, so that Lanelet2 finds successors and neighbours; a border that one may change lanes
over is dashed. Pavements, parking strips and what else lies on the ground are not part of a Lanelet2 file: reading lays asphalt
between borders, with a kerb and a pavement around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError, iterparse

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from moe_bev_ros.core.files import write_text
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightPlace
from moe_bev_ros.planning.lane_graph import Lane, resample
from moe_bev_ros.planning.lanelet_map import METRES_PER_DEGREE, centre_between, lane_graph_of, load_lanelet_map, nearest_on
from moe_bev_ros.world.lane_surfaces import surfaces_of, walkways_of
from moe_bev_ros.world.network import Crossing, LineKind, PaintLine, RoadNetwork

SAME_POINT_M = 0.005
ON_PAINT_M = 0.25
TURN_RAD = 0.5
LAMP_M = 0.4
LIGHT_TAGS = {'type': 'traffic_light', 'subtype': 'red_yellow_green'}
PAINT_WIDTHS_M = {'line_thin': 0.12, 'line_thick': 0.25, 'stop_line': 0.4}


def write_lanelet2(network: RoadNetwork, path: Path, places: Sequence[LightPlace] = ()) -> None:
    """Write the lanes, traffic lights and crossings of a network; lanes and lights keep their ids.

    Args:
        places: where the lights' housings hang; a light that is not among them is drawn on its stop line, without a height.

    Raises:
        InputError: the file cannot be written.
    """
    lights = {light.element_id for lane in network.graph.lanes.values() for light in lane.traffic_lights}
    document = _Document(1 + max([0, *network.graph.lanes, *lights]))
    _write_lanes(document, network)
    for element_id in sorted(lights):
        _write_light(document, network, element_id, [place for place in places if place.element_id == element_id])
    for crossing in network.crossings:
        _write_crossing(document, crossing)
    write_text(path, document.text())


def read_network(path: Path, origin_lat_lon: tuple[float, float] | None = None) -> RoadNetwork:
    """Read any Lanelet2 file.

    Args:
        origin_lat_lon: where map's origin lies [degrees]; needed where the file holds no ``local_x`` tags.

    Raises:
        InputError: the file is missing, malformed, needs an origin, or holds no lane for cars.
    """
    lanelet_map, warnings = load_lanelet_map(path, origin_lat_lon)
    graph = lane_graph_of(lanelet_map, warnings, path)
    lanelets = {item.id: item for item in sorted(lanelet_map.laneletLayer, key=lambda item: item.id)}
    borders = {i: (_points(lanelets[i].leftBound), _points(lanelets[i].rightBound)) for i in graph.lanes}
    crossings = tuple(_crossing(item) for item in lanelets.values() if _tag(item, 'subtype') == 'crosswalk')
    walkways = [_middle(item) for item in lanelets.values() if _tag(item, 'subtype') == 'walkway']
    lines = tuple(line for item in lanelet_map.lineStringLayer if (line := _paint(item)) is not None)
    walkways += walkways_of(borders, graph)
    return RoadNetwork(graph, borders, surfaces_of(borders), lines, crossings, tuple(walkways))


def first_node(path: Path) -> tuple[float, float] | None:
    """Latitude and longitude of an OSM file's first node [degrees]: an origin as good as any where no frame has to fit."""
    try:
        for _, element in iterparse(path):
            if element.tag == 'node':
                return float(element.attrib['lat']), float(element.attrib['lon'])
    except (OSError, ParseError, KeyError, ValueError):
        pass  # whoever reads the map says what is wrong with it
    return None


class _Document:
    """Collects the elements of an OSM file and gives them ids."""

    def __init__(self, first_id: int) -> None:
        self._ids = count(first_id)
        self._nodes: list[str] = []
        self._ways: list[str] = []
        self._relations: list[str] = []

    def node(self, x: float, y: float, z: float = 0.0) -> int:
        number = next(self._ids)
        place = f'lat="{y / METRES_PER_DEGREE:.9f}" lon="{x / METRES_PER_DEGREE:.9f}"'
        tags = _tags(local_x=f'{x:.3f}', local_y=f'{y:.3f}', ele=f'{z:.3f}')
        self._nodes.append(f'<node id="{number}" version="1" {place}>{tags}</node>')
        return number

    def way(self, nodes: Sequence[int], **tags: str) -> int:
        number = next(self._ids)
        refs = ''.join(f'<nd ref="{node}"/>' for node in nodes)
        self._ways.append(f'<way id="{number}" version="1">{refs}{_tags(**tags)}</way>')
        return number

    def line(self, points_nk: Array, **tags: str) -> int:
        """A way with nodes of its own; points have two or three coordinates."""
        return self.way([self.node(*point) for point in points_nk.tolist()], **tags)

    def relation(self, members: Sequence[tuple[str, int, str]], tags: dict[str, str], number: int | None = None) -> None:
        """Members are kind, id and role."""
        number = next(self._ids) if number is None else number
        refs = ''.join(f'<member type="{kind}" ref="{ref}" role="{role}"/>' for kind, ref, role in members)
        self._relations.append(f'<relation id="{number}" version="1">{refs}{_tags(**tags)}</relation>')

    def text(self) -> str:
        body = '\n'.join([*self._nodes, *self._ways, *self._relations])
        return f'<?xml version="1.0"?>\n<osm version="0.6" generator="moe_bev_ros">\n{body}\n</osm>\n'


def _write_lanes(document: _Document, network: RoadNetwork) -> None:
    borders = [border for pair in network.borders.values() for border in pair]
    labels = _same_points(np.concatenate(borders))
    ends = np.cumsum([0, *(len(border) for border in borders)])
    kinds = _Kinds(network)
    nodes: dict[int, int] = {}
    ways: dict[tuple[int, ...], int] = {}
    for index, lane_id in enumerate(network.borders):
        lane = network.graph.lanes[lane_id]
        members = []
        for side, role, neighbour in ((0, 'left', lane.left), (1, 'right', lane.right)):
            border = borders[2 * index + side]
            refs = []
            for label, (x, y) in zip(labels[ends[2 * index + side] : ends[2 * index + side + 1]].tolist(), border):
                nodes[label] = nodes[label] if label in nodes else document.node(x, y)
                refs.append(nodes[label])
            forward, back = tuple(refs), tuple(reversed(refs))
            if forward not in ways and back not in ways:
                ways[forward] = document.way(refs, **kinds.tags(border, neighbour is not None))
            members.append(('way', ways[forward] if forward in ways else ways[back], role))
        members += [('relation', light.element_id, 'regulatory_element') for light in lane.traffic_lights]
        document.relation(members, _lane_tags(lane), lane_id)


def _same_points(points_n2: Array) -> Array:
    """A number for each point, equal for points at one place."""
    pairs = cKDTree(points_n2).query_pairs(SAME_POINT_M, output_type='ndarray')
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(points_n2), len(points_n2)))
    return np.asarray(connected_components(links, directed=False)[1])


class _Kinds:
    """Finds how a border is painted."""

    def __init__(self, network: RoadNetwork) -> None:
        lines = [line for line in network.lines if line.kind in (LineKind.SOLID, LineKind.DASHED)]
        dense = [resample(line.points_n2, 0.5) for line in lines] or [np.full((1, 2), 1e9)]
        self._kinds = np.concatenate([np.full(len(points), line.kind) for line, points in zip(lines, dense)] or [np.zeros(1)])
        self._tree = cKDTree(np.concatenate(dense))

    def tags(self, border_k2: Array, changing: bool) -> dict[str, str]:
        """Type and subtype of a border; one that separates neighbours is dashed."""
        gaps, nearest = self._tree.query(resample(border_k2, 1.0))
        if changing:
            return {'type': 'line_thin', 'subtype': 'dashed'}
        if np.median(gaps) > ON_PAINT_M:
            return {'type': 'virtual'}
        dashed = np.median(self._kinds[nearest]) == LineKind.DASHED
        return {'type': 'line_thin', 'subtype': 'dashed' if dashed else 'solid'}


def _lane_tags(lane: Lane) -> dict[str, str]:
    steps = np.diff(lane.centre_m3[:, :2], axis=0)
    turn = float(np.sum(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))))
    return {
        'type': 'lanelet',
        'subtype': 'road',
        'location': 'urban',
        'one_way': 'yes',
        'speed_limit': f'{round(lane.speed_limit_mps * 3.6, 2):g}',
        'turn_direction': 'left' if turn > TURN_RAD else 'right' if turn < -TURN_RAD else 'straight',
    }


def _write_light(document: _Document, network: RoadNetwork, element_id: int, places: Sequence[LightPlace]) -> None:
    """A light with one stop line across all lanes that obey it."""
    ends: list[Array] = []
    for lane_id, lane in network.graph.lanes.items():
        for light in lane.traffic_lights:
            if light.element_id == element_id:
                ends += [nearest_on(border, light.stop_xy_2) for border in network.borders[lane_id]]
    gaps = np.linalg.norm(np.array(ends)[:, None] - np.array(ends)[None], axis=2)
    first, last = np.unravel_index(np.argmax(gaps), gaps.shape)
    lamps = [_write_housing(document, place) for place in places]
    if not lamps:
        lamps = [document.line(np.array([ends[first], ends[last]]), **LIGHT_TAGS)]
    stop = document.line(np.array([ends[first], ends[last]]), type='stop_line')
    members = [*(('way', lamp, 'refers') for lamp in lamps), ('way', stop, 'ref_line')]
    document.relation(members, {'type': 'regulatory_element', 'subtype': 'traffic_light'}, element_id)


def _write_housing(document: _Document, place: LightPlace) -> int:
    """The lower edge of a housing, from left to right as one sees the lamps, and its height: as Autoware has it."""
    x, y, z = place.centre_xyz_m
    right_2 = 0.5 * LAMP_M * np.array([-np.sin(place.yaw_rad), np.cos(place.yaw_rad)])
    edge_23 = np.array([(x, y, z - 0.5 * place.height_m)] * 2)
    edge_23[:, :2] += np.array([-right_2, right_2])
    return document.line(edge_23, **LIGHT_TAGS, height=f'{place.height_m:g}')


def _write_crossing(document: _Document, crossing: Crossing) -> None:
    along = (crossing.end_2 - crossing.start_2) / np.linalg.norm(crossing.end_2 - crossing.start_2)
    aside = 0.5 * crossing.width_m * np.array([-along[1], along[0]])
    ways = [
        document.line(np.array([crossing.start_2 + side * aside, crossing.end_2 + side * aside]), type='pedestrian_marking')
        for side in (1, -1)
    ]
    tags = {'type': 'lanelet', 'subtype': 'crosswalk', 'location': 'urban', 'one_way': 'no', 'participant:pedestrian': 'yes'}
    document.relation([('way', ways[0], 'left'), ('way', ways[1], 'right')], tags)


def _tags(**values: str) -> str:
    return ''.join(f'<tag k="{key}" v="{value}"/>' for key, value in values.items())


def _tag(item: Any, key: str) -> str:
    return str(item.attributes[key]) if key in item.attributes else ''


def _points(line: Any) -> Array:
    return np.array([(point.x, point.y) for point in line], float).reshape(-1, 2)


def _paint(item: Any) -> PaintLine | None:
    kind, points = _tag(item, 'type'), _points(item)
    if kind not in PAINT_WIDTHS_M or len(points) < 2:
        return None
    dashed = _tag(item, 'subtype') == 'dashed'
    paint = LineKind.STOP if kind == 'stop_line' else LineKind.DASHED if dashed else LineKind.SOLID
    return PaintLine(paint, points, PAINT_WIDTHS_M[kind])


def _crossing(item: Any) -> Crossing:
    left, right = _points(item.leftBound), _points(item.rightBound)
    width = float(np.linalg.norm(left[0] - right[0]) + np.linalg.norm(left[-1] - right[-1])) / 2
    return Crossing(0.5 * (left[0] + right[0]), 0.5 * (left[-1] + right[-1]), width)


def _middle(item: Any) -> Array:
    left, right = (
        np.column_stack([points, np.zeros(len(points))]) for points in map(_points, (item.leftBound, item.rightBound))
    )
    return centre_between(left, right, item.id)[:, :2]
