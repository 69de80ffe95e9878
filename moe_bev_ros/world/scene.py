"""What the world is made of at one instant: the one description that cameras, LiDAR, traffic and truth all read.

The map frame has x and y on the ground and z up; everything stands on z = 0. An actor's origin is the centre of its footprint
on the ground. Values are frozen: a step of time makes new actors, so that a scene can be kept, compared and replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.traffic_light import TrafficLight
from moe_bev_ros.world.conditions import Condition

Triple = tuple[float, float, float]
Colour = tuple[int, int, int]


class Shape(IntEnum):
    """Solid that fills a part's oriented box; the numbers are read by the render kernels."""

    BOX = 0
    ELLIPSOID = 1
    CYLINDER = 2  # axis z
    WHEEL = 3  # cylinder with axis y
    CONE = 4  # tip up
    CABIN = 5  # box that narrows towards the top


class Texture(IntEnum):
    """How a surface looks beyond its colour; the numbers are read by the render kernels."""

    PLAIN = 0
    FACADE = 1  # rows of windows
    FOLIAGE = 2
    GLASS = 3
    STRIPES = 4  # diagonal, of the part's colour and white
    LETTERING = 5  # an advertisement


@dataclass(frozen=True)
class Part:
    """One solid of an actor or prop.

    Attributes:
        centre_3: in the owner's frame [m].
        size_3: length, width, height of the box that it fills [m].
        colour: RGB, 0..255.
        reflectivity: share of laser light sent back, 0..1.
        yaw_rad: about its own centre, in the owner's frame.
        glow: 0 lit by the sun alone .. 1 shines in its own colour.
    """

    centre_3: Triple
    size_3: Triple
    colour: Colour
    reflectivity: float = 0.3
    shape: Shape = Shape.BOX
    yaw_rad: float = 0.0
    texture: Texture = Texture.PLAIN
    glow: float = 0.0

    def __post_init__(self) -> None:
        if min(self.size_3) <= 0.0:
            raise ValueError(f'size_3 must be above 0, got {self.size_3}')


@dataclass(frozen=True)
class Body:
    """What an actor looks like; it does not change while the actor moves.

    Attributes:
        size_3: length, width, height of the annotated box [m], which stands on the ground.
    """

    label: Label
    size_3: Triple
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Actor:
    """One road user.

    Attributes:
        track_id: above 0, unique in the scene.
        x, y, yaw_rad: pose of the footprint's centre in map [m, rad].
        speed_mps: along its heading; negative never.
        z: height of the ground under its centre [m].
    """

    track_id: int
    body: Body
    x: float
    y: float
    yaw_rad: float
    speed_mps: float = 0.0
    yaw_rate_radps: float = 0.0
    z: float = 0.0

    @property
    def box_7(self) -> NDArray[np.float32]:
        """Annotated box in map: x, y, z (centre), length, width, height, yaw."""
        length, width, height = self.body.size_3
        return np.array([self.x, self.y, self.z + height / 2, length, width, height, self.yaw_rad], np.float32)

    @property
    def velocity_2(self) -> NDArray[np.float32]:
        """Velocity in map [m/s]."""
        return np.array([np.cos(self.yaw_rad), np.sin(self.yaw_rad)], np.float32) * np.float32(self.speed_mps)

    def moved(self, dt_s: float, acceleration_mps2: float = 0.0) -> Actor:
        """Go straight on for ``dt_s``; braking ends at rest."""
        speed = max(0.0, self.speed_mps + acceleration_mps2 * dt_s)
        step_m = 0.5 * (self.speed_mps + speed) * dt_s
        x, y = self.x + step_m * np.cos(self.yaw_rad), self.y + step_m * np.sin(self.yaw_rad)
        return replace(self, x=float(x), y=float(y), speed_mps=speed)


@dataclass(frozen=True)
class Prop:
    """Something that never moves: a building, tree, pole or sign, at a place in map [m, rad]."""

    x: float
    y: float
    yaw_rad: float
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Signal(TrafficLight):
    """A traffic light with its pole beside the road.

    Attributes:
        x, y, yaw_rad: foot of the pole in map; yaw is the direction in which the lamps shine.
    """

    x: float
    y: float
    yaw_rad: float


@dataclass(frozen=True)
class Scene:
    """Everything at one instant.

    Attributes:
        actors: road users other than the ego vehicle.
        props: what never moves.
        lights: signals with their state now.
        condition: light and weather, the same for a whole run.
    """

    actors: tuple[Actor, ...]
    props: tuple[Prop, ...]
    lights: tuple[Signal, ...]
    condition: Condition = field(default_factory=Condition)

    def __post_init__(self) -> None:
        ids = [actor.track_id for actor in self.actors]
        if len(set(ids)) != len(ids) or (ids and min(ids) <= 0):
            raise ValueError(f'track ids must be unique and above 0, got {sorted(ids)}')
