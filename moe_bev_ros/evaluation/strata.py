"""Intervals by resampling whole scenes, and results parted by condition, scenario kind, town style and distance.

Scenes are what is independent of each other; frames of one scene are not. An interval is the 2.5 to 97.5 % range of a figure
over RESAMPLES draws of as many scenes, with replacement (percentile bootstrap, Efron and Tibshirani, 1993). The draws are the
same for everything with the same number of scenes, so that two engines on the same scenes are compared scene by scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.evaluation.tally import NUM_BINS, Tally

RESAMPLES = 1000
SEED = 0
RANGE_PERCENT = (2.5, 97.5)

Times = NDArray[np.int64]
Figures = Callable[[Times], Array]


@dataclass(frozen=True)
class Interval:
    """A figure and its 95 % interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return {'value': self.value, 'low': self.low, 'high': self.high}


def intervals(figures: Figures, scenes: Sequence[int], num_scenes: int, resamples: int = RESAMPLES) -> tuple[Interval, ...]:
    """Intervals of several figures at once.

    Args:
        figures: of how often each of ``num_scenes`` scenes counts; returns (F,).
        scenes: those to draw from.
    """
    chosen = np.asarray(scenes, np.int64)
    whole = np.zeros(num_scenes, np.int64)
    whole[chosen] = 1
    values_f = figures(whole)
    drawn_rf = np.full((max(resamples, 1), len(values_f)), np.nan)
    if len(chosen) > 1:
        for row, times in enumerate(_draws(len(chosen), resamples)):
            spread = np.zeros(num_scenes, np.int64)
            spread[chosen] = times
            drawn_rf[row] = figures(spread)
    ranges = [percentile_range(drawn_rf[:, f]) for f in range(len(values_f))]
    return tuple(Interval(float(value), *pair) for value, pair in zip(values_f, ranges))


def paired_difference(
    first: Figures, second: Figures, num_scenes: int, num_scenes_second: int | None = None, resamples: int = RESAMPLES
) -> tuple[Interval, ...]:
    """How much the second is above the first on the same scenes, in the same order; an interval without 0 is a difference.

    Raises:
        InputError: the numbers of scenes differ.
    """
    if num_scenes_second is not None and num_scenes_second != num_scenes:
        raise InputError(f'{num_scenes} and {num_scenes_second} scenes cannot be paired; evaluate both on the same scenes')
    return intervals(lambda times: second(times) - first(times), range(num_scenes), num_scenes, resamples)


def tally_figures(tallies: Sequence[Tally], names: Sequence[str], distance_bin: int | None = None) -> Figures:
    """The metrics of these names, of one distance or of all, as a function of how often each scene counts."""
    empty = np.zeros((NUM_BINS, 2))
    sums_sf2 = np.array([[_of(tally.get(name, empty), distance_bin) for name in names] for tally in tallies])
    sums_sf2 = sums_sf2.reshape(len(tallies), len(names), 2)

    def figures(times_s: Times) -> Array:
        total_f2 = np.tensordot(times_s.astype(float), sums_sf2, axes=1)
        known_f = total_f2[:, 1] > 0
        return np.divide(total_f2[:, 0], total_f2[:, 1], out=np.full(len(names), np.nan), where=known_f)

    return figures


def metric_names(tallies: Iterable[Tally]) -> tuple[str, ...]:
    """All that is in any of them, in order."""
    return tuple(dict.fromkeys(name for tally in tallies for name in tally))


def groups(traits: Sequence[dict[str, str]]) -> dict[str, dict[str, list[int]]]:
    """Indices of the scenes by trait and its value, such as condition and night."""
    result: dict[str, dict[str, list[int]]] = {}
    for name in ('condition', 'kind', 'style'):
        values = sorted({item[name] for item in traits if name in item})
        if values:
            result[name] = {value: [i for i, item in enumerate(traits) if item.get(name) == value] for value in values}
    return result


def percentile_range(drawn_r: Array) -> tuple[float, float]:
    """The 2.5 to 97.5 % range of the draws in which a figure is defined; NaN where it is in none."""
    known_r = drawn_r[np.isfinite(drawn_r)]
    if not len(known_r):
        return float('nan'), float('nan')
    low, high = np.percentile(known_r, RANGE_PERCENT)
    return float(low), float(high)


def _of(sums_b2: Array, distance_bin: int | None) -> Array:
    return sums_b2.sum(axis=0) if distance_bin is None else sums_b2[distance_bin]


def _draws(num: int, resamples: int) -> NDArray[np.int64]:
    return np.random.default_rng(SEED).multinomial(num, np.full(num, 1.0 / num), size=resamples)
