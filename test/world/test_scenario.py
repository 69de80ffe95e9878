from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.collision import overlaps
from moe_bev_ros.world.scenario import make_scenario
from moe_bev_ros.world.traffic import Cross

SEEDS = range(1, 21)


@pytest.mark.parametrize('seed', SEEDS)
def test_every_street_has_something_to_stop_for(seed):
    scenario = make_scenario(seed)
    crossing = [s for s in scenario.scripts.values() if isinstance(s, Cross)]
    blocking = [a for a in scenario.scene.actors if abs(a.y) < 1.0 and a.body.label in (Label.CAR, Label.TRUCK)]
    assert len(crossing) == 1
    assert 35.0 <= crossing[0].station_m <= 60.0
    assert len(blocking) == 1
    assert 95.0 <= blocking[0].x - blocking[0].body.size_3[0] / 2 <= 130.0
    assert blocking[0].track_id not in scenario.scripts
    assert len(scenario.scene.lights) == 1


@pytest.mark.parametrize('seed', SEEDS)
def test_nobody_stands_in_somebody_else_nor_in_the_ego_at_the_start(seed):
    actors = make_scenario(seed).scene.actors
    boxes_n7 = np.stack([actor.box_7 for actor in actors])
    ego_7 = np.array([1.4, 0.0, 0.8, 4.6, 1.9, 1.7, 0.0], np.float32)
    assert not overlaps(ego_7, boxes_n7).any()
    for index, box_7 in enumerate(boxes_n7):
        assert overlaps(box_7, boxes_n7).sum() == 1, actors[index]


def test_equal_seeds_give_equal_streets_and_others_differ():
    assert make_scenario(3) == make_scenario(3)
    assert make_scenario(3).scene != make_scenario(4).scene


def test_no_light_stays_red_for_long_when_the_run_begins():
    states = [make_scenario(seed).cycles[0] for seed in SEEDS]
    assert all(cycle.state(6.0) is LightState.GREEN for cycle in states)
    assert {cycle.state(1.0) for cycle in states} == {LightState.RED, LightState.GREEN}
