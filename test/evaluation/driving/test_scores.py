"""Scores of runs that are made by hand, each with one thing to find."""

from dataclasses import replace

import numpy as np
import pytest
from evaluation.roads import LIMIT_MPS, car, cone, drive_log, road, route

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.evaluation.driving.area import DriveArea
from moe_bev_ros.evaluation.driving.scores import (
    WEIGHTS,
    CollisionKind,
    DriveLog,
    comfort_breaches,
    progress_share,
    score_drive,
    total_score,
)

AREA, ROUTE = DriveArea(road()), route()
STEADY = np.full(60, 8.0)


def score(*args, **more):
    return score_drive(drive_log(*args, **more), AREA, ROUTE)


def total(parts, progress):
    conditions = (parts.collision_score, parts.drivable, parts.direction)
    return total_score(conditions, ttc=parts.ttc, progress=progress, speed_limit=parts.speed_limit, comfort=parts.comfort)


def only(parts):
    assert len(parts.collisions) == 1
    return parts.collisions[0]


def test_a_quiet_run_scores_1():
    parts = score(STEADY, [car(150.0)])
    assert parts.collisions == ()
    assert parts.progress_m == pytest.approx(59 * 0.8)
    assert total(parts, progress_share(parts.progress_m, parts.progress_m)) == 1.0


def test_weights_are_those_of_nuplan():
    assert WEIGHTS == {'ttc': 5.0, 'progress': 5.0, 'speed_limit': 4.0, 'comfort': 2.0}
    parts = score(STEADY)
    assert total(parts, 0.5) == pytest.approx((5 + 2.5 + 4 + 2) / 16)
    assert total(parts, 0.19) == 0.0


def test_what_runs_into_the_standing_ego_is_not_its_fault():
    parts = score(np.zeros(60), [car(0.0, speed=6.0)])
    assert (only(parts).kind, only(parts).at_fault) == (CollisionKind.STOPPED_EGO, False)
    assert parts.collision_score == parts.ttc == 1.0


def test_a_hit_from_behind_is_not_its_fault():
    hit = only(score(np.full(60, 2.0), [car(5.0, speed=9.0)]))
    assert (hit.kind, hit.at_fault) == (CollisionKind.REAR, False)


def test_running_into_the_car_ahead_is():
    parts = score(STEADY, [car(40.0, speed=2.0)])
    assert (only(parts).kind, only(parts).at_fault) == (CollisionKind.FRONT, True)
    assert parts.collision_score == 0.0
    assert parts.ttc == parts.least_ttc_s == 0.0
    assert total(parts, 1.0) == 0.0


def test_so_is_running_into_a_standing_one():
    hit = only(score(STEADY, [car(50.0)]))
    assert (hit.kind, hit.at_fault) == (CollisionKind.STOPPED_TRACK, True)


@pytest.mark.parametrize(('y', 'at_fault'), [(0.0, False), (0.9, True)])
def test_a_touch_at_the_side_is_a_fault_only_between_lanes(y, at_fault):
    beside = (Label.CAR, 21.0, y + 2.4, -0.2, 8.0, 4.5, 1.8)
    hit = only(score(STEADY, [beside], y=y))
    assert (hit.kind, hit.at_fault) == (CollisionKind.SIDE, at_fault)


def test_one_thing_halves_and_two_end_the_score():
    assert score(STEADY, [cone(40.0)]).collision_score == 0.5
    assert score(STEADY, [cone(40.0), cone(50.0)]).collision_score == 0.0


def test_time_to_collision_counts_what_is_ahead():
    brakes = np.concatenate([np.full(5, 8.0), np.linspace(8.0, 0.0, 10), np.zeros(10)])
    ahead = [car(20.0 + 3.7 + 9.5 + 2.25)]  # its rear bumper 9.5 m before ours, which goes on for 3.2 m at 8 m/s
    parts = score(brakes, ahead)
    assert parts.collisions == ()
    assert 0.5 < parts.least_ttc_s < 0.95
    assert parts.ttc == 0.0
    assert score(brakes, [(*ahead[0][:2], 3.5, *ahead[0][3:])]).ttc == 1.0


def test_who_comes_from_the_side_counts_where_lanes_cross():
    brakes = np.concatenate([np.linspace(4.0, 0.0, 10), np.zeros(30)])
    crosser = (Label.CAR, 62.0, -9.2, np.pi / 2, 8.0, 4.5, 1.8)
    assert score(brakes, [crosser], x=58.9).ttc == 0.0
    assert score(brakes, [(crosser[0], 102.0, *crosser[2:])], x=98.9).ttc == 1.0


def test_off_the_road_by_more_than_the_tolerance():
    edge = -1.75 + 0.95
    assert score(STEADY, y=edge - 0.25).drivable == 1.0
    assert score(STEADY, y=edge - 0.35).drivable == 0.0


def test_grass_on_asphalt_is_no_road():
    inside, ring = np.array([[151.0, 20.0]]), np.array([[150.2, 20.0]])
    assert AREA.off_road(inside, 0.1).all()
    assert not AREA.off_road(ring, 0.1).any()


def test_the_oncoming_lane_costs_half_and_then_all():
    assert score(np.full(30, 1.5), y=3.5).direction == 1.0
    assert score(np.full(30, 4.0), y=3.5).direction == 0.5
    assert score(np.full(30, 8.0), y=3.5).direction == 0.0
    assert score(np.full(30, 8.0), x=180.0, y=3.5, yaw=np.pi).direction == 1.0


def test_the_speed_limit_costs_by_how_much_and_how_long():
    assert score(np.full(101, LIMIT_MPS)).speed_limit == 1.0
    over = np.full(101, LIMIT_MPS)
    over[:50] += 1.115
    assert score(over).speed_limit == pytest.approx(0.75, abs=0.01)
    assert score(np.full(101, LIMIT_MPS + 3.0)).speed_limit == 0.0


def test_comfort_names_what_was_too_much():
    ramp = np.concatenate([np.full(20, 2.0), np.linspace(2.0, 8.0, 31), np.full(20, 8.0)])
    assert comfort_breaches(drive_log(ramp)) == ()
    hard = np.concatenate([np.full(20, 9.0), np.linspace(9.0, 0.0, 13), np.zeros(30)])
    assert {'lon_acceleration', 'lon_jerk'} <= set(comfort_breaches(drive_log(hard)))
    weave = drive_log(np.full(80, 8.0))
    weave.poses_t3[:, 2] = 0.5 * np.sin(0.3 * np.arange(80))
    assert {'lat_acceleration', 'yaw_rate', 'yaw_acceleration'} <= set(comfort_breaches(weave))


def test_progress_is_a_share_of_the_reference():
    assert progress_share(30.0, 60.0) == 0.5
    assert progress_share(70.0, 60.0) == 1.0
    assert progress_share(0.0, 0.0) == 1.0
    assert progress_share(-1.0, 60.0) == 0.0


def test_a_stop_line_passed_at_red_is_told():
    red, green = (TrafficLight(0, (40.0, 0.0), state) for state in (LightState.RED, LightState.GREEN))
    log = drive_log(STEADY)  # its front passes x = 40 in sample 21
    for lights, count in (([red] * 60, 1), ([green] * 60, 0), ([green] * 15 + [red] * 10 + [green] * 35, 1)):
        parts = score_drive(replace(log, lights=tuple((light,) for light in lights)), AREA, ROUTE)
        assert parts.red_lights == count
    beside = TrafficLight(0, (40.0, 3.5), LightState.RED)
    assert score_drive(replace(log, lights=((beside,),) * 60), AREA, ROUTE).red_lights == 0


def test_a_log_of_one_sample_is_refused():
    with pytest.raises(ValueError, match='two samples'):
        DriveLog(np.zeros((1, 3)), np.zeros(1), np.zeros(1), (None,), (4.6, 1.9), 1.4)
