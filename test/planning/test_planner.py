import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning.closed_loop import actor, drive, ego_at, pedestrian, scene_of, seen_from
from planning.lanelet_files import LIGHT_ID, write_two_lane_road

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import se3_from_xy_yaw, wrap_angle
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.planning.lanelet_map import load_lane_graph
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.planning.route import RouteFile

FRONT_M = Vehicle().front_m
GREEN = (TrafficLight(LIGHT_ID, (0.0, 0.0), LightState.GREEN),)


def planner(**more) -> Planner:
    return Planner(PlannerConfig(drive_without_goal=True, **more))


def light(state, x=50.0, element_id=0):
    return (TrafficLight(element_id, (x, 0.0), state),)


def assert_drivable(points_t7):
    """Autoware's planning validator's limits."""
    time, x, y, yaw, speed, acceleration, curvature = points_t7.T
    assert np.all(np.diff(time) > 0)
    assert np.hypot(np.diff(x), np.diff(y)).max() <= 100.0
    assert np.abs(curvature).max() <= 1.0
    assert np.abs([wrap_angle(step) for step in np.diff(yaw)]).max() <= 2.0
    assert np.abs(acceleration).max() <= 9.8
    assert np.abs(speed**2 * curvature).max() <= 9.8
    assert np.abs(np.diff(speed**2 * curvature) / np.diff(time)).max() <= 7.0
    steering = np.arctan(Vehicle().wheelbase_m * curvature)
    assert np.abs(steering).max() <= 1.414
    assert np.abs(np.diff(steering) / np.diff(time)).max() <= 10.0
    assert speed.min() >= 0.0


def test_free_road_is_driven_without_a_reason():
    plan = planner().update(scene_of(), ego_at(speed=5.0), 0.0)
    assert plan.reason == ''
    assert not plan.stop
    assert not plan.emergency
    assert plan.frame_id == 'map'
    assert_drivable(plan.points_t7)


def test_plan_stops_before_a_box_on_the_path():
    plan = planner().update(scene_of(actor(20.0, 0.0)), ego_at(speed=6.0), 0.0)
    assert plan.stop
    assert plan.reason.startswith('car ')
    assert plan.points_t7[-1, 1] + FRONT_M < 20.0 - 2.25 - 3.0


@settings(max_examples=40, deadline=None)
@given(x=st.floats(8.0, 60.0), y=st.floats(-1.5, 1.5), yaw=st.floats(-3.1, 3.1), speed=st.floats(0.0, 8.0))
def test_plan_never_passes_a_box_on_the_path(x, y, yaw, speed):
    box = actor(x, y, length=2.0, width=1.0, yaw=yaw, label=Label.UNKNOWN)
    p = planner()
    p.update(scene_of(box), ego_at(speed=speed), 0.0)
    plan = p.update(scene_of(box), ego_at(speed=speed), 0.1)
    assert plan.emergency or plan.points_t7[-1, 1] + FRONT_M < x - 0.4


def test_stopped_car_is_approached_smoothly_and_never_crept_into():
    log = drive(planner(), [actor(62.25, 0.0)], 30.0, noise_m=0.1)
    gap = 60.0 - (log.x + FRONT_M)
    assert gap.min() > 3.0
    assert gap[-1] < 6.0
    assert np.diff(log.speed).min() / 0.1 > -3.5
    assert np.ptp(log.x[-100:]) == 0.0
    assert log.plans[-1].stop
    assert log.plans[-1].reason.startswith('car')


def test_vehicle_yields_to_a_crossing_pedestrian_and_goes_on():
    walker = pedestrian(35.0, -6.0, vy=1.3)
    log = drive(planner(), [walker], 25.0, start=ego_at(speed=8.0))
    in_lane = [k for k in range(len(log.x)) if abs(-6.0 + 0.13 * k) < 1.6]
    assert log.speed.min() < 6.0
    assert (log.x[in_lane] + FRONT_M).max() < 34.0 or log.x[in_lane].min() > 37.0
    assert any('pedestrian' in plan.reason for plan in log.plans)
    assert log.x[-1] > 80.0


def test_pedestrian_who_stands_in_the_way_stops_the_vehicle_and_it_waits():
    log = drive(planner(), [pedestrian(30.0, 0.0)], 20.0, start=ego_at(speed=8.0))
    assert log.x[-1] + FRONT_M < 30.0 - 0.3 - 3.0
    assert log.speed[-1] == 0.0


def test_ghosts_at_the_roadside_do_not_slow_the_vehicle():
    ghosts = [actor(x, y, length=3.0, width=0.4, label=Label.UNKNOWN) for x in range(5, 90, 4) for y in (-2.0, 2.0)]
    log = drive(planner(), ghosts, 10.0, start=ego_at(speed=8.0))
    assert log.speed.min() > 7.9


def test_red_light_is_obeyed_until_it_turns_green():
    log = drive(planner(), [], 22.0, lights=lambda now_s: light(LightState.RED if now_s < 15.0 else LightState.GREEN))
    assert 47.0 < log.x[149] + FRONT_M < 50.0
    assert log.plans[140].reason.startswith('red light')
    assert log.x[-1] > 60.0


def test_silent_light_that_was_red_stays_red():
    log = drive(planner(), [], 20.0, lights=lambda now_s: light(LightState.RED) if now_s < 2.0 else ())
    assert log.x[-1] + FRONT_M < 50.0


def test_amber_is_passed_only_when_one_cannot_stop_in_comfort():
    close, far = planner(), planner()
    close.observe_lights(light(LightState.AMBER, FRONT_M + 8.0), 0.0)
    far.observe_lights(light(LightState.AMBER, FRONT_M + 25.0), 0.0)
    assert not close.update(scene_of(), ego_at(speed=8.0), 0.0).stop
    assert 'amber light' in far.update(scene_of(), ego_at(speed=8.0), 0.0).reason


def test_light_beside_the_road_or_behind_the_vehicle_is_not_ours():
    p = planner()
    p.observe_lights((TrafficLight(0, (30.0, 12.0), LightState.RED), *light(LightState.RED, 1.0)), 0.0)
    assert p.update(scene_of(), ego_at(speed=8.0), 0.0).reason == ''


def test_light_without_an_id_and_a_state_is_said_and_passed():
    p = planner()
    p.observe_lights(light(LightState.UNKNOWN), 0.0)
    plan = p.update(scene_of(), ego_at(speed=8.0), 0.0)
    assert plan.warnings
    assert not plan.stop


def test_obstacle_too_close_to_stop_in_comfort_is_an_emergency():
    p, scene = planner(), scene_of(actor(FRONT_M + 2.25 + 5.0, 0.0))
    assert not p.update(scene, ego_at(speed=8.0), 0.0).emergency
    plan = p.update(scene, ego_at(speed=8.0), 0.1)
    assert plan.emergency
    assert plan.points_t7[0, 5] == pytest.approx(-5.0)


def test_pedestrian_about_to_step_before_the_vehicle_is_an_emergency_before_he_is_in_its_way():
    p, y_m = planner(), [-2.6, -2.4, -2.2, -2.0]
    walking = [scene_of(pedestrian(FRONT_M + 8.6, y, vy=2.0)) for y in y_m]
    plans = [p.update(scene, ego_at(speed=9.5), 0.1 * k) for k, scene in enumerate(walking)]
    assert [plan.emergency for plan in plans] == [False, False, True, True]
    assert y_m[-1] + 0.3 < -Vehicle().width_m / 2.0 - p.config.corridor.margin_m
    standing = scene_of(pedestrian(FRONT_M + 8.6, y_m[-1]))
    assert not any(p.update(standing, ego_at(speed=9.5), 1.0 + 0.1 * k).emergency for k in range(4))


def test_invalid_perception_brings_the_vehicle_to_a_comfortable_stop():
    plan = planner().update(scene_of(valid=False), ego_at(speed=8.0), 0.0)
    assert plan.stop
    assert not plan.emergency
    assert plan.reason == 'perception not valid'
    assert plan.points_t7[:, 5].min() >= -2.0 - 1e-6


def test_without_odometry_there_is_no_plan():
    plan = planner().update(scene_of(), None, 0.0)
    assert len(plan.points_t7) == 0
    assert plan.stop
    assert 'odometry' in plan.reason


def test_object_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match='not finite'):
        planner().update(scene_of(actor(np.nan, 0.0)), ego_at(), 0.0)


def test_off_the_route_the_vehicle_stops_and_says_so():
    p = planner()
    p.update(scene_of(), ego_at(), 0.0)
    plan = p.update(scene_of(), ego_at(2.0, 4.0, 0.0, 5.0), 0.1)
    assert plan.stop
    assert plan.reason == 'off the route'
    assert plan.warnings


def test_corridor_stays_where_the_vehicle_started():
    p = planner()
    p.update(scene_of(), ego_at(0.0, 0.0, 0.0, 5.0), 0.0)
    plan = p.update(scene_of(), ego_at(10.0, 0.5, 0.1, 5.0), 0.1)
    np.testing.assert_allclose(plan.points_t7[:, 2], 0.0, atol=1e-9)


def test_goal_is_reached_and_kept():
    p = planner()
    p.set_goal(se3_from_xy_yaw(60.0, 0.0, 0.0))
    log = drive(p, [], 25.0)
    assert abs(log.x[-1] - 60.0) < 1.0
    assert log.plans[-1].reason == 'goal reached'
    assert log.speed[-1] == 0.0


def test_goal_without_a_way_stops_the_vehicle_with_the_cause():
    p = planner()
    p.set_goal(se3_from_xy_yaw(-60.0, 0.0, 0.0))
    plan = p.update(scene_of(), ego_at(speed=3.0), 0.0)
    assert plan.stop
    assert plan.reason == 'no route'
    assert 'straight ahead' in plan.warnings[0]


def test_map_gives_limits_and_its_light_is_known_by_id(tmp_path):
    graph = load_lane_graph(write_two_lane_road(tmp_path / 'map.osm'))
    p = Planner(PlannerConfig(cruise_speed_mps=20.0), graph)
    p.set_goal(se3_from_xy_yaw(115.0, 0.0, 0.0))
    state = light(LightState.RED, 0.0, LIGHT_ID), light(LightState.GREEN, 0.0, LIGHT_ID)
    log = drive(p, [], 45.0, start=ego_at(5.0), lights=lambda now_s: state[now_s > 20.0])
    assert log.speed[:190].max() <= 10.0 + 1e-6
    assert log.x[190] + FRONT_M < 45.0
    assert abs(log.x[-1] - 115.0) < 1.0


def test_curve_is_taken_below_the_lateral_limit_and_within_the_validators():
    turn = np.linspace(0.0, np.pi / 2, 20)
    bend = np.column_stack([40.0 + 12.0 * np.sin(turn), 12.0 * (1.0 - np.cos(turn))])
    waypoints = np.vstack([[0.0, 0.0], bend, [52.0, 60.0]])
    log = drive(Planner(PlannerConfig(), None, RouteFile(waypoints)), [], 18.0)
    for plan in log.plans:
        assert_drivable(plan.points_t7)
        assert (plan.points_t7[1:, 4] ** 2 * np.abs(plan.points_t7[1:, 6])).max() < 2.3
    assert log.egos[-1].odom_se3_base_link[1, 3] > 20.0


@settings(max_examples=25, deadline=None)
@given(turn=st.floats(-3.0, 3.0), x=st.floats(-200.0, 200.0), y=st.floats(-200.0, 200.0), seed=st.integers(0, 1000))
def test_turn_the_scene_and_the_plan_turns(turn, x, y, seed):
    rng = np.random.default_rng(seed)
    things = [actor(*rng.uniform((5, -6), (60, 6)), yaw=rng.uniform(-3, 3), vx=rng.normal(), vy=rng.normal()) for _ in range(4)]
    ego, moved_ego = ego_at(speed=7.0), ego_at(x, y, turn, 7.0)
    plan = planner().update(scene_of(*things), ego, 0.0)
    turned = planner().update(scene_of(*things), moved_ego, 0.0)
    expected = plan.points_t7[:, 1:3] @ moved_ego.odom_se3_base_link[:2, :2].T + (x, y)
    np.testing.assert_allclose(turned.points_t7[:, 1:3], expected, atol=1e-4)
    np.testing.assert_allclose(turned.points_t7[:, 4:6], plan.points_t7[:, 4:6], atol=1e-4)
    assert turned.reason == plan.reason


def test_forget_lets_the_corridor_begin_anew():
    p = planner()
    p.update(scene_of(), ego_at(), 0.0)
    p.forget()
    plan = p.update(scene_of(), ego_at(0.0, 9.0, 1.0, 3.0), 0.0)
    assert plan.reason == ''
    np.testing.assert_allclose(plan.points_t7[:, 3], 1.0)


def test_pedestrian_foreseen_for_a_single_frame_does_not_brake():
    p, walker = planner(), pedestrian(25.0, -5.0, vy=1.4)
    assert p.update(scene_of(walker), ego_at(speed=8.0), 0.0).reason == ''
    assert p.update(scene_of(walker), ego_at(speed=8.0), 0.1).reason.startswith('crossing pedestrian')


def test_unseen_object_without_a_velocity_stays_where_it_was_seen():
    p = planner()
    p.update(scene_of(actor(30.0, 4.0)), ego_at(speed=5.0), 0.0)
    assert p.update(scene_of(actor(30.0, 0.5, missed=5)), ego_at(speed=5.0), 0.5).reason == ''
    p.update(scene_of(actor(25.0, 0.0)), ego_at(speed=5.0), 0.6)
    assert p.update(scene_of(actor(25.0, 4.0, missed=5)), ego_at(speed=5.0), 1.1).reason.startswith('car')


def test_another_policy_can_choose_the_speed():
    walk = np.column_stack([0.1 * np.arange(51), np.ones(51), np.zeros(51)])
    plan = Planner(PlannerConfig(drive_without_goal=True), speed_policy=lambda _: walk).update(
        scene_of(), ego_at(speed=1.0), 0.0
    )
    np.testing.assert_allclose(plan.points_t7[:, 1], 0.1 * np.arange(51))


def test_object_seen_from_a_turned_vehicle_is_where_it_is():
    ego = ego_at(10.0, 5.0, np.pi / 2)
    np.testing.assert_allclose(seen_from(ego, actor(10.0, 25.0)).box_7[:2], [20.0, 0.0], atol=1e-5)


def on_the_map(tmp_path, **more) -> Planner:
    """With the light LIGHT_ID, whose stop line is at x = 45, on the way to the goal."""
    p = Planner(PlannerConfig(**more), load_lane_graph(write_two_lane_road(tmp_path / 'map.osm')))
    p.set_goal(se3_from_xy_yaw(115.0, 0.0, 0.0))
    return p


@pytest.mark.parametrize('lights', [(), light(LightState.UNKNOWN, 0.0, LIGHT_ID), light(LightState.GREEN, 0.0, LIGHT_ID + 1)])
def test_light_of_the_map_without_a_state_is_stopped_at(tmp_path, lights):
    log = drive(on_the_map(tmp_path), [], 20.0, start=ego_at(5.0), lights=lambda _: lights)
    assert 42.0 < log.x[-1] + FRONT_M < 45.0
    assert log.speed[-1] == 0.0
    assert log.plans[-1].reason.startswith(f'traffic light {LIGHT_ID}: no state')
    assert f'traffic light {LIGHT_ID}: no state' in log.plans[-1].warnings


def test_light_of_the_map_whose_green_falls_silent_is_stopped_at_where_that_is_possible(tmp_path):
    log = drive(on_the_map(tmp_path), [], 20.0, start=ego_at(5.0), lights=lambda now_s: GREEN if now_s < 1.0 else ())
    assert 42.0 < log.x[-1] + FRONT_M < 45.0
    assert log.plans[-1].reason.startswith(f'traffic light {LIGHT_ID}: no state')


def test_red_light_of_the_map_is_still_obeyed_after_time_jumped_and_the_topic_fell_silent(tmp_path):
    p = on_the_map(tmp_path)
    p.observe_lights(light(LightState.RED, 0.0, LIGHT_ID), 0.0)
    assert p.update(scene_of(), ego_at(30.0, speed=4.0), 0.0).reason.startswith('red light')
    p.forget()
    plan = p.update(scene_of(), ego_at(30.0, speed=4.0), 0.1)
    assert plan.points_t7[-1, 1] + FRONT_M < 45.0
    assert plan.reason.startswith(f'traffic light {LIGHT_ID}: no state')


def test_light_of_the_map_without_a_state_is_passed_with_a_warning_where_one_asks_for_it(tmp_path):
    log = drive(on_the_map(tmp_path, stop_at_unknown_light=False), [], 15.0, start=ego_at(5.0))
    assert log.x[-1] > 60.0
    assert f'traffic light {LIGHT_ID}: no state' in log.plans[10].warnings


def test_light_of_the_map_is_waited_for_until_the_line_is_passed(tmp_path):
    p = on_the_map(tmp_path)
    p.update(scene_of(), ego_at(5.0), 0.0)
    assert p.has_lights_ahead
    assert p.update(scene_of(), ego_at(60.0, speed=8.0), 0.1).warnings == ()
    assert not p.has_lights_ahead


def test_waypoints_over_a_map_know_its_lights_but_not_those_of_the_other_lanes(tmp_path):
    graph = load_lane_graph(write_two_lane_road(tmp_path / 'map.osm'))
    for y, reason in ((0.3, f'traffic light {LIGHT_ID}: no state'), (3.5, '')):
        p = Planner(PlannerConfig(), graph, RouteFile(np.array([[5.0, y], [115.0, y]])))
        assert p.update(scene_of(), ego_at(30.0, y, speed=5.0), 0.0).reason.startswith(reason)
        assert p.has_lights_ahead == bool(reason)


def test_lights_behind_are_forgotten_and_one_without_a_map_is_said():
    p = planner()
    for x in range(0, 2000, 20):
        p.observe_lights(light(LightState.GREEN, float(x)), 0.0)
        p.update(scene_of(), ego_at(float(x), speed=8.0), 0.0)
    assert len(p._lights.by_position(0.0)) < 3
    p.observe_lights(light(LightState.RED, 2010.0, LIGHT_ID), 0.0)
    assert f'traffic light {LIGHT_ID}: there is no map' in p.update(scene_of(), ego_at(1990.0), 0.0).warnings[-1]


def test_without_goal_and_route_the_vehicle_stands_until_it_gets_one(tmp_path):
    graph = load_lane_graph(write_two_lane_road(tmp_path / 'map.osm'))
    for p in (Planner(PlannerConfig(), graph), Planner(PlannerConfig())):
        plan = p.update(scene_of(), ego_at(5.0, speed=6.0), 0.0)
        assert plan.stop
        assert plan.reason == 'no goal; send /goal_pose or give route_path'
        p.set_goal(se3_from_xy_yaw(115.0, 0.0, 0.0))
        assert not p.update(scene_of(), ego_at(60.0, speed=6.0), 0.1).stop
        p.drop_goal()
        assert p.update(scene_of(), ego_at(60.0, speed=6.0), 0.2).reason.startswith('no goal')
    straight_on = Planner(PlannerConfig(drive_without_goal=True), graph)
    assert not straight_on.update(scene_of(), ego_at(60.0, speed=6.0), 0.0).stop
