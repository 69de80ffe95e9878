"""Intersection over union of BEV maps with the truth: the lanelet2 network of the scene, and its annotated vehicles.

Definition: intersection over union of the cells of all keyframes together, as in Lift, Splat, Shoot (Philion and Fidler, 2020)
and BEVFusion (Liu et al., 2023). Lines are painted with a width of DIVIDER_M, in the manner of these works.

An engine is judged by the classes that it gives. An occupancy grid gives ``vehicles`` alone: its occupied cells, among which
walls count as false.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.footprints import corners_of, footprints_of
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, inverse, transform_points
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, TreeBoxes
from moe_bev_ros.engine.base import Segmentation
from moe_bev_ros.evaluation.tally import NUM_BINS, Tally, distance_bins
from moe_bev_ros.world.lanelet_files import read_network
from moe_bev_ros.world.network import LineKind, RoadNetwork, Surface

VEHICLES = (Label.CAR, Label.TRUCK, Label.BUS, Label.TRAILER, Label.CONSTRUCTION_VEHICLE, Label.MOTORCYCLE, Label.BICYCLE)
ROAD_CLASSES = ('drivable', 'divider', 'crossing', 'stop_line')
DIVIDER_M = 0.5
OCCUPIED_FROM = 50
SHIFT = 4  # fractional bits of OpenCV's drawing

Mask = NDArray[np.bool_]


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
        base_link_se3_map = inverse(map_se3_base_link)
        for outline_k2 in self.polygons.get(name, ()):
            cv2.fillPoly(image, [_cells(_moved(outline_k2, base_link_se3_map), grid)], 1, shift=SHIFT)
        thickness = max(1, round(DIVIDER_M / grid.resolution_m))
        for line_k2 in self.lines.get(name, ()):
            cells = _cells(_moved(line_k2, base_link_se3_map), grid)
            cv2.polylines(image, [cells], isClosed=False, color=1, thickness=thickness, shift=SHIFT)
        return image.astype(bool)


def predicted_masks(segmentation: Segmentation) -> dict[str, Mask]:
    """What an engine's map says, by class: ``vehicles`` and ROAD_CLASSES."""
    return {'vehicles': segmentation.occupancy_hw >= OCCUPIED_FROM}


def overlap_counts(
    predicted: Mapping[str, Mask], grid: Segmentation, truth: TreeBoxes, raster: RoadRaster | None, map_se3_base_link: Array
) -> Tally:
    """``iou_<class>`` of one frame: cells of intersection and union by distance; road classes only where the road is known."""
    tally: Tally = {}
    for name, mask in predicted.items():
        if name == 'vehicles':
            tally[f'iou_{name}'] = iou_counts(mask, vehicle_mask(truth, grid), grid)
        elif raster is not None:
            tally[f'iou_{name}'] = iou_counts(mask, raster.mask(name, grid, map_se3_base_link), grid)
    return tally


def iou_counts(predicted: Mask, true: Mask, grid: Segmentation) -> Array:
    """(NUM_BINS, 2) cells of the intersection and of the union by the cells' distance."""
    bins_hw = _cell_bins(grid.occupancy_hw.shape, grid.resolution_m, grid.origin_xy_m)
    counts = np.zeros((NUM_BINS, 2))
    for column, mask in enumerate((predicted & true, predicted | true)):
        counts[:, column] = np.bincount(bins_hw[mask] + 1, minlength=NUM_BINS + 1)[1:]
    return counts


def vehicle_mask(truth: TreeBoxes, grid: Segmentation) -> Mask:
    """(H, W) the cells under the annotated vehicles."""
    image = np.zeros(grid.occupancy_hw.shape, np.uint8)
    is_vehicle = np.isin(truth.labels_n, VEHICLES)
    for corners_42 in corners_of(footprints_of(truth.boxes_n7[is_vehicle])):
        cv2.fillConvexPoly(image, _cells(corners_42, grid), 1, shift=SHIFT)
    return image.astype(bool)


@lru_cache(maxsize=4)
def _cell_bins(shape: tuple[int, int], resolution_m: float, origin_xy_m: tuple[float, float]) -> NDArray[np.int64]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([x, y], axis=-1) * resolution_m + np.array(origin_xy_m) + resolution_m / 2
    return distance_bins(centres)


def _crossing_outline(start_2: Array, end_2: Array, width_m: float) -> Array:
    along = (end_2 - start_2) / max(float(np.linalg.norm(end_2 - start_2)), 1e-6)
    aside = 0.5 * width_m * np.array([-along[1], along[0]])
    return np.array([start_2 + aside, end_2 + aside, end_2 - aside, start_2 - aside])


def _moved(points_k2: Array, a_se3_b: Array) -> Array:
    points_k3 = np.column_stack([points_k2, np.full(len(points_k2), -a_se3_b[2, 3])])
    return np.asarray(transform_points(a_se3_b, points_k3)[:, :2])


def _cells(xy_k2: Array, grid: Segmentation) -> NDArray[np.int32]:
    """Positions in base_link as OpenCV's fixed-point pixels; a cell's centre is the pixel's."""
    pixels = (xy_k2 - np.array(grid.origin_xy_m)) / grid.resolution_m - 0.5
    return np.asarray(np.clip(np.round(pixels * 2**SHIFT), -(2**24), 2**24), np.int32)
