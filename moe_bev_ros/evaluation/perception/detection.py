"""Detections in nuScenes' result format, judged by nuScenes' own DetectionEval (configuration detection_cvpr_2019)."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.attributes import ATTRIBUTES, NO_ATTRIBUTE
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.datasets.nuscenes_tables import (
    CYCLE_WITH_RIDER,
    CYCLE_WITHOUT_RIDER,
    LABEL_OF_CATEGORY,
    PEDESTRIAN_MOVING,
    PEDESTRIAN_STANDING,
    VEHICLE_MOVING,
    VEHICLE_PARKED,
    VEHICLE_STOPPED,
)
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree

CONFIG = 'detection_cvpr_2019'
SPLIT = 'chosen'
MAX_BOXES = 500  # a sample, as the devkit allows
MOVING_MPS = 0.2
OUT_OF_RANGE_M = 1e5
ERRORS = ('trans_err', 'scale_err', 'orient_err', 'vel_err', 'attr_err')
# (moving, standing): what most of each class do.
USUAL_ATTRIBUTES: dict[Label, tuple[str, str]] = {
    Label.CAR: (VEHICLE_MOVING, VEHICLE_PARKED),
    Label.TRUCK: (VEHICLE_MOVING, VEHICLE_PARKED),
    Label.BUS: (VEHICLE_MOVING, VEHICLE_STOPPED),
    Label.TRAILER: (VEHICLE_MOVING, VEHICLE_PARKED),
    Label.CONSTRUCTION_VEHICLE: (VEHICLE_MOVING, VEHICLE_PARKED),
    Label.PEDESTRIAN: (PEDESTRIAN_MOVING, PEDESTRIAN_STANDING),
    Label.MOTORCYCLE: (CYCLE_WITH_RIDER, CYCLE_WITHOUT_RIDER),
    Label.BICYCLE: (CYCLE_WITH_RIDER, CYCLE_WITHOUT_RIDER),
}
META = {'use_camera': True, 'use_lidar': True, 'use_radar': False, 'use_map': False, 'use_external': False}

Rows = list[dict[str, Any]]


def detection_rows(sample_token: str, detections: Detections, map_se3_base_link: Array) -> Rows:
    """nuScenes' rows of one sample: in the map, at most MAX_BOXES of the best, without what has no class.

    A velocity that was not measured is 0. The attribute is the engine's, or follows from class and speed.
    """
    chosen = detection_order(detections)
    boxes_n7 = detections.boxes_n7[chosen].astype(float)
    centres_n3 = boxes_n7[:, :3] @ map_se3_base_link[:3, :3].T + map_se3_base_link[:3, 3]
    headings_n3 = np.column_stack([np.cos(boxes_n7[:, 6]), np.sin(boxes_n7[:, 6]), np.zeros(len(chosen))])
    headings_n3 = headings_n3 @ map_se3_base_link[:3, :3].T
    yaws_n = np.arctan2(headings_n3[:, 1], headings_n3[:, 0])
    velocities_n2 = np.nan_to_num(detections.velocities_n2[chosen].astype(float))
    velocities_n3 = np.column_stack([velocities_n2, np.zeros(len(chosen))]) @ map_se3_base_link[:3, :3].T
    attributes = _attributes(detections, chosen)
    return [
        _row(sample_token, Label(int(detections.labels_n[source])), float(detections.scores_n[source]), *values)
        for source, *values in zip(chosen, centres_n3, boxes_n7[:, 3:6], yaws_n, velocities_n3[:, :2], attributes)
    ]


def detection_order(detections: Detections) -> NDArray[np.int64]:
    """Indices of the MAX_BOXES best that have a class, in falling score, without what is out of sight: nuScenes counts only
    boxes that a sensor reaches."""
    chosen = np.flatnonzero((detections.labels_n != Label.UNKNOWN) & ~detections.is_hidden_n)
    return np.asarray(chosen[np.argsort(-detections.scores_n[chosen], kind='stable')][:MAX_BOXES])


def _attributes(detections: Detections, chosen: NDArray[np.int64]) -> list[str]:
    if detections.attributes_n is not None:
        return [ATTRIBUTES[index] if index != NO_ATTRIBUTE else '' for index in detections.attributes_n[chosen]]
    speeds_n = np.hypot(*np.nan_to_num(detections.velocities_n2[chosen]).T)
    return [attribute_of(Label(int(label)), float(speed)) for label, speed in zip(detections.labels_n[chosen], speeds_n)]


def _row(
    token: str, label: Label, score: float, centre_3: Array, size_3: Array, yaw_rad: float, velocity_2: Array, attribute: str
) -> Any:
    length, width, height = (max(float(value), 1e-3) for value in size_3)
    return {
        'sample_token': token,
        'translation': centre_3.tolist(),
        'size': [width, length, height],
        'rotation': [float(np.cos(yaw_rad / 2)), 0.0, 0.0, float(np.sin(yaw_rad / 2))],
        'velocity': velocity_2.tolist(),
        'detection_name': label.name.lower(),
        'detection_score': score,
        'attribute_name': attribute,
    }


def attribute_of(label: Label, speed_mps: float) -> str:
    """The likeliest attribute; empty for cones and barriers, which have none."""
    moving, standing = USUAL_ATTRIBUTES.get(label, ('', ''))
    return moving if speed_mps > MOVING_MPS else standing


@contextlib.contextmanager
def devkit_view(tree: NuscenesTree, scenes: Sequence[str]) -> Iterator[Path]:
    """A folder of links that the devkit opens as the tree, with the split SPLIT of these scenes; the tree stays as it is."""
    with TemporaryDirectory(prefix='moe_bev_view_') as name:
        root = Path(name)
        (root / tree.version).mkdir()
        for path in tree.root.resolve().iterdir():
            if path.name != tree.version:
                (root / path.name).symlink_to(path)
        for path in tree.index.folder.resolve().glob('*.json'):
            if path.name != 'splits.json':
                (root / tree.version / path.name).symlink_to(path)
        (root / tree.version / 'splits.json').write_text(json.dumps({SPLIT: list(scenes)}))
        yield root


def open_devkit(view: Path, version: str) -> Any:
    """The devkit's NuScenes of a view.

    Raises:
        InputError: the devkit is not installed, or cannot read the tree.
    """
    try:
        from nuscenes import NuScenes
    except ImportError as err:
        raise InputError(f'{err.name} is not installed; pip install "moe-bev-ros[evaluation]"') from err
    try:
        with quiet():
            return NuScenes(version, str(view), verbose=False)
    except (AssertionError, KeyError) as err:
        raise InputError(f'the nuScenes devkit cannot read version {version} of the tree: {err}; write it again') from err


def official_evaluation(nusc: Any, rows: Mapping[str, Rows], work: Path) -> Any:
    """The devkit's DetectionEval of these rows by sample token; they must hold every sample of the view's split.

    Raises:
        InputError: nothing is annotated in these samples.
    """
    from nuscenes.eval.common.config import config_factory
    from nuscenes.eval.detection.evaluate import DetectionEval

    annotations = (nusc.get('sample_annotation', name) for token in rows for name in nusc.get('sample', token)['anns'])
    if not any(row['category_name'] in LABEL_OF_CATEGORY for row in annotations):
        raise InputError(f'none of the {len(rows)} samples has an annotated road user; there is nothing to judge by')
    path = work / 'results.json'
    path.write_text(json.dumps({'meta': META, 'results': not_empty(rows)}))
    with quiet():
        return DetectionEval(nusc, config_factory(CONFIG), str(path), SPLIT, str(work), verbose=False)


def not_empty(rows: Mapping[str, Rows]) -> dict[str, Rows]:
    """The rows, with one box far out of range where there is none at all: the devkit asks the first box for its type."""
    if any(rows.values()):
        return dict(rows)
    token, nowhere = next(iter(rows)), np.array([OUT_OF_RANGE_M, 0.0, 0.0])
    return {**rows, token: [_row(token, Label.CAR, 0.0, nowhere, np.ones(3), 0.0, np.zeros(2), VEHICLE_PARKED)]}


def summary(metrics: Any, present: Sequence[str]) -> dict[str, Any]:
    """nuScenes' figures under short names.

    Args:
        metrics: the devkit's DetectionMetrics.
        present: the classes that are annotated; only these are listed, while the means are over all ten.
    """
    classes = {
        name: {'ap': metrics.mean_dist_aps[name], **{error: metrics.get_label_tp(name, error) for error in ERRORS}}
        for name in present
    }
    return {'nds': metrics.nd_score, 'mean_ap': metrics.mean_ap, **metrics.tp_errors, 'classes': classes}


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The devkit prints whatever it does."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
