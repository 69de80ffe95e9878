"""When control_node drives: engaged by a call, disengaged by jumps of time, lasting doubts and restarts."""

import time

import pytest
from nodes.control_bench import SIMULATED, Bench, odometry, simulated_bench, trajectory

from harness import ros
from moe_bev_ros.nodes.convert import time_to_msg


@pytest.fixture
def simulated():
    with simulated_bench() as bench:
        yield bench


@pytest.fixture
def real():
    with ros() as harness:
        yield Bench(harness)


def test_time_that_jumps_back_forgets_the_plan(simulated):
    simulated.know(odometry(5_000_000_000))
    simulated.answer(trajectory(5_000_000_000))
    simulated.tick(1_000_000_000)
    simulated.tick(1_040_000_000)
    simulated.harness.spin_until(lambda: 'no plan' in simulated.commands[-1].reason)
    assert not simulated.commands[-1].engaged
    simulated.engage(1_100_000_000)
    simulated.tick(1_200_000_000)
    simulated.know(odometry(1_200_000_000))
    assert simulated.answer(trajectory(1_200_000_000)).reason == ''


def test_a_jump_of_time_ends_no_emergency_but_a_fresh_start_does(simulated):
    simulated.know(odometry(5_000_000_000))
    assert simulated.answer(trajectory(5_000_000_000, emergency=True, reason='wall')).emergency
    simulated.tick(1_000_000_000)
    simulated.know(odometry(1_100_000_000))
    simulated.tick(1_100_000_000)
    command = simulated.answer(trajectory(1_100_000_000))
    assert (command.emergency, command.reason, command.engaged) == (True, 'wall', False)
    simulated.node.trigger_deactivate()
    simulated.node.trigger_activate()
    simulated.know(odometry(1_200_000_000))
    simulated.tick(1_200_000_000)
    assert not simulated.answer(trajectory(1_200_000_000)).emergency


def test_what_could_not_be_followed_is_not_engaged():
    with ros(SIMULATED) as harness:
        bench = Bench(harness)
        result = bench.call(True)
        assert not result.success
        assert result.message == 'cannot engage: no odometry; no plan; no list of objects'
        bench.engage(5_000_000_000)
        bench.tick(5_100_000_000)
        bench.know(odometry(5_100_000_000))
        bench.answer(trajectory(5_100_000_000, points=[], reason='no way to the goal'))
        assert bench.call(True).message == 'cannot engage: no way to the goal'
        harness.spin_until(lambda: not bench.commands[-1].engaged)
        bench.know(odometry(5_200_000_000))
        assert 'not engaged' in bench.answer(trajectory(5_200_000_000)).reason


def test_a_doubt_disengages_only_when_it_lasts(simulated):
    def repeat(stamp_ns):
        simulated.tick(stamp_ns)
        simulated.harness.spin_until(
            lambda: simulated.commands and simulated.commands[-1].header.stamp == time_to_msg(stamp_ns)
        )
        return simulated.commands[-1]

    assert repeat(10_000_000_000).brake > 0.0
    assert repeat(12_800_000_000).engaged
    simulated.know(odometry(12_800_000_000))
    assert simulated.answer(trajectory(12_800_000_000)).reason == ''
    assert repeat(20_700_000_000).engaged
    repeat(20_900_000_000)
    assert not repeat(21_000_000_000).engaged
    simulated.know(odometry(21_000_000_000))
    assert 'not engaged' in simulated.answer(trajectory(21_000_000_000)).reason


def test_an_emergency_that_lasts_is_no_doubt(simulated):
    for stamp_s in range(5, 20):
        stamp_ns = stamp_s * 1_000_000_000
        simulated.tick(stamp_ns)
        simulated.know(odometry(stamp_ns, speed_mps=0.0))
        command = simulated.answer(trajectory(stamp_ns, emergency=True, reason='pedestrian'))
    assert (command.emergency, command.engaged) == (True, True)


def test_in_real_time_it_drives_once_engaged_and_brakes_when_the_plans_end(real):
    now_ns = time.time_ns()
    real.know(odometry(now_ns))
    assert 'not engaged' in real.answer(trajectory(now_ns)).reason
    assert real.call(True).success
    real.harness.spin_until(lambda: real.commands[-1].engaged)
    now_ns = time.time_ns()
    real.know(odometry(now_ns))
    assert real.answer(trajectory(now_ns)).reason == ''
    real.harness.spin_until(lambda: 'plan is' in real.commands[-1].reason and 'odometry is' in real.commands[-1].reason)
    assert real.commands[-1].brake > 0.0
    assert real.call(False).success
    real.harness.spin_until(lambda: not real.commands[-1].engaged)


def test_after_a_restart_it_is_not_engaged(real):
    now_ns = time.time_ns()
    real.know(odometry(now_ns))
    real.answer(trajectory(now_ns))
    assert real.call(True).success
    real.node.trigger_deactivate()
    assert not real.call(True).success
    real.node.trigger_activate()
    real.commands.clear()
    real.harness.spin_until(lambda: real.commands)
    assert not real.commands[-1].engaged
