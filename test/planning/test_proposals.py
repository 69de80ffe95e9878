"""The rule planner's choices on a straight road, followed exactly."""

import numpy as np
import pytest
from planning.closed_loop import actor, drive, ego_at, pedestrian, scene_of

from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.planning.proposals import ProposalPlanner, shifted
from moe_bev_ros.planning.reference_line import straight_line


def road(*offsets_m):
    """Lanes of 300 m side by side; the first is the ego's."""
    lanes = (Lane(k, np.array([(-20.0, y, 0.0), (280.0, y, 0.0)]), 10.0) for k, y in enumerate(offsets_m, 1))
    return LaneGraph({lane.lane_id: lane for lane in lanes})


def planner_on(graph, kind=ProposalPlanner):
    planner = kind(PlannerConfig(), graph)
    planner.set_goal(se3_from_xy_yaw(250.0, 0.0, 0.0))
    return planner


TWO_LANES = road(0.0, 3.5)
# Its near side is 0.75 m from the middle of the lane, where the ego needs 1.25 m.
PARTLY_IN_THE_LANE = actor(60.0, -1.75, width=2.0)


def clearance_m(log, item):
    """Between the ego's side and the object's, while they are beside each other."""
    x, y = np.array([ego.odom_se3_base_link[:2, 3] for ego in log.egos]).T
    beside = (x + 3.7 > item.box_7[0] - 2.25) & (x - 0.9 < item.box_7[0] + 2.25)
    assert beside.any()
    return float((np.abs(y[beside] - item.box_7[1]) - 0.95 - item.box_7[4] / 2).min())


def test_it_drives_the_middle_of_a_free_lane():
    log = drive(planner_on(TWO_LANES), (), 12.0)
    assert log.speed[-1] > 9.0
    assert np.abs([ego.odom_se3_base_link[1, 3] for ego in log.egos]).max() < 0.05


def test_it_passes_what_stands_partly_in_its_lane():
    log = drive(planner_on(TWO_LANES), [PARTLY_IN_THE_LANE], 20.0)
    assert log.x[-1] > 100.0
    assert clearance_m(log, PARTLY_IN_THE_LANE) > 0.3
    assert abs(log.egos[-1].odom_se3_base_link[1, 3]) < 0.1  # and comes back to the middle


def test_idm_alone_stops_there():
    log = drive(planner_on(TWO_LANES, Planner), [PARTLY_IN_THE_LANE], 20.0)
    assert log.x[-1] < 60.0


def test_it_stops_where_there_is_no_lane_to_pass_in():
    log = drive(planner_on(road(0.0)), [PARTLY_IN_THE_LANE], 20.0)
    assert log.x[-1] < 60.0
    assert log.speed[-1] == 0.0
    assert not any(plan.emergency for plan in log.plans)


def test_it_waits_for_an_oncoming_car_before_it_passes():
    oncoming = actor(130.0, 2.2, vx=-9.0, yaw=np.pi)
    log = drive(planner_on(TWO_LANES), [PARTLY_IN_THE_LANE, oncoming], 26.0)
    assert log.x[-1] > 80.0
    for time_s, ego in enumerate(log.egos):
        x, y = ego.odom_se3_base_link[:2, 3]
        if abs(130.0 - 0.9 * time_s - x - 1.4) < 4.6:
            assert 2.2 - y > 1.85


def test_it_stops_for_what_blocks_the_lane():
    log = drive(planner_on(TWO_LANES), [actor(60.0, 0.0)], 20.0)
    assert 50.0 < log.x[-1] < 57.75 - 3.7
    assert log.speed[-1] == 0.0
    assert not any(plan.emergency for plan in log.plans)


def test_somebody_who_steps_out_too_late_is_an_emergency():
    planner, ego = planner_on(TWO_LANES), ego_at(0.0, speed=10.0)
    plans = [planner.update(scene_of(pedestrian(9.0, 0.0)), ego, 0.0) for _ in range(2)]
    assert [plan.emergency for plan in plans] == [False, True]
    assert plans[0].points_t7[5, 4] == pytest.approx(10.0 - 5.0 * 0.5)
    assert plans[1].reason == 'no proposal avoids a collision'


def test_equal_scenes_give_equal_plans():
    plans = [drive(planner_on(TWO_LANES), [PARTLY_IN_THE_LANE], 6.0).plans[-1].points_t7 for _ in range(2)]
    assert np.array_equal(*plans)


def test_a_way_aside_leaves_the_present_heading_without_a_kink():
    line = straight_line(np.array([-20.0, 0.0]), 0.0, 100.0, '')
    way = shifted(line, ego_at(0.0, 0.3, 0.1, 8.0), 1.0)
    xy, yaw, _ = way.at(np.array([20.0, 60.0]))
    assert np.allclose(xy[:, 1], (0.3, 1.0), atol=0.02)
    assert np.allclose(yaw, (0.1, 0.0), atol=0.02)
    assert np.abs(way.curvature_n).max() < 0.05
