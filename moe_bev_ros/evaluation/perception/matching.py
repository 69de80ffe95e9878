"""Pairs of positions: the nearest first, each taken once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def nearest_pairs(
    first_n2: NDArray[Any], second_m2: NDArray[Any], within_m: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices into both of the pairs that are nearer than ``within_m``, in rising distance."""
    distances_nm = np.linalg.norm(first_n2[:, None].astype(float) - second_m2[None], axis=-1)
    rows, columns = np.nonzero(distances_nm < within_m)
    order = np.argsort(distances_nm[rows, columns], kind='stable')
    taken_rows, taken_columns = set[int](), set[int]()
    pairs: list[tuple[int, int]] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist()):
        if row not in taken_rows and column not in taken_columns:
            taken_rows.add(row)
            taken_columns.add(column)
            pairs.append((row, column))
    result = np.array(pairs, np.int64).reshape(-1, 2)
    return result[:, 0], result[:, 1]
