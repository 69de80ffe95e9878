from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from moe_bev_ros.world.layouts import LAYOUTS, Layout, street


def drawn(name: str, seed: int) -> Layout:
    return LAYOUTS[name](np.random.default_rng(seed))


def test_the_street_is_the_one_that_the_demo_drives():
    rng = np.random.default_rng(1)
    layout = street(rng)
    expected = np.random.default_rng(1)
    crossing_m, blocked_m = expected.uniform(40.0, 56.0), expected.uniform(108.0, 126.0)
    assert rng.uniform() == expected.uniform()
    assert layout.start_3 == (0.0, 0.0, 0.0)
    assert layout.goal_3 == pytest.approx((220.0, 0.0, 0.0))
    assert layout.places['crossing'] == pytest.approx((crossing_m, 0.0, 0.0))
    assert layout.places['blocked'] == pytest.approx((blocked_m, 0.0, 0.0))
    assert layout.places['kerb'] == pytest.approx((crossing_m, -1.75 - 2.4 - 0.4, np.pi / 2))
    assert layout.signals[0].stop_xy == pytest.approx((18.6, 0.0))
    ego, oncoming = layout.network.graph.lanes.values()
    assert ego.centre_m3[[0, -1]].tolist() == [[-60.0, 0.0, 0.0], [240.0, 0.0, 0.0]]
    assert oncoming.centre_m3[[0, -1]].tolist() == [[240.0, 3.5, 0.0], [-60.0, 3.5, 0.0]]
    assert [strip[0, 1] for strip in layout.network.kerbsides] == pytest.approx([-3.05, 6.55])


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('name', LAYOUTS)
def test_lanes_lead_from_start_to_goal_and_join_without_kinks(name, seed):
    layout = drawn(name, seed)
    graph = layout.network.graph
    goals = [pose for place, pose in layout.places.items() if place.startswith('goal')] + [layout.goal_3]
    start_id = graph.nearest(np.array(layout.start_3[:2]), layout.start_3[2])
    for goal in goals:
        path = graph.shortest_path(start_id, graph.nearest(np.array(goal[:2]), goal[2]))
        assert sum(graph.lanes[lane_id].length_m for lane_id in path) > (150.0 if goal != layout.goal_3 else 270.0)
    for lane in graph.lanes.values():
        assert bends_deg(lane.centre_m3).max(initial=0.0) < 9.0, lane.lane_id
        for other in lane.successors:
            after = graph.lanes[other].centre_m3
            assert np.linalg.norm(lane.centre_m3[-1] - after[0]) < 0.01
            assert bends_deg(np.concatenate([lane.centre_m3[-2:], after[1:2]])).max() < 9.0, (lane.lane_id, other)


@pytest.mark.parametrize('name', LAYOUTS)
def test_borders_lie_on_their_sides_and_leave_room(name):
    layout = drawn(name, 5)
    for lane_id, (left, right) in layout.network.borders.items():
        lane = layout.network.graph.lanes[lane_id]
        steps = np.gradient(lane.centre_m3[:, :2], axis=0)
        aside = np.stack([-steps[:, 1], steps[:, 0]], axis=1) / np.linalg.norm(steps, axis=1, keepdims=True)
        for border, side in ((left, 1.0), (right, -1.0)):
            gaps = border[None] - lane.centre_m3[:, None, :2]
            nearest = np.hypot(*np.moveaxis(gaps, 2, 0)).argmin(axis=1)
            beside = side * np.einsum('mi,mi->m', aside, gaps[np.arange(len(gaps)), nearest])
            assert beside.min() > 1.3, (lane_id, side)
            assert beside.max() < 2.9, (lane_id, side)


@pytest.mark.parametrize('name', LAYOUTS)
def test_places_lie_on_lanes_along_them(name):
    layout = drawn(name, 6)
    graph = layout.network.graph
    for place, (x, y, yaw) in {**layout.places, 'start': layout.start_3, 'goal': layout.goal_3}.items():
        if place.startswith('kerb'):
            continue
        lane = graph.lanes[graph.nearest(np.array([x, y]), yaw)]
        assert np.hypot(*(lane.centre_m3[:, :2] - (x, y)).T).min() < 0.6, place


@pytest.mark.parametrize('seed', range(4))
def test_lanes_obey_the_signal_at_their_stop_line_and_crossing_ways_take_turns(seed):
    layout = drawn('junction', seed)
    stops = {light.element_id: light for lane in layout.network.graph.lanes.values() for light in lane.traffic_lights}
    assert {signal.element_id for signal in layout.signals} == set(stops)
    for signal in layout.signals:
        assert np.hypot(signal.x - signal.stop_xy[0], signal.y - signal.stop_xy[1]) < 15.0
    headings = [signal.yaw_rad for signal in layout.signals]
    for one, other in pairwise(layout.signals):
        assert one.group != other.group
        assert abs(np.cos(one.yaw_rad - other.yaw_rad)) < 0.5
    assert np.cos(headings[0] - headings[2]) < -0.9


def test_lanes_beside_each_other_know_each_other():
    found = 0
    for seed in range(6):
        for lane in drawn('straight', seed).network.graph.lanes.values():
            for other, back in ((lane.left, 'right'), (lane.right, 'left')):
                if other is not None:
                    found += 1
                    assert getattr(drawn('straight', seed).network.graph.lanes[other], back) == lane.lane_id
    assert found >= 4


def test_one_cannot_drive_onto_the_main_road_without_the_merge_point():
    layout = drawn('merge', 0)
    graph, (x, y, yaw) = layout.network.graph, layout.places['merge_point']
    start, goal = (graph.nearest(np.array(pose[:2]), pose[2]) for pose in (layout.start_3, layout.goal_3))
    points = np.concatenate([graph.lanes[lane].centre_m3 for lane in graph.shortest_path(start, goal)])
    assert np.hypot(*(points[:, :2] - (x, y)).T).min() < 0.6
    assert yaw == pytest.approx(0.0)


def bends_deg(points_m3: np.ndarray) -> np.ndarray:
    steps = np.diff(points_m3[:, :2], axis=0)
    yaws = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    return np.abs(np.degrees(np.diff(yaws)))
