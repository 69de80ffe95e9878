"""The one entry to bodies of road users: `make_body` for each of the ten classes, sizes and colours drawn from a generator."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.world import obstacles, people, vehicles
from moe_bev_ros.world.body_parts import BLACK, GLASS, STEEL, Mould, choose
from moe_bev_ros.world.scene import Body, Part, Triple

Maker = Callable[[Mould, np.random.Generator], tuple[Part, ...]]

# Mean and standard deviation of length, width, height [m], after the statistics of nuScenes' annotations; the last number
# says how far all three go together (0: each on its own, 1: as one scale).
SIZES: MappingProxyType[Label, tuple[Triple, Triple, float]] = MappingProxyType(
    {
        Label.CAR: ((4.62, 1.93, 1.69), (0.36, 0.1, 0.16), 0.6),
        Label.TRUCK: ((7.2, 2.5, 3.0), (1.4, 0.18, 0.4), 0.7),
        Label.BUS: ((11.2, 2.9, 3.4), (1.5, 0.12, 0.2), 0.4),
        Label.TRAILER: ((11.6, 2.8, 3.7), (2.0, 0.15, 0.3), 0.5),
        Label.CONSTRUCTION_VEHICLE: ((6.4, 2.75, 3.15), (1.3, 0.3, 0.4), 0.7),
        Label.PEDESTRIAN: ((0.73, 0.67, 1.74), (0.14, 0.09, 0.1), 0.3),
        Label.MOTORCYCLE: ((2.08, 0.78, 1.46), (0.18, 0.1, 0.15), 0.4),
        Label.BICYCLE: ((1.72, 0.61, 1.32), (0.12, 0.08, 0.24), 0.3),
        Label.TRAFFIC_CONE: ((0.41, 0.41, 0.95), (0.05, 0.05, 0.16), 0.5),
        Label.BARRIER: ((0.52, 2.3, 1.0), (0.08, 0.35, 0.08), 0.2),
    }
)
CHILD_SIZE: tuple[Triple, Triple] = ((0.5, 0.5, 1.22), (0.06, 0.05, 0.12))
CHILD_SHARE = 0.12
RIDER_HEIGHT_M = 1.7

MAKERS: MappingProxyType[Label, tuple[Maker, ...]] = MappingProxyType(
    {
        Label.CAR: vehicles.CARS,
        Label.TRUCK: vehicles.TRUCKS,
        Label.BUS: vehicles.BUSES,
        Label.TRAILER: vehicles.TRAILERS,
        Label.CONSTRUCTION_VEHICLE: vehicles.MACHINERY,
        Label.PEDESTRIAN: (people.pedestrian,),
        Label.MOTORCYCLE: (people.motorcycle,),
        Label.BICYCLE: (people.bicycle,),
        Label.TRAFFIC_CONE: (obstacles.traffic_cone,),
        Label.BARRIER: obstacles.BARRIERS,
    }
)


def make_body(
    label: Label,
    rng: np.random.Generator,
    size_3: Triple | None = None,
    style: str = 'suburb',
    lookalike: bool = False,
) -> Body:
    """A body of a class; the same state of the generator gives the same body.

    Args:
        size_3: length, width, height [m] of the box that it fills; None draws one of the class.
        style: town style; it sets the range of colours.
        lookalike: in a shape that the class shares with others (truck, bus, trailer and construction vehicle; motorcycle and
            bicycle): only colours and lamps tell. The other classes share theirs with the props of `props.lookalike`.

    Raises:
        ValueError: for Label.UNKNOWN.
    """
    if label not in MAKERS:
        raise ValueError(f'no body for {label!r}; give one of the ten classes')
    size = draw_size(label, rng) if size_3 is None else size_3
    length, width, height = (float(value) for value in size)
    mould = Mould(length, width, height, style)
    if lookalike and label in SHARED:
        return Body(label, mould.size_3, SHARED[label](mould, rng))
    return Body(label, mould.size_3, choose(rng, MAKERS[label])(mould, rng))


def draw_size(label: Label, rng: np.random.Generator) -> Triple:
    """Length, width, height [m] of one of a class; within two standard deviations of the mean."""
    mean, spread, common = SIZES[label]
    if label is Label.PEDESTRIAN and rng.uniform() < CHILD_SHARE:
        mean, spread = CHILD_SIZE
    together = float(rng.standard_normal())
    own = rng.standard_normal(3)
    share = np.clip(common * together + np.sqrt(1.0 - common**2) * own, -2.0, 2.0)
    length, width, height = np.array(mean) + share * np.array(spread)
    if label in (Label.MOTORCYCLE, Label.BICYCLE):
        ridden = rng.uniform() < 0.5
        height = RIDER_HEIGHT_M + 0.08 * share[2] if ridden else min(height, 0.6 * length)
    return float(length), float(width), float(height)


def _shared_truck(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour, load = mould.paint(rng), choose(rng, vehicles.LOADS)
    return vehicles.shared_shape(mould, colour, load, load, STEEL, lit=True)


def _shared_bus(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    livery = choose(rng, vehicles.LIVERIES)
    return vehicles.shared_shape(mould, GLASS, livery, GLASS, livery, lit=True)


def _shared_trailer(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    load = choose(rng, vehicles.LOADS)
    return vehicles.shared_shape(mould, load, load, load, load, lit=False)


def _shared_machine(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, vehicles.MACHINES)
    return vehicles.shared_shape(mould, GLASS, colour, (96, 84, 70), BLACK, lit=True)


def _shared_motorcycle(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    return people.shared_two_wheeler(mould, mould.paint(rng), (58, 60, 64), lit=True)


def _shared_bicycle(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    return people.shared_two_wheeler(mould, mould.paint(rng), (176, 140, 92), lit=False)


SHARED: MappingProxyType[Label, Maker] = MappingProxyType(
    {
        Label.TRUCK: _shared_truck,
        Label.BUS: _shared_bus,
        Label.TRAILER: _shared_trailer,
        Label.CONSTRUCTION_VEHICLE: _shared_machine,
        Label.MOTORCYCLE: _shared_motorcycle,
        Label.BICYCLE: _shared_bicycle,
    }
)
