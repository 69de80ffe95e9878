import dataclasses

import numpy as np
import pytest
from control.test_emergency_braking import car
from control.vehicle_model import Bicycle, controller, cruise, profile

from moe_bev_ros.control.safety import SafetyEnvelope, SafetySettings, Situation
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan

NOW_S = 100.0


def envelope():
    return SafetyEnvelope(controller(), SafetySettings())


def scene(*objects, stamp_s=NOW_S, valid=True):
    return Scene(round(stamp_s * 1e9), objects, valid, True, True)


def situation(**changes):
    """All is well at 8 m/s."""
    base = Situation(NOW_S, True, cruise(8.0, 3.0, stamp_s=NOW_S), Bicycle(8.0).ego(NOW_S), scene())
    return dataclasses.replace(base, **changes)


def ego(speed_mps=8.0, age_s=0.0, **changes):
    return dataclasses.replace(Bicycle(speed_mps, **changes).ego(NOW_S), stamp_ns=round((NOW_S - age_s) * 1e9))


def plan(**changes):
    return dataclasses.replace(cruise(8.0, 3.0, stamp_s=NOW_S), **changes)


def nan_ego():
    return dataclasses.replace(ego(), speed_mps=float('nan'))


BACKWARDS = plan(
    points_t7=np.column_stack([np.arange(3.0), -np.arange(3.0), *np.zeros((2, 3)), -np.ones(3), *np.zeros((2, 3))])
)
TIMELESS = plan(points_t7=cruise(8.0, 3.0).points_t7 * np.array([0.0, 1, 1, 1, 1, 1, 1]))

DOUBTS = {
    'not engaged': {'engaged': False},
    'no plan': {'plan': None},
    'no odometry': {'ego': None},
    'plan is 0.60 s old': {'plan': cruise(8.0, 3.0, stamp_s=NOW_S - 0.6)},
    'plan is 0.70 s old': {'plan_silence_s': 0.7},
    'plan lies 1.00 s in the future': {'plan': cruise(8.0, 3.0, stamp_s=NOW_S + 1.0)},
    'odometry is 0.60 s old': {'ego': ego(age_s=0.6)},
    'odometry is 0.80 s old': {'ego_silence_s': 0.8},
    'odometry lies 2.00 s in the future': {'ego': ego(age_s=-2.0)},
    'no list of objects': {'scene': None},
    'the list of objects is 0.60 s old': {'scene': scene(stamp_s=NOW_S - 0.6)},
    'the list of objects is 0.90 s old': {'scene_silence_s': 0.9},
    'the list of objects lies 1.00 s in the future': {'scene': scene(stamp_s=NOW_S + 1.0)},
    'odometry is not finite': {'ego': nan_ego()},
    'the plan is in frame odom, the odometry in map': {'plan': plan(frame_id='odom')},
    'the plan is empty': {'plan': Plan(round(NOW_S * 1e9), 'map', np.zeros((0, 7)))},
    'the lane graph has no way': {
        'plan': Plan(round(NOW_S * 1e9), 'map', np.zeros((0, 7)), reason='the lane graph has no way')
    },
    'backwards': {'plan': BACKWARDS},
    'times of the plan do not rise': {'plan': TIMELESS},
    'the plan ended 0.10 s ago': {'plan': cruise(8.0, 0.25, stamp_s=NOW_S - 0.4)},
    '4.0 m beside the plan': {'ego': ego(y=4.0)},
    'heading 2.0 rad off the plan': {'ego': ego(yaw=2.0)},
}


def test_it_follows_a_plan_that_nothing_speaks_against():
    command = envelope().command(situation())
    assert (command.engaged, command.emergency, command.hold, command.reason) == (True, False, False, '')
    assert command.brake < 0.05


@pytest.mark.parametrize('reason', DOUBTS)
def test_on_a_doubt_it_brakes_and_says_why(reason):
    command = envelope().command(situation(**DOUBTS[reason]))
    assert reason in command.reason
    assert command.throttle == 0.0
    assert command.brake > 0.2
    assert not command.emergency


def test_without_our_perception_objects_are_welcome_but_not_needed():
    safety = SafetyEnvelope(controller(), SafetySettings(require_objects=False))
    assert safety.command(situation(scene=None)).reason == ''
    assert safety.command(situation(scene=scene(stamp_s=NOW_S - 9.0))).reason == ''
    assert safety.command(situation(scene=scene(car(10.0)))).emergency


def test_not_being_engaged_is_told_apart_from_what_must_not_be_engaged():
    safety = envelope()
    safety.command(situation(engaged=False))
    assert (safety.is_unsure, safety.doubts(situation(engaged=False))) == (False, [])
    safety.command(situation(plan=None))
    assert (safety.is_unsure, safety.doubts(situation(plan=None))) == (True, ['no plan'])
    safety.command(situation(plan=plan(emergency=True)))
    assert not safety.is_unsure


def test_it_drives_again_when_the_doubt_is_gone():
    safety = envelope()
    safety.command(situation(plan=None))
    assert safety.doubt == 'no plan'
    command = safety.command(situation(now_s=NOW_S + 0.02))
    assert safety.doubt == ''
    assert command.reason == ''


def test_at_standstill_a_doubt_holds():
    command = envelope().command(situation(engaged=False, ego=ego(0.0)))
    assert command.hold
    assert command.brake > 0.0


def test_several_doubts_are_all_named():
    command = envelope().command(Situation(NOW_S, engaged=False))
    assert command.reason == 'not engaged; call the engage service; no odometry; no plan; no list of objects'
    assert command.brake > 0.0


def test_blind_perception_is_a_doubt_only_when_it_lasts():
    safety = envelope()
    safety.command(situation())
    blind = {age: safety.command(situation(scene=scene(stamp_s=NOW_S + age, valid=False))) for age in (0.1, 0.6)}
    assert blind[0.1].reason == ''
    assert 'perception blind for 0.6 s' in blind[0.6].reason


def test_an_emergency_presses_the_brake_fully():
    command = envelope().command(situation(plan=plan(emergency=True, reason='pedestrian')))
    assert (command.brake, command.emergency, command.reason) == (1.0, True, 'pedestrian')


def test_an_obstacle_within_the_braking_distance_is_an_emergency():
    command = envelope().command(situation(scene=scene(car(10.0))))
    assert command.emergency
    assert command.brake == 1.0
    assert command.reason.startswith('car ')


def test_old_objects_trigger_no_emergency():
    assert not envelope().command(situation(scene=scene(car(10.0), stamp_s=NOW_S - 1.0))).emergency


def test_an_emergency_lasts_until_standstill():
    safety = envelope()
    safety.command(situation(scene=scene(car(10.0))))
    later = safety.command(situation(now_s=NOW_S + 0.1))
    unknown = safety.command(situation(now_s=NOW_S + 0.1, ego=None))
    standing = safety.command(situation(now_s=NOW_S + 0.2, ego=ego(0.0)))
    assert (later.emergency, later.brake) == (True, 1.0)
    assert (unknown.emergency, unknown.brake) == (True, 1.0)
    assert not standing.emergency


def test_a_jump_of_time_ends_no_emergency():
    safety = envelope()
    safety.command(situation(plan=plan(emergency=True, reason='wall')))
    safety.forget_times()
    command = safety.command(Situation(5.0, engaged=False))
    assert (command.emergency, command.brake, command.reason) == (True, 1.0, 'wall')
    standing = Bicycle().ego(5.1)
    assert not safety.command(Situation(5.1, engaged=False, ego=standing)).emergency


def test_its_last_word_is_full_brake_along_the_curve():
    safety = envelope()
    turning = cruise(8.0, 3.0, curvature=0.05, stamp_s=NOW_S)
    for step in range(10):
        steered = safety.command(situation(now_s=NOW_S + 0.02 * step, plan=turning)).steering_angle_rad
    command = safety.last_word('shut down')
    assert (command.brake, command.throttle, command.hold, command.reason) == (1.0, 0.0, True, 'shut down')
    assert command.steering_angle_rad == steered > 0.0


def test_reset_ends_an_emergency():
    safety = envelope()
    safety.command(situation(plan=plan(emergency=True)))
    safety.reset()
    assert not safety.command(situation()).emergency


def test_emergency_braking_stops_in_front_of_a_wall():
    safety, bicycle, wall_x = envelope(), Bicycle(12.0), 45.0
    for step in range(400):
        now_s = step * 0.02
        stamp_s = now_s // 0.1 * 0.1
        seen = scene(car(wall_x - bicycle.x), stamp_s=now_s)
        command = safety.command(Situation(now_s, True, cruise_from(bicycle, stamp_s), bicycle.ego(now_s), seen))
        bicycle.step(command, 0.02)
    gap_m = wall_x - 2.25 - bicycle.x - safety.controller.vehicle.front_m
    assert 0.0 < gap_m < 8.0


def cruise_from(bicycle, stamp_s):
    """A planner that sees no wall."""
    points = cruise(12.0, 3.0).points_t7 + np.array([0.0, bicycle.x, 0, 0, 0, 0, 0])
    return Plan(round(stamp_s * 1e9), 'map', points)


def test_a_stopped_plan_does_not_end():
    safety = envelope()
    stopped = dataclasses.replace(profile([0.0] * 3, stop=True), stamp_ns=round((NOW_S - 0.4) * 1e9))
    command = safety.command(situation(plan=stopped, ego=ego(0.0)))
    assert safety.doubt == ''
    assert command.hold
