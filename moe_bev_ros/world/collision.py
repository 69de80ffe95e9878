"""What is to be known about a collision to say who is to blame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.world.scene import Actor


class Side(Enum):
    """Of the ego vehicle."""

    FRONT = 'front'
    LEFT = 'left'
    RIGHT = 'right'
    REAR = 'rear'


@dataclass(frozen=True)
class Collision:
    """The ego begins to overlap with somebody.

    Attributes:
        ego_speed_mps, other_speed_mps: each along its own heading.
        side: where the ego is touched.
    """

    time_s: float
    track_id: int
    label: Label
    ego_speed_mps: float
    other_speed_mps: float
    other_yaw_rad: float
    side: Side


def contact_side(ego: Actor, other: Actor) -> Side:
    """The side of the ego that the other's footprint has entered least deeply, and so came in by."""
    cos, sin = np.cos(ego.yaw_rad), np.sin(ego.yaw_rad)
    dx, dy = other.x - ego.x, other.y - ego.y
    along, aside = dx * cos + dy * sin, dy * cos - dx * sin
    turn = other.yaw_rad - ego.yaw_rad
    half_length, half_width = 0.5 * other.body.size_3[0], 0.5 * other.body.size_3[1]
    reach_x = half_length * abs(np.cos(turn)) + half_width * abs(np.sin(turn))
    reach_y = half_length * abs(np.sin(turn)) + half_width * abs(np.cos(turn))
    own_x, own_y = 0.5 * ego.body.size_3[0], 0.5 * ego.body.size_3[1]
    depths = {
        Side.FRONT: own_x - (along - reach_x),
        Side.REAR: own_x + (along + reach_x),
        Side.LEFT: own_y - (aside - reach_y),
        Side.RIGHT: own_y + (aside + reach_y),
    }
    return min(depths, key=lambda side: float(depths[side]))
