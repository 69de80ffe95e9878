"""How each class moves, as the tracker believes it, and what a class may turn out to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.objects import Label


@dataclass(frozen=True)
class Motion:
    """How a kind of road user moves.

    Attributes:
        acceleration: deviation of the acceleration [m/s2].
        initial_speed: deviation of the speed when first seen [m/s].
        position: deviation of a measured position [m].
        gate_m: farther from where it is expected, it is another one.
        max_speed: a faster track is fragments taken for one another, and its velocity is not believed [m/s].
        proof_m: it must have come so far from where it was born before it is said to move [m].
        way_m: both ends of its box must have come so far within the last measurements [m].
    """

    acceleration: float
    initial_speed: float
    position: float
    gate_m: float
    max_speed: float
    proof_m: float = 0.0
    way_m: float = 0.5


VEHICLE = Motion(acceleration=5.0, initial_speed=8.0, position=0.35, gate_m=4.0, max_speed=60.0)
TWO_WHEELER = Motion(acceleration=2.5, initial_speed=5.0, position=0.25, gate_m=3.0, max_speed=20.0)
PEDESTRIAN = Motion(acceleration=2.0, initial_speed=1.5, position=0.15, gate_m=1.2, max_speed=4.0, way_m=0.2)
STATIC = Motion(acceleration=0.2, initial_speed=0.3, position=0.2, gate_m=1.0, max_speed=0.0)
# From afar a child who steps out looks like a cone: the filter follows what it is taken for as if it could walk, so that the
# track keeps it and knows its speed once it is known for a child. As long as it is a cone it is said to stand.
CONE = Motion(acceleration=2.0, initial_speed=1.5, position=0.2, gate_m=1.0, max_speed=0.0)
# What has no class is mostly a piece of a wall whose outline flickers: slow to believe that it moves.
UNKNOWN = Motion(acceleration=0.8, initial_speed=1.5, position=0.4, gate_m=2.0, max_speed=15.0, proof_m=2.5)
MOTIONS = {
    Label.CAR: VEHICLE,
    Label.TRUCK: VEHICLE,
    Label.BUS: VEHICLE,
    Label.TRAILER: VEHICLE,
    Label.CONSTRUCTION_VEHICLE: VEHICLE,
    Label.PEDESTRIAN: PEDESTRIAN,
    Label.MOTORCYCLE: TWO_WHEELER,
    Label.BICYCLE: TWO_WHEELER,
    Label.TRAFFIC_CONE: CONE,
    Label.BARRIER: STATIC,
    Label.UNKNOWN: UNKNOWN,
}
KINDS = {id(motion): kind for kind, motion in enumerate((VEHICLE, TWO_WHEELER, PEDESTRIAN, STATIC, UNKNOWN))}
KINDS[id(CONE)] = KINDS[id(STATIC)]
# Cost [in sigmas] of a detection of one kind continuing a track of another: vehicle, two-wheeler, pedestrian, static, unknown.
KIND_COST = np.array(
    [
        [0.0, 2.0, 9.0, 9.0, 0.7],
        [2.0, 0.0, 1.0, 9.0, 0.7],
        [9.0, 1.0, 0.0, 1.5, 0.7],
        [9.0, 9.0, 1.5, 0.0, 0.7],
        [0.7, 0.7, 0.7, 0.7, 0.0],
    ]
)
