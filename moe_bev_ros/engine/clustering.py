"""The classical LiDAR baseline: ground removal, Euclidean clusters, oriented boxes, class by size.

It needs no training, and it is what a learned engine must beat. Clusters are connected components (OpenCV's) of the occupied
cells seen from above, grown by a margin that widens with the distance as the laser's points thin out. A component too large
for a road user is taken apart again without the margin; what is still too large (a wall, a hedge, a row of barriers) becomes a
chain of small UNKNOWN boxes, so that no box covers free road.

Letters: n points, c occupied cells, k clusters.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import EgoMotion, Frame
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.engine.base import BevGrid, EngineOutput, Segmentation
from moe_bev_ros.engine.box_fit import fit_rectangles
from moe_bev_ros.engine.ground import Ground, estimate_ground
from moe_bev_ros.engine.sight import Sight
from moe_bev_ros.engine.size_classes import UNKNOWN_SCORE, classify, complete, inside_a_vehicle, pieces_of_rows

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ClusteringConfig:
    """What the clustering takes for an obstacle. Heights are above the local ground [m].

    Attributes:
        range_m: clusters farther than this are not looked for.
        cell_m: size of the cells in which points are connected.
        margins: (range from [m], size in cells): two cells connect across less than this many empty ones.
        ground_margin_m: lower points are ground; grows with the distance by ground_margin_per_m.
        clearance_m: higher points (trees, bridges) connect nothing; those up to top_m only tell how tall a cluster is that
            reaches up to there.
        max_seen_through: share of a box that the laser may see through; above, a cluster is several things, and a partly
            seen road user is not grown to its usual size. Clusters narrower than looked_through_width_m are not asked.
        max_boxes: the farthest boxes are left out beyond this number.
    """

    range_m: float = 60.0
    cell_m: float = 0.125
    margins: tuple[tuple[float, int], ...] = ((0.0, 2), (15.0, 3), (25.0, 5), (40.0, 7))
    ground_margin_m: float = 0.2
    ground_margin_per_m: float = 0.003
    clearance_m: float = 2.6
    top_m: float = 8.0
    min_points: int = 3
    min_height_m: float = 0.35
    max_bottom_m: float = 1.6
    max_length_m: float = 18.0
    max_width_m: float = 3.4
    tile_m: float = 2.5
    looked_through_width_m: float = 0.5
    max_seen_through: float = 0.15
    max_boxes: int = 200


@dataclass(frozen=True)
class _Cells:
    """Occupied cells: mean position [m], heights above ground [m], number of points, flat index into the image."""

    xy_c2: Floats
    bottom_c: Floats
    top_c: Floats
    count_c: Ints
    index_c: Ints

    def __len__(self) -> int:
        return len(self.index_c)

    def take(self, order: NDArray[np.int64] | Bools) -> _Cells:
        return _Cells(self.xy_c2[order], self.bottom_c[order], self.top_c[order], self.count_c[order], self.index_c[order])


@dataclass(frozen=True)
class _Clusters:
    """Rectangles (K, 5) x, y, length, width, yaw; heights of the lowest and highest point above ground [m];
    number of points; False for a piece of something too large for a road user."""

    rectangles_k5: Floats
    bottom_k: Floats
    top_k: Floats
    count_k: Ints
    is_road_user_k: Bools

    def take(self, chosen_k: Bools | Ints) -> _Clusters:
        return _Clusters(
            self.rectangles_k5[chosen_k],
            self.bottom_k[chosen_k],
            self.top_k[chosen_k],
            self.count_k[chosen_k],
            self.is_road_user_k[chosen_k],
        )


class ClusteringEngine:
    """Finds obstacles in the LiDAR sweep of a frame; says that it cannot see where there is none. Keeps no memory."""

    name = 'clustering'
    image_size = None
    least_scores = dict.fromkeys(Label, 0.05)

    def __init__(self, grid: BevGrid | None = None, config: ClusteringConfig | None = None) -> None:
        self.grid = grid or BevGrid()
        self.config = config or ClusteringConfig()
        self._side = int(np.ceil(2 * self.config.range_m / self.config.cell_m))
        self._zones = self._margin_zones()

    def reset(self) -> None:
        """Nothing is remembered from frame to frame."""

    def step(self, frame: Frame, base_link_now_se3_before: Array | None) -> EngineOutput:
        """Detect the obstacles of one frame; without points ``perception_valid`` is False."""
        del base_link_now_se3_before
        clock = [time.perf_counter()]
        points_n5 = np.zeros((0, 5), np.float32) if frame.lidar is None else frame.lidar.points_n5
        xyz_n3 = np.ascontiguousarray(points_n5[np.isfinite(points_n5[:, :3]).all(axis=1), :3])
        if not len(xyz_n3):
            return EngineOutput(Detections.empty(), perception_valid=False)
        ground = estimate_ground(xyz_n3)
        height_n = xyz_n3[:, 2] - ground.height_at(xyz_n3[:, :2])
        is_obstacle_n = self._is_obstacle(xyz_n3, height_n)
        clock.append(time.perf_counter())
        sight = Sight.of(xyz_n3[:, :2], is_obstacle_n)
        clusters = self._clusters(xyz_n3, height_n, is_obstacle_n, frame.ego, sight)
        clock.append(time.perf_counter())
        detections = self._detections(clusters, ground, sight)
        clock.append(time.perf_counter())
        segmentation = self._occupancy(xyz_n3, height_n, is_obstacle_n)
        clock.append(time.perf_counter())
        spent = np.diff(clock) * 1e3
        stage_ms = dict(zip(('ground', 'clusters', 'boxes', 'grid'), (float(ms) for ms in spent)))
        return EngineOutput(detections, perception_valid=True, segmentation=segmentation, stage_ms=stage_ms)

    def _is_obstacle(self, xyz_n3: Floats, height_n: Floats) -> Bools:
        range_n = np.abs(xyz_n3[:, :2]).max(axis=1)
        margin_n = self.config.ground_margin_m + self.config.ground_margin_per_m * range_n
        is_near_n = range_n < self.config.range_m
        return is_near_n & (height_n > margin_n) & (height_n < self.config.clearance_m)

    # Clusters ----------------------------------------------------------------------------------------------------------

    def _clusters(
        self, xyz_n3: Floats, height_n: Floats, is_obstacle_n: Bools, ego: EgoMotion | None, sight: Sight
    ) -> _Clusters:
        cells = self._cells(xyz_n3, height_n, is_obstacle_n)
        cells = replace(cells, top_c=self._true_tops(xyz_n3, height_n, cells))
        occupied = np.zeros((self._side, self._side), np.uint8)
        occupied.ravel()[cells.index_c] = 1
        labels = _components(self._grown(occupied))
        is_solid = partial(self._is_solid_road_user, sight)
        found, rest = self._fit(cells, labels.ravel()[cells.index_c].astype(np.int64), is_solid)
        parts = [found]
        if len(rest):
            occupied[:] = 0
            occupied.ravel()[rest.index_c] = 1
            labels = _components(occupied)
            found, rest = self._fit(rest, labels.ravel()[rest.index_c].astype(np.int64), self._stands_out)
            parts.append(found)
        if len(rest):
            tiles, _ = self._fit(rest, _tile_of(rest.xy_c2, self.config.tile_m, ego), _is_any)
            parts.append(replace(tiles, is_road_user_k=np.zeros(len(tiles.top_k), bool)))
        return _Clusters(
            np.concatenate([part.rectangles_k5 for part in parts]),
            np.concatenate([part.bottom_k for part in parts]),
            np.concatenate([part.top_k for part in parts]),
            np.concatenate([part.count_k for part in parts]),
            np.concatenate([part.is_road_user_k for part in parts]),
        )

    def _cells(self, xyz_n3: Floats, height_n: Floats, is_obstacle_n: Bools) -> _Cells:
        xy_n2, height_n = xyz_n3[is_obstacle_n, :2], height_n[is_obstacle_n]
        index_n = self._index_of(xy_n2)
        order_n = np.argsort(index_n, kind='stable')
        index_n = index_n[order_n]
        is_first_n = np.diff(index_n, prepend=-1) > 0
        first_c = np.flatnonzero(is_first_n)
        if not len(first_c):
            return _Cells(np.zeros((0, 2), np.float32), height_n, height_n, first_c, first_c)
        height_n, xy_n2 = height_n[order_n], xy_n2[order_n]
        count_c = np.diff(first_c, append=len(index_n))
        return _Cells(
            (np.add.reduceat(xy_n2, first_c) / count_c[:, None]).astype(np.float32),
            np.minimum.reduceat(height_n, first_c),
            np.maximum.reduceat(height_n, first_c),
            count_c,
            index_n[first_c],
        )

    def _index_of(self, xy_n2: Floats) -> Ints:
        cell_n2 = ((xy_n2 + self.config.range_m) / self.config.cell_m).astype(np.int64)
        return np.asarray(cell_n2[:, 1] * self._side + cell_n2[:, 0])

    def _true_tops(self, xyz_n3: Floats, height_n: Floats, cells: _Cells) -> Floats:
        """The cells' tops, with the points above the clearance where the cell reaches up to it without a gap."""
        config = self.config
        is_high_n = (height_n >= config.clearance_m) & (height_n < config.top_m)
        is_high_n &= np.abs(xyz_n3[:, :2]).max(axis=1) < config.range_m
        tallest = np.zeros(self._side * self._side, np.float32)
        np.maximum.at(tallest, self._index_of(xyz_n3[is_high_n, :2]), height_n[is_high_n])
        is_tall_c = cells.top_c > config.clearance_m - 0.5
        return np.where(is_tall_c, np.maximum(tallest[cells.index_c], cells.top_c), cells.top_c)

    def _fit(self, cells: _Cells, label_c: Ints, keep: Callable[[_Clusters], Bools]) -> tuple[_Clusters, _Cells]:
        """Fit a rectangle to each label; return the clusters that ``keep`` chooses, and the cells of the others."""
        order_c = np.argsort(label_c, kind='stable')
        cells, label_c = cells.take(order_c), label_c[order_c]
        first_k = np.flatnonzero(np.diff(label_c, prepend=-1))
        if not len(first_k):
            return _no_clusters(), cells
        clusters = _Clusters(
            fit_rectangles(cells.xy_c2, first_k),
            np.minimum.reduceat(cells.bottom_c, first_k),
            np.maximum.reduceat(cells.top_c, first_k),
            np.add.reduceat(cells.count_c, first_k),
            np.ones(len(first_k), bool),
        )
        is_kept_k = keep(clusters)
        return clusters.take(is_kept_k), cells.take(np.repeat(~is_kept_k, np.diff(first_k, append=len(cells))))

    def _is_road_user_sized(self, clusters: _Clusters) -> Bools:
        _, _, length_k, width_k, _ = clusters.rectangles_k5.T
        return (length_k <= self.config.max_length_m) & (width_k <= self.config.max_width_m)

    def _is_solid_road_user(self, sight: Sight, clusters: _Clusters) -> Bools:
        """Of the size of a road user, and not two things that were connected: those one can look through between them."""
        is_wide_k = clusters.rectangles_k5[:, 3] > self.config.looked_through_width_m
        is_hollow_k = is_wide_k & (sight.seen_through(clusters.rectangles_k5) > self.config.max_seen_through)
        return self._is_road_user_sized(clusters) & ~is_hollow_k

    def _stands_out(self, clusters: _Clusters) -> Bools:
        """Whether a part of something large looks like a vehicle or a person beside it, not like a part of a hedge."""
        _, _, length_k, width_k, _ = clusters.rectangles_k5.T
        is_vehicle_k = (length_k > 2.5) & (width_k > 0.9) & (clusters.top_k > 1.1)
        is_person_k = (length_k > 0.25) & (length_k < 1.0) & (clusters.top_k > 1.3) & (clusters.top_k < 2.1)
        is_person_k &= (clusters.count_k >= 8) & (clusters.bottom_k < 0.7)
        return self._is_road_user_sized(clusters) & (is_vehicle_k | is_person_k)

    def _grown(self, occupied: NDArray[np.uint8]) -> NDArray[np.uint8]:
        grown = np.zeros_like(occupied)
        for (_, size), zone in zip(self.config.margins, self._zones):
            kernel = np.ones((size, size), np.uint8)
            np.bitwise_or(grown, np.bitwise_and(cv2.dilate(occupied, kernel), zone), out=grown)
        return grown

    def _margin_zones(self) -> list[NDArray[np.uint8]]:
        centre_m = (np.arange(self._side) + 0.5) * self.config.cell_m - self.config.range_m
        range_m = np.hypot(centre_m[:, None], centre_m[None, :])
        edges_m = [from_m for from_m, _ in self.config.margins] + [np.inf]
        return [((range_m >= low) & (range_m < high)).astype(np.uint8) for low, high in pairwise(edges_m)]

    # Boxes -------------------------------------------------------------------------------------------------------------

    def _detections(self, clusters: _Clusters, ground: Ground, sight: Sight) -> Detections:
        config = self.config
        is_thing_k = (clusters.count_k >= config.min_points) & (clusters.top_k > config.min_height_m)
        clusters = clusters.take(is_thing_k & (clusters.bottom_k < config.max_bottom_m))
        visible_k5, origin_k = pieces_of_rows(clusters.rectangles_k5, clusters.top_k)
        clusters = clusters.take(origin_k)
        label_k, score_k = classify(visible_k5[:, 2], visible_k5[:, 3], clusters.top_k, clusters.count_k)
        label_k[~clusters.is_road_user_k] = Label.UNKNOWN
        score_k[~clusters.is_road_user_k] = UNKNOWN_SCORE
        whole_k5 = complete(visible_k5, label_k)
        is_empty_k = sight.seen_through(whole_k5) > config.max_seen_through
        rectangles_k5 = np.where(is_empty_k[:, None], visible_k5, whole_k5)
        bottom_k = ground.height_at(rectangles_k5[:, :2])
        x, y, length, width, yaw = rectangles_k5.T
        boxes_k7 = np.column_stack([x, y, bottom_k + clusters.top_k / 2, length, width, clusters.top_k, yaw])
        is_fragment_k = inside_a_vehicle(rectangles_k5, label_k)
        kept = np.flatnonzero(~is_fragment_k)
        kept = kept[np.argsort(np.hypot(x, y)[kept])][: config.max_boxes]
        velocities = np.full((len(kept), 2), np.nan, np.float32)
        return Detections(boxes_k7[kept].astype(np.float32), label_k[kept], score_k[kept], velocities)

    # Occupancy ---------------------------------------------------------------------------------------------------------

    def _occupancy(self, xyz_n3: Floats, height_n: Floats, is_obstacle_n: Bools) -> Segmentation:
        half_m, cell_m, side = self.grid.half_m, self.grid.cell_m, self.grid.num_cells
        cell_n2 = np.floor((xyz_n3[:, :2] + half_m) / cell_m).astype(np.int32)
        is_in_n = (cell_n2 >= 0).all(axis=1) & (cell_n2 < side).all(axis=1)
        index_n = cell_n2[:, 1] * side + cell_n2[:, 0]
        occupancy = np.full(side * side, -1, np.int8)
        is_ground_n = np.abs(height_n) < self.config.ground_margin_m
        occupancy[index_n[is_in_n & is_ground_n]] = 0
        occupancy[index_n[is_in_n & is_obstacle_n]] = 100
        return Segmentation(occupancy.reshape(side, side), cell_m, (-half_m, -half_m))


def _components(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    return np.asarray(cv2.connectedComponents(image, connectivity=8, ltype=cv2.CV_32S)[1])


def _no_clusters() -> _Clusters:
    empty = np.zeros(0, np.float32)
    return _Clusters(np.zeros((0, 5), np.float32), empty, empty, np.zeros(0, np.int64), np.zeros(0, bool))


def _is_any(clusters: _Clusters) -> Bools:
    return np.ones(len(clusters.top_k), bool)


def _tile_of(xy_c2: Floats, tile_m: float, ego: EgoMotion | None) -> Ints:
    """A number for the square that each position lies in; the squares stay where they are while the vehicle drives."""
    if ego is not None:
        xy_c2 = xy_c2 @ ego.odom_se3_base_link[:2, :2].T.astype(np.float32) + (ego.odom_se3_base_link[:2, 3] % (1000 * tile_m))
    tile_c2 = np.floor(xy_c2 / tile_m).astype(np.int64) + 1024
    return np.asarray(tile_c2[:, 0] * 4096 + tile_c2[:, 1])
