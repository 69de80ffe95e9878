"""Bodies of road users, each of several parts, with sizes and colours drawn from a generator."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.world.scene import Body, Colour, Part, Shape, Texture

PAINTS: tuple[Colour, ...] = (
    (196, 32, 36),
    (28, 74, 148),
    (232, 232, 228),
    (38, 40, 44),
    (150, 156, 162),
    (226, 170, 34),
    (36, 104, 70),
    (122, 58, 38),
    (90, 132, 170),
)
CLOTHES: tuple[Colour, ...] = ((184, 44, 58), (40, 84, 160), (228, 190, 60), (48, 120, 80), (222, 222, 222), (70, 60, 110))
SKIN: tuple[Colour, ...] = ((236, 196, 164), (190, 138, 100), (112, 76, 54))
RUBBER: Colour = (26, 26, 28)
GLASS: Colour = (46, 58, 70)


def _choose(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _wheels(half_base_m: float, half_track_m: float, radius_m: float, width_m: float) -> tuple[Part, ...]:
    return tuple(
        Part((x, y, radius_m), (2 * radius_m, width_m, 2 * radius_m), RUBBER, 0.08, Shape.WHEEL)
        for x in (half_base_m, -half_base_m)
        for y in (half_track_m, -half_track_m)
    )


def _lamps(length_m: float, width_m: float, z_m: float) -> tuple[Part, ...]:
    """Head lamps in front, red lamps and a number plate behind."""
    x, y = length_m / 2, width_m / 2 - 0.22
    head = tuple(Part((x - 0.03, side * y, z_m), (0.08, 0.34, 0.13), (250, 246, 224), 0.6, glow=0.6) for side in (1, -1))
    tail = tuple(Part((-x + 0.03, side * y, z_m + 0.08), (0.08, 0.3, 0.16), (214, 22, 20), 0.8, glow=0.5) for side in (1, -1))
    plate = Part((-x + 0.02, 0.0, z_m - 0.16), (0.06, 0.5, 0.12), (238, 238, 230), 0.95)
    return (*head, *tail, plate)


def car(rng: np.random.Generator) -> Body:
    """A passenger car: hull, cabin of glass, roof, bumpers, wheels, lamps."""
    length, width, height = rng.uniform(4.1, 4.8), rng.uniform(1.74, 1.92), rng.uniform(1.42, 1.66)
    paint = _choose(rng, PAINTS)
    belt, cabin = 0.58 * height, length * rng.uniform(0.56, 0.66)
    shift = -0.04 * length
    parts = (
        Part((0.0, 0.0, (0.24 + belt) / 2), (length - 0.08, width, belt - 0.24), paint, 0.45),
        Part(
            (shift, 0.0, (belt + height) / 2 - 0.02),
            (cabin, width - 0.1, height - belt - 0.04),
            GLASS,
            0.2,
            Shape.CABIN,
            0.0,
            Texture.GLASS,
        ),
        Part((shift, 0.0, height - 0.03), (cabin * 0.68, width * 0.79, 0.06), paint, 0.45),
        Part((length / 2 - 0.1, 0.0, 0.36), (0.2, width - 0.06, 0.26), (34, 35, 38), 0.2),
        Part((-length / 2 + 0.1, 0.0, 0.36), (0.2, width - 0.06, 0.26), (34, 35, 38), 0.2),
        *_wheels(0.3 * length, width / 2 - 0.1, 0.33, 0.22),
        *_lamps(length, width, 0.66),
    )
    return Body(Label.CAR, (float(length), float(width), float(height)), parts)


def truck(rng: np.random.Generator) -> Body:
    """A box truck: cab, windscreen, load, chassis, wheels, lamps."""
    length, width, height = rng.uniform(6.4, 8.6), rng.uniform(2.3, 2.5), rng.uniform(2.9, 3.5)
    paint, load = _choose(rng, PAINTS), _choose(rng, ((236, 236, 230), (210, 214, 218), (226, 200, 120), (120, 150, 190)))
    front = length / 2
    parts = (
        Part((front - 0.9, 0.0, 1.35), (1.8, width - 0.1, 1.7), paint, 0.4),
        Part((front - 0.86, 0.0, 2.05), (1.78, width - 0.06, 0.6), GLASS, 0.2, Shape.BOX, 0.0, Texture.GLASS),
        Part((front - 1.0, 0.0, 2.42), (1.5, width - 0.2, 0.2), paint, 0.4),
        Part((-0.95, 0.0, (0.95 + height) / 2), (length - 2.0, width, height - 0.95), load, 0.5),
        Part((-0.3, 0.0, 0.75), (length - 0.9, width - 0.5, 0.36), (44, 44, 46), 0.15),
        *_wheels(0.32 * length, width / 2 - 0.16, 0.46, 0.3),
        *_lamps(length, width, 0.8),
    )
    return Body(Label.TRUCK, (float(length), float(width), float(height)), parts)


def pedestrian(rng: np.random.Generator) -> Body:
    """Somebody walking: legs apart, torso, arms, head."""
    height = rng.uniform(1.58, 1.92)
    shirt, trousers, skin = _choose(rng, CLOTHES), _choose(rng, ((44, 50, 66), (70, 62, 54), (30, 32, 36))), _choose(rng, SKIN)
    leg, torso = 0.48 * height, 0.36 * height
    parts = (
        Part((0.12, 0.1, leg / 2), (0.17, 0.16, leg), trousers, 0.25, Shape.CYLINDER),
        Part((-0.12, -0.1, leg / 2), (0.17, 0.16, leg), trousers, 0.25, Shape.CYLINDER),
        Part((0.0, 0.0, leg + torso / 2), (0.28, 0.44, torso + 0.06), shirt, 0.35, Shape.CYLINDER),
        Part((-0.1, 0.26, leg + torso * 0.5), (0.12, 0.11, torso * 0.95), shirt, 0.35, Shape.CYLINDER),
        Part((0.1, -0.26, leg + torso * 0.5), (0.12, 0.11, torso * 0.95), shirt, 0.35, Shape.CYLINDER),
        Part((0.02, 0.0, height - 0.125), (0.22, 0.2, 0.25), skin, 0.4, Shape.ELLIPSOID),
        Part((-0.01, 0.0, height - 0.07), (0.24, 0.21, 0.16), (48, 36, 28), 0.2, Shape.ELLIPSOID),
    )
    return Body(Label.PEDESTRIAN, (0.6, 0.64, float(height)), parts)


def bicycle(rng: np.random.Generator) -> Body:
    """A bicycle with its rider."""
    frame, shirt, skin = _choose(rng, PAINTS), _choose(rng, CLOTHES), _choose(rng, SKIN)
    height = rng.uniform(1.65, 1.8)
    parts = (
        Part((0.52, 0.0, 0.34), (0.68, 0.05, 0.68), RUBBER, 0.1, Shape.WHEEL),
        Part((-0.52, 0.0, 0.34), (0.68, 0.05, 0.68), RUBBER, 0.1, Shape.WHEEL),
        Part((0.0, 0.0, 0.6), (0.9, 0.06, 0.1), frame, 0.6),
        Part((0.42, 0.0, 0.95), (0.08, 0.52, 0.06), (40, 40, 44), 0.5),
        Part((-0.08, 0.12, 0.68), (0.2, 0.16, 0.66), (44, 50, 66), 0.25, Shape.CYLINDER),
        Part((-0.02, -0.12, 0.74), (0.2, 0.16, 0.6), (44, 50, 66), 0.25, Shape.CYLINDER),
        Part((0.02, 0.0, 1.2), (0.36, 0.4, 0.6), shirt, 0.35, Shape.ELLIPSOID),
        Part((0.16, 0.0, height - 0.13), (0.23, 0.2, 0.26), skin, 0.4, Shape.ELLIPSOID),
        Part((0.14, 0.0, height - 0.06), (0.27, 0.22, 0.14), (230, 70, 40), 0.5, Shape.ELLIPSOID),
    )
    return Body(Label.BICYCLE, (1.75, 0.6, float(height)), parts)


def cone(rng: np.random.Generator) -> Body:
    """A traffic cone with a white sleeve on a black foot."""
    height = rng.uniform(0.62, 0.8)
    parts = (
        Part((0.0, 0.0, 0.03), (0.4, 0.4, 0.06), RUBBER, 0.1),
        Part((0.0, 0.0, height / 2 + 0.03), (0.32, 0.32, height - 0.06), (240, 94, 24), 0.6, Shape.CONE),
        Part((0.0, 0.0, height * 0.55), (0.19, 0.19, 0.14), (245, 245, 240), 0.95, Shape.CYLINDER),
    )
    return Body(Label.TRAFFIC_CONE, (0.4, 0.4, float(height)), parts)
