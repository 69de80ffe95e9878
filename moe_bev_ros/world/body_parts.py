"""What bodies are put together from: a mould that places parts by shares of a box, palettes, wheels and lamps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from moe_bev_ros.world.scene import Colour, Part, Shape, Texture, Triple
from moe_bev_ros.world.styles import HELD_OUT_STYLE

Span = tuple[float, float]
Choice = TypeVar('Choice')

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
PALE_PAINTS: tuple[Colour, ...] = (
    (236, 234, 226),
    (222, 208, 178),
    (200, 202, 200),
    (236, 226, 196),
    (170, 150, 120),
    (92, 96, 98),
)
ADVERTS: tuple[Colour, ...] = ((206, 60, 60), (60, 110, 190), (240, 200, 60), (70, 150, 100), (230, 230, 226))
RUBBER: Colour = (26, 26, 28)
GLASS: Colour = (46, 58, 70)
BLACK: Colour = (34, 35, 38)
STEEL: Colour = (120, 124, 128)
HEADLAMP: Colour = (250, 246, 224)
TAIL_LAMP: Colour = (214, 22, 20)
AMBER: Colour = (255, 176, 40)
PLATE: Colour = (238, 238, 230)


def gloss(colour: Colour) -> float:
    """Share of laser light that a painted body of this colour sends back; dark paint sends next to none."""
    return 0.1 + 0.35 * sum(colour) / 765.0


def choose(rng: np.random.Generator, values: tuple[Choice, ...]) -> Choice:
    """One of several, each as likely."""
    return values[int(rng.integers(len(values)))]


@dataclass(frozen=True)
class Mould:
    """A box that stands on the ground [m]; parts are placed by shares of it, so that they fit whatever its size.

    Shares run from -1 (rear, right) to 1 (front, left) along x and y, and from 0 (ground) to 1 (top) along z.

    Attributes:
        style: of the town, which sets the range of colours.
    """

    length_m: float
    width_m: float
    height_m: float
    style: str = 'suburb'

    @property
    def size_3(self) -> Triple:
        """Length, width, height [m]."""
        return (self.length_m, self.width_m, self.height_m)

    def paint(self, rng: np.random.Generator) -> Colour:
        """Colour of a vehicle; where the sun burns most are pale."""
        return choose(rng, PALE_PAINTS if self.style == HELD_OUT_STYLE else PAINTS)

    def part(
        self, x: Span, y: Span, z: Span, colour: Colour, reflectivity: float = 0.3, shape: Shape = Shape.BOX,
        texture: Texture = Texture.PLAIN, glow: float = 0.0,
    ) -> Part:  # fmt: skip
        """A part that spans these shares."""
        centre = (
            0.25 * (x[0] + x[1]) * self.length_m,
            0.25 * (y[0] + y[1]) * self.width_m,
            0.5 * (z[0] + z[1]) * self.height_m,
        )
        size = (
            0.5 * (x[1] - x[0]) * self.length_m,
            0.5 * (y[1] - y[0]) * self.width_m,
            (z[1] - z[0]) * self.height_m,
        )
        return Part(centre, size, colour, reflectivity, shape, 0.0, texture, glow)

    def glass(self, x: Span, y: Span, z: Span, shape: Shape = Shape.BOX) -> Part:
        """Panes that span these shares."""
        return self.part(x, y, z, GLASS, 0.2, shape, Texture.GLASS)

    def wheels(self, x: tuple[float, ...], radius_m: float, width_m: float, inset: float = 1.0) -> tuple[Part, ...]:
        """A pair of wheels at each of these shares of the length, flush with sides at ``inset`` of the width."""
        radius = min(radius_m, 0.45 * self.height_m, 0.25 * self.length_m)
        width = min(width_m, 0.4 * self.width_m)
        side = 0.5 * (inset * self.width_m - width)
        reach = 0.5 * self.length_m - radius
        return tuple(
            Part((float(np.clip(0.5 * share * self.length_m, -reach, reach)), y, radius), (2 * radius, width, 2 * radius),
                 RUBBER, 0.08, Shape.WHEEL)
            for share in x
            for y in (side, -side)
        )  # fmt: skip

    def mirrors(self, x: Span, z: Span, inner: float) -> tuple[Part, ...]:
        """A mirror on each side, from this share of the width outwards; boxes are drawn around them."""
        return tuple(self.part(x, y, z, BLACK, 0.2) for y in ((inner, 1.0), (-1.0, -inner)))

    def lamps(self, z: float, glow: float = 0.6, front: float = 1.0) -> tuple[Part, ...]:
        """Head lamps in front, red lamps and a number plate behind, at this share of the height."""
        low, high, deep = z - 0.05, z + 0.05, 0.12 / self.length_m
        sides: tuple[Span, ...] = ((0.5, 0.86), (-0.86, -0.5))
        head = tuple(self.part((front - deep, front), y, (low, high), HEADLAMP, 0.6, glow=glow) for y in sides)
        tail = tuple(self.part((-1.0, deep - 1.0), y, (low, high + 0.04), TAIL_LAMP, 0.8, glow=0.8 * glow) for y in sides)
        plate = self.part((-1.0, deep - 1.0), (-0.26, 0.26), (low - 0.07, low), PLATE, 0.95)
        return (*head, *tail, plate)
