"""How many annotated cars near the vehicle engines find in single recorded frames, side by side.

A car is found where a detection with any class lies within recall.MATCH_M of it, one to one. Cars with fewer than
recall.MIN_POINTS points are not asked for. Frames without LiDAR are judged apart, for engines that can do without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.datasets.frames import RecordedBox
from moe_bev_ros.datasets.single_frames import SingleFrame
from moe_bev_ros.engine.base import EngineOutput
from moe_bev_ros.evaluation.perception.recall import MATCH_M, MIN_POINTS, DistanceRecall, recall_by_distance

RANGE_M = 30.0
MIN_SCORE = 0.2  # of detections that count


@dataclass(frozen=True)
class Cars:
    """Counts of one or several frames.

    Attributes:
        annotated: cars asked for.
        found: of these, as a road user of any class.
        as_car: of these, as a car.
        reported: cars that the engine reports.
        correct: of these, with any annotated box there.
    """

    annotated: int = 0
    found: int = 0
    as_car: int = 0
    reported: int = 0
    correct: int = 0

    def __add__(self, other: Cars) -> Cars:
        return Cars(*(getattr(self, name) + getattr(other, name) for name in Cars.__dataclass_fields__))


def cars_of(detections: Detections, boxes: Sequence[RecordedBox]) -> Cars:
    """Count in one frame, within RANGE_M."""
    sure = _chosen(detections, detections.scores_n >= MIN_SCORE)
    cars = tuple(box for box in boxes if box.label is Label.CAR)
    asked = _within(recall_by_distance(sure, cars))
    reported = _within(recall_by_distance(_chosen(sure, sure.labels_n == Label.CAR), tuple(boxes)))
    return Cars(asked.annotated, asked.found_as_road_user, asked.found_with_label, reported.classified, reported.correct)


def _within(rows: Sequence[DistanceRecall]) -> DistanceRecall:
    near = [row for row in rows if row.high_m <= RANGE_M]
    total = near[0]
    for row in near[1:]:
        total = total.plus(row)
    return total


def _chosen(detections: Detections, chosen_n: Any) -> Detections:
    """Boxes, classes and scores of some."""
    fields = (detections.boxes_n7, detections.labels_n, detections.scores_n, detections.velocities_n2)
    return Detections(*(values[chosen_n] for values in fields))


def real_frames_results(frames: Sequence[SingleFrame], outputs: Mapping[str, Sequence[EngineOutput]]) -> dict[str, Any]:
    """What ``--json`` writes and `results_tables.real_frames` reads; ``outputs`` by engine, one a frame."""
    judged = [index for index, item in enumerate(frames) if item.boxes is not None]
    engines = {name: _engine_results(frames, judged, per_frame) for name, per_frame in outputs.items()}
    return {
        'match_m': MATCH_M,
        'min_points': MIN_POINTS,
        'range_m': RANGE_M,
        'min_score': MIN_SCORE,
        'frames': [_frame_facts(frames[index]) for index in judged],
        'not_annotated': [item.name for item in frames if item.boxes is None],
        'engines': engines,
    }


def _frame_facts(item: SingleFrame) -> dict[str, Any]:
    num_cameras = 0 if item.frame.cameras is None else int(item.frame.cameras.valid_n.sum())
    asked = cars_of(Detections.empty(), item.boxes or ()).annotated
    return {'name': item.name, 'lidar': item.frame.lidar is not None, 'cameras': num_cameras, 'cars': asked}


def _engine_results(frames: Sequence[SingleFrame], judged: Sequence[int], outputs: Sequence[EngineOutput]) -> dict[str, Any]:
    rows: list[dict[str, Any] | None] = []
    sums = {'with_lidar': Cars(), 'cameras_only': Cars()}
    for index in judged:
        if not outputs[index].perception_valid:
            rows.append(None)
            continue
        cars = cars_of(outputs[index].detections, frames[index].boxes or ())
        rows.append(_shares(cars))
        part = 'with_lidar' if frames[index].frame.lidar is not None else 'cameras_only'
        sums[part] = sums[part] + cars
    return {'frames': rows, **{part: _shares(cars) for part, cars in sums.items() if cars != Cars()}}


def _shares(cars: Cars) -> dict[str, Any]:
    asked = cars.annotated
    return {
        **{name: getattr(cars, name) for name in Cars.__dataclass_fields__},
        'recall': cars.found / asked if asked else None,
        'recall_as_car': cars.as_car / asked if asked else None,
        'precision': cars.correct / cars.reported if cars.reported else None,
    }
