import numpy as np
import pytest
from planning.lanelet_files import LIGHT_ID, write_two_lane_road

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.planning.lanelet_map import load_lane_graph
from moe_bev_ros.planning.route import (
    RouteFile,
    corridor_ahead,
    load_route_file,
    route_along_lane,
    route_from_file,
    route_to_goal,
)


@pytest.fixture
def graph(tmp_path):
    return load_lane_graph(write_two_lane_road(tmp_path / 'map.osm'))


def test_route_leads_from_the_pose_to_the_goal_at_the_lanes_limits(graph):
    line = route_to_goal(graph, se3_from_xy_yaw(5.0, 0.3, 0.0), se3_from_xy_yaw(100.0, 0.0, 0.0))
    np.testing.assert_allclose(line.xy_n2[[0, -1]], [[5.0, 0.0], [100.0, 0.0]], atol=0.6)
    assert line.speed_limit_n[10] == pytest.approx(10.0)
    assert line.speed_limit_n[-10] == pytest.approx(15.0)
    assert line.end == 'goal'


def test_traffic_light_lies_on_the_route(graph):
    line = route_to_goal(graph, se3_from_xy_yaw(5.0, 0.0, 0.0), se3_from_xy_yaw(100.0, 0.0, 0.0))
    (light,) = line.lights
    assert light.element_id == LIGHT_ID
    assert light.s_m == pytest.approx(40.0, abs=1.0)


def test_lane_change_is_blended_without_a_jump(graph):
    line = route_to_goal(graph, se3_from_xy_yaw(5.0, 0.0, 0.0), se3_from_xy_yaw(100.0, 3.5, 0.0))
    assert line.xy_n2[-1, 1] == pytest.approx(3.5, abs=0.01)
    assert np.all(np.diff(line.xy_n2[:, 1]) > -0.01)
    assert np.abs(line.curvature_n).max() < 0.1


def test_goal_behind_the_vehicle_or_far_from_lanes_is_refused(graph):
    with pytest.raises(InputError, match='behind the vehicle'):
        route_to_goal(graph, se3_from_xy_yaw(30.0, 0.0, 0.0), se3_from_xy_yaw(10.0, 0.0, 0.0))
    with pytest.raises(InputError, match='no lane within'):
        route_to_goal(graph, se3_from_xy_yaw(30.0, 0.0, 0.0), se3_from_xy_yaw(10.0, 50.0, 0.0))


def test_without_a_goal_the_lane_is_followed_to_the_end_of_the_map(graph):
    line = route_along_lane(graph, se3_from_xy_yaw(5.0, 0.0, 0.0), 1000.0)
    np.testing.assert_allclose(line.xy_n2[-1], [120.0, 0.0], atol=0.1)


def test_corridor_follows_the_heading_and_ends_beside_the_goal():
    line = corridor_ahead(se3_from_xy_yaw(1.0, 2.0, 0.5), 200.0)
    np.testing.assert_allclose(line.at(np.array([100.0]))[0], [[1.0 + 100 * np.cos(0.5), 2.0 + 100 * np.sin(0.5)]])
    line = corridor_ahead(se3_from_xy_yaw(0.0, 0.0, 0.0), 200.0, se3_from_xy_yaw(40.0, 1.0, 0.0))
    assert line.s_n[-1] == pytest.approx(40.0, abs=0.5)
    with pytest.raises(InputError, match='straight ahead'):
        corridor_ahead(se3_from_xy_yaw(0.0, 0.0, 0.0), 200.0, se3_from_xy_yaw(-40.0, 1.0, 0.0))


def test_route_files_of_both_kinds_are_read(graph, tmp_path):
    path = tmp_path / 'route.yaml'
    path.write_text('waypoints: [[0, 0], [50, 0], [80, 10]]\nspeed_limit_mps: 6.0\n')
    line = route_from_file(load_route_file(path), None)
    np.testing.assert_allclose(line.xy_n2[-1], [80.0, 10.0], atol=1e-6)
    assert line.speed_limit_n.max() == 6.0
    path.write_text('lanelets: [20, 21]\n')
    line = route_from_file(load_route_file(path), graph)
    np.testing.assert_allclose(line.xy_n2[[0, -1]], [[0.0, 0.0], [120.0, 0.0]], atol=0.1)


@pytest.mark.parametrize(
    'text',
    [
        'waypoints: [[0, 0]]',
        'waypoints: [[0, 0], [.nan, 1]]',
        'waypoints: [[0, 0, 0], [1, 1, 1]]',
        'lanelets: [a]',
        'lanelets: [1]\nwaypoints: [[0, 0], [1, 1]]',
        'goal: 3',
        '- 1',
        '{',
        '',
        'lanelets: [1]\nspeed_limit_mps: -1',
    ],
)
def test_malformed_route_file_is_refused_with_its_name(tmp_path, text):
    path = tmp_path / 'route.yaml'
    path.write_text(text)
    with pytest.raises(InputError, match=r'route\.yaml: not a route'):
        load_route_file(path)


def test_missing_route_file_and_lanelets_without_a_map_are_refused(tmp_path):
    with pytest.raises(InputError, match='not a route'):
        load_route_file(tmp_path / 'none.yaml')
    with pytest.raises(InputError, match='no map'):
        route_from_file(RouteFile(lanelets=(1,)), None)


def test_recorded_city_map_is_routed_with_drivable_curves(data_dir):
    graph = load_lane_graph(data_dir / 'maps' / 'mapping_example.osm', (49.0, 8.41))
    start = max(graph.lanes, key=lambda lane_id: graph.lanes[lane_id].length_m)
    goal = graph.straightest_path(start, 300.0)[-1]

    def pose(lane_id, index):
        centre = graph.lanes[lane_id].centre_m3
        step = centre[index + 1 if index >= 0 else index] - centre[index if index >= 0 else index - 1]
        return se3_from_xy_yaw(*centre[index, :2], float(np.arctan2(step[1], step[0])))

    line = route_to_goal(graph, pose(start, 0), pose(goal, -1))
    assert line.s_n[-1] > 150.0
    assert np.abs(line.curvature_n).max() < 0.5
