"""Tracks judged by nuScenes' own TrackingEval (configuration tracking_nips_2019).

The devkit loads and filters the boxes once. Then each class is a job of its own, for one process or a few; what is computed
in it, and the means over the classes, are the devkit's.
"""

from __future__ import annotations

import copy
import json
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.datasets.worker_processes import run_jobs
from moe_bev_ros.evaluation.perception.detection import META, SPLIT, Rows, detection_order, detection_rows, not_empty, quiet
from moe_bev_ros.evaluation.perception.perceived import Tracks
from moe_bev_ros.evaluation.perception.quick_tracking import quick_evaluate

CONFIG = 'tracking_nips_2019'
FIGURES = ('amota', 'amotp', 'recall', 'mota', 'motp', 'ids', 'frag', 'mt', 'ml', 'tp', 'fp', 'fn')


def tracking_rows(sample_token: str, tracks: Tracks, map_se3_base_link: Array, classes: Sequence[str]) -> Rows:
    """nuScenes' rows of one sample, of the classes that are tracked."""
    rows = detection_rows(sample_token, tracks.detections(), map_se3_base_link)
    ids = tracks.ids_n[detection_order(tracks.detections())]
    return [_tracking_row(row, str(track_id)) for row, track_id in zip(rows, ids) if row['detection_name'] in classes]


def _tracking_row(row: dict[str, Any], track_id: str) -> dict[str, Any]:
    kept = {name: row[name] for name in ('sample_token', 'translation', 'size', 'rotation', 'velocity')}
    named = {'tracking_name': row['detection_name'], 'tracking_score': row['detection_score']}
    return {**kept, **named, 'tracking_id': track_id}


def official_tracking(view: Path, version: str, rows: Mapping[str, Rows], workers: int) -> dict[str, Any]:
    """AMOTA, AMOTP and their like over all classes, and by class; ``seconds`` is what it took.

    Args:
        rows: by sample token, for every sample of the view's split.
        workers: 1: in this process.
    """
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.tracking.data_classes import TrackingMetrics

    config, began = config_factory(CONFIG), time.monotonic()
    metrics = TrackingMetrics(config)
    if not any(rows.values()):
        rows = {token: [_tracking_row(row, 'none') for row in found] for token, found in not_empty(rows).items()}
    whole = load_tracks(view, version, rows)
    jobs = [_of_class(whole, name) for name in config.class_names]
    for name, values in run_jobs(_evaluate_class, jobs, workers) if workers > 1 else map(_evaluate_class, jobs):
        for metric, value in values.items():
            metrics.add_label_metric(metric, name, value)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # means of no class
        figures = {name: metrics.compute_metric(name) for name in FIGURES}
    classes = {name: {metric: metrics.compute_metric(metric, name) for metric in FIGURES} for name in config.class_names}
    return {**figures, 'classes': classes, 'seconds': round(time.monotonic() - began, 1)}


def load_tracks(view: Path, version: str, rows: Mapping[str, Rows]) -> Any:
    """The devkit's TrackingEval: true and found tracks, filtered and without holes."""
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.tracking.evaluate import TrackingEval

    with TemporaryDirectory(prefix='moe_bev_tracking_') as folder, quiet():
        path = Path(folder) / 'results.json'
        path.write_text(json.dumps({'meta': META, 'results': rows}))
        return TrackingEval(config_factory(CONFIG), str(path), SPLIT, folder, version, str(view), verbose=False)


def tracked_classes() -> tuple[str, ...]:
    """The seven names."""
    from nuscenes.eval.common.config import config_factory

    return tuple(config_factory(CONFIG).class_names)


def _of_class(evaluation: Any, class_name: str) -> Any:
    """The same TrackingEval of the boxes of one class; the devkit looks at no others, but at every threshold for them."""
    chosen = copy.copy(evaluation)
    chosen.cfg = copy.copy(evaluation.cfg)
    chosen.cfg.class_names = [class_name]
    for tracks in ('tracks_gt', 'tracks_pred'):
        scenes = getattr(evaluation, tracks).items()
        kept = {
            scene: {stamp: [box for box in boxes if box.tracking_name == class_name] for stamp, boxes in frames.items()}
            for scene, frames in scenes
        }
        setattr(chosen, tracks, kept)
    return chosen


def _evaluate_class(evaluation: Any) -> tuple[str, dict[str, float]]:
    """All figures of one class."""
    from nuscenes.eval.common.config import config_factory

    config_factory(CONFIG)  # tells the devkit's classes the number of thresholds, also in another process
    (name,) = evaluation.cfg.class_names
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        metrics = quick_evaluate(evaluation)
    return name, {metric: values[name] for metric, values in metrics.label_metrics.items()}
