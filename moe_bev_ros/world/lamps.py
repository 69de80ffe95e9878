"""Which lamps shine on the ground: street lamps among the props, headlights of actors and of the ego vehicle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.scene import Actor, Prop

# Rows are those of `shadows`: place, direction (0, 0: all around), distance of half the light [m], strength 0..255.
STREET_LAMP_REACH_M, STREET_LAMP_STRENGTH, STREET_LAMP_LEAST_M = 6.0, 170.0, 3.0
HEADLIGHT_REACH_M, HEADLIGHT_STRENGTH = 14.0, 230.0
WITH_HEADLIGHTS = frozenset({Label.CAR, Label.TRUCK, Label.BUS, Label.CONSTRUCTION_VEHICLE, Label.MOTORCYCLE})
DRIVING_MPS = 0.3
EGO_FRONT_M = 3.6  # ahead of base_link


def street_lamps(props: Sequence[Prop]) -> Array:
    """(N, 6) the props' glowing parts that hang high."""
    rows = [
        (
            prop.x + np.cos(prop.yaw_rad) * part.centre_3[0] - np.sin(prop.yaw_rad) * part.centre_3[1],
            prop.y + np.sin(prop.yaw_rad) * part.centre_3[0] + np.cos(prop.yaw_rad) * part.centre_3[1],
            0.0, 0.0, STREET_LAMP_REACH_M, STREET_LAMP_STRENGTH,
        )
        for prop in props
        for part in prop.parts
        if part.glow >= 0.3 and part.centre_3[2] > STREET_LAMP_LEAST_M
    ]  # fmt: skip
    return np.array(rows, np.float64).reshape(-1, 6)


def headlights(actors: Sequence[Actor], map_se3_base_link: Array) -> Array:
    """(N, 6) of the actors that drive, and of the ego vehicle."""
    x, y, along_x, along_y = (float(value) for value in (*map_se3_base_link[:2, 3], *map_se3_base_link[:2, 0]))
    rows = [_beam(x, y, along_x, along_y, EGO_FRONT_M)]
    for actor in actors:
        if actor.body.label in WITH_HEADLIGHTS and actor.speed_mps > DRIVING_MPS:
            front = 0.5 * actor.body.size_3[0]
            rows.append(_beam(actor.x, actor.y, float(np.cos(actor.yaw_rad)), float(np.sin(actor.yaw_rad)), front))
    return np.array(rows, np.float64)


def _beam(x: float, y: float, along_x: float, along_y: float, front_m: float) -> tuple[float, ...]:
    return (x + front_m * along_x, y + front_m * along_y, along_x, along_y, HEADLIGHT_REACH_M, HEADLIGHT_STRENGTH)
