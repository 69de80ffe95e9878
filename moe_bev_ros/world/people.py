"""Bodies of people, and of what they ride: pedestrians, motorcycles and bicycles, heading along x."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.world.body_parts import BLACK, HEADLAMP, PLATE, RUBBER, STEEL, TAIL_LAMP, Mould, Span, choose
from moe_bev_ros.world.scene import Colour, Part, Shape
from moe_bev_ros.world.styles import HELD_OUT_STYLE

CLOTHES: tuple[Colour, ...] = ((184, 44, 58), (40, 84, 160), (228, 190, 60), (48, 120, 80), (222, 222, 222), (70, 60, 110))
PALE_CLOTHES: tuple[Colour, ...] = ((236, 232, 220), (214, 196, 160), (180, 120, 70), (120, 150, 160))
TROUSERS: tuple[Colour, ...] = ((44, 50, 66), (70, 62, 54), (30, 32, 36), (120, 112, 96))
SKIN: tuple[Colour, ...] = ((236, 196, 164), (190, 138, 100), (112, 76, 54))
HAIR: tuple[Colour, ...] = ((48, 36, 28), (24, 22, 22), (150, 120, 70), (150, 150, 150))
HELMETS: tuple[Colour, ...] = ((230, 70, 40), (240, 240, 240), (30, 32, 36), (60, 120, 200))
BAGS: tuple[Colour, ...] = ((60, 52, 44), (150, 40, 40), (40, 70, 60), (30, 34, 60))


def _shirt(mould: Mould, rng: np.random.Generator) -> Colour:
    return choose(rng, PALE_CLOTHES if mould.style == HELD_OUT_STYLE else CLOTHES)


def _head(mould: Mould, x: float, z: Span, skin: Colour, hair: Colour) -> tuple[Part, ...]:
    """Head and hair or helmet around share ``x`` of the length; as wide as people's heads whatever the box."""
    long, wide = 0.24 / mould.length_m, 0.22 / mould.width_m
    middle = 0.5 * (z[0] + z[1])
    return (
        mould.part((x - long + 0.02, x + long), (-wide, wide), (z[0], z[1] - 0.01), skin, 0.4, Shape.ELLIPSOID),
        mould.part((x - 1.1 * long, x + 0.9 * long), (-1.1 * wide, 1.1 * wide), (middle, z[1]), hair, 0.25, Shape.ELLIPSOID),
    )


def upright(mould: Mould, rng: np.random.Generator, stride: float) -> tuple[Part, ...]:
    """Somebody on two legs: thighs, shins with feet, torso, arms, head.

    Args:
        stride: 0 feet side by side .. 1 a whole step apart; arms swing the other way.
    """
    shirt, trousers, skin, hair = _shirt(mould, rng), choose(rng, TROUSERS), choose(rng, SKIN), choose(rng, HAIR)
    left = 1.0 if rng.uniform() < 0.5 else -1.0
    thick, long = min(0.9, 0.14 / mould.length_m), min(1.0, 0.28 / mould.length_m)
    trunk = min(0.8, 0.24 / mould.length_m)
    parts = [
        mould.part((-trunk, trunk), (-0.52, 0.52), (0.47, 0.86), shirt, 0.35, Shape.CYLINDER),
        *_head(mould, 0.05, (0.86, 1.0), skin, hair),
    ]
    for side in (1.0, -1.0):
        foot = (1.0 - long) * side * left
        shin, thigh, hand = 0.85 * stride * foot, 0.45 * stride * foot, -0.6 * stride * foot
        y: Span = (0.08, 0.4) if side > 0 else (-0.4, -0.08)
        arm, hand_y = ((0.54, 0.76), (0.7, 0.94)) if side > 0 else ((-0.76, -0.54), (-0.94, -0.7))
        parts += [
            mould.part((thigh - 1.1 * thick, thigh + 1.1 * thick), y, (0.24, 0.5), trousers, 0.25, Shape.CYLINDER),
            mould.part((shin - thick, shin + thick), y, (0.02, 0.27), trousers, 0.25, Shape.CYLINDER),
            mould.part((foot - long, foot + long), y, (0.0, 0.06), BLACK, 0.2),
            mould.part((0.4 * hand - 0.6 * thick, 0.4 * hand + 0.6 * thick), arm, (0.6, 0.83), shirt, 0.35, Shape.CYLINDER),
            mould.part((hand - 0.5 * thick, hand + 0.5 * thick), hand_y, (0.42, 0.62), shirt, 0.35, Shape.CYLINDER),
        ]
    return tuple(parts)


def _with_bag(mould: Mould, rng: np.random.Generator, stride: float) -> tuple[Part, ...]:
    """With a backpack, or a bag in one hand."""
    parts, colour = upright(mould, rng, stride), choose(rng, BAGS)
    if rng.uniform() < 0.5:
        return (*parts, mould.part((-0.95, -0.35), (-0.5, 0.5), (0.55, 0.82), colour, 0.3))
    side: Span = (0.6, 1.0) if rng.uniform() < 0.5 else (-1.0, -0.6)
    return (*parts, mould.part((-0.45, 0.45), side, (0.22, 0.42), colour, 0.3))


def _sitting(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    """On a box or low wall."""
    shirt, trousers, skin, hair = _shirt(mould, rng), choose(rng, TROUSERS), choose(rng, SKIN), choose(rng, HAIR)
    legs: tuple[Span, ...] = ((0.1, 0.6), (-0.6, -0.1))
    return (
        mould.part((-1.0, 0.2), (-0.9, 0.9), (0.0, 0.3), (120, 112, 104), 0.35),
        mould.part((-0.85, 0.05), (-0.7, 0.7), (0.32, 0.8), shirt, 0.35, Shape.CYLINDER),
        *_head(mould, -0.35, (0.8, 1.0), skin, hair),
        *(mould.part((-0.5, 0.8), y, (0.3, 0.45), trousers, 0.25) for y in legs),
        *(mould.part((0.5, 1.0), y, (0.0, 0.42), trousers, 0.25, Shape.CYLINDER) for y in legs),
        *(mould.part((-0.5, 0.1), y, (0.36, 0.7), shirt, 0.35, Shape.CYLINDER) for y in ((0.68, 1.0), (-1.0, -0.68))),
    )


def pedestrian(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    """Walking, standing or, where the box is low and long, sitting; now and then with a bag."""
    slender = mould.length_m / mould.height_m
    if mould.height_m < 1.4 and slender > 0.5:
        return _sitting(mould, rng)
    stride = float(rng.uniform(0.7, 1.0)) if slender > 0.3 else float(rng.uniform(0.0, 0.3))
    return _with_bag(mould, rng, stride) if rng.uniform() < 0.3 else upright(mould, rng, stride)


def _two_wheels(mould: Mould, radius_m: float, width_m: float) -> tuple[Part, ...]:
    radius = min(radius_m, 0.24 * mould.length_m, 0.48 * mould.height_m)
    width, reach = min(width_m, 0.5 * mould.width_m), 0.5 * mould.length_m - radius
    return tuple(Part((x, 0.0, radius), (2 * radius, width, 2 * radius), RUBBER, 0.1, Shape.WHEEL) for x in (reach, -reach))


def _rider(mould: Mould, rng: np.random.Generator, seat: float) -> tuple[Part, ...]:
    """Legs beside the frame, torso from share ``seat`` of the height, arms, head with a helmet."""
    shirt, trousers, skin, helmet = _shirt(mould, rng), choose(rng, TROUSERS), choose(rng, SKIN), choose(rng, HELMETS)
    legs: tuple[Span, ...] = ((0.12, 0.6), (-0.6, -0.12))
    arms: tuple[Span, ...] = ((0.5, 0.85), (-0.85, -0.5))
    lift = 0.06 if rng.uniform() < 0.5 else -0.06
    return (
        *(mould.part((-0.2, 0.12), y, (0.2 + dz, seat + 0.06), trousers, 0.25, Shape.CYLINDER)
          for y, dz in zip(legs, (lift, -lift))),
        mould.part((-0.28, 0.16), (-0.72, 0.72), (seat, 0.86), shirt, 0.35, Shape.ELLIPSOID),
        *(mould.part((0.0, 0.45), y, (0.58, 0.7), shirt, 0.35) for y in arms),
        *_head(mould, 0.08, (0.83, 1.0), skin, helmet),
    )  # fmt: skip


def _is_ridden(mould: Mould) -> bool:
    """Whether the box is high enough for a rider."""
    return mould.height_m > 1.35 and mould.height_m > 0.62 * mould.length_m


def motorcycle(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    """Fat wheels, tank, engine, lamp and plate; with its rider where the box is high."""
    ridden, colour = _is_ridden(mould), mould.paint(rng)
    top = 0.62 if ridden else 1.0
    machine = (
        *_two_wheels(mould, 0.31, 0.16),
        mould.part((-0.3, 0.35), (-0.34, 0.34), (0.16 * top, 0.62 * top), (56, 58, 62), 0.4),
        mould.part((-0.05, 0.42), (-0.4, 0.4), (0.62 * top, 0.82 * top), colour, 0.45, Shape.ELLIPSOID),
        mould.part((-0.75, 0.0), (-0.34, 0.34), (0.6 * top, 0.72 * top), BLACK, 0.25),
        mould.part((0.42, 0.5), (-1.0, 1.0), (0.86 * top, 0.92 * top), STEEL, 0.4),
        mould.part((0.46, 0.58), (-0.3, 0.3), (0.62 * top, 0.94 * top), colour, 0.4),
        mould.part((0.58, 0.66), (-0.22, 0.22), (0.66 * top, 0.82 * top), HEADLAMP, 0.6, glow=0.8),
        mould.part((-0.84, -0.75), (-0.22, 0.22), (0.6 * top, 0.7 * top), TAIL_LAMP, 0.8, glow=0.6),
        mould.part((-0.86, -0.82), (-0.24, 0.24), (0.42 * top, 0.56 * top), PLATE, 0.95),
    )
    if ridden:
        return (*machine, *_rider(mould, rng, 0.42))
    mirrors = (mould.part((0.4, 0.46), y, (0.9, 1.0), BLACK, 0.4) for y in ((0.6, 0.95), (-0.95, -0.6)))
    return (*machine, *mirrors)


def bicycle(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    """Thin wheels, frame, handlebar, saddle; with its rider where the box is high."""
    ridden, colour = _is_ridden(mould), mould.paint(rng)
    top = 0.6 if ridden else 1.0
    machine = (
        *_two_wheels(mould, 0.34, 0.05),
        mould.part((-0.56, 0.5), (-0.07, 0.07), (0.5 * top, 0.58 * top), colour, 0.6),
        mould.part((-0.28, -0.2), (-0.06, 0.06), (0.3 * top, 0.84 * top), colour, 0.6),
        mould.part((0.42, 0.5), (-0.06, 0.06), (0.34 * top, 0.98 * top), colour, 0.6),
        mould.part((0.4, 0.48), (-1.0, 1.0), (0.94 * top, 1.0 * top), STEEL, 0.5),
        mould.part((-0.4, -0.12), (-0.2, 0.2), (0.84 * top, 0.9 * top), BLACK, 0.3),
        mould.part((-0.62, -0.58), (-0.1, 0.1), (0.6 * top, 0.68 * top), TAIL_LAMP, 0.9),
    )
    return (*machine, *_rider(mould, rng, 0.46)) if ridden else machine


def shared_two_wheeler(mould: Mould, frame: Colour, engine: Colour, lit: bool) -> tuple[Part, ...]:
    """A moped's shape, which a cargo bicycle shares: colours and lamps alone tell them apart."""
    glow = 0.8 if lit else 0.0
    return (
        *_two_wheels(mould, 0.3, 0.1),
        mould.part((-0.3, 0.35), (-0.3, 0.3), (0.2, 0.6), engine, 0.4),
        mould.part((-0.75, 0.0), (-0.3, 0.3), (0.6, 0.72), frame, 0.4),
        mould.part((0.42, 0.5), (-1.0, 1.0), (0.92, 1.0), STEEL, 0.4),
        mould.part((0.46, 0.58), (-0.26, 0.26), (0.5, 0.94), frame, 0.4),
        mould.part((0.58, 0.66), (-0.22, 0.22), (0.66, 0.82), HEADLAMP if lit else engine, 0.5, glow=glow),
        mould.part((-0.86, -0.76), (-0.22, 0.22), (0.42, 0.68), TAIL_LAMP if lit else frame, 0.5, glow=glow),
    )
