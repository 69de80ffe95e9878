"""The baseline that looks at nothing."""

from planning.closed_loop import actor, drive, ego_at, scene_of

from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.planning.constant_speed import ConstantSpeedPlanner
from moe_bev_ros.planning.planner import NO_GOAL, PlannerConfig


def test_it_drives_through_everything_up_to_its_goal():
    planner = ConstantSpeedPlanner(PlannerConfig(cruise_speed_mps=8.0))
    planner.set_goal(se3_from_xy_yaw(100.0, 0.0, 0.0))
    red = (TrafficLight(0, (30.0, 0.0), LightState.RED),)
    log = drive(planner, [actor(50.0, 0.0)], 22.0, lights=lambda _: red)
    assert 7.9 < log.speed.max() <= 8.0
    assert abs(log.x[-1] - 100.0) < 1.0
    assert log.speed[-1] == 0.0


def test_without_a_goal_it_stands():
    plan = ConstantSpeedPlanner(PlannerConfig()).update(scene_of(), ego_at(speed=5.0), 0.0)
    assert plan.reason == NO_GOAL
    assert plan.stop
