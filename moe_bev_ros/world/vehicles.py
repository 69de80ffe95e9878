"""Bodies with an engine and a roof: cars, trucks, buses, trailers and construction vehicles, front along x."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from moe_bev_ros.world.body_parts import (
    AMBER,
    BLACK,
    GLASS,
    HEADLAMP,
    PLATE,
    STEEL,
    TAIL_LAMP,
    Mould,
    Span,
    choose,
    gloss,
)
from moe_bev_ros.world.scene import Colour, Part, Shape, Texture

Maker = Callable[[Mould, np.random.Generator], tuple[Part, ...]]
LOADS: tuple[Colour, ...] = ((236, 236, 230), (210, 214, 218), (226, 200, 120), (120, 150, 190), (176, 62, 48))
LIVERIES: tuple[Colour, ...] = ((206, 40, 40), (240, 196, 40), (44, 110, 180), (60, 140, 90), (236, 236, 232))
MACHINES: tuple[Colour, ...] = ((240, 180, 24), (236, 140, 30), (250, 200, 40))


def _passenger(mould: Mould, colour: Colour, cabin: Span, belt: float, hood: Span | None = None) -> tuple[Part, ...]:
    """Hull, glass cabin and roof above it, bumpers with rounded corners, mirrors, wheels and lamps.

    Args:
        hood: share of the length from which on the hull is lower, and its height there.
    """
    low, shine = 0.26 / mould.height_m, gloss(colour)
    middle, half = 0.5 * (cabin[0] + cabin[1]), 0.5 * (cabin[1] - cabin[0])
    hull = hood or (0.93, 0.93)
    parts = [
        mould.part((-0.93, hull[0]), (-0.91, 0.91), (low, belt), colour, shine),
        mould.glass(cabin, (-0.86, 0.86), (belt, 0.96), Shape.CABIN),
        mould.part((middle - 0.66 * half, middle + 0.66 * half), (-0.69, 0.69), (0.94, 1.0), colour, shine),
        mould.part((0.9, 0.985), (-0.8, 0.8), (0.16, 0.36), BLACK, 0.2),
        mould.part((-0.985, -0.9), (-0.8, 0.8), (0.16, 0.36), BLACK, 0.2),
        mould.part((-0.96, -0.9), (-0.84, 0.84), (0.34, belt), colour, shine),
        *mould.mirrors((middle + 0.7 * half, middle + 0.76 * half), (belt, belt + 0.07), 0.9),
        *mould.wheels((0.6, -0.6), 0.33, 0.22, 0.93),
        *mould.lamps(0.42, front=0.96),
    ]
    if hood is not None:
        parts.append(mould.part((hood[0], 0.94), (-0.9, 0.9), (low, hood[1]), colour, shine))
    return tuple(parts)


def sedan(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    """Bonnet, cabin in the middle, boot."""
    return _passenger(mould, mould.paint(rng), (-0.68, 0.52), 0.58)


def _hatchback(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    return _passenger(mould, mould.paint(rng), (-0.95, 0.56), 0.57, (0.5, 0.52))


def _suv(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = mould.paint(rng)
    rails = tuple(mould.part((-0.55, 0.25), y, (0.97, 1.0), STEEL, 0.5) for y in ((0.6, 0.68), (-0.68, -0.6)))
    return (*_passenger(mould, colour, (-0.96, 0.5), 0.59), *rails)


def _van(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = mould.paint(rng)
    low, shine = 0.26 / mould.height_m, gloss(colour)
    return (
        mould.part((-0.97, 0.56), (-0.91, 0.91), (low, 0.97), colour, shine),
        mould.part((0.56, 0.95), (-0.88, 0.88), (low, 0.52), colour, shine),
        mould.glass((0.3, 0.9), (-0.87, 0.87), (0.52, 0.93), Shape.CABIN),
        *(mould.glass((0.2, 0.5), y, (0.58, 0.84)) for y in ((0.9, 0.92), (-0.92, -0.9))),
        mould.part((-0.9, 0.45), (-0.84, 0.84), (0.97, 1.0), colour, shine),
        mould.part((0.9, 0.985), (-0.8, 0.8), (0.14, 0.3), BLACK, 0.2),
        mould.part((-0.99, -0.95), (-0.84, 0.84), (0.14, 0.24), BLACK, 0.2),
        *mould.mirrors((0.6, 0.64), (0.52, 0.6), 0.88),
        *mould.wheels((0.62, -0.6), 0.34, 0.24, 0.93),
        *mould.lamps(0.36, front=0.97),
    )


def _pickup(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = mould.paint(rng)
    low, shine = 0.3 / mould.height_m, gloss(colour)
    bed = tuple(mould.part((-0.95, -0.24), y, (0.44, 0.58), colour, shine) for y in ((0.82, 0.91), (-0.91, -0.82)))
    return (
        mould.part((-0.24, 0.94), (-0.91, 0.91), (low, 0.56), colour, shine),
        mould.part((-0.95, -0.24), (-0.9, 0.9), (low, 0.44), colour, shine),
        *bed,
        mould.part((-0.97, -0.94), (-0.88, 0.88), (0.4, 0.58), colour, shine),
        mould.glass((-0.26, 0.52), (-0.86, 0.86), (0.56, 0.96), Shape.CABIN),
        mould.part((-0.12, 0.38), (-0.69, 0.69), (0.94, 1.0), colour, shine),
        mould.part((0.93, 0.985), (-0.84, 0.84), (0.16, 0.34), STEEL, 0.4),
        *mould.mirrors((0.34, 0.38), (0.56, 0.64), 0.9),
        *mould.wheels((0.62, -0.6), 0.39, 0.26, 0.94),
        *mould.lamps(0.44, front=0.96),
    )


def _tractor(mould: Mould, colour: Colour, back: float) -> tuple[Part, ...]:
    """The cab of a truck from share ``back`` of the length to the front, with windscreen and side windows."""
    top = min(0.95, 2.75 / mould.height_m)
    floor, sill = 0.5 / mould.height_m, 0.62 * top
    return (
        mould.part((back, 0.99), (-0.96, 0.96), (floor, sill), colour, 0.4),
        mould.glass((back + 0.02, 1.0), (-0.97, 0.97), (sill, 0.88 * top)),
        mould.part((back, 0.92), (-0.94, 0.94), (0.88 * top, top), colour, 0.4),
        mould.part((back, back + 0.03), (-0.96, 0.96), (sill, 0.88 * top), colour, 0.4),
        mould.part((0.97, 1.0), (-0.6, 0.6), (0.5 * sill, 0.75 * sill), BLACK, 0.25),
    )


def _underframe(mould: Mould, axles: tuple[float, ...], lamps: float = 0.24) -> tuple[Part, ...]:
    low, high = 0.55 / mould.height_m, 0.95 / mould.height_m
    return (
        mould.part((-0.98, 0.9), (-0.8, 0.8), (low, high), (44, 44, 46), 0.15),
        *mould.wheels(axles, 0.48, 0.3),
        *mould.lamps(lamps),
    )


def _cab_share(mould: Mould) -> float:
    return 1.0 - 2.0 * min(1.9, 0.4 * mould.length_m) / mould.length_m


def _box_truck(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour, load, back = mould.paint(rng), choose(rng, LOADS), _cab_share(mould)
    floor = 0.95 / mould.height_m
    doors = mould.part((-1.0, -0.985), (-0.03, 0.03), (floor + 0.04, 0.96), STEEL, 0.4)
    return (
        *_tractor(mould, colour, back),
        mould.part((-1.0, back - 0.03), (-1.0, 1.0), (floor, 1.0), load, 0.5),
        doors,
        *_underframe(mould, (0.68, -0.6)),
    )


def _flatbed(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour, load, back = mould.paint(rng), choose(rng, LOADS), _cab_share(mould)
    floor = 0.95 / mould.height_m
    cargo = float(rng.uniform(-0.5, back - 0.3))
    return (
        *_tractor(mould, colour, back),
        mould.part((-1.0, back - 0.03), (-1.0, 1.0), (floor, floor + 0.08), (92, 78, 62), 0.3),
        mould.part((back - 0.07, back - 0.03), (-0.98, 0.98), (floor, 1.0), STEEL, 0.3),
        mould.part((-0.97, cargo), (-0.8, 0.8), (floor + 0.08, 0.74), load, 0.35),
        *_underframe(mould, (0.68, -0.6)),
    )


def _tanker(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour, back = mould.paint(rng), _cab_share(mould)
    floor = 0.9 / mould.height_m
    tank = choose(rng, ((206, 210, 214), (236, 236, 232), (190, 60, 50)))
    return (
        *_tractor(mould, colour, back),
        mould.part((-0.99, back - 0.05), (-0.97, 0.97), (floor + 0.1, 0.82), tank, 0.5),
        mould.part((-0.97, back - 0.07), (-0.7, 0.7), (0.82, 0.96), tank, 0.5),
        mould.part((-0.97, back - 0.07), (-0.7, 0.7), (floor, floor + 0.1), tank, 0.5),
        mould.part((-0.5, -0.2), (-0.3, 0.3), (0.96, 1.0), STEEL, 0.4),
        mould.part((-1.0, -0.985), (-0.2, 0.2), (0.5, 0.62), AMBER, 0.9),
        *_underframe(mould, (0.68, -0.52)),
    )


def _bus_sides(mould: Mould, x: Span, colour: Colour) -> tuple[Part, ...]:
    """Lower panels, a band of windows, a roof."""
    low = 0.32 / mould.height_m
    return (
        mould.part(x, (-0.985, 0.985), (low, 0.4), colour, gloss(colour)),
        mould.glass(x, (-0.98, 0.98), (0.4, 0.8)),
        mould.part(x, (-1.0, 1.0), (0.8, 0.97), colour, gloss(colour)),
    )


def _bus_ends(mould: Mould, colour: Colour) -> tuple[Part, ...]:
    pillars = tuple(
        mould.part((x, x + 0.012), (-1.0, 1.0), (0.4, 0.8), colour, gloss(colour)) for x in (-0.72, -0.4, 0.1, 0.42, 0.7)
    )
    return (
        mould.part((-1.0, -0.985), (-0.98, 0.98), (0.12, 0.95), colour, gloss(colour)),
        mould.glass((0.985, 1.0), (-0.94, 0.94), (0.34, 0.82)),
        mould.part((0.985, 1.0), (-0.7, 0.7), (0.84, 0.94), AMBER, 0.3, glow=0.8),
        mould.part((-0.7, -0.3), (-0.6, 0.6), (0.97, 1.0), STEEL, 0.4),
        *pillars,
        *mould.wheels((0.56, -0.5), 0.48, 0.3),
        *mould.lamps(0.2),
    )


def _city_bus(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, LIVERIES)
    return (*_bus_sides(mould, (-0.985, 0.985), colour), *_bus_ends(mould, colour))


def _articulated_bus(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, LIVERIES)
    return (
        *_bus_sides(mould, (0.02, 0.985), colour),
        mould.part((-0.12, 0.02), (-0.92, 0.92), (0.12, 0.95), BLACK, 0.2),
        *_bus_sides(mould, (-0.985, -0.12), colour),
        *_bus_ends(mould, colour),
    )


def _box_trailer(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    load, floor = choose(rng, LOADS), min(0.4, 1.0 / mould.height_m)
    return (
        mould.part((-1.0, 0.98), (-1.0, 1.0), (floor, 1.0), load, 0.5),
        mould.part((0.98, 1.0), (-0.5, 0.5), (0.6, 0.85), STEEL, 0.4),
        mould.part((-0.4, 0.1), (-0.99, 0.99), (0.4 * floor, 0.85 * floor), (60, 62, 66), 0.3),
        *(mould.part((0.48, 0.53), y, (0.0, floor), STEEL, 0.4) for y in ((0.5, 0.66), (-0.66, -0.5))),
        *mould.wheels((-0.52, -0.68, -0.84), 0.5, 0.34),
        *mould.lamps(floor * 0.75)[2:],
    )


def _flat_trailer(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    """A low frame with a load in two stacks and a bulkhead."""
    load, floor = choose(rng, LOADS), min(0.45, 1.1 / mould.height_m)
    return (
        mould.part((-1.0, 1.0), (-1.0, 1.0), (floor - 0.1, floor), (92, 78, 62), 0.3),
        mould.part((0.94, 1.0), (-0.98, 0.98), (floor, 1.0), STEEL, 0.35),
        mould.part((0.1, 0.88), (-0.85, 0.85), (floor, 0.92), load, 0.35),
        mould.part((-0.9, -0.05), (-0.9, 0.9), (floor, 0.8), choose(rng, LOADS), 0.35),
        *(mould.part((0.48, 0.53), y, (0.0, floor), STEEL, 0.4) for y in ((0.5, 0.66), (-0.66, -0.5))),
        *mould.wheels((-0.55, -0.78), 0.48, 0.34),
        *mould.lamps(floor * 0.7)[2:],
    )


def _machine_cabin(mould: Mould, x: Span, y: Span, z: Span, colour: Colour) -> tuple[Part, ...]:
    """A glazed cabin with a roof and an orange beacon on it."""
    beacon = min(0.06, 0.2 * (z[1] - z[0]))
    middle = 0.5 * (x[0] + x[1])
    return (
        mould.glass(x, y, (z[0], z[1] - 2 * beacon)),
        mould.part(x, y, (z[1] - 2 * beacon, z[1] - beacon), colour, gloss(colour)),
        mould.part((middle - 0.03, middle + 0.03), (y[0], y[0] + 0.12), (z[1] - beacon, z[1]), AMBER, 0.5, glow=1.0),
    )


def _excavator(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, MACHINES)
    tracks = tuple(mould.part((-0.86, 0.4), y, (0.0, 0.28), BLACK, 0.15) for y in ((0.6, 1.0), (-1.0, -0.6)))
    return (
        *tracks,
        mould.part((-0.95, 0.3), (-0.9, 0.9), (0.32, 0.58), colour, gloss(colour)),
        mould.part((-1.0, -0.6), (-0.95, 0.95), (0.34, 0.66), STEEL, 0.35, texture=Texture.STRIPES),
        *_machine_cabin(mould, (-0.2, 0.3), (0.05, 0.85), (0.56, 0.92), colour),
        mould.part((0.1, 0.42), (-0.35, -0.05), (0.55, 0.9), colour, gloss(colour)),
        mould.part((0.3, 0.78), (-0.33, -0.07), (0.84, 1.0), colour, gloss(colour)),
        mould.part((0.72, 0.86), (-0.3, -0.1), (0.3, 0.92), colour, gloss(colour)),
        mould.part((0.62, 1.0), (-0.6, 0.2), (0.04, 0.3), STEEL, 0.35),
    )


def _loader(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, MACHINES)
    return (
        mould.part((-1.0, -0.1), (-0.8, 0.8), (0.28, 0.62), colour, gloss(colour)),
        mould.part((-1.0, -0.96), (-0.75, 0.75), (0.3, 0.6), BLACK, 0.3, texture=Texture.STRIPES),
        mould.part((-0.1, 0.4), (-0.6, 0.6), (0.28, 0.5), colour, gloss(colour)),
        *_machine_cabin(mould, (-0.3, 0.12), (-0.55, 0.55), (0.55, 1.0), colour),
        *(mould.part((0.3, 0.74), y, (0.3, 0.46), colour, 0.4) for y in ((0.3, 0.46), (-0.46, -0.3))),
        mould.part((0.7, 1.0), (-1.0, 1.0), (0.04, 0.4), STEEL, 0.35),
        *mould.wheels((0.3, -0.55), 0.68, 0.5),
        *(mould.part((0.1, 0.13), y, (0.72, 0.78), HEADLAMP, 0.5, glow=0.5) for y in ((0.4, 0.6), (-0.6, -0.4))),
    )


def _crane(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, MACHINES)
    return (
        mould.part((-0.96, 0.96), (-0.95, 0.95), (0.18, 0.42), colour, gloss(colour)),
        *_machine_cabin(mould, (0.62, 0.98), (-0.9, 0.3), (0.42, 0.82), colour),
        mould.part((-0.9, -0.3), (-0.8, 0.8), (0.42, 0.72), colour, gloss(colour)),
        mould.part((-1.0, -0.86), (-0.95, 0.95), (0.42, 0.7), (60, 60, 62), 0.35, texture=Texture.STRIPES),
        mould.part((-0.8, 0.98), (-0.18, 0.18), (0.86, 1.0), (236, 236, 230), 0.45),
        mould.part((0.9, 0.98), (-0.08, 0.08), (0.5, 0.88), BLACK, 0.3),
        *(mould.part((x, x + 0.06), (-1.0, 1.0), (0.1, 0.2), STEEL, 0.4) for x in (0.38, -0.42)),
        *mould.wheels((0.66, -0.2, -0.7), 0.6, 0.45),
    )


CARS: tuple[Maker, ...] = (sedan, _hatchback, _suv, _van, _pickup)
TRUCKS: tuple[Maker, ...] = (_box_truck, _box_truck, _flatbed, _tanker)
BUSES: tuple[Maker, ...] = (_city_bus, _articulated_bus)
TRAILERS: tuple[Maker, ...] = (_box_trailer, _flat_trailer)
MACHINERY: tuple[Maker, ...] = (_excavator, _loader, _crane)


def shared_shape(mould: Mould, cab: Colour, sides: Colour, windows: Colour, rear: Colour, lit: bool) -> tuple[Part, ...]:
    """A long box on six wheels: its colours and lamps alone tell truck, bus, trailer and site vehicle apart.

    No pane, and each part reflects what it reflects in the other classes, so that no LiDAR tells them apart either.
    """
    floor, glow = 0.6 / mould.height_m, 0.7 if lit else 0.0
    lamp, tail = (HEADLAMP, TAIL_LAMP) if lit else (sides, (110, 26, 24))
    ends: tuple[Span, ...] = ((0.6, 0.92), (-0.92, -0.6))
    return (
        mould.part((-0.985, 0.985), (-0.985, 0.985), (floor, 0.45), sides, 0.4),
        mould.part((-0.985, 0.6), (-1.0, 1.0), (0.45, 0.82), windows, 0.4),
        mould.part((0.6, 0.985), (-1.0, 1.0), (0.45, 0.82), cab, 0.4),
        mould.part((-0.985, 0.985), (-1.0, 1.0), (0.82, 1.0), sides, 0.4),
        mould.part((0.985, 1.0), (-0.92, 0.92), (0.42, 0.8), GLASS if lit else sides, 0.4),
        mould.part((-1.0, -0.985), (-0.92, 0.92), (0.3, 0.9), rear, 0.4),
        mould.part((-1.0, -0.985), (-0.2, 0.2), (0.2, 0.27), PLATE, 0.6),
        *(mould.part((0.985, 1.0), y, (0.22, 0.32), lamp, 0.5, glow=glow) for y in ends),
        *(mould.part((-1.0, -0.985), y, (0.18, 0.28), tail, 0.5, glow=0.8 * glow) for y in ends),
        *mould.wheels((0.6, -0.45, -0.68), 0.48, 0.3),
    )
