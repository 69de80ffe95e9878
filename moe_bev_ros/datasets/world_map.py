"""The map of a world's scene as nuScenes wants it: a mask of where one drives and walks; all coordinates are positive.

nuScenes' masks have 0.1 m a pixel; their lower left corner is the map's origin, so everything is moved to lie beyond it.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph
from moe_bev_ros.world.network import RoadNetwork, Surface

PIXELS_PER_M = 10
MARGIN_M = 20.0
MASKED = (Surface.PAVEMENT, Surface.KERB, Surface.PARKING, Surface.ASPHALT)  # nuScenes: drivable surface and sidewalks


def map_offset(network: RoadNetwork) -> Array:
    """(2,) whole metres that are added to the world's x and y."""
    corners_n2 = np.concatenate([area.outline_n2 for area in network.areas])
    return np.ceil(MARGIN_M - corners_n2.min(axis=0))


def map_mask(network: RoadNetwork, offset_2: Array) -> NDArray[np.uint8]:
    """(H, W) 255 on roads and pavements, 0 elsewhere; the last row is y = 0."""
    corners_n2 = np.concatenate([area.outline_n2 for area in network.areas])
    width, height = (int(value) for value in np.ceil(corners_n2.max(axis=0) + offset_2 + MARGIN_M) * PIXELS_PER_M)
    mask_hw = np.zeros((height, width), np.uint8)
    for area in network.areas:
        pixels_n2 = (area.outline_n2 + offset_2) * PIXELS_PER_M
        pixels_n2[:, 1] = height - pixels_n2[:, 1]
        cv2.fillPoly(mask_hw, [np.round(pixels_n2).astype(np.int32)], 255 if area.surface in MASKED else 0)
    return mask_hw


def moved_network(network: RoadNetwork, offset_2: Array) -> RoadNetwork:
    """The network with its coordinates moved."""

    def moved(points_n: Array) -> Array:
        return points_n + np.array([*offset_2, 0.0])[: points_n.shape[-1]]

    def moved_lane(lane: Lane) -> Lane:
        lights = tuple(replace(light, stop_xy_2=moved(light.stop_xy_2)) for light in lane.traffic_lights)
        return replace(lane, centre_m3=moved(lane.centre_m3), traffic_lights=lights)

    return replace(
        network,
        graph=LaneGraph({lane_id: moved_lane(lane) for lane_id, lane in network.graph.lanes.items()}, network.graph.warnings),
        borders={lane_id: (moved(left), moved(right)) for lane_id, (left, right) in network.borders.items()},
        areas=tuple(replace(area, outline_n2=moved(area.outline_n2)) for area in network.areas),
        lines=tuple(replace(line, points_n2=moved(line.points_n2)) for line in network.lines),
        crossings=tuple(replace(way, start_2=moved(way.start_2), end_2=moved(way.end_2)) for way in network.crossings),
        walkways=tuple(moved(line) for line in network.walkways),
        kerbsides=tuple(moved(line) for line in network.kerbsides),
    )
