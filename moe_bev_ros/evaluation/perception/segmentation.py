"""Intersection over union of BEV maps with the truth: the lanelet2 network of the scene, and its annotated vehicles.

Definition: intersection over union of the cells of all keyframes together, as in Lift, Splat, Shoot (Philion and Fidler, 2020)
and BEVFusion (Liu et al., 2023).

An engine is judged by the classes that it gives. An occupancy grid gives ``vehicles`` alone: its occupied cells, among which
walls count as false.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.datasets.nuscenes_tree import TreeBoxes
from moe_bev_ros.datasets.road_raster import Mask, RoadRaster, vehicle_mask
from moe_bev_ros.engine.base import Segmentation
from moe_bev_ros.evaluation.tally import NUM_BINS, Tally, distance_bins

OCCUPIED_FROM = 50


def predicted_masks(segmentation: Segmentation) -> dict[str, Mask]:
    """What an engine's map says, by class: ``vehicles`` and ROAD_CLASSES."""
    if segmentation.masks:
        return dict(segmentation.masks)
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


@lru_cache(maxsize=4)
def _cell_bins(shape: tuple[int, int], resolution_m: float, origin_xy_m: tuple[float, float]) -> NDArray[np.int64]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    centres = np.stack([x, y], axis=-1) * resolution_m + np.array(origin_xy_m) + resolution_m / 2
    return distance_bins(centres)
