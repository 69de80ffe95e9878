"""nuScenes' detection score of any choice of scenes, fast enough to be computed a thousand times.

The devkit matches predictions with the truth sample by sample: which other samples are in the set does not change what is
matched. So the matches are made once, from the boxes that DetectionEval has filtered; the score of a choice of scenes (a scene
may count several times) follows from cumulative sums over the chosen predictions in falling score. What is between these two
is done twice: in `DetectionTable.metrics` with the interpolation in ``accumulate`` as there, and the devkit's own ``calc_ap``,
``calc_tp`` and DetectionMetrics; and in `DetectionTable.figures` by a kernel, for the thousands of draws of an interval. Tests
show that both are equal, and that the result of the whole set is DetectionEval's.

Letters: n predictions of a class, g true boxes, m matched predictions, d matching distances, s scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.evaluation.perception.detection import ERRORS
from moe_bev_ros.evaluation.perception.score_kernels import class_scores

Ints = NDArray[np.int64]
RECALLS = np.linspace(0, 1, 101)  # as DetectionMetricData
NO_ERROR = {'traffic_cone': ('attr_err', 'vel_err', 'orient_err'), 'barrier': ('attr_err', 'vel_err')}  # as in DetectionEval


@dataclass(frozen=True)
class ClassMatches:
    """One class: its predictions in falling score.

    Attributes:
        is_hit_dn: whether a true box is matched at each distance.
        errors_em: of those hit at the distance for errors; rows in the order of ERRORS.
        num_truth_s: true boxes of each scene.
    """

    scene_n: Ints
    scores_n: Array
    is_hit_dn: NDArray[np.bool_]
    errors_em: Array
    num_truth_s: Ints

    @cached_property
    def hits_dm(self) -> tuple[Ints, ...]:
        """For each distance which predictions are hits."""
        return tuple(np.flatnonzero(is_hit_n) for is_hit_n in self.is_hit_dn)

    @cached_property
    def errors_me(self) -> Array:
        """The errors hit by hit in memory."""
        return np.ascontiguousarray(self.errors_em.T)


@dataclass(frozen=True)
class DetectionTable:
    """The matches of all classes.

    Attributes:
        config: the devkit's DetectionConfig.
    """

    config: Any
    num_scenes: int
    classes: dict[str, ClassMatches]

    @property
    def present(self) -> tuple[str, ...]:
        """The classes that are annotated."""
        return tuple(name for name, matches in self.classes.items() if matches.num_truth_s.any())

    def metrics(self, times_s: Ints | None = None, *, absent_count: bool = True) -> Any:
        """The devkit's DetectionMetrics of a choice of scenes.

        Args:
            times_s: how often each scene counts; None: each once.
            absent_count: a class that is annotated nowhere in this table has AP 0 and errors 1, as in the devkit; else it is
                left out of the means, as is always a class that only these scenes lack.
        """
        from nuscenes.eval.detection.algo import calc_ap, calc_tp
        from nuscenes.eval.detection.data_classes import DetectionMetrics

        times_s = np.ones(self.num_scenes, np.int64) if times_s is None else times_s
        config, metrics = self.config, DetectionMetrics(self.config)
        at_errors = config.dist_ths.index(config.dist_th_tp)
        for name, matches in self.classes.items():
            counts = bool(matches.num_truth_s @ times_s) or (absent_count and not matches.num_truth_s.any())
            curves = _curves(matches, times_s, at_errors) if counts else []
            for distance_m, curve in zip(config.dist_ths, curves):
                metrics.add_label_ap(name, distance_m, calc_ap(curve, config.min_recall, config.min_precision))
            for error in ERRORS:
                known = counts and error not in NO_ERROR.get(name, ())
                value = calc_tp(curves[at_errors], config.min_recall, error) if known else np.nan
                metrics.add_label_tp(name, error, value)
        return metrics

    def only(self, scenes: Sequence[int]) -> DetectionTable:
        """The table of some scenes, in their order."""
        index_s = np.full(self.num_scenes, -1, np.int64)
        index_s[np.asarray(scenes, np.int64)] = np.arange(len(scenes))
        at_errors = self.config.dist_ths.index(self.config.dist_th_tp)
        classes = {name: _only(matches, index_s, at_errors) for name, matches in self.classes.items()}
        return DetectionTable(self.config, len(scenes), classes)

    def figures(self, times_s: Ints | None = None, *, absent_count: bool = True) -> Array:
        """(2,) NDS and mean AP of a choice of scenes; NaN where nothing is annotated."""
        times_s = np.ones(self.num_scenes, np.int64) if times_s is None else times_s
        config, aps = self.config, []
        errors: dict[str, list[float]] = {error: [] for error in ERRORS}
        recalls_k, at_errors = RECALLS[round(100 * config.min_recall) + 1 :], config.dist_ths.index(config.dist_th_tp)
        for name, matches in self.classes.items():
            num_truth = int(matches.num_truth_s @ times_s)
            if num_truth or (absent_count and not matches.num_truth_s.any()):
                walked = (matches.scene_n, matches.scores_n, matches.hits_dm, at_errors, matches.errors_me)
                aps_d, errors_e = class_scores(times_s, num_truth, *walked, recalls_k, config.min_precision)
                aps.append(sum(aps_d) / len(aps_d))
                for error, value in zip(ERRORS, errors_e):
                    if error not in NO_ERROR.get(name, ()):
                        errors[error].append(value)
        if not aps:
            return np.full(2, np.nan)
        scores = [max(0.0, 1.0 - sum(values) / len(values)) for values in errors.values() if values]
        mean_ap = sum(aps) / len(aps)
        nds = (config.mean_ap_weight * mean_ap + sum(scores)) / (config.mean_ap_weight + len(ERRORS))
        return np.array([nds, mean_ap])


def detection_table(
    evaluation: Any, scene_of: Mapping[str, int], num_scenes: int, between_m: tuple[float, float] = (0.0, np.inf)
) -> DetectionTable:
    """Match the filtered boxes of a DetectionEval.

    Args:
        scene_of: index of the scene by sample token.
        between_m: only boxes, true and predicted, whose centre is so far from the vehicle.
    """
    config = evaluation.cfg
    truth, predicted = (_by_class(boxes, config, between_m) for boxes in (evaluation.gt_boxes, evaluation.pred_boxes))
    classes = {name: _match(name, truth[name], predicted[name], scene_of, num_scenes, config) for name in config.class_names}
    return DetectionTable(config, num_scenes, classes)


def _by_class(boxes: Any, config: Any, between_m: tuple[float, float]) -> dict[str, list[Any]]:
    low_m, high_m = between_m
    result: dict[str, list[Any]] = {name: [] for name in config.class_names}
    for box in boxes.all:
        if low_m <= box.ego_dist < high_m:
            result[box.detection_name].append(box)
    return result


def _match(
    name: str, truth: list[Any], predicted: list[Any], scene_of: Mapping[str, int], num_scenes: int, config: Any
) -> ClassMatches:
    scores_n = np.array([box.detection_score for box in predicted], float)
    order = np.lexsort((np.arange(len(predicted)), scores_n))[::-1]
    predicted, scores_n = [predicted[index] for index in order], scores_n[order]
    truth_of, predicted_of = _by_sample(truth), _by_sample(predicted)
    partner_dn = np.full((len(config.dist_ths), len(predicted)), -1, np.int64)
    for token, members in predicted_of.items():
        others = truth_of.get(token, [])
        if others:
            pred_xy, true_xy = (_places(boxes, chosen) for boxes, chosen in ((predicted, members), (truth, others)))
            distances = np.sqrt(((pred_xy[:, None] - true_xy[None]) ** 2).sum(axis=-1))
            for row, threshold_m in enumerate(config.dist_ths):
                found = _greedy(distances, threshold_m)
                partner_dn[row, members] = np.where(found >= 0, np.array(others)[found], -1)
    matched_n = partner_dn[config.dist_ths.index(config.dist_th_tp)]
    pairs = [(predicted[n], truth[matched_n[n]]) for n in np.flatnonzero(matched_n >= 0)]
    num_truth_s = np.bincount([scene_of[box.sample_token] for box in truth], minlength=num_scenes).astype(np.int64)
    scene_n = np.array([scene_of[box.sample_token] for box in predicted], np.int64)
    return ClassMatches(scene_n, scores_n, partner_dn >= 0, _errors(pairs, name), num_truth_s)


def _by_sample(boxes: Sequence[Any]) -> dict[str, list[int]]:
    result: dict[str, list[int]] = {}
    for index, box in enumerate(boxes):
        result.setdefault(box.sample_token, []).append(index)
    return result


def _places(boxes: Sequence[Any], chosen: Sequence[int]) -> Array:
    return np.array([boxes[index].translation[:2] for index in chosen], float)


def _greedy(distances_ng: Array, threshold_m: float) -> Ints:
    """(N,) the nearest true box that no better prediction took, or -1."""
    partner_n, left_ng = np.full(len(distances_ng), -1, np.int64), distances_ng.copy()
    for n in np.flatnonzero(distances_ng.min(axis=1) < threshold_m):
        g = int(left_ng[n].argmin())
        if left_ng[n, g] < threshold_m:
            partner_n[n] = g
            left_ng[:, g] = np.inf
    return partner_n


def _errors(pairs: Sequence[tuple[Any, Any]], name: str) -> Array:
    """(5, M) by the devkit's own functions."""
    from nuscenes.eval.common.utils import attr_acc, center_distance, scale_iou, velocity_l2, yaw_diff

    period = np.pi if name == 'barrier' else 2 * np.pi
    rows = [
        (
            center_distance(true, found),
            1 - scale_iou(true, found),
            yaw_diff(true, found, period),
            velocity_l2(true, found),
            1 - attr_acc(true, found),
        )
        for found, true in pairs
    ]
    return np.array(rows, float).reshape(-1, len(ERRORS)).T


def _only(matches: ClassMatches, index_s: Ints, at_errors: int) -> ClassMatches:
    kept_n = index_s[matches.scene_n] >= 0
    kept_m = kept_n[matches.is_hit_dn[at_errors]]
    num_truth_s = np.zeros(int((index_s >= 0).sum()), np.int64)
    num_truth_s[index_s[index_s >= 0]] = matches.num_truth_s[index_s >= 0]
    parts = (matches.scores_n[kept_n], matches.is_hit_dn[:, kept_n], matches.errors_em[:, kept_m])
    return ClassMatches(index_s[matches.scene_n[kept_n]], *parts, num_truth_s)


@dataclass(frozen=True)
class _Curve:
    """What ``calc_ap`` and ``calc_tp`` ask of a DetectionMetricData, with which it shares its names; 101 values each."""

    precision: Array
    max_recall_ind: int = 0
    trans_err: Array | None = None
    scale_err: Array | None = None
    orient_err: Array | None = None
    vel_err: Array | None = None
    attr_err: Array | None = None


def _curves(matches: ClassMatches, times_s: Ints, at_errors: int) -> list[_Curve]:
    """One for each distance; errors only at the one for errors."""
    index_n = np.repeat(np.arange(len(matches.scene_n)), times_s[matches.scene_n])
    num_truth, scores_n = int(matches.num_truth_s @ times_s), matches.scores_n[index_n]
    ranks_n, curves = np.arange(1.0, len(index_n) + 1), []
    for row, is_hit_n in enumerate(matches.is_hit_dn):
        errors_em = None
        if row == at_errors:
            place_n = np.cumsum(is_hit_n) - 1
            errors_em = matches.errors_em[:, place_n[index_n[is_hit_n[index_n]]]]
        curves.append(_curve(is_hit_n[index_n], scores_n, ranks_n, num_truth, errors_em))
    return curves


def _curve(is_hit_n: NDArray[np.bool_], scores_n: Array, ranks_n: Array, num_truth: int, errors_em: Array | None) -> _Curve:
    """As the second half of the devkit's ``accumulate``."""
    if not num_truth or not is_hit_n.any():
        return _Curve(np.zeros(len(RECALLS)))
    hits_n = np.cumsum(is_hit_n, dtype=float)
    recall_n = hits_n / num_truth
    precisions = np.interp(RECALLS, recall_n, hits_n / ranks_n, right=0)
    if errors_em is None:
        return _Curve(precisions)
    scores = np.interp(RECALLS, recall_n, scores_n, right=0)
    hit_scores = scores_n[is_hit_n][::-1]
    errors = [np.interp(scores[::-1], hit_scores, _running_mean(values_m)[::-1])[::-1] for values_m in errors_em]
    achieved = np.nonzero(scores)[0]
    return _Curve(precisions, int(achieved[-1]) if len(achieved) else 0, *errors)


def _running_mean(values_m: Array) -> Array:
    """The devkit's ``cummean``: without NaN; ones where all are."""
    is_known_m = ~np.isnan(values_m)
    if not is_known_m.any():
        return np.ones(len(values_m))
    counts_m = np.cumsum(is_known_m)
    return np.divide(np.nancumsum(values_m), counts_m, out=np.zeros(len(values_m)), where=counts_m != 0)
