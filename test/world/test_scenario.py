"""What a seed gives: the demo's street, and scenarios of every kind."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.footprints import footprints_of, overlap
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.conditions import HELD_OUT_CONDITION
from moe_bev_ros.world.lanelet_files import first_node, read_network
from moe_bev_ros.world.recorded_tracks import read_tracks
from moe_bev_ros.world.scenario import draw_scenario, ego_rectangle, make_scenario, map_scenario, replay_scenario
from moe_bev_ros.world.scenario_kinds import KINDS
from moe_bev_ros.world.splits import scenario_hash
from moe_bev_ros.world.styles import HELD_OUT_STYLE

SEEDS = range(1, 21)


def rectangles(scenario):
    return footprints_of(np.stack([actor.box_7 for actor in scenario.scene.actors]))


def assert_nobody_stands_in_another(scenario):
    boxes = rectangles(scenario)
    start = scenario.start
    assert not overlap(np.array(ego_rectangle((start.x, start.y, start.yaw_rad))), boxes).any()
    for index, box in enumerate(boxes):
        assert overlap(box, boxes).sum() == 1, (scenario.kind, scenario.seed, scenario.scene.actors[index])


@pytest.mark.parametrize('seed', SEEDS)
def test_every_street_has_something_to_stop_for(seed):
    scenario = make_scenario(seed)
    crossing = scenario.traffic.crossers
    blocking = [a for a in scenario.scene.actors if abs(a.y) < 1.0 and a.body.label in (Label.CAR, Label.TRUCK)]
    assert len(crossing) == 1
    assert 35.0 <= crossing[0].line_k2[0, 0] <= 60.0
    assert len(blocking) == 1
    assert 95.0 <= blocking[0].x - blocking[0].body.size_3[0] / 2 <= 130.0
    assert blocking[0].track_id not in {driver.track_id for driver in scenario.traffic.drivers}
    assert len(scenario.scene.lights) == 1


@pytest.mark.parametrize('seed', SEEDS)
def test_nobody_stands_in_somebody_else_on_a_street(seed):
    assert_nobody_stands_in_another(make_scenario(seed))


@pytest.mark.parametrize('kind', KINDS)
def test_nobody_stands_in_somebody_else_in_any_kind(kind):
    for seed in (3, 4):
        assert_nobody_stands_in_another(draw_scenario(seed, kind))


def test_no_light_stays_red_for_long_when_the_run_begins_on_the_street():
    states = [make_scenario(seed).cycles[0] for seed in SEEDS]
    assert all(cycle.state(6.0) is LightState.GREEN for cycle in states)
    assert {cycle.state(1.0) for cycle in states} == {LightState.RED, LightState.GREEN}


@pytest.mark.parametrize('kind', KINDS)
def test_every_kind_shows_many_road_users_of_nearly_all_classes_and_clutter(kind):
    scenario = draw_scenario(11, kind)
    labels = Counter(actor.body.label for actor in scenario.scene.actors)
    assert len(scenario.scene.actors) >= 50
    assert len(labels) >= 8
    assert len(scenario.scene.props) >= 40


def test_equal_seeds_give_equal_scenarios_and_others_differ():
    first, again, other = (scenario_hash([draw_scenario(seed)]) for seed in (7, 7, 7 + len(KINDS)))
    assert first == again
    assert first != other
    assert scenario_hash([make_scenario(3)]) == scenario_hash([make_scenario(3)]) != scenario_hash([make_scenario(4)])


def test_what_is_held_out_comes_in_the_test_split_alone():
    drawn = {
        split: [draw_scenario(first + index, 'free_driving') for index in range(num)]
        for split, first, num in (('train', 0, 10), ('test', 2_000_000, 20))
    }
    for which, name in ((lambda s: s.scene.condition.name, HELD_OUT_CONDITION), (lambda s: s.style, HELD_OUT_STYLE)):
        assert name not in {which(scenario) for scenario in drawn['train']}
        assert name in {which(scenario) for scenario in drawn['test']}


UNKNOWN = [({'kind': 'flying'}, 'cut_in'), ({'condition': 'hail'}, 'fog'), ({'style': 'x'}, 'suburb')]


@pytest.mark.parametrize(('words', 'names'), UNKNOWN)
def test_a_name_that_is_not_known_is_refused_with_those_that_are(words, names):
    with pytest.raises(InputError, match=names):
        draw_scenario(1, **{'kind': 'free_driving', **words})


def test_a_replay_follows_the_tracks(data_dir):
    path = sorted((data_dir / 'tracks').glob('**/*.npz'))[0]
    tracks = read_tracks(path)
    scenario = replay_scenario(tracks, 5)
    movers, ego = scenario.movers(), scenario.scene.actors[0]
    known = [track for track in tracks.tracks if track.label is not Label.UNKNOWN]
    for step in range(1, 301):
        movers.step(ego, {}, 0.02 * step, 0.02)
    at = int(np.argmin(np.abs(tracks.stamps_s_t - 6.0)))
    share = 6.0 - float(tracks.stamps_s_t[at])
    there = {actor.track_id: actor for actor in movers.actors()}
    assert len(there) > 3
    for track_id, actor in there.items():
        track = known[track_id - 1]
        moved = share * track.speeds_t[at] * np.array([np.cos(track.poses_t3[at, 2]), np.sin(track.poses_t3[at, 2])])
        assert np.hypot(*(track.poses_t3[at, :2] + moved - (actor.x, actor.y))) < 0.05 + 0.1 * abs(share)
        assert actor.body.label is track.label


def test_a_given_map_is_driven_on_freely(data_dir):
    path = data_dir / 'maps' / 'mapping_example.osm'
    network = read_network(path, first_node(path))
    scenario = map_scenario(network, 3)
    lanes = scenario.network.graph.lanes
    assert 0 < len(lanes) < len(network.graph.lanes)
    assert all(follower in lanes for lane in lanes.values() for follower in lane.successors)
    away = np.hypot(scenario.goal_3[0] - scenario.start.x, scenario.goal_3[1] - scenario.start.y)
    assert away > 50.0
    assert len(scenario.scene.actors) > 50
    assert scenario_hash([scenario]) == scenario_hash([map_scenario(network, 3)])
