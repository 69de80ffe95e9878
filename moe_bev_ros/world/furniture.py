"""What stands about in a street: furniture of many kinds, and things of the shape of a road user that are none.

`clutter` draws any of all this at a place; `street_furniture` and `lookalike` draw from one sort.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.world import props
from moe_bev_ros.world.actors import make_body
from moe_bev_ros.world.body_parts import ADVERTS, AMBER, BLACK, GLASS, STEEL, choose
from moe_bev_ros.world.scene import Colour, Part, Prop, Shape, Texture

Maker = Callable[[np.random.Generator], tuple[Part, ...]]
WOOD: Colour = (120, 84, 52)


def _upright(
    z: float, wide: float, high: float, colour: Colour, shape: Shape = Shape.CYLINDER, reflectivity: float = 0.4
) -> Part:
    """A part around the vertical axis whose foot is at height ``z``."""
    return Part((0.0, 0.0, z + high / 2), (wide, wide, high), colour, reflectivity, shape)


def _sign(rng: np.random.Generator) -> tuple[Part, ...]:
    """A round, square or warning sign that looks along x; it shines back what a lamp or laser sends."""
    height = float(rng.uniform(2.0, 2.6))
    colour = choose(rng, ((206, 38, 34), (30, 80, 170), (236, 196, 40), (40, 120, 70)))
    wide = float(rng.uniform(0.5, 0.8))
    return (
        _upright(0.0, 0.07, height + 0.3, STEEL),
        Part((0.05, 0.0, height), (0.03, wide, wide), colour, 0.95),
        Part((0.07, 0.0, height), (0.02, 0.66 * wide, 0.3 * wide), (245, 245, 240), 0.95),
    )


def _bin(rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, ((46, 90, 60), (60, 62, 66), (200, 120, 40), (50, 80, 140)))
    return (_upright(0.0, 0.5, 0.85, colour), _upright(0.85, 0.56, 0.12, BLACK), _upright(0.97, 0.3, 0.06, STEEL))


def _bench(rng: np.random.Generator) -> tuple[Part, ...]:
    long = float(rng.uniform(1.4, 2.0))
    legs = tuple(Part((0.0, y * long, 0.22), (0.4, 0.08, 0.44), STEEL, 0.4) for y in (-0.4, 0.4))
    return (
        *legs,
        Part((0.0, 0.0, 0.46), (0.45, long, 0.06), WOOD, 0.35),
        Part((-0.22, 0.0, 0.74), (0.06, long, 0.36), WOOD, 0.35),
    )


def _phone_box(rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, ((196, 30, 34), (60, 90, 130), (226, 180, 40)))
    return (
        Part((0.0, 0.0, 1.15), (0.82, 0.82, 2.0), GLASS, 0.2, texture=Texture.GLASS),
        Part((0.0, 0.0, 0.1), (0.9, 0.9, 0.2), colour, 0.4),
        Part((0.0, 0.0, 2.25), (0.92, 0.92, 0.22), colour, 0.4),
        *(Part((x, y, 1.15), (0.08, 0.08, 2.1), colour, 0.4) for x in (-0.41, 0.41) for y in (-0.41, 0.41)),
    )


def _advert_column(rng: np.random.Generator) -> tuple[Part, ...]:
    paper = choose(rng, ADVERTS)
    column = Part((0.0, 0.0, 1.6), (1.2, 1.2, 2.4), paper, 0.4, Shape.CYLINDER, 0.0, Texture.LETTERING)
    return (_upright(0.0, 1.3, 0.4, (104, 104, 100)), column, _upright(2.8, 1.45, 0.3, (70, 90, 76)))


def _advert_panel(rng: np.random.Generator) -> tuple[Part, ...]:
    paper = Part((0.06, 0.0, 1.5), (0.04, 1.2, 1.8), choose(rng, ADVERTS), 0.4, texture=Texture.LETTERING, glow=0.3)
    back = Part((-0.04, 0.0, 1.5), (0.16, 1.3, 2.0), (60, 64, 68), 0.35)
    return (back, paper, Part((0.0, 0.0, 0.25), (0.2, 0.5, 0.5), STEEL, 0.4))


def _hydrant(rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, ((200, 40, 36), (236, 190, 50), (60, 100, 180)))
    return (
        _upright(0.0, 0.22, 0.6, colour),
        Part((0.0, 0.0, 0.45), (0.14, 0.42, 0.14), colour, 0.45),
        Part((0.0, 0.0, 0.66), (0.26, 0.26, 0.2), colour, 0.45, Shape.ELLIPSOID),
    )


def _bollards(rng: np.random.Generator) -> tuple[Part, ...]:
    """A row of three across, as high as children."""
    height = float(rng.uniform(0.8, 1.15))
    colour = choose(rng, ((66, 68, 72), (120, 110, 96), (206, 206, 200)))
    return tuple(
        part
        for y in (-1.3, 0.0, 1.3)
        for part in (
            Part((0.0, y, 0.5 * height - 0.08), (0.24, 0.24, height - 0.16), colour, 0.4, Shape.CYLINDER),
            Part((0.0, y, height - 0.12), (0.26, 0.26, 0.24), colour, 0.4, Shape.ELLIPSOID),
        )
    )


def _cabinet(rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, ((150, 156, 150), (96, 110, 100), (190, 186, 172)))
    return (Part((0.0, 0.0, 0.6), (0.4, 1.1, 1.2), colour, 0.4), Part((0.0, 0.0, 1.22), (0.46, 1.16, 0.06), BLACK, 0.3))


def _post_box(rng: np.random.Generator) -> tuple[Part, ...]:
    colour = choose(rng, ((236, 190, 40), (190, 34, 38), (40, 84, 150)))
    return (_upright(0.0, 0.12, 0.7, STEEL), Part((0.0, 0.0, 1.0), (0.4, 0.5, 0.62), colour, 0.45))


def _shelter(rng: np.random.Generator) -> tuple[Part, ...]:
    """A bus shelter, open towards x."""
    posts = tuple(Part((x, y, 1.2), (0.08, 0.08, 2.4), STEEL, 0.4) for x in (-0.6, 0.6) for y in (-1.7, 1.7))
    advert = Part((0.0, 1.72, 1.3), (1.1, 0.06, 1.8), choose(rng, ADVERTS), 0.4, texture=Texture.LETTERING, glow=0.3)
    return (
        *posts,
        Part((-0.62, 0.0, 1.3), (0.04, 3.3, 1.8), GLASS, 0.2, texture=Texture.GLASS),
        Part((0.0, 0.0, 2.46), (1.6, 3.8, 0.12), (90, 94, 98), 0.4),
        Part((-0.35, 0.0, 0.48), (0.36, 2.2, 0.06), WOOD, 0.35),
        advert,
    )


def _rubble(rng: np.random.Generator) -> tuple[Part, ...]:
    """Boxes and bags put out."""
    parts = []
    for _ in range(int(rng.integers(2, 5))):
        size = tuple(float(value) for value in rng.uniform(0.3, 0.8, 3))
        x, y = rng.uniform(-0.7, 0.7, 2)
        colour = choose(rng, ((170, 134, 90), (40, 42, 46), (190, 186, 172)))
        parts.append(Part((float(x), float(y), size[2] / 2), (size[0], size[1], size[2]), colour, 0.3, Shape.BOX, float(x)))
    return tuple(parts)


def _site_sign(rng: np.random.Generator) -> tuple[Part, ...]:
    """A striped beacon as roads are closed with, but at the roadside for good."""
    board = Part((0.0, 0.0, 0.75), (0.05, float(rng.uniform(0.25, 0.4)), 1.1), (206, 38, 34), 0.8, texture=Texture.STRIPES)
    lamp = Part((0.0, 0.0, 1.36), (0.16, 0.16, 0.16), AMBER, 0.5, Shape.ELLIPSOID, glow=1.0)
    return (Part((0.0, 0.0, 0.1), (0.4, 0.7, 0.2), BLACK, 0.2), board, lamp)


FURNITURE: MappingProxyType[str, Maker] = MappingProxyType(
    {
        'sign': _sign,
        'bin': _bin,
        'bench': _bench,
        'phone_box': _phone_box,
        'advert_column': _advert_column,
        'advert_panel': _advert_panel,
        'hydrant': _hydrant,
        'bollards': _bollards,
        'cabinet': _cabinet,
        'post_box': _post_box,
        'shelter': _shelter,
        'rubble': _rubble,
        'site_sign': _site_sign,
    }
)
# Which of them a town style has; each as often as it stands here.
STYLE_FURNITURE: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        'suburb': ('sign', 'sign', 'bin', 'bench', 'hydrant', 'cabinet', 'post_box', 'shelter', 'rubble'),
        'old_town': ('sign', 'bin', 'bench', 'phone_box', 'advert_column', 'bollards', 'bollards', 'post_box', 'rubble'),
        'modern': ('sign', 'bin', 'bench', 'advert_panel', 'advert_panel', 'bollards', 'cabinet', 'shelter', 'hydrant'),
        'industrial': ('sign', 'cabinet', 'rubble', 'rubble', 'site_sign', 'bin', 'hydrant', 'advert_panel'),
        'desert_town': ('sign', 'bin', 'rubble', 'cabinet', 'advert_panel', 'bench', 'phone_box', 'site_sign'),
    }
)
_STONE: tuple[Colour, ...] = ((150, 148, 142), (96, 108, 98), (190, 186, 176))
_TARP: tuple[Colour, ...] = ((96, 112, 124), (60, 84, 64), (176, 176, 170), (52, 66, 104))
# Of which class a look-alike has the shape, and its colours.
LOOKALIKES: MappingProxyType[str, tuple[Label, tuple[Colour, ...]]] = MappingProxyType(
    {
        'statue': (Label.PEDESTRIAN, _STONE),
        'mannequin': (Label.PEDESTRIAN, ((232, 220, 206), (240, 240, 238))),
        'planter': (Label.TRAFFIC_CONE, ((60, 108, 56), (96, 92, 86), (130, 84, 60))),
        'wall_block': (Label.BARRIER, props.STONES),
        'covered_car': (Label.CAR, _TARP),
        'container': (Label.TRAILER, ((150, 70, 50), (60, 90, 120), (90, 110, 80))),
        'kiosk': (Label.TRUCK, ((226, 214, 186), (196, 206, 214))),
        'cycle_sculpture': (Label.BICYCLE, ((110, 112, 114), (146, 108, 70))),
        'covered_motorcycle': (Label.MOTORCYCLE, _TARP),
    }
)
SMALL_LOOKALIKES: tuple[str, ...] = ('statue', 'mannequin', 'planter', 'wall_block', 'cycle_sculpture', 'covered_motorcycle')


def lookalike(rng: np.random.Generator, x: float, y: float, yaw_rad: float, kind: str = '') -> Prop:
    """A prop with exactly the shape of a road user, of one dull colour, without lamps or panes.

    Args:
        kind: one of LOOKALIKES; '' draws one of those that fit on a pavement (SMALL_LOOKALIKES).
    """
    label, colours = LOOKALIKES[kind or choose(rng, SMALL_LOOKALIKES)]
    body = make_body(label, rng, lookalike=True)
    colour = choose(rng, colours)
    parts = tuple(
        replace(part, colour=_shaded(colour, index), texture=Texture.PLAIN, glow=0.0) for index, part in enumerate(body.parts)
    )
    return Prop(x, y, yaw_rad, parts)


def _shaded(colour: Colour, index: int) -> Colour:
    """A little lighter or darker from part to part, as cloth and stone are."""
    change = (7 * index) % 13 - 6
    red, green, blue = (max(0, min(255, value + change)) for value in colour)
    return red, green, blue


def street_furniture(rng: np.random.Generator, style: str, x: float, y: float, yaw_rad: float) -> Prop:
    """One thing of a town style's streets; its front looks along ``yaw_rad``."""
    return Prop(x, y, yaw_rad, FURNITURE[choose(rng, STYLE_FURNITURE[style])](rng))


def clutter(rng: np.random.Generator, style: str, x: float, y: float, yaw_rad: float) -> Prop:
    """What confuses a detector, within 2.5 m of its place: furniture, a look-alike, a bush, a short wall, hedge or fence.

    Args:
        yaw_rad: of the road; what is long lies along it, what has a front looks to its left.
    """
    draw = rng.uniform()
    if draw < 0.45:
        return street_furniture(rng, style, x, y, yaw_rad + np.pi / 2)
    if draw < 0.75:
        return lookalike(rng, x, y, yaw_rad + np.pi / 2)
    if draw < 0.85:
        return props.bush(rng, x, y, style)
    length = float(rng.uniform(1.5, 3.5))
    if draw < 0.9:
        return props.hedge(rng, x, y, yaw_rad, length, style)
    return (props.wall if draw < 0.95 else props.fence)(rng, x, y, yaw_rad, length)
