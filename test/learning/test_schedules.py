"""The rate rises, stays and falls; what is left out only grows."""

import numpy as np
import pytest

from moe_bev_ros.learning.schedules import rate_share, sparsity_at


def test_the_rate_rises_stays_and_falls_to_nothing():
    shares = [rate_share(progress, 0.1, 0.25) for progress in np.linspace(0.0, 1.0, 101)]
    assert 0.0 < shares[0] < 0.05
    assert shares[10:75] == [1.0] * 65
    assert np.all(np.diff(shares[75:]) < 0.0)
    assert shares[100] == 0.0


def test_patches_are_left_out_after_a_dense_warm_up():
    shares = [sparsity_at(progress, 0.05, 0.3, 0.6, 0.65) for progress in np.linspace(0.0, 1.0, 101)]
    assert shares[:5] == [0.0] * 5
    assert shares[5] == pytest.approx(0.3)
    assert shares[60:] == pytest.approx([0.65] * 41)
    assert np.all(np.diff(shares) >= 0.0)
    assert len(set(shares)) < 12  # few shapes


def test_a_dense_network_stays_dense():
    assert {sparsity_at(progress, 0.05, 0.3, 0.6, 0.0) for progress in np.linspace(0.0, 1.0, 11)} == {0.0}
