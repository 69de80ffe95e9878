"""Bodies that close a road: cones and barriers. A barrier's face looks along x; it is wider than long, as it is annotated."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.world.body_parts import AMBER, BLACK, RUBBER, STEEL, Mould, choose
from moe_bev_ros.world.scene import Colour, Part, Shape, Texture

ORANGE: Colour = (240, 94, 24)
SLEEVE: Colour = (245, 245, 240)
RED: Colour = (206, 38, 34)


def traffic_cone(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    """An orange cone with one or two white sleeves on a black foot."""
    sleeves = 2 if rng.uniform() < 0.5 else 1
    parts = [
        mould.part((-1.0, 1.0), (-1.0, 1.0), (0.0, 0.07), RUBBER, 0.1),
        mould.part((-0.8, 0.8), (-0.8, 0.8), (0.05, 1.0), ORANGE, 0.6, Shape.CONE),
    ]
    for z in (0.45, 0.68)[:sleeves]:
        half = 0.82 * (1.0 - z) + 0.03
        parts.append(mould.part((-half, half), (-half, half), (z, z + 0.14), SLEEVE, 0.95, Shape.CYLINDER))
    return (*parts, mould.part((-0.08, 0.08), (-0.08, 0.08), (0.9, 1.0), ORANGE, 0.6, Shape.CYLINDER))


def _concrete(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    grey = choose(rng, ((168, 166, 160), (186, 182, 172), (140, 140, 138)))
    return (
        mould.part((-1.0, 1.0), (-1.0, 1.0), (0.0, 0.3), grey, 0.35),
        mould.part((-0.6, 0.6), (-1.0, 1.0), (0.3, 0.6), grey, 0.35),
        mould.part((-0.4, 0.4), (-1.0, 1.0), (0.6, 1.0), grey, 0.35),
        mould.part((-0.46, 0.46), (-0.9, 0.9), (0.7, 0.86), RED, 0.8, texture=Texture.STRIPES),
    )


def _water_filled(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, (RED, (236, 236, 232), ORANGE))
    return (
        mould.part((-1.0, 1.0), (-1.0, 1.0), (0.0, 0.22), colour, 0.4),
        mould.part((-0.75, 0.75), (-0.98, 0.98), (0.22, 0.62), colour, 0.4),
        mould.part((-0.55, 0.55), (-0.96, 0.96), (0.62, 1.0), colour, 0.4),
        *(mould.part((-0.2, 0.2), (y, y + 0.16), (0.62, 1.0), BLACK, 0.2) for y in (-0.6, 0.44)),
    )


def _fence(mould: Mould, rng: np.random.Generator) -> tuple[Part, ...]:
    """Two striped planks on feet, with a lamp."""
    plank = choose(rng, (RED, ORANGE))
    feet = tuple(mould.part((-1.0, 1.0), (y, y + 0.08), (0.0, 0.08), BLACK, 0.2) for y in (-0.9, 0.82))
    posts = tuple(mould.part((-0.12, 0.12), (y, y + 0.05), (0.08, 0.95), STEEL, 0.4) for y in (-0.88, 0.84))
    planks = tuple(
        mould.part((-0.16, 0.16), (-1.0, 1.0), z, plank, 0.8, texture=Texture.STRIPES) for z in ((0.66, 0.9), (0.24, 0.46))
    )
    lamp = mould.part((-0.2, 0.2), (0.8, 0.92), (0.9, 1.0), AMBER, 0.6, Shape.CYLINDER, glow=1.0)
    return (*feet, *posts, *planks, lamp)


BARRIERS = (_concrete, _water_filled, _fence)
