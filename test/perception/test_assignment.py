import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from moe_bev_ros.perception.assignment import IMPOSSIBLE, best_pairs


@pytest.mark.parametrize('share', [0.01, 0.05, 0.3])
def test_it_is_the_best_assignment_of_the_whole_matrix(share):
    rng = np.random.default_rng(0)
    cost = np.where(rng.random((40, 60)) < share, rng.uniform(0, 3.5, (40, 60)), IMPOSSIBLE)
    rows, columns = np.nonzero(cost < IMPOSSIBLE)
    wanted = {(row, column) for row, column in zip(*linear_sum_assignment(cost)) if cost[row, column] < IMPOSSIBLE}
    assert set(zip(*best_pairs(rows, columns, cost[rows, columns]))) == wanted


def test_two_pairs_are_better_than_the_one_that_fits_best():
    rows, columns = best_pairs(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.0, 3.0, 3.0]))
    assert set(zip(rows, columns)) == {(0, 1), (1, 0)}


def test_where_nothing_is_possible_nobody_is_paired():
    rows, columns = best_pairs(np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    assert len(rows) == len(columns) == 0
