"""The best assignment where few pairs are possible at all: who has no rival is not worth a matrix."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from moe_bev_ros.core.se3 import Array

Ints = NDArray[np.int64]

IMPOSSIBLE = 1e6


def best_pairs(row_p: Ints, column_p: Ints, cost_p: Array) -> tuple[Ints, Ints]:
    """As many pairs as can be, of the least total cost: scipy's Hungarian method for all that have rivals.

    Args:
        row_p, column_p: the pairs that are possible, each once.
        cost_p: of each, far below IMPOSSIBLE.

    Returns:
        Rows and columns of the chosen pairs; each row and each column at most once.
    """
    is_alone_p = (np.bincount(row_p)[row_p] == 1) & (np.bincount(column_p)[column_p] == 1)
    rows_r, row_q = np.unique(row_p[~is_alone_p], return_inverse=True)
    columns_c, column_q = np.unique(column_p[~is_alone_p], return_inverse=True)
    cost_rc = np.full((len(rows_r), len(columns_c)), IMPOSSIBLE)
    cost_rc[row_q, column_q] = cost_p[~is_alone_p]
    chosen_r, chosen_c = linear_sum_assignment(cost_rc)
    is_pair = cost_rc[chosen_r, chosen_c] < IMPOSSIBLE
    return (
        np.concatenate([row_p[is_alone_p], rows_r[chosen_r[is_pair]]]),
        np.concatenate([column_p[is_alone_p], columns_c[chosen_c[is_pair]]]),
    )
