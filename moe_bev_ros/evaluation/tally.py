"""Sums of one scene from which a metric follows, parted by distance, so that any choice of scenes and distances can be scored.

A metric is a ratio: its tally holds (NUM_BINS, 2) numerators and denominators, and the metric of several scenes and distances
is the sum of the numerators over the sum of the denominators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array

DISTANCES_M = ((0.0, 20.0), (20.0, 35.0), (35.0, 55.0))
NUM_BINS = len(DISTANCES_M)

Tally = dict[str, Array]


def distance_bins(xy_n2: NDArray[Any]) -> NDArray[np.int64]:
    """(N,) index into DISTANCES_M of positions in base_link; -1 beyond."""
    range_n = np.hypot(xy_n2[..., 0], xy_n2[..., 1])
    bins_n = np.full(range_n.shape, -1, np.int64)
    for index, (low_m, high_m) in enumerate(DISTANCES_M):
        bins_n[(range_n >= low_m) & (range_n < high_m)] = index
    return bins_n


def counted(tally: Tally, name: str, numerators_n: NDArray[Any], bins_n: NDArray[np.int64]) -> None:
    """Add N cases to a metric, each with denominator 1; those of bin -1 are left out."""
    sums = tally.setdefault(name, np.zeros((NUM_BINS, 2)))
    inside_n = bins_n >= 0
    np.add.at(sums[:, 0], bins_n[inside_n], np.asarray(numerators_n, float)[inside_n])
    np.add.at(sums[:, 1], bins_n[inside_n], 1.0)


def add(total: Tally, more: Tally) -> None:
    """Add the sums of another frame or scene to those in ``total``."""
    for name, sums in more.items():
        total[name] = total[name] + sums if name in total else sums.copy()
