"""Tracks judged by nuScenes' own TrackingEval (configuration tracking_nips_2019).

The devkit tries 40 thresholds for each of seven classes, one after the other. Here each class is a job of its own for a few
processes; what is computed in it, and the means over the classes, are the devkit's.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.datasets.worker_processes import run_jobs
from moe_bev_ros.evaluation.detection import META, SPLIT, Rows, detection_order, detection_rows, not_empty, quiet
from moe_bev_ros.evaluation.perceived import Tracks

CONFIG = 'tracking_nips_2019'
FIGURES = ('amota', 'amotp', 'recall', 'mota', 'motp', 'ids', 'frag', 'mt', 'ml', 'tp', 'fp', 'fn')


@dataclass(frozen=True)
class _Job:
    view: str
    version: str
    results: str
    class_name: str


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
    with TemporaryDirectory(prefix='moe_bev_tracking_') as folder:
        path = Path(folder) / 'results.json'
        path.write_text(json.dumps({'meta': META, 'results': rows}))
        jobs = [_Job(str(view), version, str(path), name) for name in config.class_names]
        for name, values in run_jobs(_evaluate_class, jobs, workers) if workers > 1 else map(_evaluate_class, jobs):
            for metric, value in values.items():
                metrics.add_label_metric(metric, name, value)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', RuntimeWarning)  # means of no class
        figures = {name: metrics.compute_metric(name) for name in FIGURES}
    classes = {name: {metric: metrics.compute_metric(metric, name) for metric in FIGURES} for name in config.class_names}
    return {**figures, 'classes': classes, 'seconds': round(time.monotonic() - began, 1)}


def tracked_classes() -> tuple[str, ...]:
    """The seven names."""
    from nuscenes.eval.common.config import config_factory

    return tuple(config_factory(CONFIG).class_names)


def _evaluate_class(job: _Job) -> tuple[str, dict[str, float]]:
    """All figures of one class, by TrackingEval."""
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.tracking.evaluate import TrackingEval

    os.environ.setdefault('OMP_NUM_THREADS', '1')
    with TemporaryDirectory(prefix='moe_bev_tracking_') as out, quiet(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        config = config_factory(CONFIG)
        evaluation = TrackingEval(config, job.results, SPLIT, out, job.version, job.view, verbose=False)
        evaluation.cfg.class_names = [job.class_name]
        metrics, _ = evaluation.evaluate()
    return job.class_name, {name: values[job.class_name] for name, values in metrics.label_metrics.items()}
