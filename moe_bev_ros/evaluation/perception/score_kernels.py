"""The devkit's arithmetic of one class, in compiled walks over its predictions and in a tenth of the time.

A choice of scenes in which some count several times repeats their predictions. What ``accumulate``, ``calc_ap`` and ``calc_tp``
compute in tables of all of them is counted here while they pass, and read at the same recalls. `DetectionTable.metrics` is the
same by the devkit itself; tests compare the two.

Letters: as in `detection_table`; k recalls, e errors.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array

Ints = NDArray[np.int64]


@njit(cache=True, error_model='numpy')  # type: ignore[untyped-decorator]
def class_scores(
    times_s: Ints,
    num_truth: int,
    scene_n: Ints,
    scores_n: Array,
    hits_dm: tuple[Ints, ...],
    at_errors: int,
    errors_me: Array,
    recalls_k: Array,
    min_precision: float,
) -> tuple[Array, Array]:
    """(D,) average precisions and (E,) mean errors.

    Args:
        times_s: how often each scene counts.
        num_truth: true boxes in these scenes.
        hits_dm: for each distance which predictions are hits.
        errors_me: of the hits at distance ``at_errors``.
        recalls_k: those above the least recall that counts.
    """
    aps_d, errors_e = np.zeros(len(hits_dm)), np.ones(errors_me.shape[1])
    precisions_k, scores_k = np.empty(len(recalls_k)), np.empty(len(recalls_k))
    ranks_n = _ranks(times_s, scene_n)
    for d in range(len(hits_dm) if num_truth else 0):
        precisions_k[:] = scores_k[:] = 0.0
        _read_curve(times_s, num_truth, scene_n, scores_n, hits_dm[d], ranks_n, recalls_k, precisions_k, scores_k)
        aps_d[d] = np.mean(np.maximum(precisions_k - min_precision, 0.0)) / (1.0 - min_precision)
        if d == at_errors:
            num_reached = len(recalls_k)
            while num_reached and scores_k[num_reached - 1] == 0.0:
                num_reached -= 1
            if num_reached:
                _mean_errors(times_s, scene_n, scores_n, hits_dm[d], errors_me, scores_k[:num_reached], errors_e)
    return aps_d, errors_e


@njit(cache=True, error_model='numpy')  # type: ignore[untyped-decorator]
def _ranks(times_s: Ints, scene_n: Ints) -> Ints:
    """How many repeated predictions there are up to and with each."""
    ranks_n, rank = np.empty(len(scene_n), np.int64), 0
    for n in range(len(scene_n)):
        rank += times_s[scene_n[n]]
        ranks_n[n] = rank
    return ranks_n


@njit(cache=True, error_model='numpy')  # type: ignore[untyped-decorator]
def _score_before(n: int, times_s: Ints, scene_n: Ints, scores_n: Array) -> float:
    """The score of the last prediction before this one that counts; 0 where none does."""
    n -= 1
    while n >= 0 and times_s[scene_n[n]] == 0:
        n -= 1
    return scores_n[n] if n >= 0 else 0.0


@njit(cache=True, error_model='numpy')  # type: ignore[untyped-decorator]
def _read_curve(
    times_s: Ints,
    num_truth: int,
    scene_n: Ints,
    scores_n: Array,
    hit_m: Ints,
    ranks_n: Ints,
    recalls_k: Array,
    precisions_k: Array,
    scores_k: Array,
) -> None:
    """Precision and score at recalls as ``np.interp`` reads them: between the last prediction that does not exceed a recall and
    the next one, which is a hit. Those beyond the last prediction are left as they are.
    """
    hits, k, near = 0, 0, int(recalls_k[0] * num_truth)
    for n in hit_m:
        times = times_s[scene_n[n]]
        if hits + times < near:  # no reading lies before these
            hits += times
            continue
        score = _score_before(n, times_s, scene_n, scores_n)
        for rank in range(ranks_n[n] - times, ranks_n[n]):
            recall, next_recall, next_precision = hits / num_truth, (hits + 1) / num_truth, (hits + 1) / (rank + 1)
            while k < len(recalls_k) and recalls_k[k] < next_recall:
                share = (recalls_k[k] - recall) / (next_recall - recall) if rank else 1.0
                precision, before = (hits / rank, score) if rank else (next_precision, scores_n[n])
                precisions_k[k] = precision + share * (next_precision - precision)
                scores_k[k] = before + share * (scores_n[n] - before)
                k += 1
            hits, score = hits + 1, scores_n[n]
        near = int(recalls_k[k] * num_truth) if k < len(recalls_k) else num_truth + 1
    while k < len(recalls_k) and hits and recalls_k[k] == hits / num_truth:
        precisions_k[k], scores_k[k] = hits / ranks_n[-1], _score_before(len(scene_n), times_s, scene_n, scores_n)
        k += 1


@njit(cache=True, error_model='numpy')  # type: ignore[untyped-decorator]
def _mean_errors(
    times_s: Ints, scene_n: Ints, scores_n: Array, hit_m: Ints, errors_me: Array, scores_k: Array, errors_e: Array
) -> None:
    """Means, over K falling scores, of the running means of the hits' errors, read as ``np.interp`` reads them.

    Unknown errors (NaN) do not count; where all are unknown the mean is 1 (the devkit's ``cummean``).
    """
    sums_e, counts_e, totals_e = np.zeros((3, len(errors_e)))
    k, score = 0, np.inf
    for m in range(len(hit_m)):
        times, next_score = times_s[scene_n[hit_m[m]]], scores_n[hit_m[m]]
        while times and k < len(scores_k) and next_score <= scores_k[k]:
            share = (scores_k[k] - next_score) / (score - next_score) if score < np.inf else 0.0
            for e in range(len(errors_e)):
                is_known = not np.isnan(errors_me[m, e])
                before = sums_e[e] / max(counts_e[e], 1.0)
                mean = (sums_e[e] + errors_me[m, e]) / (counts_e[e] + 1.0) if is_known else before
                totals_e[e] += mean + share * (before - mean)
            k += 1
        for e in range(len(errors_e)):
            is_known = not np.isnan(errors_me[m, e])
            sums_e[e] += times * errors_me[m, e] if is_known else 0.0
            counts_e[e] += times if is_known else 0.0
        score = next_score if times else score
    for e in range(len(errors_e)):
        totals_e[e] += (len(scores_k) - k) * sums_e[e] / max(counts_e[e], 1.0)
        errors_e[e] = totals_e[e] / len(scores_k) if counts_e[e] else 1.0
