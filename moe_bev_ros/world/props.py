"""Things at the roadside that never move, and the body of a traffic light."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.scene import Colour, Part, Prop, Shape, Signal, Texture

FACADES: tuple[Colour, ...] = (
    (198, 178, 150),
    (170, 120, 100),
    (188, 190, 192),
    (214, 200, 170),
    (150, 152, 160),
    (206, 164, 128),
)
LEAVES: tuple[Colour, ...] = ((72, 120, 50), (92, 134, 56), (58, 102, 52), (120, 136, 60))
STEEL: Colour = (120, 124, 128)
LAMPS: tuple[tuple[LightState, float, Colour], ...] = (
    (LightState.RED, 0.32, (255, 48, 36)),
    (LightState.AMBER, 0.0, (255, 190, 40)),
    (LightState.GREEN, -0.32, (60, 255, 120)),
)


def building(rng: np.random.Generator, x: float, y: float, yaw_rad: float, length_m: float, depth_m: float) -> Prop:
    """A house with rows of windows, a plinth and a flat roof."""
    height = float(rng.uniform(7.0, 17.0))
    colour = FACADES[int(rng.integers(len(FACADES)))]
    parts = (
        Part((0.0, 0.0, height / 2), (length_m, depth_m, height), colour, 0.4, texture=Texture.FACADE),
        Part((0.0, 0.0, 0.35), (length_m + 0.2, depth_m + 0.2, 0.7), (112, 108, 104), 0.35),
        Part((0.0, 0.0, height + 0.15), (length_m + 0.5, depth_m + 0.5, 0.3), (92, 84, 80), 0.3),
    )
    return Prop(x, y, yaw_rad, parts)


def tree(rng: np.random.Generator, x: float, y: float) -> Prop:
    """A trunk and three overlapping balls of leaves."""
    trunk, crown = float(rng.uniform(1.6, 2.4)), float(rng.uniform(2.2, 3.6))
    leaves = LEAVES[int(rng.integers(len(LEAVES)))]
    parts = [Part((0.0, 0.0, trunk / 2 + 0.3), (0.3, 0.3, trunk + 0.6), (92, 70, 50), 0.3, Shape.CYLINDER)]
    for angle in (0.4, 2.5, 4.6):
        offset = 0.22 * crown
        centre = (offset * float(np.cos(angle)), offset * float(np.sin(angle)), trunk + crown * (0.42 + 0.05 * angle))
        parts.append(
            Part(centre, (0.82 * crown, 0.82 * crown, 0.86 * crown), leaves, 0.35, Shape.ELLIPSOID, 0.0, Texture.FOLIAGE)
        )
    return Prop(x, y, float(rng.uniform(0.0, 6.28)), tuple(parts))


def lamp_post(x: float, y: float, yaw_rad: float) -> Prop:
    """A street lamp whose arm points along ``yaw_rad``."""
    parts = (
        Part((0.0, 0.0, 3.0), (0.16, 0.16, 6.0), STEEL, 0.5, Shape.CYLINDER),
        Part((0.75, 0.0, 5.95), (1.6, 0.1, 0.1), STEEL, 0.5),
        Part((1.5, 0.0, 5.88), (0.6, 0.22, 0.12), (220, 220, 210), 0.5),
    )
    return Prop(x, y, yaw_rad, parts)


def bush(rng: np.random.Generator, x: float, y: float) -> Prop:
    """Leaves down to the ground."""
    size = float(rng.uniform(0.8, 1.6))
    part = Part(
        (0.0, 0.0, 0.35 * size), (size, size, 0.9 * size), LEAVES[int(rng.integers(len(LEAVES)))], 0.35, Shape.ELLIPSOID
    )
    return Prop(x, y, 0.0, (part,))


def traffic_light_parts(light: Signal) -> tuple[Part, ...]:
    """Pole, arm, housing and three lamps, of which the one of ``light.state`` shines; the lamps look along local x."""
    pole = Part((0.0, 0.0, 2.6), (0.16, 0.16, 5.2), (70, 74, 78), 0.4, Shape.CYLINDER)
    heads: list[Part] = [Part((0.0, -1.4, 5.1), (0.1, 2.9, 0.1), (70, 74, 78), 0.4)]
    for y, z in ((0.0, 2.9), (-2.7, 4.7)):
        heads.append(Part((0.05, y, z), (0.26, 0.42, 1.16), (30, 32, 34), 0.15))
        for state, dz, colour in LAMPS:
            lit = state is light.state
            shown = colour if lit else (colour[0] // 5, colour[1] // 5, colour[2] // 5)
            heads.append(Part((0.17, y, z + dz), (0.1, 0.28, 0.28), shown, 0.3, Shape.ELLIPSOID, glow=1.0 if lit else 0.0))
    return (pole, *heads)
