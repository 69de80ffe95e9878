"""A road along a reference line, its cross-section, and the same road as a Lanelet2 file.

The reference line is the centre of the ego's lane; ``station`` is the distance along it, ``offset`` the distance to its left.
Traffic keeps right: the ego's lane, then to the left the oncoming lane, and a parking strip and a pavement on both sides.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moe_bev_ros.core.se3 import Array

LANE_WIDTH_M = 3.5
PARKING_WIDTH_M = 2.4
PAVEMENT_WIDTH_M = 2.4
EGO_OFFSET_M = 0.0
ONCOMING_OFFSET_M = LANE_WIDTH_M
RIGHT_EDGE_M, LEFT_EDGE_M = -0.5 * LANE_WIDTH_M, 1.5 * LANE_WIDTH_M
RIGHT_KERB_M, LEFT_KERB_M = RIGHT_EDGE_M - PARKING_WIDTH_M, LEFT_EDGE_M + PARKING_WIDTH_M
RIGHT_WALL_M, LEFT_WALL_M = RIGHT_KERB_M - PAVEMENT_WIDTH_M, LEFT_KERB_M + PAVEMENT_WIDTH_M
SPEED_LIMIT_KMH = 30
ORIGIN_LAT_LON = (0.0, 0.0)
METRES_PER_DEGREE = 111_319.49  # on the equator: only local_x and local_y are meant to be read


@dataclass(frozen=True)
class Road:
    """A road of constant curvature (0: straight) that passes map's origin along map's x axis at station 0.

    Attributes:
        start_m, end_m: stations at which it begins and ends.
        curvature_per_m: left positive.
    """

    start_m: float = -60.0
    end_m: float = 240.0
    curvature_per_m: float = 0.0

    def pose(self, station_m: float, offset_m: float = 0.0) -> tuple[float, float, float]:
        """x, y, yaw in map of a place on the road, looking along the ego's lane."""
        x, y = self.points(np.array([station_m]), np.array([offset_m]))[0]
        return float(x), float(y), self.curvature_per_m * station_m

    def points(self, stations_n: Array, offsets_n: Array | float) -> Array:
        """(N, 2) places in map."""
        curvature = self.curvature_per_m
        yaw = curvature * stations_n
        half = np.sinc(yaw / (2 * np.pi)) * stations_n  # chord from the origin
        x = half * np.cos(yaw / 2) - offsets_n * np.sin(yaw)
        y = half * np.sin(yaw / 2) + offsets_n * np.cos(yaw)
        return np.stack([x, y], axis=-1)

    def locate(self, x: float, y: float) -> tuple[float, float]:
        """Station and offset of a place in map."""
        curvature = self.curvature_per_m
        if abs(curvature) < 1e-9:
            return x, y
        side, to_centre_y = float(np.sign(curvature)), 1.0 / curvature - y
        angle = float(np.arctan2(x, side * to_centre_y))
        return angle / abs(curvature), side * (1.0 / abs(curvature) - float(np.hypot(x, to_centre_y)))

    def strip(self, start_m: float, end_m: float, right_m: float, left_m: float) -> Array:
        """(N, 2) outline in map of the area between two stations and two offsets."""
        stations = np.linspace(start_m, end_m, max(2, int(abs(end_m - start_m) / 2.0) + 2))
        return np.concatenate([self.points(stations, left_m), self.points(stations[::-1], right_m)])


@dataclass(frozen=True)
class Markings:
    """What is painted across the road, by station [m]."""

    stop_lines_m: tuple[float, ...] = ()
    crossings_m: tuple[float, ...] = ()


def write_lanelet2(road: Road, path: Path, spacing_m: float = 5.0) -> None:
    """Write the two lanes as Lanelet2 OSM with ``local_x``/``local_y`` tags, ids counted from 1."""
    stations = np.arange(road.start_m, road.end_m + 0.5 * spacing_m, spacing_m)
    borders = [road.points(stations, offset) for offset in (RIGHT_EDGE_M, 0.5 * LANE_WIDTH_M, LEFT_EDGE_M)]
    nodes: list[str] = []
    ways: list[str] = []
    for index, (border, subtype) in enumerate(zip(borders, ('solid', 'dashed', 'solid'))):
        first = 1 + index * len(stations)
        nodes += [_node(first + i, x, y) for i, (x, y) in enumerate(border)]
        refs = ''.join(f'<nd ref="{first + i}"/>' for i in range(len(stations)))
        ways.append(f'<way id="{1001 + index * 1000}" version="1">{refs}{_tags(type="line_thin", subtype=subtype)}</way>')
    # A left border must run along the lane; the oncoming lane's borders are turned round by the reader.
    lanelets = [_lanelet(9001, left=2001, right=1001), _lanelet(9002, left=2001, right=3001)]
    body = '\n'.join([*nodes, *ways, *lanelets])
    path.write_text(f'<?xml version="1.0"?>\n<osm version="0.6" generator="moe_bev_ros">\n{body}\n</osm>\n')


def _node(number: int, x: float, y: float) -> str:
    lat, lon = ORIGIN_LAT_LON[0] + y / METRES_PER_DEGREE, ORIGIN_LAT_LON[1] + x / METRES_PER_DEGREE
    place = f'lat="{lat:.9f}" lon="{lon:.9f}"'
    return f'<node id="{number}" version="1" {place}>{_tags(local_x=f"{x:.3f}", local_y=f"{y:.3f}", ele="0.0")}</node>'


def _lanelet(number: int, left: int, right: int) -> str:
    members = f'<member type="way" ref="{left}" role="left"/><member type="way" ref="{right}" role="right"/>'
    tags = _tags(
        type='lanelet',
        subtype='road',
        location='urban',
        one_way='yes',
        speed_limit=str(SPEED_LIMIT_KMH),
        turn_direction='straight',
    )
    return f'<relation id="{number}" version="1">{members}{tags}</relation>'


def _tags(**values: str) -> str:
    return ''.join(f'<tag k="{key}" v="{value}"/>' for key, value in values.items())


def turned(yaw_rad: float, by_rad: float = np.pi) -> float:
    """A heading turned, in [-pi, pi)."""
    return float((yaw_rad + by_rad + np.pi) % (2 * np.pi) - np.pi)
