from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.roads import Road
from moe_bev_ros.world.scene import Actor, Body
from moe_bev_ros.world.traffic import Cross, Drive, LightCycle, Walk

ROAD = Road()
CAR = Body(Label.CAR, (4.5, 1.8, 1.5), ())
PERSON = Body(Label.PEDESTRIAN, (0.6, 0.6, 1.7), ())
FAR_EGO = Actor(99, CAR, -500.0, 0.0, 0.0)


def run(actor: Actor, script, others=(), ego=FAR_EGO, seconds: float = 10.0) -> Actor:
    for _ in range(round(seconds / 0.02)):
        actor = script.step(actor, ego, (actor, *others), 0.02)
    return actor


def test_a_driver_reaches_the_desired_speed_on_a_free_road():
    actor = run(Actor(1, CAR, -50.0, 0.0, 0.0), Drive(ROAD, 0.0, 1, 8.0), seconds=20.0)
    assert actor.speed_mps == pytest.approx(8.0, abs=0.4)
    assert actor.y == 0.0


def test_a_driver_stops_behind_a_stopped_car_and_ignores_one_beside():
    stopped, beside = Actor(2, CAR, 60.0, 0.0, 0.0), Actor(3, CAR, 30.0, -3.2, 0.0)
    actor = run(Actor(1, CAR, 0.0, 0.0, 0.0, 8.0), Drive(ROAD, 0.0, 1, 8.0), (stopped, beside), seconds=25.0)
    assert 60.0 - 4.5 - 4.0 < actor.x < 60.0 - 4.5 - 1.5
    assert actor.speed_mps < 0.2


def test_an_oncoming_driver_follows_its_lane_the_other_way():
    actor = run(Actor(1, CAR, 100.0, 3.5, -np.pi, 8.0), Drive(ROAD, 3.5, -1, 8.0), seconds=5.0)
    assert actor.x == pytest.approx(60.0, abs=4.0)
    assert np.cos(actor.yaw_rad) == pytest.approx(-1.0)


def test_a_walker_keeps_pace():
    assert run(Actor(1, PERSON, 0.0, -5.0, 0.0), Walk(ROAD, -5.0, 1, 1.2)).x == pytest.approx(12.0, abs=0.01)


def test_a_pedestrian_meets_an_ego_that_does_not_slow_down():
    script, person = Cross(ROAD, 50.0, 8.0, 1.6), Actor(1, PERSON, 50.0, -4.5, np.pi / 2)
    ego, nearest = Actor(99, CAR, 0.0, 0.0, 0.0, 8.0), np.inf
    for _ in range(400):
        ego = ego.moved(0.02)
        person = script.step(person, ego, (), 0.02)
        nearest = min(nearest, float(np.hypot(ego.x - person.x, ego.y - person.y)))
    assert nearest < 2.5


def test_a_pedestrian_waits_for_the_ego_and_stands_again_on_the_other_side():
    script, person = Cross(ROAD, 50.0, 8.0, 1.6), Actor(1, PERSON, 50.0, -4.5, np.pi / 2)
    assert run(person, script, ego=Actor(99, CAR, 0.0, 0.0, 0.0, 8.0)) == person
    crossed = run(person, script, ego=Actor(99, CAR, 35.0, 0.0, 0.0))
    assert crossed.speed_mps == 0.0
    assert crossed.y == pytest.approx(8.0, abs=0.2)


def test_a_light_goes_green_amber_red():
    cycle = LightCycle(10.0, 2.0, 5.0, phase_s=-4.0)
    assert [cycle.state(t) for t in (0.0, 3.9, 4.1, 13.9, 14.1, 16.1, 21.1)] == [
        LightState.RED,
        LightState.RED,
        LightState.GREEN,
        LightState.GREEN,
        LightState.AMBER,
        LightState.RED,
        LightState.GREEN,
    ]
