"""Boxes from the maps of a centre-based detector (CenterPoint, Yin, Zhou, Kraehenbuehl 2021): peaks, then circle suppression.

Legend: K classes, H W cells (row 0 at the smallest y, column 0 at the smallest x), N boxes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

from moe_bev_ros.core.objects import Detections, Label

F32 = NDArray[np.float32]
# Two boxes of one class nearer than this are one [m].
CIRCLE_M = {
    Label.CAR: 1.6,
    Label.TRUCK: 2.5,
    Label.BUS: 3.0,
    Label.TRAILER: 3.0,
    Label.CONSTRUCTION_VEHICLE: 2.5,
    Label.PEDESTRIAN: 0.4,
    Label.MOTORCYCLE: 0.7,
    Label.BICYCLE: 0.7,
    Label.TRAFFIC_CONE: 0.3,
    Label.BARRIER: 0.7,
}


def decode_centres(
    scores_khw: F32, boxes_bhw: F32, cell_m: float, half_m: float, *, min_score: float = 0.05, max_boxes: int = 300
) -> Detections:
    """Peaks of the score maps as boxes in base_link.

    Args:
        scores_khw: (10, H, W) scores 0..1, in the order of Label.
        boxes_bhw: (10, H, W): offset of the centre from the cell's corner in x and y [cells], z of the centre [m], log of
            length, width and height [m], sine and cosine of yaw, velocity in x and y [m/s].
        cell_m: side of a cell; the map's corner lies at (-half_m, -half_m).
    """
    peaks = (scores_khw == maximum_filter(scores_khw, size=(1, 3, 3))) & (scores_khw > min_score)
    label, row, column = np.nonzero(peaks)
    score = scores_khw[label, row, column]
    order = np.argsort(-score, kind='stable')[: 2 * max_boxes]
    label, row, column, score = label[order], row[order], column[order], score[order]
    values = boxes_bhw[:, row, column]
    x = (column + values[0]) * cell_m - half_m
    y = (row + values[1]) * cell_m - half_m
    keep = _apart(np.stack([x, y], axis=1), label)[:max_boxes]
    size = np.exp(np.clip(values[3:6], -3.0, 3.5))
    yaw = np.arctan2(values[6], values[7])
    boxes = np.stack([x, y, values[2], *size, yaw], axis=1)[keep]
    return Detections(
        boxes.astype(np.float32),
        label[keep].astype(np.uint8),
        score[keep].astype(np.float32),
        values[8:10].T[keep].astype(np.float32),
    )


def _apart(xy_n2: NDArray[np.float64], label_n: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the boxes, best first, without those that a better one of their class is too near to."""
    radius_n = np.array([CIRCLE_M[Label(int(label))] for label in label_n])
    near_nn = np.linalg.norm(xy_n2[:, None] - xy_n2[None], axis=2) < radius_n[:, None]
    near_nn &= label_n[:, None] == label_n[None]
    kept = np.ones(len(label_n), bool)
    for index in range(len(label_n)):
        if kept[index]:
            kept[index + 1 :] &= ~near_nn[index, index + 1 :]
    return np.flatnonzero(kept)
