import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moe_bev_ros.control.limits import Limits, Motion, curve_speed_mps, limited
from moe_bev_ros.core.command import Vehicle

VEHICLE, LIMITS = Vehicle(), Limits()
WISHES = st.builds(Motion, st.floats(-30.0, 30.0), st.floats(-2.0, 2.0))
PAST = st.builds(Motion, st.floats(-5.0, 3.0), st.floats(-0.6, 0.6))


@given(WISHES, PAST, st.floats(0.05, 30.0), st.floats(0.001, 0.2))
def test_no_wish_gets_past_a_limit(wanted, before, speed, dt):
    result = limited(wanted, before, speed, dt, LIMITS, VEHICLE)
    change = result.acceleration_mps2 - before.acceleration_mps2
    release = LIMITS.max_braking_jerk_mps3 if result.acceleration_mps2 <= 0.0 else LIMITS.max_jerk_mps3
    assert -LIMITS.max_braking_jerk_mps3 * dt - 1e-9 <= change <= release * dt + 1e-9
    assert abs(result.steering_angle_rad) <= VEHICLE.max_steering_rad
    lateral = speed**2 * np.tan(abs(result.steering_angle_rad)) / VEHICLE.wheelbase_m
    assert lateral <= LIMITS.max_lateral_acceleration_mps2 + 1e-6


def test_a_small_wish_passes_unchanged():
    wish = Motion(0.05, 0.01)
    assert limited(wish, Motion(), 10.0, 0.02, LIMITS, VEHICLE) == wish


def test_no_time_means_no_change():
    assert limited(Motion(3.0, 0.5), Motion(), 1.0, 0.0, LIMITS, VEHICLE) == Motion()


def test_a_curve_slows_to_its_lateral_acceleration():
    assert curve_speed_mps(-0.05, LIMITS) == pytest.approx(10.0)
    assert curve_speed_mps(0.0, LIMITS) == LIMITS.max_speed_mps


def test_a_standing_vehicle_releases_its_brake_at_once_and_starts_off_gently():
    braking = Motion(acceleration_mps2=-8.0)
    first = limited(Motion(acceleration_mps2=2.0), braking, 0.0, 0.02, LIMITS, VEHICLE)
    assert first.acceleration_mps2 == 0.0
    second = limited(Motion(acceleration_mps2=2.0), first, 0.0, 0.02, LIMITS, VEHICLE)
    assert second.acceleration_mps2 == pytest.approx(0.1)
    rolling = limited(Motion(acceleration_mps2=2.0), braking, 1.0, 0.02, LIMITS, VEHICLE)
    assert rolling.acceleration_mps2 == pytest.approx(-7.8)
