"""What many runs come to: means with bootstrap intervals, by kind and condition, the worst runs first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.evaluation.driving.closed_loop import RunRecord
from moe_bev_ros.evaluation.driving.runs import DrivenSuite
from moe_bev_ros.evaluation.driving.scores import LEAST_PROGRESS, progress_share, total_score
from moe_bev_ros.evaluation.strata import percentile_range

RESAMPLES = 2000


@dataclass(frozen=True)
class JudgedRun:
    """A run with what the reference run adds to it, each 0..1."""

    run: RunRecord
    progress: float
    score: float


def judge(suite: DrivenSuite) -> list[JudgedRun]:
    """Score all runs; the worst come first."""
    judged = []
    for run, reference_m in zip(suite.runs, suite.reference_m):
        progress = progress_share(run.progress_m, reference_m)
        conditions = (run.collision_score, run.drivable, run.direction)
        score = total_score(conditions, ttc=run.ttc, progress=progress, speed_limit=run.speed_limit, comfort=run.comfort)
        judged.append(JudgedRun(run, progress, score))
    return sorted(judged, key=lambda item: (item.score, item.run.seed))


def summary(judged: list[JudgedRun]) -> dict[str, Any]:
    """All figures, ready for JSON.

    ``score``, ``ttc``, ``progress``, ``comfort``, ``speed_limit`` are means over runs, 0..1; ``collisions``,
    ``collisions_at_fault`` and ``red_lights`` (which the score leaves out) count events, ``off_road``, ``wrong_way`` and
    ``without_progress`` count runs; ``interval`` is that of the score.
    """
    whole = _figures(judged)
    whole['per_kind'] = {kind: _figures([item for item in judged if item.run.kind == kind]) for kind in _names(judged, 'kind')}
    whole['per_condition'] = {
        name: _figures([item for item in judged if item.run.condition == name]) for name in _names(judged, 'condition')
    }
    return whole


def _names(judged: list[JudgedRun], field: str) -> list[str]:
    return sorted({getattr(item.run, field) for item in judged})


def _figures(judged: list[JudgedRun]) -> dict[str, Any]:
    runs, scores_n = [item.run for item in judged], np.array([item.score for item in judged])
    return {
        'score': _mean(scores_n),
        'interval': interval(scores_n),
        'runs': len(runs),
        'collisions_at_fault': sum(len(run.collisions_at_fault) for run in runs),
        'collisions': sum(len(run.collisions) for run in runs),
        'off_road': sum(run.drivable < 1.0 for run in runs),
        'wrong_way': sum(run.direction < 1.0 for run in runs),
        'red_lights': sum(run.red_lights for run in runs),
        'without_progress': sum(item.progress < LEAST_PROGRESS for item in judged),
        'ttc': _mean(np.array([run.ttc for run in runs])),
        'progress': _mean(np.array([item.progress for item in judged])),
        'comfort': _mean(np.array([run.comfort for run in runs])),
        'speed_limit': _mean(np.array([run.speed_limit for run in runs])),
        'latency_ms': round(float(np.median([run.latency_ms for run in runs])), 2),
    }


def _mean(values_n: Array) -> float:
    return round(float(np.mean(values_n)), 4)


def interval(values_n: Array) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over runs; the same values give the same interval."""
    rng = np.random.default_rng(0)
    means = rng.choice(values_n, (RESAMPLES, len(values_n))).mean(axis=1)
    low, high = percentile_range(means)
    return round(low, 4), round(high, 4)


def table(figures: dict[str, Any]) -> str:
    """For a terminal: a line a kind, a line a condition, and the whole."""
    head = f'{"":<26} {"runs":>5} {"score":>7} {"95 %":>15} {"fault":>6} {"contacts":>9} {"off road":>9} {"red":>4}'
    head += f' {"ttc":>6} {"progress":>9} {"limit":>6} {"comfort":>8}'
    rows = [*figures['per_kind'].items(), *figures['per_condition'].items(), ('all', figures)]
    return '\n'.join([head, *(_line(name, row) for name, row in rows)])


def _line(name: str, row: dict[str, Any]) -> str:
    low, high = row['interval']
    counts = f'{row["collisions_at_fault"]:>6} {row["collisions"]:>9} {row["off_road"]:>9} {row["red_lights"]:>4}'
    means = f'{row["ttc"]:>6.3f} {row["progress"]:>9.3f} {row["speed_limit"]:>6.3f} {row["comfort"]:>8.3f}'
    return f'{name:<26} {row["runs"]:>5} {row["score"]:>7.3f} {f"{low:.3f}..{high:.3f}":>15} {counts} {means}'
