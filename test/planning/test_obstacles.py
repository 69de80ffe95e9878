import numpy as np
import pytest
from planning.closed_loop import actor, ego_at, pedestrian

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.objects import Forecast, Label
from moe_bev_ros.planning.obstacles import FORECAST_STEP_S, CorridorParams, EgoOnLine, obstacle_leads
from moe_bev_ros.planning.reference_line import smooth_line, straight_line

VEHICLE = Vehicle()


def leads(*objects, speed=8.0, d=0.0, line=None, **params):
    line = line or straight_line(np.array([-20.0, -d]), 0.0, 150.0, 'end')
    travel = speed * np.arange(0.0, 6.0 + 1e-6, FORECAST_STEP_S)
    ego = EgoOnLine(ego_at().odom_se3_base_link, float(line.project(np.zeros((1, 2)))[0][0]), d, travel)
    return obstacle_leads(tuple(objects), ego, line, VEHICLE, CorridorParams(**params))


def test_gap_is_from_the_front_bumper_to_the_nearest_point():
    (lead,) = leads(actor(30.0, 0.0))
    assert lead.gap_m == pytest.approx(30.0 - 2.25 - VEHICLE.front_m, abs=1e-3)
    assert lead.speed_mps == 0.0
    assert lead.what == 'car'


def test_box_that_reaches_into_the_corridor_counts_and_one_beside_it_does_not():
    half = 0.5 * VEHICLE.width_m + 0.3
    assert leads(actor(30.0, half + 0.9 - 0.05))
    assert not leads(actor(30.0, half + 0.9 + 0.05))


def test_wall_and_poles_at_the_roadside_are_no_leads():
    wall = actor(30.0, -2.2, length=60.0, width=0.4, label=Label.UNKNOWN)
    pole = actor(20.0, 2.0, length=0.3, width=0.3, label=Label.UNKNOWN)
    assert not leads(wall, pole)


def test_only_the_part_of_a_slanting_wall_inside_the_corridor_counts():
    wall = actor(30.0, 5.0, length=20.0, width=0.2, yaw=-0.6, label=Label.UNKNOWN)
    (lead,) = leads(wall)
    assert 33.0 < lead.gap_m + VEHICLE.front_m < 38.0


def test_truck_across_the_whole_road_is_a_lead_though_all_its_corners_lie_outside():
    (lead,) = leads(actor(40.0, 0.0, length=12.0, width=2.5, yaw=np.pi / 2, label=Label.TRUCK))
    assert lead.gap_m == pytest.approx(40.0 - 1.25 - VEHICLE.front_m, abs=1e-3)


def test_moving_lead_keeps_its_speed_along_the_path():
    (lead,) = leads(actor(30.0, 0.0, vx=5.0))
    assert lead.speed_mps == pytest.approx(5.0)


def test_unknown_object_missed_for_some_frames_still_counts():
    assert leads(actor(30.0, 0.0, label=Label.UNKNOWN, missed=4))


def test_what_is_behind_or_beside_the_vehicle_is_no_lead():
    assert not leads(actor(-10.0, 0.0, vx=12.0), actor(1.0, 3.0))


def test_what_hangs_above_the_vehicle_is_no_lead():
    assert not leads(actor(30.0, 0.0, z=5.0, height=1.0))


def test_pedestrian_who_will_be_in_the_way_when_we_come_is_a_lead():
    (lead,) = leads(pedestrian(30.0, -5.0, vy=1.4))
    assert lead.what == 'crossing pedestrian'
    assert lead.speed_mps == 0.0


def test_pedestrian_who_is_gone_before_or_comes_long_after_is_no_lead():
    assert not leads(pedestrian(45.0, 3.0, vy=1.4))
    assert not leads(pedestrian(10.0, -8.0, vy=1.0))
    assert not leads(pedestrian(30.0, -5.0))


def test_forecast_wins_over_constant_velocity():
    stays = Forecast(1.0, 0.5, np.tile(np.float32([[30.0, -5.0]]), (12, 1)))
    assert not leads(pedestrian(30.0, -5.0, vy=1.4, forecasts=(stays,)))


def test_velocity_within_its_own_noise_is_not_believed():
    noisy = pedestrian(30.0, -5.0, vy=1.4)
    noisy.covariance_44[3, 3] = 1.0
    assert not leads(noisy)
    assert not leads(pedestrian(30.0, -5.0, vy=1.4, age=1))


def test_car_that_cuts_in_is_followed_at_its_speed():
    (lead,) = leads(actor(12.0, 3.5, yaw=-0.165, vx=6.0, vy=-1.0))
    assert lead.speed_mps == pytest.approx(6.0, abs=0.1)
    assert lead.gap_m == pytest.approx(12.0 - 2.25 - VEHICLE.front_m, abs=1.0)


def test_corridor_follows_a_curve():
    turn = np.linspace(0.0, np.pi / 2, 40)
    line = smooth_line(np.column_stack([30 * np.sin(turn), 30 * (1 - np.cos(turn))]), np.full(40, 8.0))
    on_curve = actor(30 * np.sin(0.9), 30 * (1 - np.cos(0.9)), yaw=0.9)
    assert leads(on_curve, line=line)
    assert not leads(actor(27.0, 0.0), line=line)


def test_vehicle_beside_its_line_sweeps_the_room_between():
    near, far = (actor(x, 0.9, width=0.4, length=1.0) for x in (12.0, 45.0))
    assert leads(near, d=1.0)
    assert not leads(far, d=1.0)


def test_long_thing_that_seems_to_move_sideways_does_not_enter():
    assert not leads(actor(25.0, -6.0, length=6.0, vy=2.0, label=Label.TRUCK))
    assert leads(actor(25.0, -6.0, length=6.0, yaw=np.pi / 2, vy=2.0, label=Label.TRUCK))


def test_what_has_no_class_is_not_foreseen_to_enter_but_counts_where_it_is():
    assert not leads(actor(25.0, -6.0, length=1.0, width=1.0, vy=2.0, label=Label.UNKNOWN))
    assert leads(actor(25.0, -0.5, length=1.0, width=1.0, vy=2.0, label=Label.UNKNOWN))


def test_only_what_is_seen_inside_the_corridor_or_one_step_from_it_is_certain():
    assert leads(actor(30.0, 0.0))[0].certain
    assert not leads(actor(30.0, 0.0, missed=1))[0].certain
    assert not leads(pedestrian(14.0, -5.0, vy=2.5))[0].certain
    assert leads(pedestrian(14.0, -2.2, vy=2.0))[0].certain
    assert not leads(pedestrian(14.0, -2.2, vy=2.0, missed=1))[0].certain
    assert not leads(actor(18.0, -4.0, yaw=np.pi / 2, vy=4.0))[0].certain


def test_oncoming_car_that_seems_to_drift_stays_in_its_lane():
    assert leads(actor(30.0, 3.2, yaw=np.pi, vx=-7.0, vy=-1.2)) == []


def test_oncoming_car_that_turns_across_the_way_is_a_lead():
    (lead,) = leads(actor(30.0, 3.5, yaw=-2.5, vx=-5.0, vy=-3.7))
    assert lead.what == 'crossing car'


def test_an_oncoming_car_is_not_braked_for_because_of_an_unlikely_future():
    def coming(probability):
        ways = np.linspace((30.0, 3.6), (0.0, 3.6), 7)[1:], np.linspace((30.0, 3.6), (0.0, 0.0), 7)[1:]
        forecasts = tuple(Forecast(p, 0.5, way.astype(np.float32)) for p, way in zip((1 - probability, probability), ways))
        return leads(actor(30.0, 3.6, vx=-10.0, yaw=np.pi, forecasts=forecasts))

    assert not coming(0.3)
    assert coming(0.6)


def test_what_a_forecast_says_does_not_depend_on_its_time_step():
    path = np.array([[20.0, 6.0 - 1.5 * t] for t in np.arange(0.0, 6.1, 0.1)])
    gaps = set()
    for every in (1, 5, 10):
        forecasts = tuple(Forecast(0.5, 0.1 * step, path[step::step].astype(np.float32)) for step in (every, 2 * every))
        (lead,) = leads(pedestrian(20.0, 6.0, vy=-1.0, forecasts=forecasts), speed=5.0)
        gaps.add(round(lead.gap_m, 3))
    assert len(gaps) == 1
