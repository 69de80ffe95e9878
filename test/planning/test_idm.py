import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_bev_ros.planning.idm import IdmParams, IdmSpeed, Lead, Situation, required_deceleration_mps2, speed_cap

IDM = IdmSpeed(IdmParams())
OPEN_ROAD = np.full(400, 8.0)


def test_free_road_reaches_the_cap_and_never_exceeds_it():
    rows = IdmSpeed(IdmParams(), num_steps=300)(Situation(0.0, OPEN_ROAD))
    assert 7.5 < rows[-1, 1] <= 8.0


def test_distance_is_the_integral_of_speed():
    rows = IDM(Situation(3.0, OPEN_ROAD))
    np.testing.assert_allclose(np.diff(rows[:, 0]), 0.05 * (rows[1:, 1] + rows[:-1, 1]), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(speed=st.floats(0.0, 15.0), gap=st.floats(0.5, 100.0))
def test_never_passes_a_standing_lead_that_the_brakes_can_stop_for(speed, gap):
    lead = Lead(gap, 0.0, 3.5, 'car')
    if required_deceleration_mps2(lead, speed) > 4.0:
        return
    rows = IdmSpeed(IdmParams(), num_steps=300)(Situation(speed, np.full(400, 15.0), (lead,)))
    assert rows[-1, 0] < gap
    assert rows[-1, 1] < 0.2


def test_keeps_the_wanted_gap_behind_a_standing_lead():
    rows = IdmSpeed(IdmParams(), num_steps=300)(Situation(8.0, OPEN_ROAD, (Lead(60.0, 0.0, 3.5, 'car'),)))
    assert 3.4 < 60.0 - rows[-1, 0] < 4.5


def test_braking_for_a_distant_lead_is_comfortable():
    rows = IdmSpeed(IdmParams(), num_steps=300)(Situation(8.0, OPEN_ROAD, (Lead(60.0, 0.0, 3.5, 'car'),)))
    assert rows[:, 2].min() > -2.5


def test_follows_a_moving_lead_at_its_speed():
    rows = IdmSpeed(IdmParams(), num_steps=600)(Situation(8.0, OPEN_ROAD, (Lead(30.0, 4.0, 3.5, 'car'),)))
    assert abs(rows[-1, 1] - 4.0) < 0.1


def test_standing_vehicle_stays_while_the_gap_only_wobbles():
    assert not IDM(Situation(0.05, OPEN_ROAD, (Lead(5.0, 0.0, 3.5, 'car'),)))[:, 0].any()
    assert IDM(Situation(0.05, OPEN_ROAD, (Lead(9.0, 0.0, 3.5, 'car'),)))[-1, 0] > 1.0


def test_stop_brakes_at_the_comfortable_rate_to_zero():
    rows = IDM(Situation(8.0, OPEN_ROAD, stop=True))
    assert rows[-1, 1] == 0.0
    np.testing.assert_allclose(rows[:30, 2], -2.0, atol=1e-6)


def test_cap_lets_the_vehicle_brake_before_a_curve_and_before_the_end():
    limit, curvature = np.full(100, 8.0), np.zeros(100)
    curvature[60:80], limit[-1] = 0.1, 0.0
    cap = speed_cap(limit, curvature, 0.5, lateral_mps2=2.0, braking_mps2=1.5)
    assert cap[0] == 8.0
    np.testing.assert_allclose(cap[60:80].max(), np.sqrt(2.0 / 0.1))
    assert (-np.diff(cap**2) / (2 * 0.5)).max() <= 1.5 + 1e-9
    assert cap[-1] == 0.0
