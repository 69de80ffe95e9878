from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.world.layouts import LAYOUTS, Layout, street


def drawn(name: str, seed: int) -> Layout:
    return LAYOUTS[name](np.random.default_rng(seed))


def test_the_street_is_the_one_that_the_demo_drives():
    rng = np.random.default_rng(1)
    layout = street(rng)
    expected = np.random.default_rng(1)
    crossing_m, blocked_m = expected.uniform(40.0, 56.0), expected.uniform(108.0, 126.0)
    assert rng.uniform() == expected.uniform()
    assert layout.start_3 == (0.0, 0.0, 0.0)
    assert layout.goal_3 == pytest.approx((220.0, 0.0, 0.0))
    assert layout.places['crossing'] == pytest.approx((crossing_m, 0.0, 0.0))
    assert layout.places['blocked'] == pytest.approx((blocked_m, 0.0, 0.0))
    assert layout.places['kerb'] == pytest.approx((crossing_m, -1.75 - 2.4 - 0.4, np.pi / 2))
    assert layout.signals[0].stop_xy == pytest.approx((18.6, 0.0))
    ego, oncoming = layout.network.graph.lanes.values()
    assert ego.centre_m3[[0, -1]].tolist() == [[-60.0, 0.0, 0.0], [240.0, 0.0, 0.0]]
    assert oncoming.centre_m3[[0, -1]].tolist() == [[240.0, 3.5, 0.0], [-60.0, 3.5, 0.0]]
    assert [strip[0, 1] for strip in layout.network.kerbsides] == pytest.approx([-3.05, 6.55])
