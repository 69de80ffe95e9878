"""All that is said about one engine on one set of scenes: official detection and tracking, our own metrics, and all of it by
condition, scenario kind, town style and distance, with intervals.

Two things are judged: what the engine detects (``nds``, …), and what the tracker publishes of it (``published``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Detections
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.evaluation.perception.detection import (
    Rows,
    detection_rows,
    devkit_view,
    official_evaluation,
    open_devkit,
    summary,
)
from moe_bev_ros.evaluation.perception.detection_table import DetectionTable, detection_table
from moe_bev_ros.evaluation.perception.forecast import forecast_tally
from moe_bev_ros.evaluation.perception.hidden import hidden_tally
from moe_bev_ros.evaluation.perception.lights import lights_tally
from moe_bev_ros.evaluation.perception.perceived import SeenKeyframe, SeenScene
from moe_bev_ros.evaluation.perception.tracking import official_tracking, tracked_classes, tracking_rows
from moe_bev_ros.evaluation.strata import RESAMPLES, Figures, groups, intervals, metric_names, tally_figures
from moe_bev_ros.evaluation.tally import DISTANCES_M, Tally, add

FIGURES = ('nds', 'mean_ap')
OPTIONAL = {'iou_': 'segmentation', 'light_': 'lights'}


@dataclass(frozen=True)
class JudgedBoxes:
    """The detections, or the published objects, before the judge.

    Attributes:
        evaluation: the devkit's DetectionEval, with the boxes that count.
        curves: its DetectionMetricDataList.
        summary: its figures, see `detection.summary`, with intervals.
        table: for the score of any choice of scenes.
        distance_tables: one for each of DISTANCES_M.
    """

    evaluation: Any
    curves: Any
    summary: dict[str, Any]
    table: DetectionTable
    distance_tables: tuple[DetectionTable, ...]


@dataclass(frozen=True)
class Judgement:
    """Everything.

    Attributes:
        results: what goes into the JSON file; None stands for what is not given or not defined.
        detections: None where only the published objects are known.
    """

    results: dict[str, Any]
    detections: JudgedBoxes | None
    published: JudgedBoxes


def judge(tree: NuscenesTree, seen: Sequence[SeenScene], *, tracking_workers: int = 0, resamples: int = RESAMPLES) -> Judgement:
    """Judge what an engine saw.

    Args:
        tracking_workers: processes for the tracking metrics, which are slow; 0: leave them out.

    Raises:
        InputError: the devkit cannot read the tree, or nothing is annotated.
    """
    if not seen:
        raise InputError('no scene was seen; choose a split that has one')
    tallies = [scene_tally(scene) for scene in seen]
    with devkit_view(tree, [scene.name for scene in seen]) as view:
        nusc = open_devkit(view, tree.version)
        published = _judge_boxes(nusc, seen, _published_of, resamples)
        given = all(keyframe.detections is not None for scene in seen for keyframe in scene.keyframes)
        detections = _judge_boxes(nusc, seen, _detections_of, resamples) if given else None
        tracking = None
        if tracking_workers:
            classes = tracked_classes()
            rows = {
                k.sample_token: tracking_rows(k.sample_token, k.tracks, k.map_se3_base_link, classes) for k in _frames(seen)
            }
            tracking = official_tracking(view, tree.version, rows, tracking_workers)
    results = {
        'scenes': len(seen),
        'samples': sum(len(scene.keyframes) for scene in seen),
        **(detections.summary if detections is not None else {}),
        'published': published.summary,
        'tracking': tracking,
        'metrics': _metrics(tallies, resamples),
        'strata': _strata(seen, tallies, detections, published, resamples),
        'stage_ms': _stages(seen),
    }
    return Judgement(without_nan(results), detections, published)


def scene_tally(scene: SeenScene) -> Tally:
    """All our own metrics of one scene."""
    tally: Tally = {}
    for more in (forecast_tally(scene), hidden_tally(scene), lights_tally(scene), scene.segmentation):
        add(tally, more)
    return tally


def without_nan(value: Any) -> Any:
    """The same with None for NaN, since JSON has no NaN, and floats for numpy's."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value


def _frames(seen: Sequence[SeenScene]) -> list[SeenKeyframe]:
    return [keyframe for scene in seen for keyframe in scene.keyframes]


def _detections_of(keyframe: SeenKeyframe) -> Detections:
    assert keyframe.detections is not None
    return keyframe.detections


def _published_of(keyframe: SeenKeyframe) -> Detections:
    return keyframe.tracks.detections()


def _judge_boxes(nusc: Any, seen: Sequence[SeenScene], boxes_of: Any, resamples: int) -> JudgedBoxes:
    rows: dict[str, Rows] = {
        keyframe.sample_token: detection_rows(keyframe.sample_token, boxes_of(keyframe), keyframe.map_se3_base_link)
        for keyframe in _frames(seen)
    }
    scene_of = {keyframe.sample_token: index for index, scene in enumerate(seen) for keyframe in scene.keyframes}
    with TemporaryDirectory(prefix='moe_bev_judge_') as work:
        evaluation = official_evaluation(nusc, rows, Path(work))
    metrics, curves = evaluation.evaluate()
    table = detection_table(evaluation, scene_of, len(seen))
    figures = intervals(table.figures, range(len(seen)), len(seen), resamples)
    ranges = {name: [interval.low, interval.high] for name, interval in zip(FIGURES, figures)}
    distances = tuple(detection_table(evaluation, scene_of, len(seen), between_m) for between_m in DISTANCES_M)
    return JudgedBoxes(evaluation, curves, {**summary(metrics, table.present), 'intervals': ranges}, table, distances)


def _metrics(tallies: Sequence[Tally], resamples: int) -> dict[str, Any]:
    """Every metric with its interval and the number of cases; None for a group that the engine does not give."""
    names = metric_names(tallies)
    found = intervals(tally_figures(tallies, names), range(len(tallies)), len(tallies), resamples)
    cases = {name: int(sum(tally[name][:, 1].sum() for tally in tallies if name in tally)) for name in names}
    result: dict[str, Any] = {n: {**interval.as_dict(), 'cases': cases[n]} for n, interval in zip(names, found)}
    for prefix, group in OPTIONAL.items():
        if not any(name.startswith(prefix) for name in names):
            result[group] = None
    return result


def _strata(
    seen: Sequence[SeenScene],
    tallies: Sequence[Tally],
    detections: JudgedBoxes | None,
    published: JudgedBoxes,
    resamples: int,
) -> dict[str, dict[str, Any]]:
    """Figures by trait and by distance; means over the classes that are annotated there."""
    names = metric_names(tallies)

    def row(scenes: Sequence[int], distance_bin: int | None) -> dict[str, Any]:
        result: dict[str, Any] = {'scenes': len(scenes)}
        for prefix, boxes in (('', detections), ('published_', published)):
            if boxes is not None:
                table = boxes.table if distance_bin is None else boxes.distance_tables[distance_bin]
                chosen = intervals(_here(table.only(scenes)), range(len(scenes)), len(scenes), resamples)
                result |= {prefix + name: interval.as_dict() for name, interval in zip(FIGURES, chosen)}
        chosen = intervals(tally_figures(tallies, names, distance_bin), scenes, len(seen), resamples)
        return result | {name: interval.as_dict() for name, interval in zip(names, chosen)}

    every = range(len(seen))
    result: dict[str, dict[str, Any]] = {
        'distance': {f'{low:g}-{high:g} m': row(every, index) for index, (low, high) in enumerate(DISTANCES_M)}
    }
    for trait, values in groups([scene.traits for scene in seen]).items():
        result[trait] = {value: row(scenes, None) for value, scenes in values.items()}
    return result


def _here(table: DetectionTable) -> Figures:
    def figures(times_s: Any) -> Array:
        return table.figures(times_s, absent_count=False)

    return figures


def _stages(seen: Sequence[SeenScene]) -> dict[str, float]:
    stages = {name for scene in seen for name in scene.stage_ms}
    times = {name: [ms for scene in seen for ms in scene.stage_ms.get(name, ())] for name in sorted(stages)}
    return {name: round(float(np.median(values)), 2) for name, values in times.items()}
