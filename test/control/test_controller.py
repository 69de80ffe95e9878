import numpy as np
import pytest
from control.vehicle_model import Bicycle, controller, cruise, plan_along, profile

from moe_bev_ros.control.pure_pursuit import fit

DT_S = 0.02


def drive(bicycle, plan, seconds, control=None, odometry_every=5):
    """Close the loop at 50 Hz with odometry at 10 Hz; returns commands, speeds and lateral errors."""
    control = control or controller()
    commands, errors = [], []
    ego = bicycle.ego(0.0)
    for step in range(round(seconds / DT_S)):
        now_s = step * DT_S
        if step % odometry_every == 0:
            ego = bicycle.ego(now_s)
        commands.append(control.update(plan, ego, now_s))
        bicycle.step(commands[-1], DT_S)
        errors.append(fit(plan.points_t7[:, 1:4], np.array([bicycle.x, bicycle.y, bicycle.yaw])).lateral_m)
    return commands, np.array(errors)


def test_a_straight_line_is_reached_from_beside_it():
    bicycle = Bicycle(speed_mps=8.0, y=1.0)
    _, errors = drive(bicycle, cruise(8.0, 12.0), 10.0)
    assert abs(errors[-100:]).max() < 0.05
    assert errors.min() > -0.2  # hardly any overshoot


@pytest.mark.parametrize('speed_mps', [3.0, 8.0, 15.0])
@pytest.mark.parametrize('sign', [-1.0, 1.0])
def test_a_curve_is_followed_within_a_hand(speed_mps, sign):
    curvature = sign * min(0.05, 2.0 / speed_mps**2)
    _, errors = drive(Bicycle(speed_mps=speed_mps), cruise(speed_mps, 10.0, curvature=curvature), 8.0)
    assert abs(errors).max() < 0.35
    assert abs(errors[200:]).max() < 0.15


def test_the_planned_speed_is_reached_and_kept():
    plan = profile([2.0] * 50 + [0.0] * 100)
    bicycle = Bicycle()
    drive(bicycle, plan, 12.0)
    assert bicycle.speed_mps == pytest.approx(10.0, abs=0.1)
    assert bicycle.x == pytest.approx(np.interp(12.0, plan.points_t7[:, 0], plan.points_t7[:, 1]), abs=0.5)


@pytest.mark.parametrize('deceleration', [1.0, 2.5, 4.0])
def test_it_stops_where_the_plan_stops_and_holds(deceleration):
    steps = round(8.0 / deceleration / 0.1)
    plan = profile([0.0] * 20 + [-deceleration] * steps + [0.0] * 60, speed_mps=8.0, stop=True)
    bicycle = Bicycle(speed_mps=8.0)
    commands, _ = drive(bicycle, plan, 2.0 + steps * 0.1 + 5.0)
    assert bicycle.x == pytest.approx(plan.points_t7[-1, 1], abs=0.3)
    assert bicycle.speed_mps == 0.0
    assert commands[-1].hold
    assert commands[-1].brake > 0.0


def test_it_leaves_the_hold_when_the_plan_drives_on():
    control, bicycle = controller(), Bicycle()
    held, _ = drive(bicycle, profile([0.0] * 30, stop=True), 1.0, control)
    assert all(command.hold and command.brake > 0.0 for command in held)
    driven, _ = drive(bicycle, profile([1.5] * 60), 4.0, control)
    assert not driven[0].hold
    assert driven[25].throttle > 0.0
    assert bicycle.speed_mps == pytest.approx(6.0, abs=0.3)


def test_a_plan_that_stops_far_ahead_does_not_hold_a_standing_vehicle():
    plan = profile([1.0] * 30 + [-1.0] * 30 + [0.0] * 20, stop=True)
    bicycle = Bicycle()
    drive(bicycle, plan, 8.0)
    assert bicycle.x == pytest.approx(plan.points_t7[-1, 1], abs=0.3)


def test_curve_turned_is_command_turned():
    left, _ = drive(Bicycle(speed_mps=5.0), cruise(5.0, 5.0, curvature=0.05), 3.0)
    right, _ = drive(Bicycle(speed_mps=5.0), cruise(5.0, 5.0, curvature=-0.05), 3.0)
    np.testing.assert_allclose([c.steering_angle_rad for c in left], [-c.steering_angle_rad for c in right], atol=1e-9)


def test_steering_rate_and_jerk_stay_within_the_limits_while_it_rolls():
    control = controller()
    commands, _ = drive(Bicycle(speed_mps=8.0, y=2.0), profile([2.0] * 20 + [-4.0] * 60, speed_mps=8.0), 4.5, control)
    steering = np.diff([command.steering_angle_rad for command in commands]) / DT_S
    wanted = np.array([command.acceleration_mps2 for command in commands if not command.hold])
    jerk = np.diff(wanted) / DT_S
    assert abs(steering).max() <= control.vehicle.max_steering_rate_radps + 1e-6
    assert jerk.max() <= control.settings.limits.max_braking_jerk_mps3 + 1e-6
    assert jerk[wanted[1:] > 0.0].max() <= control.settings.limits.max_jerk_mps3 + 1e-6
    assert jerk.min() >= -control.settings.limits.max_braking_jerk_mps3 - 1e-6


def test_a_tight_curve_is_taken_at_the_speed_that_its_lateral_acceleration_allows():
    bicycle = Bicycle(speed_mps=4.0)
    commands, _ = drive(bicycle, cruise(15.0, 10.0, curvature=0.1), 6.0)
    assert max(command.speed_mps for command in commands) <= np.sqrt(5.0 / 0.1) + 1e-6


def test_a_new_plan_at_the_same_time_replaces_the_repeat_of_the_old_one():
    once, twice = controller(), controller()
    bicycle = Bicycle(speed_mps=8.0)
    old, new = cruise(8.0, 5.0), cruise(8.0, 5.0, curvature=0.05)
    for control in (once, twice):
        control.update(old, bicycle.ego(0.0), 0.0)
    twice.update(old, bicycle.ego(0.1), 0.1)
    assert twice.update(new, bicycle.ego(0.1), 0.1) == once.update(new, bicycle.ego(0.1), 0.1)


def test_old_odometry_is_carried_forward():
    plan, bicycle = cruise(10.0, 5.0), Bicycle(speed_mps=10.0)
    command = controller().update(plan, bicycle.ego(0.0), 0.3)
    assert abs(command.speed_mps - 10.0) < 0.05  # no station error seen, although the pose is 3 m old


def test_points_on_one_spot_are_no_trouble():
    plan = plan_along([0.0] * 10, [0.0] * 10, [0.0] * 10, dt_s=0.1, stop=True)
    command = controller().update(plan, Bicycle(speed_mps=1.0).ego(0.0), 0.0)
    assert command.acceleration_mps2 < 0.0
    assert np.isfinite(command.steering_angle_rad)


def test_braking_keeps_following_the_path():
    control, bicycle, plan = controller(), Bicycle(speed_mps=8.0), cruise(8.0, 10.0, curvature=0.04)
    errors = []
    for step in range(250):
        ego = bicycle.ego(step * DT_S)
        bicycle.step(control.brake(3.0, step * DT_S, ego=ego, path=plan), DT_S)
        errors.append(fit(plan.points_t7[:, 1:4], np.array([bicycle.x, bicycle.y, bicycle.yaw])).lateral_m)
    assert bicycle.speed_mps == 0.0
    assert max(map(abs, errors)) < 0.4


def test_braking_without_odometry_never_counts_as_standing():
    command = controller().brake(3.0, 0.0, ego=None, path=None)
    assert command.brake > 0.0
    assert not command.hold
