"""How real the world's bodies are: LiDAR points inside annotated boxes, recorded and by the world, and what goes with it.

The ratio of a class and distance bin is the sum of the points that the world gives over the sum of the recorded ones; its
interval comes from drawing the bin's objects anew with replacement (bootstrap, percentiles 2.5 and 97.5). An object that
several sweeps show is drawn with all its boxes, for they are no independent measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import transform_points
from moe_bev_ros.evaluation.realism.sweeps import SensorSweep, twin_ground_points, twin_points, unblocked
from moe_bev_ros.evaluation.strata import percentile_range

GROWN_M = 0.1
FOOT_M = 0.2  # the lowest part of a box is not counted: it may hold ground
OUTSIDE_M = 0.3
BIN_M = 10.0
MIN_BOXES = 8
NUM_TWINS = 4
NUM_DRAWS = 2000
GOAL = (0.7, 1.4)
GOAL_LABELS, GOAL_RANGE_M = (Label.CAR, Label.PEDESTRIAN), 40.0
GROUND_BAND_M, GROUND_RANGE_M = 0.3, 50.0
HOW = (
    'points in annotated boxes (grown by 0.1 m, without their lowest 0.2 m), the world to recorded; bins with >= 8 boxes\n'
    'a beam of the world stops where its recorded twin was stopped outside all boxes; alone: where only road users hide others'
)
INTENSITY_EDGES = np.linspace(0.0, 1.0, 21)


@dataclass(frozen=True)
class ObjectCount:
    """Points in one annotated box; those of the twin are means over several bodies.

    Attributes:
        alone: the twin's points where only annotated road users hide one another.
        blocked: those of them that the recorded sweep's own obstacles let through.
        size_3: of the box; the same in every sweep of a recording, and so it tells objects apart.
    """

    source: str
    label: Label
    size_3: tuple[float, ...]
    distance_m: float
    recorded: int
    alone: float
    blocked: float


@dataclass(frozen=True)
class BinRatio:
    """Of one class and distance bin; see the module's text.

    Attributes:
        num_boxes: annotated boxes; of so many different objects: ``num_objects``.
        ratio_alone: without the obstacles that are not annotated.
    """

    source: str
    label: Label
    low_m: float
    num_boxes: int
    num_objects: int
    recorded: int
    ratio: float
    low: float
    high: float
    ratio_alone: float

    @property
    def has_goal(self) -> bool:
        """Whether the goal is meant for this bin."""
        return self.label in GOAL_LABELS and self.low_m + BIN_M <= GOAL_RANGE_M

    @property
    def is_met(self) -> bool:
        """Whether the ratio lies within the goal."""
        return GOAL[0] <= self.ratio <= GOAL[1]


@dataclass(frozen=True)
class RingCount:
    """Points of one beam on the ground within 50 m: recorded, and of the twin on flat ground."""

    source: str
    elevation_rad: float
    recorded: int
    synthetic: int


def inside(points_nx: NDArray[np.float32], boxes_k7: NDArray[np.float32], grown_m: float, foot_m: float) -> NDArray[np.bool_]:
    """(K, N) which points lie in boxes grown by ``grown_m`` at the sides and the top, without their lowest ``foot_m``."""
    result = np.zeros((len(boxes_k7), len(points_nx)), bool)
    for row, box in zip(result, boxes_k7):
        x, y, z, length, width, height, yaw = (float(value) for value in box)
        dx, dy, dz = points_nx[:, 0] - x, points_nx[:, 1] - y, points_nx[:, 2] - z
        along, across = np.cos(yaw) * dx + np.sin(yaw) * dy, np.cos(yaw) * dy - np.sin(yaw) * dx
        row[:] = (np.abs(along) <= length / 2 + grown_m) & (np.abs(across) <= width / 2 + grown_m)
        row &= (dz >= foot_m - height / 2) & (dz <= height / 2 + grown_m)
    return result


def count_objects(sweep: SensorSweep, seed: int) -> tuple[ObjectCount, ...]:
    """Count the points of each annotated object, recorded and by the mean of several twins."""
    recorded_k = inside(sweep.points_n4, sweep.boxes_k7, GROWN_M, FOOT_M).sum(axis=1)
    outside_n = ~inside(sweep.points_n4, sweep.boxes_k7, OUTSIDE_M, 0.0).any(axis=0)
    alone_k, blocked_k = np.zeros(len(recorded_k)), np.zeros(len(recorded_k))
    for twin in range(NUM_TWINS):
        points = twin_points(sweep, seed + twin)
        held = inside(points, sweep.boxes_k7, GROWN_M, FOOT_M)
        alone_k += held.sum(axis=1) / NUM_TWINS
        blocked_k += (held & unblocked(points, sweep, outside_n)).sum(axis=1) / NUM_TWINS
    distance_k = np.hypot(sweep.boxes_k7[:, 0], sweep.boxes_k7[:, 1])
    sizes_k3 = sweep.boxes_k7[:, 3:6].tolist()
    near_k = np.nonzero(distance_k < sweep.mount.range_m)[0]
    return tuple(
        ObjectCount(
            sweep.source, sweep.labels_k[k], tuple(sizes_k3[k]), float(distance_k[k]),
            int(recorded_k[k]), float(alone_k[k]), float(blocked_k[k]),
        )
        for k in near_k
    )  # fmt: skip


def joined(counts: Sequence[Sequence[ObjectCount]]) -> tuple[ObjectCount, ...]:
    """Counts of the same objects by several sensors, in one order: their sums."""
    return tuple(
        ObjectCount(
            same[0].source,
            same[0].label,
            same[0].size_3,
            same[0].distance_m,
            sum(count.recorded for count in same),
            sum(count.alone for count in same),
            sum(count.blocked for count in same),
        )
        for same in zip(*counts)
    )


def binned(counts: Sequence[ObjectCount]) -> dict[tuple[str, Label, float], list[ObjectCount]]:
    """Counts by source, class and lower border of the distance bin, sorted."""
    bins: dict[tuple[str, Label, float], list[ObjectCount]] = {}
    for count in sorted(counts, key=lambda count: (count.source, count.label, count.distance_m)):
        bins.setdefault((count.source, count.label, count.distance_m // BIN_M * BIN_M), []).append(count)
    return bins


def bin_ratios(counts: Sequence[ObjectCount], seed: int) -> tuple[BinRatio, ...]:
    """Ratio of every source, class and distance bin that holds enough boxes and any recorded point."""
    rng = np.random.default_rng(seed)
    return tuple(
        _ratio(key, boxes, rng)
        for key, boxes in binned(counts).items()
        if len(boxes) >= MIN_BOXES and any(count.recorded for count in boxes)
    )


def _ratio(key: tuple[str, Label, float], boxes: Sequence[ObjectCount], rng: np.random.Generator) -> BinRatio:
    objects: dict[tuple[float, ...], NDArray[np.float64]] = {}
    for count in boxes:
        sums_3 = np.array([count.recorded, count.blocked, count.alone])
        objects[count.size_3] = objects.get(count.size_3, np.zeros(3)) + sums_3
    sums_k3 = np.array(list(objects.values()))
    recorded, blocked, alone = sums_k3.sum(axis=0)
    drawn_d3 = sums_k3[rng.integers(len(sums_k3), size=(NUM_DRAWS, len(sums_k3)))].sum(axis=1)
    low, high = percentile_range(drawn_d3[:, 1] / np.maximum(drawn_d3[:, 0], 1.0))
    return BinRatio(
        *key, len(boxes), len(objects), int(recorded),
        float(blocked / recorded), low, high, float(alone / recorded),
    )  # fmt: skip


def unjudged(counts: Sequence[ObjectCount]) -> tuple[tuple[str, Label, float, int], ...]:
    """Source, class, lower border and number of boxes of the bins that have a goal but too few boxes."""
    return tuple(
        (*key, len(boxes))
        for key, boxes in binned(counts).items()
        if key[1] in GOAL_LABELS and key[2] + BIN_M <= GOAL_RANGE_M and len(boxes) < MIN_BOXES
    )


def ground_rings(sweep: SensorSweep, seed: int) -> tuple[RingCount, ...]:
    """Points on the ground by beam; the twin's ground is flat, and what stopped a recorded beam stops its twin."""
    pose = sweep.base_link_se3_sensor
    height_n = transform_points(pose, sweep.points_n4[:, :3])[:, 2]
    near_n = np.linalg.norm(sweep.points_n4[:, :3], axis=1) < GROUND_RANGE_M
    ground_n = near_n & (np.abs(height_n) < GROUND_BAND_M)
    points = twin_ground_points(sweep, seed)
    ground_m = np.abs(points[:, 2]) < GROUND_BAND_M
    points[:, :3] -= pose[:3, 3]
    ground_m &= np.linalg.norm(points[:, :3], axis=1) < GROUND_RANGE_M
    ground_m &= unblocked(points, sweep, ~(np.abs(height_n) < GROUND_BAND_M))
    num_b = len(sweep.mount.elevations_rad)
    recorded_b = np.bincount(sweep.rings_n[ground_n], minlength=num_b)
    synthetic_b = np.bincount(points[ground_m, 4].astype(int), minlength=num_b)
    return tuple(
        RingCount(sweep.source, elevation, int(recorded), int(synthetic))
        for elevation, recorded, synthetic in zip(sweep.mount.elevations_rad, recorded_b, synthetic_b)
    )


def intensity_counts(sweep: SensorSweep, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Counts of intensities (20 equal bins of 0..1) of the points in annotated boxes: recorded, and of the twin."""
    points = twin_points(sweep, seed)
    held = inside(points, sweep.boxes_k7, GROWN_M, FOOT_M).any(axis=0)
    recorded = inside(sweep.points_n4, sweep.boxes_k7, GROWN_M, FOOT_M).any(axis=0)
    return (
        np.histogram(sweep.points_n4[recorded, 3], INTENSITY_EDGES)[0].astype(float),
        np.histogram(points[held, 3], INTENSITY_EDGES)[0].astype(float),
    )
