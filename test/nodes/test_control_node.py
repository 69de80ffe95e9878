import signal
import subprocess
import sys
import time

import pytest
import rclpy
from control.test_emergency_braking import car
from geometry_msgs.msg import Quaternion
from lifecycle_msgs.msg import State
from nodes.control_bench import SIMULATED, Bench, odometry, seen, simulated_bench, trajectory
from rclpy.clock import ClockType
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.time import Time

from harness import ros
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.msg import Object, Trajectory, VehicleCommand
from moe_bev_ros.nodes.base import FRAME_QOS
from moe_bev_ros.nodes.control_node import ControlNode
from moe_bev_ros.nodes.convert import header, time_to_msg, trace_from_msg


@pytest.fixture
def simulated():
    with simulated_bench() as bench:
        yield bench


@pytest.fixture
def real():
    with ros() as harness:
        yield Bench(harness)


def test_it_brakes_before_anything_has_come(real):
    real.harness.spin_until(lambda: len(real.commands) > 10)
    command = real.commands[-1]
    assert command.brake > 0.0
    assert command.throttle == 0.0
    assert not command.first_of_plan
    assert abs(command.header.stamp.sec - time.time()) < 10
    assert 'not engaged' in command.reason
    assert 'no plan' in command.reason


def test_commands_go_on_when_the_wall_clock_is_set_back(real):
    now_ns = time.time_ns()
    real.know(odometry(now_ns))
    real.answer(trajectory(now_ns))
    clock = real.node.get_clock()
    clock._set_ros_time_is_active(True)  # a clock that the node reads in place of the machine's, which a test must not set
    for back_s in (0.0, 5.0):
        clock.set_ros_time_override(Time(nanoseconds=now_ns - round(back_s * 1e9), clock_type=ClockType.ROS_TIME))
    real.commands.clear()
    for step in range(1, 10):
        clock.set_ros_time_override(Time(nanoseconds=now_ns - 5_000_000_000 + step, clock_type=ClockType.ROS_TIME))
        real.harness.spin_until(lambda step=step: len(real.commands) >= step)
    assert all(command.brake > 0.0 for command in real.commands)


def test_simulated_time_that_stands_still_repeats_nothing(simulated):
    simulated.harness.spin_until(lambda: simulated.commands)
    simulated.harness.spin_for(0.1)
    before = len(simulated.commands)
    simulated.harness.spin_for(0.2)
    assert len(simulated.commands) == before


def test_it_brakes_before_simulated_time_begins():
    with ros(SIMULATED) as harness:
        bench = Bench(harness)
        harness.spin_until(lambda: len(bench.commands) > 5)
        assert bench.commands[-1].brake > 0.0


def test_a_plan_is_answered_once_with_its_stamp_and_trace(simulated):
    simulated.know(odometry(5_000_000_000))
    command = simulated.answer(trajectory(5_000_000_000))
    assert command.header.stamp == time_to_msg(5_000_000_000)
    assert command.reason == ''
    assert command.engaged
    trace = trace_from_msg(command.trace)
    assert trace.stages == ('planner_node', 'control_node')
    assert trace.receive_at_ns[1] <= trace.publish_at_ns[1]
    simulated.tick(5_020_000_000)
    simulated.harness.spin_until(lambda: not simulated.commands[-1].first_of_plan)
    assert simulated.commands[-1].header.stamp == time_to_msg(5_000_000_000)
    assert len(simulated.answers()) == 1


@pytest.mark.parametrize(
    ('changes', 'reason'),
    [
        ({'points': []}, 'the plan is empty'),
        ({'header': header(5_000_000_000, 'odom')}, 'the plan is in frame odom'),
        ({'emergency': True, 'reason': 'wall'}, 'wall'),
    ],
)
def test_a_plan_that_makes_it_brake_is_answered_too(simulated, changes, reason):
    simulated.know(odometry(5_000_000_000))
    command = simulated.answer(trajectory(5_000_000_000, **changes))
    assert reason in command.reason
    assert command.brake > 0.0
    assert command.header.stamp == time_to_msg(5_000_000_000)


@pytest.mark.parametrize(
    ('field', 'value', 'reason'),
    [
        ('time_from_start_s', 0.0, 'the times of the plan do not rise'),
        ('time_from_start_s', float('nan'), 'must be finite'),
        ('y', 1e300, 'must be finite and below'),
        ('speed', -3.0, 'the plan drives backwards'),
        ('curvature', float('inf'), 'must be finite'),
    ],
)
def test_a_plan_with_a_point_that_cannot_be_brakes_and_the_next_plan_is_followed(simulated, field, value, reason):
    simulated.know(odometry(5_000_000_000))
    message = trajectory(5_000_000_000)
    setattr(message.points[3], field, value)
    command = simulated.answer(message)
    assert reason in command.reason
    assert command.brake > 0.0
    assert command.throttle == 0.0
    simulated.tick(5_100_000_000)
    simulated.know(odometry(5_100_000_000))
    assert simulated.answer(trajectory(5_100_000_000)).reason == ''


def test_a_plan_without_a_stamp_is_refused_and_not_answered(simulated):
    simulated.know(odometry(5_000_000_000))
    simulated.plans.publish(trajectory(0))
    simulated.harness.spin_until(lambda: simulated.node.counters['rejected'] == 1)
    assert '/control_node/input/trajectory: stamp 0 s 0 ns is no time; fill in the header' in simulated.node.warnings
    assert not simulated.answers()
    assert simulated.answer(trajectory(5_000_000_000)).engaged


def test_objects_that_cannot_be_are_named_and_brake_until_they_can(simulated):
    scene = seen(5_000_000_000)
    scene.objects.append(Object(label=77))
    simulated.know(odometry(5_000_000_000), scene)
    assert simulated.node.counters['rejected'] == 1
    assert any(text.startswith('/control_node/input/objects: object label 77') for text in simulated.node.warnings)
    command = simulated.answer(trajectory(5_000_000_000))
    assert (command.reason, command.throttle) == ('no list of objects', 0.0)
    simulated.tick(5_100_000_000)
    simulated.know(odometry(5_100_000_000))
    assert simulated.answer(trajectory(5_100_000_000)).reason == ''


def test_a_car_close_ahead_is_braked_for_whether_perception_is_valid_or_not(simulated):
    simulated.know(odometry(5_000_000_000), seen(5_000_000_000, car(10.0), valid=False))
    command = simulated.answer(trajectory(5_000_000_000))
    assert (command.emergency, command.brake) == (True, 1.0)


def test_it_brakes_when_the_objects_stop(simulated):
    simulated.know(odometry(5_000_000_000))
    assert simulated.answer(trajectory(5_000_000_000)).reason == ''
    simulated.tick(5_600_000_000)
    simulated.hand(simulated.odometry, odometry(5_600_000_000), 'odometry')
    command = simulated.answer(trajectory(5_600_000_000))
    assert command.reason.startswith('the list of objects is 0.60 s old')
    assert command.brake > 0.0


def test_without_our_perception_it_drives_without_objects():
    with ros({**SIMULATED, 'require_objects': False}) as harness:
        bench = Bench(harness)
        bench.tick(5_000_000_000)
        bench.hand(bench.odometry, odometry(5_000_000_000), 'odometry')
        bench.answer(trajectory(5_000_000_000))
        assert bench.call(True).success
        bench.tick(5_100_000_000)
        bench.hand(bench.odometry, odometry(5_100_000_000), 'odometry')
        assert bench.answer(trajectory(5_100_000_000)).reason == ''
        health = bench.node.inputs['/control_node/input/objects']
        assert (health.required, health.period_s) == (False, 0.0)


def test_a_plan_that_is_not_finite_is_answered_by_braking_and_counted(simulated):
    simulated.know(odometry(5_000_000_000))
    message = trajectory(5_000_000_000)
    message.points[3].x = float('nan')
    command = simulated.answer(message)
    assert command.brake > 0.0
    assert 'unusable plan' in command.reason
    assert simulated.node.counters['rejected'] == 1


@pytest.mark.parametrize(
    ('spoil', 'fact'),
    [
        (lambda message: setattr(message.pose.pose.position, 'x', float('nan')), 'pose must be finite'),
        (lambda message: setattr(message.pose.pose, 'orientation', Quaternion(w=0.0)), 'norm 0'),
        (lambda message: setattr(message.twist.twist.linear, 'x', float('inf')), 'twist must be finite'),
        (lambda message: setattr(message.twist.twist.angular, 'z', 1e9), 'twist must be finite'),
    ],
)
def test_odometry_that_cannot_be_brakes_until_it_can(simulated, spoil, fact):
    bad = odometry(5_000_000_000)
    spoil(bad)
    simulated.know(bad)
    command = simulated.answer(trajectory(5_000_000_000))
    assert 'no odometry' in command.reason
    assert command.brake > 0.0
    assert any(text.startswith('/control_node/input/odometry: ') and fact in text for text in simulated.node.warnings)
    simulated.tick(5_100_000_000)
    simulated.know(odometry(5_100_000_000))
    assert simulated.answer(trajectory(5_100_000_000)).reason == ''


def test_a_plan_that_comes_before_its_clock_is_followed(simulated):
    simulated.know(odometry(5_100_000_000))
    assert simulated.answer(trajectory(5_100_000_000)).reason == ''


def test_a_plan_grows_old_with_simulated_time_only(simulated):
    simulated.know(odometry(5_000_000_000))
    simulated.answer(trajectory(5_000_000_000))
    simulated.harness.spin_for(0.7)  # the world stands still
    simulated.know(odometry(5_300_000_000))
    simulated.tick(5_300_000_000)
    simulated.harness.spin_until(lambda: not simulated.commands[-1].first_of_plan)
    assert simulated.commands[-1].reason == ''
    simulated.know(odometry(5_600_000_000))
    simulated.tick(5_600_000_000)
    simulated.harness.spin_until(lambda: 'plan is 0.60 s old' in simulated.commands[-1].reason)
    assert simulated.commands[-1].brake > 0.0
    assert simulated.commands[-1].header.stamp == time_to_msg(5_600_000_000)


def test_blind_perception_brakes(simulated):
    for stamp_ns, valid in ((5_000_000_000, True), (5_600_000_000, False)):
        simulated.tick(stamp_ns)
        simulated.know(odometry(stamp_ns), seen(stamp_ns, valid=valid))
        command = simulated.answer(trajectory(stamp_ns))
    assert 'perception blind for 0.6 s' in command.reason


def drive(bench):
    """Until it presses the throttle: the jerk is limited, and a repeat may have taken the first tenth of a second."""
    now_ns, throttle = bench.node.now_ns(), 0.0
    for stamp_ns in range(now_ns, now_ns + 1_000_000_000, 100_000_000):
        bench.tick(stamp_ns)
        bench.know(odometry(stamp_ns, speed_mps=5.0))
        throttle = bench.answer(trajectory(stamp_ns)).throttle
        if throttle > 0.0:
            break
    assert throttle > 0.0


@pytest.mark.parametrize(
    ('way_out', 'reason'),
    [
        (lambda node: node.trigger_deactivate(), 'control_node is deactivated'),
        (lambda node: node.trigger_shutdown(), 'control_node is shut down'),
    ],
)
def test_its_last_word_is_full_brake_and_hold(simulated, way_out, reason):
    drive(simulated)
    way_out(simulated.node)
    simulated.node.last_word()  # the process ends after every other way out
    simulated.harness.spin_until(lambda: simulated.commands[-1].brake == 1.0)
    simulated.harness.spin_for(0.05)
    command = simulated.commands[-1]
    assert (command.throttle, command.brake, command.hold, command.first_of_plan) == (0.0, 1.0, True, False)
    assert command.reason == reason


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_full_brake_behind(number):
    with ros() as harness:
        commands = harness.listen(VehicleCommand, '/control_node/output/command', 100)
        command = [sys.executable, '-m', 'moe_bev_ros.nodes.control_node', '--ros-args', '-p', 'autostart:=true']
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        harness.spin_until(lambda: commands, 20.0)
        process.send_signal(number)
        harness.spin_until(lambda: commands[-1].reason == 'control_node ends')
        assert (commands[-1].throttle, commands[-1].brake, commands[-1].hold) == (0.0, 1.0, True)
        assert process.wait(10.0) == 0


def test_it_comes_back_after_cleanup(real):
    for transition in (real.node.trigger_deactivate, real.node.trigger_cleanup):
        assert transition() == TransitionCallbackReturn.SUCCESS
    real.commands.clear()
    for transition in (real.node.trigger_configure, real.node.trigger_activate):
        assert transition() == TransitionCallbackReturn.SUCCESS
    real.harness.spin_until(lambda: len(real.commands) > 3)


def test_a_malformed_pedal_map_leaves_the_node_unconfigured(tmp_path):
    path = tmp_path / 'brake.csv'
    path.write_text('default,0,10\n0,0,x\n')
    with ros({'brake_map': str(path)}) as harness:
        node = harness.start(ControlNode, activate=False)
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        assert node.state_id == State.PRIMARY_STATE_UNCONFIGURED


def test_a_parameter_out_of_range_is_refused():
    with ros({'plan_timeout_s': 99.0}), pytest.raises(InputError, match='plan_timeout_s'):
        ControlNode()


def test_tuning_changes_live_and_contradictions_are_refused(real):
    assert real.node.set_parameters([Parameter('plan_timeout_s', value=0.3)])[0].successful
    assert real.node.params.safety().plan_timeout_s == 0.3
    refused = real.node.set_parameters([Parameter('min_lookahead_m', value=30.0)])[0]
    assert not refused.successful
    assert 'max_lookahead_m' in refused.reason
    assert rclpy.ok()


def test_of_the_plans_that_wait_the_newest_is_followed_and_the_others_are_counted(simulated):
    plans = simulated.harness.talk(Trajectory, '/control_node/input/trajectory', FRAME_QOS)
    simulated.know(odometry(5_000_000_000))
    dropped = simulated.node.counters['dropped_by_policy']
    for stamp_ns in range(5_000_000_000, 5_005_000_000, 1_000_000):
        plans.publish(trajectory(stamp_ns))
    last = time_to_msg(5_004_000_000)
    simulated.harness.spin_until(lambda: simulated.answers() and simulated.answers()[-1].header.stamp == last)
    assert len(simulated.answers()) + simulated.node.counters['dropped_by_policy'] - dropped == 5
