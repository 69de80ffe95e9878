from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.control.pedal_map import load_pedals
from moe_bev_ros.core.command import Command, Gear, Vehicle
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.world.vehicle import FULL_BRAKE, BicycleModel, VehicleState

PEDALS = load_pedals(config_dir() / 'pedals' / 'accel_map.csv', config_dir() / 'pedals' / 'brake_map.csv')
MODEL = BicycleModel(Vehicle(), PEDALS)


def drive(state: VehicleState, command: Command, seconds: float) -> VehicleState:
    for _ in range(round(seconds / 0.02)):
        state = MODEL.step(state, command, 0.02)
    return state


def test_the_pedal_that_control_would_press_gives_the_wanted_acceleration():
    throttle, brake = PEDALS.positions(1.5, 5.0)
    state = drive(VehicleState(speed_mps=5.0), Command(throttle, brake, 0.0, 1.5, 8.0), 0.4)
    assert state.acceleration_mps2 == pytest.approx(1.5, abs=0.1)


def test_full_brake_stops_and_holds_and_never_rolls_back():
    state = drive(VehicleState(speed_mps=8.0), FULL_BRAKE, 1.5)
    assert state.speed_mps == 0.0
    assert state.x == pytest.approx(8.0**2 / (2 * 8.9), abs=0.8)
    assert drive(state, FULL_BRAKE, 1.0) == state


def test_it_drives_a_circle_of_the_radius_that_the_steering_gives():
    command = Command(0.1, 0.0, 0.2, 0.0, 5.0)
    state = drive(VehicleState(speed_mps=5.0, steering_rad=0.2), command, 2.0)
    radius = Vehicle().wheelbase_m / np.tan(0.2)
    assert np.hypot(state.x, state.y - radius) == pytest.approx(radius, abs=1e-3)


def test_the_steering_turns_no_faster_than_it_can():
    state = drive(VehicleState(), Command(0.0, 0.0, 0.5, 0.0, 0.0), 0.1)
    assert state.steering_rad == pytest.approx(0.08)


@pytest.mark.parametrize('gear', [Gear.PARK, Gear.REVERSE])
def test_throttle_moves_it_in_drive_only(gear):
    assert drive(VehicleState(), Command(1.0, 0.0, 0.0, 3.0, 8.0, gear=gear), 1.0).speed_mps == 0.0
