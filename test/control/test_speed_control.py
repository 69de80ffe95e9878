import pytest

from moe_bev_ros.control.speed_control import SpeedGains, SpeedState, speed_control

LIMITS = (-5.0, 3.0)


def step(state=SpeedState(), gains=SpeedGains(), error=0.0, feed_forward=0.0):  # noqa: B008
    return speed_control(gains, state, error_mps=error, feed_forward_mps2=feed_forward, dt_s=0.02, limits_mps2=LIMITS)


def test_without_error_the_plan_decides():
    assert step(feed_forward=1.3)[0] == pytest.approx(1.3)


def test_too_slow_accelerates_and_too_fast_brakes():
    assert step(error=1.0)[0] > 0.0
    assert step(error=-1.0)[0] < 0.0


def test_the_integral_removes_a_lasting_error():
    speed, state = 0.0, SpeedState()
    for _ in range(3000):
        acceleration, state = step(state, error=5.0 - speed)
        speed += (acceleration - 0.5) * 0.02  # a hill
    assert speed == pytest.approx(5.0, abs=0.02)


def test_the_integral_does_not_wind_up_at_a_limit():
    state = SpeedState()
    for _ in range(1000):
        acceleration, state = step(state, error=20.0)
    assert acceleration == LIMITS[1]
    assert state.integral_mps2 == 0.0


def test_the_integral_is_bounded():
    state = SpeedState()
    for _ in range(10000):
        _, state = step(state, error=1.0)
    assert state.integral_mps2 <= SpeedGains().max_integral_mps2


def test_the_derivative_acts_against_a_shrinking_error():
    gains = SpeedGains(derivative=0.1)
    _, state = step(gains=gains, error=1.0)
    assert step(state, gains, error=0.9)[0] < step(state, SpeedGains(), error=0.9)[0]
