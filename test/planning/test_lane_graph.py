import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph, resample


def lane(lane_id, start, end, **more):
    centre = np.array([[*start, 0.0], [*end, 0.0]], float)
    return Lane(lane_id, centre, 10.0, **more)


def fork() -> LaneGraph:
    """1 leads to 2 (straight on) and 3 (turns left); 4 lies left of 1 and leads to 5."""
    return LaneGraph(
        {
            1: lane(1, (0, 0), (50, 0), successors=(3, 2), left=4),
            2: lane(2, (50, 0), (100, 0)),
            3: lane(3, (50, 0), (60, 40)),
            4: lane(4, (0, 3.5), (50, 3.5), successors=(5,), right=1),
            5: lane(5, (50, 3.5), (100, 3.5)),
        }
    )


def test_nearest_lane_agrees_with_the_heading():
    graph = fork()
    assert graph.nearest(np.array([20.0, 1.0]), 0.0) == 1
    assert graph.nearest(np.array([20.0, 2.5]), 0.0) == 4
    with pytest.raises(InputError, match='no lane within'):
        graph.nearest(np.array([20.0, 1.0]), np.pi)


def test_shortest_path_takes_followers_and_lane_changes():
    graph = fork()
    assert graph.shortest_path(1, 3) == (1, 3)
    assert graph.shortest_path(1, 5) == (1, 4, 5)
    assert graph.shortest_path(2, 2) == (2,)


def test_unreachable_or_unknown_goal_is_refused():
    with pytest.raises(InputError, match='no way from lane 2'):
        fork().shortest_path(2, 1)
    with pytest.raises(InputError, match='not in the map'):
        fork().shortest_path(1, 99)


def test_straightest_path_does_not_turn_off():
    assert fork().straightest_path(1, 1000.0) == (1, 2)


def test_empty_graph_has_no_nearest_lane():
    with pytest.raises(InputError, match='no lane within'):
        LaneGraph({}).nearest(np.zeros(2))


def test_resampled_points_keep_both_ends_and_the_spacing():
    points = resample(np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 0.0], [3.0, 4.2]]), 0.5)
    np.testing.assert_allclose(points[[0, -1]], [[0.0, 0.0], [3.0, 4.2]])
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).max() <= 0.5 + 1e-9
