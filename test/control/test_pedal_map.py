import numpy as np
import pytest
from control.vehicle_model import shipped_pedals
from hypothesis import given
from hypothesis import strategies as st

from moe_bev_ros.control.pedal_map import load_pedal_map, load_pedals
from moe_bev_ros.core.errors import InputError

ACCELERATOR = 'default,0.0,10.0\n0,0.0,-0.4\n0.5,2.0,1.0\n'
BRAKE = 'default,0.0,10.0\n0,0.0,-0.4\n0.8,-6.0,-6.4\n'
PEDALS = shipped_pedals()


def write(path, text):
    path.write_text(text)
    return path


@pytest.fixture
def small(tmp_path):
    return load_pedals(write(tmp_path / 'accel.csv', ACCELERATOR), write(tmp_path / 'brake.csv', BRAKE))


def test_a_cell_is_found_again(small):
    assert small.positions(2.0, 0.0) == (0.5, 0.0)
    assert small.positions(-6.4, 10.0) == (0.0, 0.8)


def test_it_interpolates_over_speed_then_over_acceleration(small):
    assert small.positions(0.65, 5.0)[0] == pytest.approx(0.25)


def test_driving_backwards_uses_the_amount_of_speed(small):
    assert small.positions(1.0, -10.0) == small.positions(1.0, 10.0)


def test_both_ends_hold_beyond_the_map(small):
    assert small.positions(9.0, 0.0) == (0.5, 0.0)
    assert small.positions(-20.0, 50.0) == (0.0, 0.8)


def test_coasting_needs_no_pedal(small):
    assert small.positions(-0.4, 10.0) == (0.0, 0.0)


@given(st.floats(-12.0, 6.0), st.floats(-5.0, 40.0))
def test_throttle_and_brake_are_never_both_pressed(acceleration, speed):
    throttle, brake = PEDALS.positions(acceleration, speed)
    assert 0.0 <= throttle <= PEDALS.max_throttle
    assert 0.0 <= brake <= PEDALS.max_brake
    assert throttle == 0.0 or brake == 0.0


@given(st.floats(-5.0, 1.0), st.floats(0.0, 14.0))
def test_the_shipped_maps_give_what_was_asked_for(acceleration, speed):
    throttle, brake = PEDALS.positions(acceleration, speed)
    assert PEDALS.acceleration_mps2(throttle, brake, speed) == pytest.approx(acceleration, abs=1e-6)


def test_shipped_full_braking_is_that_of_a_dry_road():
    assert all(-9.5 < PEDALS.brake.acceleration_mps2(1.0, speed) < -8.0 for speed in np.arange(0.0, 30.0))


@pytest.mark.parametrize(
    ('text', 'line', 'fact'),
    [
        ('default,0,10\n0,0.0,abc\n0.5,1,2\n', 2, "'abc' is no number"),
        ('default,0,10\n0,0.0,nan\n0.5,1,2\n', 2, 'not finite'),
        ('default,0,10\n0,0.0\n0.5,1,2\n', 2, '2 values; wanted 3'),
        ('default,10,0\n0,0,0\n0.5,1,2\n', 1, 'speeds must rise'),
        ('default,0\n0,0\n0.5,1\n', 1, 'at least two'),
        ('default,0,10\n0.5,0,0\n0.2,1,2\n', 3, 'above that of the line before'),
        ('default,0,10\n0,0,0\n1.5,1,2\n', 3, 'must lie in [0, 1]'),
    ],
)
def test_a_malformed_map_is_refused_with_file_line_and_fact(tmp_path, text, line, fact):
    path = write(tmp_path / 'bad.csv', text)
    with pytest.raises(InputError) as error:
        load_pedal_map(path)
    assert f'{path}:{line}: ' in str(error.value)
    assert fact in str(error.value)


def test_an_empty_and_a_missing_file_are_refused(tmp_path):
    with pytest.raises(InputError, match='0 lines'):
        load_pedal_map(write(tmp_path / 'empty.csv', ''))
    with pytest.raises(InputError, match=r'missing.csv: cannot be read'):
        load_pedal_map(tmp_path / 'missing.csv')


def test_swapped_maps_are_noticed(tmp_path):
    accelerator, brake = write(tmp_path / 'accel.csv', ACCELERATOR), write(tmp_path / 'brake.csv', BRAKE)
    with pytest.raises(InputError, match=r'brake.csv: at 0 m/s the acceleration must not fall'):
        load_pedals(brake, accelerator)
