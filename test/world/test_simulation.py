from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.control.pedal_map import load_pedals
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scenario import make_scenario
from moe_bev_ros.world.simulation import World
from moe_bev_ros.world.vehicle import FULL_BRAKE

PEDALS = load_pedals(config_dir() / 'pedals' / 'accel_map.csv', config_dir() / 'pedals' / 'brake_map.csv')
RIG = Rig(image_width=88, image_height=32)
GO = Command(0.25, 0.0, 0.0, 2.0, 8.0)


@pytest.fixture
def world():
    made = World(make_scenario(2), PEDALS, RIG, Vehicle())
    yield made
    made.close()


def test_time_begins_one_sweep_after_zero_and_counts_steps(world):
    assert world.stamp_ns == 100_000_000
    world.step(GO)
    assert world.stamp_ns == 120_000_000


def test_who_drives_on_blindly_collides_once_with_each_that_is_in_the_way(world):
    for _ in range(1100):
        world.step(GO)
    assert 1 <= world.truth().collisions <= 4
    assert world.truth().distance_m > 130.0


def test_who_stands_still_is_hit_by_nobody(world):
    for _ in range(1000):
        world.step(FULL_BRAKE)
    assert world.truth().collisions == 0
    assert world.truth().distance_m == 0.0


def test_equal_commands_give_equal_worlds():
    first, second = (World(make_scenario(5), PEDALS, RIG, Vehicle(), threads) for threads in (1, 2))
    for _ in range(100):
        first.step(GO)
        second.step(GO)
    assert first.truth() == second.truth()
    sensed, again = first.sense(), second.sense()
    assert np.array_equal(sensed.images_nhw3, again.images_nhw3)
    assert np.array_equal(sensed.points_n6, again.points_n6)
    first.close()
    second.close()


def test_the_light_changes_with_time(world):
    states = set()
    for _ in range(2600):
        world.step(FULL_BRAKE)
        states.add(world.scene.lights[0].state)
    assert len(states) == 3
