"""Where somebody touches the ego."""

from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.objects import Label
from moe_bev_ros.world.collision import Side, contact_side
from moe_bev_ros.world.scene import Actor, Body

CAR = Body(Label.CAR, (4.6, 1.9, 1.6), ())


@pytest.mark.parametrize(
    ('x', 'y', 'yaw', 'side'),
    [
        (4.4, 0.3, 0.0, Side.FRONT),
        (-4.4, 0.5, 0.1, Side.REAR),
        (0.5, 1.8, 0.0, Side.LEFT),
        (0.0, -3.1, np.pi / 2, Side.RIGHT),
        (3.1, 0.0, np.pi / 2, Side.FRONT),
    ],
)
@pytest.mark.parametrize('turn', [0.0, 1.0, -2.5])
def test_the_side_is_the_one_that_the_other_came_in_by(x, y, yaw, side, turn):
    cos, sin = np.cos(turn), np.sin(turn)
    other = Actor(2, CAR, cos * x - sin * y, sin * x + cos * y, yaw + turn)
    assert contact_side(Actor(1, CAR, 0.0, 0.0, turn), other) is side
