"""The autopilot drives the demo's street with true objects, without ROS and without sensors."""

import numpy as np
import pytest

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.objects import Detections, Label, Scene
from moe_bev_ros.perception.tracker import Tracker
from moe_bev_ros.planning.planner import PlannerConfig
from moe_bev_ros.planning.planners import PLANNERS
from moe_bev_ros.world.autopilot import FRAME_STEPS, Autopilot, ego_motion, make_controller, shipped_pedals, true_scene
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scenario import make_scenario
from moe_bev_ros.world.simulation import STEP_NS, World

RIG = Rig(cameras=(), image_width=16, image_height=16)


def autopilot_of(seed=2, planner='idm'):
    vehicle = Vehicle()
    world = World(make_scenario(seed), shipped_pedals(), RIG, vehicle)
    return Autopilot(world, PLANNERS[planner](PlannerConfig()), make_controller('pure_pursuit', vehicle))


def drive(autopilot, seconds, latency_s=0.0):
    rows = []
    for _ in range(round(10 * seconds)):
        autopilot.frame(true_scene(autopilot.world), latency_s)
        rows.append((autopilot.world.ego.x, autopilot.world.ego.y, autopilot.world.ego.speed_mps, autopilot.command.brake))
    autopilot.world.close()
    return np.array(rows)


def test_it_drives_with_true_objects_and_touches_nothing():
    autopilot = autopilot_of()
    rows = drive(autopilot, 20.0)
    assert rows[-1, 0] > 70.0
    assert autopilot.world.truth().collisions == 0


def test_it_stops_with_room_for_a_child_that_comes_into_sight_late_and_looks_like_a_cone_at_first():
    autopilot, tracker = autopilot_of(seed=4), Tracker()
    world, front_m, sights = autopilot.world, autopilot.world.vehicle.front_m, 0
    child_id = next(
        actor.track_id for actor in world.scene.actors if actor.body.label is Label.PEDESTRIAN and not actor.speed_mps
    )
    gaps_m = []
    for _ in range(100):
        x, y, *size_and_yaw = next(item.box_7 for item in true_scene(world).objects if item.track_id == child_id)
        boxes_n7, labels_n = np.zeros((0, 7), np.float32), np.zeros(0, np.uint8)
        if 0.0 < x < front_m + 14.0:
            sights += 1
            label = Label.TRAFFIC_CONE if sights <= 3 else Label.PEDESTRIAN
            boxes_n7, labels_n = np.array([(x, y, *size_and_yaw)], np.float32), np.array([label], np.uint8)
        scores_n, velocities_n2 = np.full(len(labels_n), 0.3, np.float32), np.full((len(labels_n), 2), np.nan, np.float32)
        objects = tracker.update(Detections(boxes_n7, labels_n, scores_n, velocities_n2), world.stamp_ns, ego_motion(world))
        autopilot.frame(Scene(world.stamp_ns, objects, True, True, True))
        if abs(y) < 1.2 and x > 0.0:
            gaps_m.append(x - 0.5 * max(size_and_yaw[1:3]) - front_m)
    world.close()
    assert sights > 10
    assert min(gaps_m) > 1.0
    assert world.truth().collisions == 0


def test_two_runs_are_equal_to_the_last_bit():
    assert np.array_equal(drive(autopilot_of(), 6.0), drive(autopilot_of(), 6.0))


def test_with_latency_older_plans_are_followed():
    oldest_ns = []
    for latency_s in (0.0, 0.3):
        autopilot, ages = autopilot_of(), []
        for _ in range(10):
            autopilot.decide(true_scene(autopilot.world), latency_s)
            for _ in range(FRAME_STEPS):
                autopilot.step()
                ages.append(autopilot.world.stamp_ns - STEP_NS - autopilot.plan.stamp_ns)
        oldest_ns.append(max(ages))
    assert oldest_ns == [80_000_000, 380_000_000]


@pytest.mark.parametrize('latency_s', [0.02, 0.05])
def test_a_part_of_a_step_counts_as_a_whole_one(latency_s):
    autopilot = autopilot_of()
    first = autopilot.frame(true_scene(autopilot.world))
    plan = autopilot.decide(true_scene(autopilot.world), latency_s)
    waited = 0
    while autopilot.plan is first:
        autopilot.step()
        waited += 1
    assert autopilot.plan is plan
    assert waited == np.ceil(latency_s / 0.02) + 1  # the plan is taken at the beginning of a step


def test_true_objects_stand_where_the_actors_do():
    world = autopilot_of().world
    scene, actors = true_scene(world, 60.0), {actor.track_id: actor for actor in world.truth().actors}
    assert 5 < len(scene.objects) < len(actors)
    for item in scene.objects:
        actor = actors[item.track_id]
        ego = world.ego
        cos, sin = np.cos(ego.yaw_rad), np.sin(ego.yaw_rad)
        x, y = ego.x + cos * item.box_7[0] - sin * item.box_7[1], ego.y + sin * item.box_7[0] + cos * item.box_7[1]
        assert np.allclose((x, y), (actor.x, actor.y), atol=1e-3)
        assert np.hypot(*item.velocity_2) == pytest.approx(actor.speed_mps, abs=1e-4)
        assert item.label is actor.body.label
    assert any(item.label is Label.PEDESTRIAN for item in scene.objects)
