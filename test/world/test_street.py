"""The stack without ROS drives through the streets of the demo."""

import numpy as np
import pytest
from world.street import Street

SECONDS = 29.0
NEAR_THE_CROSSING_M = 12.0


@pytest.fixture(scope='module', params=[2, 3], ids=lambda seed: f'seed {seed}')
def moments(request):
    """(N, 6) time, x, speed, gap to the stopped car, collisions, ghosts; and the reasons, frame by frame."""
    street, rows, reasons = Street(request.param), [], []
    for moment in street.drive(SECONDS):
        world = moment.world
        pedestrian, stopped = world.scene.actors[:2]
        gap_m = stopped.x - stopped.body.size_3[0] / 2 - world.ego.x - world.vehicle.front_m
        ahead_m = pedestrian.x - world.ego.x - world.vehicle.front_m
        near = 0.0 < ahead_m < NEAR_THE_CROSSING_M and abs(pedestrian.y) < 3.0
        rows.append((world.time_s, world.ego.x, world.ego.speed_mps, gap_m, world.collisions, near, *ghosts(moment)))
        reasons.append(moment.plan.reason)
    street.world.close()
    return np.array(rows), reasons


def ghosts(moment):
    """How many tracks of things that stand seem to move, of how many."""
    ego, movers = moment.world.ego, [actor for actor in moment.world.scene.actors if actor.speed_mps > 0.2]
    places = np.array([(actor.x, actor.y, actor.body.size_3[0]) for actor in movers])
    moving = standing = 0
    for item in moment.scene.objects:
        away_m = np.hypot(places[:, 0] - ego.x - item.box_7[0], places[:, 1] - ego.y - item.box_7[1])
        if (away_m > 0.5 * places[:, 2] + 0.5 * max(item.box_7[3:5]) + 0.5).all():
            standing += 1
            moving += bool(np.hypot(*item.velocity_2) > 0.5)
    return moving, standing


def test_it_drives_80_m_in_20_s_without_a_collision(moments):
    rows, _ = moments
    assert rows[200, 1] >= 80.0
    assert rows[-1, 4] == 0


def test_it_lets_the_pedestrian_cross(moments):
    rows, reasons = moments
    assert any(reason.startswith('crossing pedestrian') for reason in reasons)
    assert rows[rows[:, 5] > 0, 2].min() < 0.5


def test_it_stands_behind_the_stopped_car(moments):
    rows, _ = moments
    last = rows[-10:]
    assert (last[:, 2] == 0.0).all()
    assert ((last[:, 3] > 2.0) & (last[:, 3] < 6.0)).all()


def test_few_of_the_things_that_stand_seem_to_move(moments):
    rows, _ = moments
    assert rows[:, 6].sum() < 0.03 * rows[:, 7].sum()
