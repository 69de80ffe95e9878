from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.objects import Label
from moe_bev_ros.world.conditions import Condition
from moe_bev_ros.world.scene import Actor, Body, Part, Scene

BODY = Body(Label.CAR, (4.0, 2.0, 1.5), ())


def test_an_actor_brakes_to_rest_and_never_rolls_back():
    actor = Actor(1, BODY, 0.0, 0.0, np.pi / 2, speed_mps=1.0).moved(1.0, acceleration_mps2=-5.0)
    assert actor.speed_mps == 0.0
    assert actor.y > 0.0
    assert abs(actor.x) < 1e-9


def test_the_annotated_box_stands_on_the_ground():
    assert Actor(1, BODY, 3.0, 4.0, 0.5).box_7.tolist() == pytest.approx([3.0, 4.0, 0.75, 4.0, 2.0, 1.5, 0.5])


def test_track_ids_are_unique_and_above_zero():
    actor = Actor(1, BODY, 0.0, 0.0, 0.0)
    with pytest.raises(ValueError, match='unique'):
        Scene((actor, actor), (), ())
    with pytest.raises(ValueError, match='above 0'):
        Scene((Actor(0, BODY, 0.0, 0.0, 0.0),), (), ())


def test_a_part_has_a_size():
    with pytest.raises(ValueError, match='above 0'):
        Part((0.0, 0.0, 0.0), (1.0, 0.0, 1.0), (0, 0, 0))


def test_the_sun_is_a_unit_vector_above_the_ground():
    direction = Condition(sun_azimuth_rad=1.0, sun_elevation_rad=0.5).sun_direction_3
    assert np.linalg.norm(direction) == pytest.approx(1.0)
    assert direction[2] > 0.0
