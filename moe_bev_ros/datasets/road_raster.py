"""A road network and vehicles as cells of a map around base_link.

Lines are painted with a width of DIVIDER_M, in the manner of Lift, Splat, Shoot (Philion and Fidler, 2020) and BEVFusion (Liu
et al., 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.footprints import corners_of, footprints_of
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.engine.base import Segmentation
from moe_bev_ros.world.lanelet_files import read_network
from moe_bev_ros.world.network import LineKind, RoadNetwork, Surface

VEHICLES = (Label.CAR, Label.TRUCK, Label.BUS, Label.TRAILER, Label.CONSTRUCTION_VEHICLE, Label.MOTORCYCLE, Label.BICYCLE)
ROAD_CLASSES = ('drivable', 'divider', 'crossing', 'stop_line')
DIVIDER_M = 0.5
SHIFT = 4  # fractional bits of OpenCV's drawing

Mask = NDArray[np.bool_]


class LabelledBoxes(Protocol):
    """Boxes in base_link: (N, 7) and the values of Label."""

    @property
    def boxes_n7(self) -> NDArray[np.float32]:
        """x, y, z, length, width, height, yaw."""

    @property
    def labels_n(self) -> NDArray[np.uint8]:
        """Of each box."""


@dataclass(frozen=True)
class RoadRaster:
    """The outlines (K, 2) in map of what can be drawn of a network, by class."""

    polygons: dict[str, tuple[Array, ...]]
    lines: dict[str, tuple[Array, ...]]

    @staticmethod
    def of_scene(tree: NuscenesTree, scene: str) -> RoadRaster | None:
        """Of the scene's lanelet2 file; None where the tree has none."""
        path = tree.world(scene).get('lanelet2', '')
        return RoadRaster.of(read_network(tree.root / path)) if path else None

    @staticmethod
    def of(network: RoadNetwork) -> RoadRaster:
        """Lanes and asphalt are drivable."""
        lanes = [np.vstack([left, right[::-1]]) for left, right in network.borders.values()]
        asphalt = [area.outline_n2 for area in network.areas if area.surface in (Surface.ASPHALT, Surface.PARKING)]
        dividers = [line.points_n2 for line in network.lines if line.kind in (LineKind.SOLID, LineKind.DASHED)]
        stops = [line.points_n2 for line in network.lines if line.kind is LineKind.STOP]
        crossings = [_crossing_outline(item.start_2, item.end_2, item.width_m) for item in network.crossings]
        polygons = {'drivable': (*lanes, *asphalt), 'crossing': tuple(crossings)}
        return RoadRaster(polygons, {'divider': tuple(dividers), 'stop_line': tuple(stops)})

    def mask(self, name: str, grid: Segmentation, map_se3_base_link: Array) -> Mask:
        """(H, W) the cells of one of ROAD_CLASSES."""
        image = np.zeros(grid.occupancy_hw.shape, np.uint8)
        outlines = _on_map(self._outlines[name], grid, inverse(map_se3_base_link))
        if name in self.polygons:
            for cells in outlines:
                cv2.fillPoly(image, [cells], 1, shift=SHIFT)
        else:
            thickness = max(1, round(DIVIDER_M / grid.resolution_m))
            cv2.polylines(image, outlines, isClosed=False, color=1, thickness=thickness, shift=SHIFT)
        return image.astype(bool)

    @cached_property
    def _outlines(self) -> dict[str, _Outlines]:
        return {name: _Outlines.of(self.polygons.get(name) or self.lines.get(name, ())) for name in ROAD_CLASSES}


@dataclass(frozen=True)
class _Outlines:
    """All outlines (P, 2) of a class laid end to end, and where each begins: moved at once."""

    points_p2: Array
    starts_k: NDArray[np.int64]

    @staticmethod
    def of(outlines: tuple[Array, ...]) -> _Outlines:
        some = [outline for outline in outlines if len(outline)]
        starts = np.cumsum([0, *(len(outline) for outline in some)])[:-1]
        return _Outlines(np.concatenate([*some, np.zeros((0, 2))]), starts)


def vehicle_mask(truth: LabelledBoxes, grid: Segmentation) -> Mask:
    """(H, W) the cells under the annotated vehicles."""
    image = np.zeros(grid.occupancy_hw.shape, np.uint8)
    is_vehicle = np.isin(truth.labels_n, VEHICLES)
    for corners_42 in corners_of(footprints_of(truth.boxes_n7[is_vehicle])):
        cv2.fillConvexPoly(image, _cells(corners_42, grid), 1, shift=SHIFT)
    return image.astype(bool)


def _crossing_outline(start_2: Array, end_2: Array, width_m: float) -> Array:
    along = (end_2 - start_2) / max(float(np.linalg.norm(end_2 - start_2)), 1e-6)
    aside = 0.5 * width_m * np.array([-along[1], along[0]])
    return np.array([start_2 + aside, end_2 + aside, end_2 - aside, start_2 - aside])


def _on_map(outlines: _Outlines, grid: Segmentation, base_link_se3_map: Array) -> list[NDArray[np.int32]]:
    """The outlines that may touch the map, as OpenCV's fixed-point pixels; their points lie at the vehicle's height."""
    if not len(outlines.starts_k):
        return []
    rotation, shift = base_link_se3_map[:3, :3], base_link_se3_map[:3, 3]
    at_height_2 = shift[:2] - rotation[:2, 2] * shift[2]
    cells_p2 = _cells(outlines.points_p2 @ rotation[:2, :2].T + at_height_2, grid)
    margin = 4 << SHIFT
    size_2 = np.array(grid.occupancy_hw.shape[::-1]) << SHIFT
    lowest = np.minimum.reduceat(cells_p2, outlines.starts_k)
    highest = np.maximum.reduceat(cells_p2, outlines.starts_k)
    near_k = np.all((lowest < size_2 + margin) & (highest > -margin), axis=1)
    ends_k = np.append(outlines.starts_k[1:], len(cells_p2))
    return [cells_p2[first:end] for first, end in zip(outlines.starts_k[near_k], ends_k[near_k])]


def _cells(xy_k2: Array, grid: Segmentation) -> NDArray[np.int32]:
    """Positions in base_link as OpenCV's fixed-point pixels; a cell's centre is the pixel's."""
    pixels = (xy_k2 - np.array(grid.origin_xy_m)) / grid.resolution_m - 0.5
    return np.asarray(np.clip(np.round(pixels * 2**SHIFT), -(2**24), 2**24), np.int32)
