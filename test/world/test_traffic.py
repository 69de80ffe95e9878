"""How road users move: following, lights, yielding, lane changes, people on foot, and the events of the scenario kinds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from moe_bev_ros.core.footprints import overlap
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph, TrafficLightElement
from moe_bev_ros.world.lane_paths import lane_path
from moe_bev_ros.world.roles import Crosser, Driver, LightCycle, Traffic, Walker
from moe_bev_ros.world.scenario import draw_scenario
from moe_bev_ros.world.scenario_kinds import KINDS
from moe_bev_ros.world.scene import Actor, Body
from moe_bev_ros.world.terrain import Terrain
from moe_bev_ros.world.traffic import TrafficMovers

DT_S = 0.02
EGO_BODY = Body(Label.CAR, (4.6, 1.9, 1.7), ())
CAR = Body(Label.CAR, (4.5, 1.8, 1.5), ())
PERSON = Body(Label.PEDESTRIAN, (0.6, 0.6, 1.7), ())
FAR_EGO = Actor(99, EGO_BODY, -900.0, -900.0, 0.0)


def straight(lane_id, y=0.0, x0=0.0, x1=300.0, **words):
    return Lane(lane_id, np.array([(x0, y, 0.0), (x1, y, 0.0)]), 12.0, **words)


def graph_of(*lanes):
    return LaneGraph({lane.lane_id: lane for lane in lanes})


def play(graph, actors, traffic, seconds, ego=FAR_EGO, lights=None):
    """The actors by track id, and all of their states at each step."""
    movers = TrafficMovers(graph, Terrain.flat(), tuple(actors), traffic, 1)
    history = []
    for step in range(round(seconds / DT_S)):
        at = ego(DT_S * step) if callable(ego) else ego
        movers.step(at, lights or {}, DT_S * step, DT_S)
        history.append({actor.track_id: actor for actor in movers.actors()})
    return history


def one_driver(x=20.0, desired=8.0, **words):
    return Actor(1, CAR, x, 0.0, 0.0), Driver(1, (1,), x, desired, **words)


def test_a_driver_reaches_the_desired_speed_on_a_free_road():
    actor, role = one_driver()
    end = play(graph_of(straight(1)), [actor], Traffic((1,), (role,)), 15.0)[-1][1]
    assert end.speed_mps == pytest.approx(8.0, abs=0.2)
    assert end.y == pytest.approx(0.0, abs=1e-9)


def test_a_driver_stops_behind_what_stands_in_its_way_and_ignores_what_stands_beside():
    actor, role = one_driver()
    others = [Actor(2, CAR, 100.0, 0.3, 0.0), Actor(3, CAR, 60.0, -3.0, 0.0)]
    end = play(graph_of(straight(1)), [actor, *others], Traffic((1,), (role,)), 30.0)[-1][1]
    assert 100.0 - 4.5 - 4.0 < end.x < 100.0 - 4.5 - 1.5
    assert end.speed_mps < 0.2


def test_a_driver_stops_behind_the_ego():
    actor, role = one_driver()
    end = play(graph_of(straight(1)), [actor], Traffic((1,), (role,)), 25.0, ego=Actor(99, EGO_BODY, 90.0, 0.0, 0.0))[-1][1]
    assert 80.0 < end.x < 90.0 - 4.55 - 1.5


@pytest.mark.parametrize(('state', 'passes'), [(LightState.RED, False), (LightState.GREEN, True)])
def test_a_driver_stops_at_a_red_light(state, passes):
    lane = straight(1, traffic_lights=(TrafficLightElement(7, np.array([80.0, 0.0])),))
    actor, role = one_driver()
    end = play(graph_of(lane), [actor], Traffic((1,), (role,)), 14.0, lights={7: state})[-1][1]
    assert (end.x > 85.0) == passes
    if not passes:
        assert 76.0 < end.x + 2.25 < 80.0


def test_the_later_one_waits_where_ways_cross():
    along = straight(1, x0=-100.0, x1=200.0)
    across = Lane(2, np.array([(50.0, -100.0, 0.0), (50.0, 150.0, 0.0)]), 12.0)
    first = Actor(1, CAR, 0.0, 0.0, 0.0), Driver(1, (1,), 100.0, 8.0)
    second = Actor(2, CAR, 50.0, -56.0, np.pi / 2), Driver(2, (2,), 44.0, 8.0)
    history = play(graph_of(along, across), [first[0], second[0]], Traffic((1,), (first[1], second[1])), 20.0)
    gap = min(float(np.hypot(row[1].x - row[2].x, row[1].y - row[2].y)) for row in history if 1 in row and 2 in row)
    assert gap > 3.3
    assert min(row[2].speed_mps for row in history) < 6.0
    assert max(row[2].y for row in history) > 20.0


def test_a_driver_behind_a_slow_one_changes_lane_smoothly_and_passes():
    graph = graph_of(straight(1, x1=600.0, left=2), straight(2, y=3.5, x1=600.0, right=1))
    fast = Actor(1, CAR, 20.0, 0.0, 0.0), Driver(1, (1,), 20.0, 11.0)
    slow = Actor(2, CAR, 60.0, 0.0, 0.0), Driver(2, (1,), 60.0, 4.0, may_change=False)
    history = play(graph, [fast[0], slow[0]], Traffic((1,), (fast[1], slow[1]), returns=False), 20.0)
    assert history[-1][1].x > history[-1][2].x + 5.0
    sideways = np.diff([row[1].y for row in history]) / DT_S
    assert np.abs(sideways).max() < 2.0
    assert max(row[1].y for row in history) == pytest.approx(3.5, abs=0.1)


def test_who_leaves_the_network_unseen_is_gone_or_somebody_new():
    actor, role = one_driver(x=250.0)
    rows = play(graph_of(straight(1)), [actor], Traffic((1,), (role,), returns=False), 12.0)
    assert rows[-1] == {}
    again = play(graph_of(straight(1)), [actor], Traffic((1,), (role,)), 20.0)
    assert 1 not in again[-1]
    assert len(again[-1]) == 1


def test_who_would_leave_in_sight_of_the_ego_stops_at_the_end():
    actor, role = one_driver(x=250.0)
    rows = play(graph_of(straight(1)), [actor], Traffic((1,), (role,)), 20.0, ego=Actor(99, EGO_BODY, 300.0, 15.0, 0.0))
    assert rows[-1][1].speed_mps < 0.3
    assert rows[-1][1].x < 299.0


def test_a_walker_keeps_pace_and_turns_round_at_the_end():
    walker = Walker(1, np.array([(0.0, 9.0), (20.0, 9.0)]), 10.0, 1, 1.25)
    rows = play(graph_of(straight(1)), [Actor(1, PERSON, 10.0, 9.0, 0.0)], Traffic((1,), (), (walker,)), 12.0)
    assert rows[199][1].x == pytest.approx(15.0, abs=0.1)
    assert rows[-1][1].x == pytest.approx(15.0, abs=0.2)
    assert np.cos(rows[-1][1].yaw_rad) < -0.99


LINE = np.array([(50.0, -4.5), (50.0, 8.0)])


def test_a_pedestrian_meets_an_ego_that_does_not_slow_down():
    role = Crosser(1, LINE, 1.6, meets_ego=True)
    rows = play(
        graph_of(straight(1)), [Actor(1, PERSON, 50.0, -4.5, np.pi / 2)], Traffic((1,), (), (), (role,)), 8.0,
        ego=lambda time_s: Actor(99, EGO_BODY, 8.0 * time_s, 0.0, 0.0, 8.0),
    )  # fmt: skip
    gaps = [np.hypot(row[1].x - 8.0 * DT_S * step, row[1].y) for step, row in enumerate(rows)]
    assert min(gaps) < 2.5


def test_a_pedestrian_who_meets_nobody_waits_for_a_gap_and_stands_again_on_the_other_side():
    role, person = Crosser(1, LINE, 1.6), Actor(1, PERSON, 50.0, -4.5, np.pi / 2)
    traffic = Traffic((1,), (), (), (role,))
    coming = play(graph_of(straight(1)), [person], traffic, 3.0, ego=Actor(99, EGO_BODY, 20.0, 0.0, 0.0, 8.0))
    assert coming[-1][1].y == pytest.approx(-4.5)
    free = play(graph_of(straight(1)), [person], Traffic((1,), (), (), (role,)), 12.0)[-1][1]
    assert free.y == pytest.approx(8.0, abs=0.2)
    assert free.speed_mps == 0.0


def test_a_light_goes_green_amber_red():
    cycle = LightCycle(10.0, 2.0, 5.0, phase_s=-4.0)
    green, amber, red = LightState.GREEN, LightState.AMBER, LightState.RED
    assert [cycle.state(t) for t in (0.0, 3.9, 4.1, 13.9, 14.1, 16.1, 21.1)] == [red, red, green, green, amber, red, green]


# Scenario kinds ------------------------------------------------------------------------------------------------------------


@cache
def run_of(kind, seed, follows=True, seconds=20.0):
    """Everybody at 10 Hz while the ego follows its way at its first speed, stopping for nobody, or stands."""
    scenario = draw_scenario(seed, kind)
    movers, path, rows = scenario.movers(), ego_path(scenario), []
    start_m, _ = path.locate(scenario.start.x, scenario.start.y)
    speed = scenario.start.speed_mps if follows else 0.0
    for step in range(round(seconds / DT_S)):
        time_s = DT_S * step
        ego = Actor(2**31, EGO_BODY, *path.pose(start_m + 1.4 + speed * time_s), speed)
        lights = {light.element_id: cycle.state(time_s) for light, cycle in zip(scenario.scene.lights, scenario.cycles)}
        movers.step(ego, lights, time_s, DT_S)
        if step % 5 == 4:
            rows.append((time_s, ego, movers.actors()))
    return scenario, rows


def ego_path(scenario):
    return lane_path(scenario.network.graph, scenario.traffic.ego_lanes)


@pytest.mark.parametrize('kind', KINDS)
def test_nobody_drives_into_anybody_while_the_ego_stands(kind):
    _, rows = run_of(kind, 6, follows=False)
    for time_s, _, actors in rows[::2]:
        boxes = np.array([(a.x, a.y, *a.body.size_3[:2], a.yaw_rad) for a in actors])
        moving = [i for i, a in enumerate(actors) if a.speed_mps > 0.1 and a.body.label is not Label.PEDESTRIAN]
        for index in moving:
            hit = np.flatnonzero(overlap(boxes[index], boxes))
            assert list(hit) == [index], (kind, time_s, [actors[i] for i in hit])


def test_the_same_seed_moves_in_the_same_way_twice():
    first = run_of('unprotected_left_turn', 8, True, 6.0)[1]
    run_of.cache_clear()
    again = run_of('unprotected_left_turn', 8, True, 6.0)[1]
    assert [row[2] for row in first] == [row[2] for row in again]


def on_ego_way(scenario, actor):
    return ego_path(scenario).locate(actor.x, actor.y)


def first_of(rows, index=0):
    """States over time of the actor that the event is about."""
    track_id = rows[0][2][index].track_id
    return [(time_s, ego, next(a for a in actors if a.track_id == track_id)) for time_s, ego, actors in rows]


@pytest.mark.parametrize('seed', [1, 2])
def test_the_car_that_cuts_in_is_beside_at_first_and_then_close_ahead(seed):
    scenario, rows = run_of('cut_in', seed, True, 8.0)
    places = [on_ego_way(scenario, actor) for _, _, actor in first_of(rows)]
    assert abs(places[0][1]) > 2.5
    inside = [(ego, place) for (_, ego, _), place in zip(rows, places) if abs(place[1]) < 0.5]
    assert inside
    ego, place = inside[0]
    assert 0.0 < place[0] - on_ego_way(scenario, ego)[0] < 40.0


@pytest.mark.parametrize('seed', [1, 2])
def test_the_one_ahead_brakes_hard(seed):
    _, rows = run_of('hard_braking_ahead', seed, True, 12.0)
    speeds = np.array([actor.speed_mps for _, _, actor in first_of(rows)])
    assert np.diff(speeds).min() / 0.1 < -4.0
    assert speeds.min() == 0.0


@pytest.mark.parametrize('kind', ['crossing_pedestrian', 'occluded_pedestrian'])
def test_the_pedestrian_meets_the_ego_unless_others_are_in_the_way(kind):
    nearest = []
    for seed in (2, 3):
        scenario, rows = run_of(kind, seed, True, 14.0)
        track_id = next(role.track_id for role in scenario.traffic.crossers if role.meets_ego)
        gaps = [np.hypot(a.x - ego.x, a.y - ego.y) for _, ego, actors in rows for a in actors if a.track_id == track_id]
        nearest.append(min(gaps))
    assert min(nearest) < 4.0


@pytest.mark.parametrize('seed', range(1, 7))
def test_the_occluded_pedestrian_is_behind_a_body_at_first(seed):
    scenario = draw_scenario(seed, 'occluded_pedestrian')
    people = {role.track_id for role in scenario.traffic.crossers if role.meets_ego}
    person = next(actor for actor in scenario.scene.actors if actor.track_id in people)
    sight = np.linspace((scenario.start.x, scenario.start.y), (person.x, person.y), 400)[20:-5]
    hidden = [
        a for a in scenario.scene.actors
        if a is not person and overlap(
            np.array([a.x, a.y, *a.body.size_3[:2], a.yaw_rad]),
            np.column_stack([sight, np.full((len(sight), 2), 0.02), np.zeros(len(sight))]),
        ).any()
    ]  # fmt: skip
    assert any(a.body.size_3[2] > 1.3 for a in hidden)


def test_the_light_is_red_when_the_ego_comes():
    scenario = draw_scenario(3, 'red_light')
    start, lights = scenario.start, scenario.scene.lights
    light = int(np.argmin([np.hypot(s.stop_xy_m[0] - start.x, s.stop_xy_m[1] - start.y) for s in lights]))
    path = ego_path(scenario)
    way = path.locate(*scenario.scene.lights[light].stop_xy_m)[0] - path.locate(scenario.start.x, scenario.start.y)[0]
    assert scenario.cycles[light].state((way - 3.7) / scenario.start.speed_mps) is LightState.RED


def test_oncoming_cars_pass_where_the_ego_turns_left():
    scenario, rows = run_of('unprotected_left_turn', 3, False)
    conflict_s = ego_path(scenario)
    passed = 0
    for track_id in [role.track_id for role in scenario.traffic.drivers[:4]]:
        places = [conflict_s.locate(a.x, a.y)[1] for _, _, actors in rows for a in actors if a.track_id == track_id]
        passed += min(places) < 1.0
    assert passed >= 2


def test_the_queue_of_a_jam_stops_and_goes():
    _, rows = run_of('traffic_jam', 4, False)
    speeds = np.array([actor.speed_mps for _, _, actor in first_of(rows)])
    assert speeds.min() < 0.5
    assert speeds.max() > 1.5


def test_the_cyclist_rides_slowly_at_the_right_edge():
    scenario, rows = run_of('cyclist_overtake', 4, False, 4.0)
    _, _, actor = first_of(rows)[-1]
    assert actor.body.label is Label.BICYCLE
    assert actor.speed_mps < 5.5
    assert on_ego_way(scenario, actor)[1] < -0.8


def test_cones_reach_into_the_lane_but_leave_a_way():
    scenario = draw_scenario(4, 'construction_cones')
    cones = [a for a in scenario.scene.actors if a.body.label is Label.TRAFFIC_CONE]
    offsets = [on_ego_way(scenario, cone)[1] for cone in cones]
    near = [offset for offset in offsets if abs(offset) < 1.8]
    assert len(near) >= 3
    assert max(near) < -0.5
