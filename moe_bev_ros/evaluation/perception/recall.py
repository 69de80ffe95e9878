"""How many annotated road users an engine finds, by distance, and how many of its boxes are right.

A box is found where a detection's centre lies within 2 m of its own, the widest of nuScenes' matching distances; matches are
one to one, and as many as possible. Boxes with few points are not asked for, since no LiDAR engine could find them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.datasets.frames import RecordedBox

MATCH_M = 2.0
MIN_POINTS = 5
DISTANCE_EDGES_M = (0.0, 10.0, 20.0, 30.0, 50.0)
IGNORED_CATEGORY = 'ignored'


@dataclass(frozen=True)
class DistanceRecall:
    """What was found between two distances from base_link.

    Attributes:
        annotated: boxes asked for.
        found: of these, with a detection of any class, UNKNOWN included.
        found_as_road_user: of these, with a detection that has a class.
        found_with_label: of these, with a detection of the same class.
        classified: detections that have a class.
        correct: of these, with any annotated box there, whatever its number of points.
    """

    low_m: float
    high_m: float
    annotated: int = 0
    found: int = 0
    found_as_road_user: int = 0
    found_with_label: int = 0
    classified: int = 0
    correct: int = 0

    def plus(self, other: DistanceRecall) -> DistanceRecall:
        """The sum of two frames, or of two distances."""
        return DistanceRecall(
            min(self.low_m, other.low_m),
            max(self.high_m, other.high_m),
            self.annotated + other.annotated,
            self.found + other.found,
            self.found_as_road_user + other.found_as_road_user,
            self.found_with_label + other.found_with_label,
            self.classified + other.classified,
            self.correct + other.correct,
        )


def recall_by_distance(detections: Detections, boxes: tuple[RecordedBox, ...]) -> tuple[DistanceRecall, ...]:
    """Compare one frame's detections with its annotated boxes, both in base_link."""
    boxes = tuple(box for box in boxes if box.category != IGNORED_CATEGORY)
    true_xy_k2 = np.array([box.box_7[:2] for box in boxes], float).reshape(-1, 2)
    true_label_k = np.array([box.label for box in boxes], np.uint8)
    is_asked_k = np.array([box.num_lidar_points >= MIN_POINTS for box in boxes], bool)
    has_class_n = detections.labels_n != Label.UNKNOWN
    near_kn = np.linalg.norm(true_xy_k2[:, None] - detections.boxes_n7[None, :, :2], axis=2) <= MATCH_M
    same_kn = true_label_k[:, None] == detections.labels_n[None, :]
    asked_kn = near_kn & is_asked_k[:, None]
    found_k = _matched(asked_kn)
    road_user_k = _matched(asked_kn & has_class_n)
    labelled_k = _matched(asked_kn & same_kn)
    correct_n = _matched((near_kn & has_class_n).T)
    range_k = np.linalg.norm(true_xy_k2, axis=1)
    range_n = np.linalg.norm(detections.boxes_n7[:, :2], axis=1)
    result = []
    for low_m, high_m in pairwise(DISTANCE_EDGES_M):
        is_here_k = is_asked_k & (range_k >= low_m) & (range_k < high_m)
        is_here_n = has_class_n & (range_n >= low_m) & (range_n < high_m)
        counts = [(is_here_k & some_k).sum() for some_k in (is_here_k, found_k, road_user_k, labelled_k)]
        counts += [is_here_n.sum(), (is_here_n & correct_n).sum()]
        result.append(DistanceRecall(low_m, high_m, *(int(count) for count in counts)))
    return tuple(result)


def recall_table(rows: tuple[DistanceRecall, ...]) -> str:
    """A table of lines for people, with the sum at its end."""
    total = rows[0]
    for row in rows[1:]:
        total = total.plus(row)
    head = 'distance [m]   boxes   recall   as road user   same class   classified boxes   precision'
    return '\n'.join([head, *(_line(row) for row in (*rows, total))])


def _line(row: DistanceRecall) -> str:
    return (
        f'{row.low_m:5.0f} - {row.high_m:3.0f}   {row.annotated:6d}   {_share(row.found, row.annotated)}'
        f'   {_share(row.found_as_road_user, row.annotated):>12}   {_share(row.found_with_label, row.annotated):>10}'
        f'   {row.classified:16d}   {_share(row.correct, row.classified):>9}'
    )


def _matched(possible_kn: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(K,) which rows have a partner of their own, in a largest one-to-one matching."""
    matched_k = np.zeros(possible_kn.shape[0], bool)
    rows, columns = linear_sum_assignment(possible_kn, maximize=True)
    matched_k[rows] = possible_kn[rows, columns]
    return matched_k


def _share(part: int, whole: int) -> str:
    return f'{100 * part / whole:5.0f}%' if whole else '     -'
