"""Facts of the intelligent driver model and of MOBIL."""

from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.world.driver_model import IntelligentDriver, LaneChangeModel

DRIVER = IntelligentDriver()


def accelerations(speed, desired, gap, leader):
    return float(DRIVER.accelerations(*(np.array([value], float) for value in (speed, desired, gap, leader)))[0])


def test_a_free_road_asks_for_full_acceleration_at_rest_and_none_at_the_desired_speed():
    assert accelerations(0.0, 10.0, np.inf, 0.0) == DRIVER.acceleration_mps2
    assert accelerations(10.0, 10.0, np.inf, 0.0) == pytest.approx(0.0)
    assert accelerations(14.0, 10.0, np.inf, 0.0) < 0.0


def test_in_equilibrium_the_gap_is_what_headway_and_speed_ask_for():
    speed, desired = 8.0, 12.0
    gap = (DRIVER.standstill_gap_m + speed * DRIVER.headway_s) / np.sqrt(1.0 - (speed / desired) ** 4)
    assert accelerations(speed, desired, gap, speed) == pytest.approx(0.0, abs=1e-9)
    assert accelerations(speed, desired, 0.8 * gap, speed) < 0.0 < accelerations(speed, desired, 1.2 * gap, speed)


def test_closing_in_brakes_harder_but_never_beyond_the_bound():
    assert accelerations(10.0, 12.0, 30.0, 4.0) < accelerations(10.0, 12.0, 30.0, 10.0)
    assert accelerations(20.0, 12.0, 0.5, 0.0) == -DRIVER.hardest_braking_mps2


def wants(gain, follower_after, follower_before=0.0, to_right=False):
    arrays = (np.array([gain]), np.array([follower_before]), np.array([follower_after]), np.array([to_right]))
    return bool(LaneChangeModel().wants(*arrays)[0])


def test_a_change_needs_a_gain_and_a_follower_who_needs_not_brake_hard():
    assert wants(1.0, 0.0)
    assert not wants(0.1, 0.0)
    assert not wants(5.0, -3.0)


def test_politeness_weighs_what_the_follower_loses():
    assert wants(0.6, -0.5)
    assert not wants(0.4, -0.5)


def test_the_right_lane_is_preferred():
    assert wants(0.2, 0.0, to_right=True)
    assert not wants(0.2, 0.0, to_right=False)
