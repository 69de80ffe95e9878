"""The table of an ablation: each row with its interval, its difference from the reference, and whether its goal is met.

Intervals and differences resample scenes, the same draws for all rows (`strata`); a row with several seeds is the mean of them.
A goal is met only where the interval says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.evaluation.ablation.files import METRICS, RowRun
from moe_bev_ros.evaluation.ablation.router_measures import by_condition, worst
from moe_bev_ros.evaluation.perception.judge import without_nan
from moe_bev_ros.evaluation.strata import RESAMPLES, Figures, Interval, Times, intervals, paired_difference, tally_figures
from moe_bev_ros.learning.ablation_rows import REFERENCE, Goal, Row
from moe_bev_ros.model.memory import sparse_values

NAMES = ('nds', 'map', 'velocity_error', 'min_ade', 'hidden_recall')
GAINS = ('velocity_error', 'min_ade')  # errors, of which the memory shall leave less
KEPT_SHARE, ONE_POINT, LEAST_GAIN = 0.98, 0.01, 0.1
STACKED_FRAMES = 30
PLAN = ('first_frames', 'frames', 'train_scenes')

Runs = Mapping[str, Sequence[RowRun]]


def ablation_summary(rows: Sequence[Row], runs: Runs, resamples: int = RESAMPLES) -> dict[str, Any]:
    """What goes into results/ablation.json, of the rows that have runs.

    Args:
        rows: all, the reference first; it must have runs.
        runs: one a seed, by name of the row.
    """
    done = [row for row in rows if runs.get(row.name)]
    figures = {row.name: _mean_figures(runs[row.name]) for row in done}
    num_scenes = runs[REFERENCE][0].table.num_scenes
    compared = Comparison(figures, num_scenes, resamples)
    reference = runs[REFERENCE]
    routers = by_condition([pair for run in reference for pair in _scene_routers(run)])
    gains = compared.gains([row.name for row in done if row.goal is Goal.LESS_PRECISE])
    config = rows[0].config
    summary = {
        'profile': config.name,
        'scenes': num_scenes,
        'plan': {name: value for name, value in reference[0].figures['plan'].items() if name in PLAN},
        'rows': [_row(row, runs[row.name], compared) for row in done],
        'routers': routers,
        **worst(routers),
        'routing_share': _mean(reference, 'routing_share'),
        'mean_active_experts': _mean(runs.get('dispatcher', ()), 'mean_active_experts'),
        'memory_bytes_ratio': sparse_values(config) / (STACKED_FRAMES * config.channels * config.num_cells**2),
        'memory_gain': gains,
    }
    return dict(without_nan(summary))


class Comparison:
    """Intervals of rows and of what is between them."""

    def __init__(self, figures: Mapping[str, Figures], num_scenes: int, resamples: int) -> None:
        self._figures = {name: _remembering(function) for name, function in figures.items()}
        self._num_scenes, self._resamples = num_scenes, resamples

    def of(self, row: str) -> dict[str, Interval]:
        """Each of NAMES."""
        return dict(zip(NAMES, self._intervals(self._figures[row])))

    def difference(self, row: str) -> Interval:
        """NDS of a row above that of the reference."""
        pair = self._figures[REFERENCE], self._figures[row]
        return paired_difference(*pair, self._num_scenes, resamples=self._resamples)[0]

    def kept(self, row: str) -> Interval:
        """NDS of the reference as a share of that of a row."""
        return self._intervals(lambda times: _ratio(self._figures[REFERENCE](times), self._figures[row](times)))[0]

    def gains(self, rows: Sequence[str]) -> dict[str, Any]:
        """By how much the reference errs less than the best of these rows, as a share; of each of GAINS."""
        if not rows:
            return {}
        result = {}
        for name in GAINS:
            column = NAMES.index(name)

            def gain(times: Times, column: int = column) -> Array:
                best = min(self._figures[row](times)[column] for row in rows)
                return 1.0 - _ratio(self._figures[REFERENCE](times)[column:], np.array([best]))

            best = min(rows, key=lambda row: self.of(row)[name].value)
            result[name] = {**self._intervals(gain)[0].as_dict(), 'best': best}
        return result

    def _intervals(self, figures: Figures) -> tuple[Interval, ...]:
        return intervals(figures, range(self._num_scenes), self._num_scenes, self._resamples)


def is_met(goal: Goal, row: str, compared: Comparison) -> bool | None:
    """Whether the interval shows what the goal asks for; None where there is no goal."""
    if goal is Goal.NONE:
        return None
    if goal is Goal.KEPT:
        kept = compared.kept(row)
        return kept.value >= 0.99 and kept.low >= KEPT_SHARE
    if goal is Goal.LESS_PRECISE:
        gains = compared.gains([row])
        return all(gains[name]['value'] >= LEAST_GAIN and gains[name]['low'] > 0.0 for name in GAINS)
    difference = compared.difference(row)
    return {
        Goal.WORSE: difference.high < 0.0,
        Goal.ONE_POINT_WORSE: difference.value <= -ONE_POINT and difference.high < 0.0,
        Goal.NOT_BETTER: not difference.low > 0.0,
        Goal.BETTER: difference.low > 0.0,
    }[goal]


def _row(row: Row, runs: Sequence[RowRun], compared: Comparison) -> dict[str, Any]:
    found = compared.of(row.name)
    is_reference = row.name == REFERENCE
    return {
        'name': row.name,
        'part': row.part,
        'seeds': [run.figures['plan']['seed'] for run in runs],
        **{name: interval.value for name, interval in found.items()},
        'interval': [found['nds'].low, found['nds'].high],
        'intervals': {name: [interval.low, interval.high] for name, interval in found.items()},
        'nds_of_seeds': [run.figures['nds'] for run in runs],
        **{name: _mean(runs, name) for name in ('attention_macs', 'bytes', 'ms', 'mean_active_experts')},
        'difference': None if is_reference else compared.difference(row.name).as_dict(),
        'kept': compared.kept(row.name).as_dict() if row.goal is Goal.KEPT else None,
        'goal': row.goal.value,
        'met': is_met(row.goal, row.name, compared),
    }


def _mean_figures(runs: Sequence[RowRun]) -> Figures:
    """NAMES of a choice of scenes, over all seeds."""
    tallies = [tally_figures(run.tallies, METRICS) for run in runs]

    def figures(times_s: Times) -> Array:
        rows = []
        for run, of_tally in zip(runs, tallies):
            metrics = run.table.metrics(times_s)
            rows.append([metrics.nd_score, metrics.mean_ap, metrics.tp_errors['vel_err'], *of_tally(times_s)])
        return np.mean(rows, axis=0)

    return figures


def _ratio(first_f: Array, second_f: Array) -> Array:
    """(1,) of the first figures; NaN where the second is not above 0."""
    return np.array([first_f[0] / second_f[0] if second_f[0] > 0.0 else np.nan])


def _remembering(figures: Figures) -> Callable[[Times], Array]:
    """The draws are the same for every interval, so each is scored once."""
    known: dict[bytes, Array] = {}

    def remembered(times_s: Times) -> Array:
        key = times_s.tobytes()
        if key not in known:
            known[key] = figures(times_s)
        return known[key]

    return remembered


def _scene_routers(run: RowRun) -> list[tuple[str, dict[str, float]]]:
    """Condition and measures of each scene."""
    nan = float('nan')
    rows = run.figures['routers']
    return [(row['condition'], {k: nan if v is None else v for k, v in row['measures'].items()}) for row in rows]


def _mean(runs: Sequence[RowRun], name: str) -> float | None:
    return float(np.mean([run.figures[name] for run in runs])) if runs else None
