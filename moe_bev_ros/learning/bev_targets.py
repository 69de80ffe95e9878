"""What the BEV network shall say about a frame, as arrays of fixed shapes.

A box is asked for in the channel of its class where a LiDAR point hit it: those are the boxes that nuScenes scores. What
only cameras see is neither asked for nor forbidden. It is asked for in the channel 'hidden', whatever its class, where nothing
sees it now but something saw it in this drive not long ago. What was never seen is not asked for.

Legend: M = MAX_BOXES slots for boxes, K cells a side of the heads' map.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.datasets.road_raster import ROAD_CLASSES, VEHICLES
from moe_bev_ros.learning.drives import F32, DriveFrame, FrameTruth
from moe_bev_ros.learning.heat_maps import draw_boxes, draw_peaks, peak_radius
from moe_bev_ros.model.config import ModelConfig

Kind = TypeVar('Kind', bound=np.generic)
MAX_BOXES = 160
NUM_CLASSES, HIDDEN = 10, 10
ALLOWED_PEAK = 0.95  # of what only cameras see: the focal loss hardly minds it, and does not want it
VISIBLE_FROM = 0.4  # share of a box that the images show
REMEMBERED_S = 3.0
UNKNOWN_ROAD = -1


class Targets(NamedTuple):
    """Of one frame; a batch has a dimension more in front. Numpy arrays, or torch tensors of the same shapes and types.

    Attributes:
        heat: (11, K, K) float32, 1 at a box's cell, falling off around it; ALLOWED_PEAK at those that only cameras see.
        valid: (M,) bool, whether the slot holds a box; where not, the others are zero, and ``attribute`` is -1.
        hidden: (M,) bool, it is asked for in the channel 'hidden'.
        by_lidar, by_camera: (M,) bool, what sees it now; neither: it is hidden. by_camera is also False where it is not known.
        cell: (M,) int64 flat cell row * K + column.
        boxes: (M, 10) float32 what the map of boxes shall hold there; velocity NaN where not known.
        label: (M,) int64.
        attribute: (M,) int64, -1 where not known.
        future: (M, 12, 2) float32 displacement [m]; NaN where not known.
        future_mask: (M, 12) bool, where it is known.
        road: (5, K, K) int8: drivable, divider, crossing, stop_line, vehicles; UNKNOWN_ROAD where it is not known.
    """

    heat: Any
    valid: Any
    hidden: Any
    by_lidar: Any
    by_camera: Any
    cell: Any
    boxes: Any
    label: Any
    attribute: Any
    future: Any
    future_mask: Any
    road: Any


class TargetMaker:
    """Makes the targets of one drive, frame after frame; remembers who was seen when."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config
        self._last_seen_s: dict[str, float] = {}
        self._time_s = 0.0

    def make(self, item: DriveFrame) -> Targets:
        """Of the drive's next frame."""
        truth = item.truth
        self._time_s += item.dt_s
        by_lidar_n = (truth.num_lidar_n >= 1) & item.frame.lidar_valid
        by_camera_n = (np.nan_to_num(truth.visible_shares_n) >= VISIBLE_FROM) & item.frame.camera_valid
        seen_n = by_lidar_n | by_camera_n
        for n in np.flatnonzero(seen_n):
            self._last_seen_s[truth.instances[n]] = self._time_s
        gone_n = self._time_s - np.array([self._last_seen_s.get(name, -np.inf) for name in truth.instances])
        hidden_n = ~seen_n & (gone_n <= REMEMBERED_S)
        chosen_n = self._chosen(truth, seen_n, hidden_n)
        vehicles_hw = self._vehicles(truth, seen_n | hidden_n)
        return self._filled(truth, chosen_n, hidden_n, by_lidar_n, by_camera_n, self._road(truth, vehicles_hw))

    def _chosen(self, truth: FrameTruth, seen_n: NDArray[np.bool_], hidden_n: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Boxes on the map that are asked for: those in sight first, each by distance."""
        half_m = self._config.half_m
        on_map_n = np.all(np.abs(truth.boxes_n7[:, :2]) < half_m - 1e-3, axis=1)
        chosen_n = np.flatnonzero(on_map_n & (seen_n | hidden_n))
        distance = np.hypot(truth.boxes_n7[chosen_n, 0], truth.boxes_n7[chosen_n, 1])
        return chosen_n[np.lexsort((distance, hidden_n[chosen_n]))][:MAX_BOXES]

    def _filled(
        self,
        truth: FrameTruth,
        chosen_n: NDArray[np.int64],
        hidden_n: NDArray[np.bool_],
        by_lidar_n: NDArray[np.bool_],
        by_camera_n: NDArray[np.bool_],
        road: NDArray[np.int8],
    ) -> Targets:
        config, num_cells = self._config, self._config.num_head_cells
        boxes_n7, velocities_n2 = truth.boxes_n7[chosen_n], truth.velocities_n2[chosen_n]
        labels_n, hidden_n = truth.labels_n[chosen_n].astype(np.int64), hidden_n[chosen_n]
        place_n2 = (boxes_n7[:, :2] + config.half_m) / config.head_cell_m
        columns_n, rows_n = place_n2.astype(np.int64).T
        heat = np.zeros((NUM_CLASSES + 1, num_cells, num_cells), np.float32)
        radii_n = peak_radius(boxes_n7[:, 3], boxes_n7[:, 4], config.head_cell_m)
        channels_n, scored_n = np.where(hidden_n, HIDDEN, labels_n), by_lidar_n[chosen_n] | hidden_n
        for mask_n, peak in ((~scored_n, ALLOWED_PEAK), (scored_n, 1.0)):
            draw_peaks(heat, channels_n[mask_n], rows_n[mask_n], columns_n[mask_n], radii_n[mask_n], peak)
        futures_n12x2 = truth.futures_n12x2[chosen_n]
        return Targets(
            heat,
            _padded(np.ones(len(chosen_n), np.bool_)),
            _padded(hidden_n),
            _padded(by_lidar_n[chosen_n]),
            _padded(by_camera_n[chosen_n]),
            _padded(rows_n * num_cells + columns_n),
            _padded(_box_values(boxes_n7, velocities_n2, place_n2 - np.floor(place_n2))),
            _padded(labels_n),
            _padded(truth.attributes_n[chosen_n], -1),
            _padded(futures_n12x2),
            _padded(np.isfinite(futures_n12x2).all(axis=2)),
            road,
        )

    def _road(self, truth: FrameTruth, vehicles_hw: NDArray[np.int8]) -> NDArray[np.int8]:
        num_cells = self._config.num_head_cells
        road = np.full((len(ROAD_CLASSES) + 1, num_cells, num_cells), UNKNOWN_ROAD, np.int8)
        if truth.road is not None:
            road[:-1] = truth.road.road_khw(num_cells, self._config.half_m)
        road[-1] = vehicles_hw
        return road

    def _vehicles(self, truth: FrameTruth, known_n: NDArray[np.bool_]) -> NDArray[np.int8]:
        """(K, K) 1 under vehicles that are or were seen, UNKNOWN_ROAD under the others."""
        is_vehicle_n = np.isin(truth.labels_n, VEHICLES)
        vehicles_hw = np.zeros((self._config.num_head_cells,) * 2, np.int8)
        for chosen_n, value in ((is_vehicle_n & ~known_n, UNKNOWN_ROAD), (is_vehicle_n & known_n, 1)):
            draw_boxes(vehicles_hw, truth.boxes_n7[chosen_n], value, self._config.head_cell_m, self._config.half_m)
        return vehicles_hw


def _padded(values_n: NDArray[Kind], fill: int = 0) -> NDArray[Kind]:
    padded = np.full((MAX_BOXES, *values_n.shape[1:]), fill, values_n.dtype)
    padded[: len(values_n)] = values_n
    return padded


def _box_values(boxes_n7: F32, velocities_n2: F32, offsets_n2: F32) -> F32:
    """(N, 10) offset [cells], z [m], log of length, width, height, sin and cos of yaw, velocity [m/s]."""
    yaw_n = boxes_n7[:, 6]
    size_n3 = np.log(np.maximum(boxes_n7[:, 3:6], 0.01))
    columns = (offsets_n2, boxes_n7[:, 2], size_n3, np.sin(yaw_n), np.cos(yaw_n), velocities_n2)
    return np.column_stack(columns).astype(np.float32)
