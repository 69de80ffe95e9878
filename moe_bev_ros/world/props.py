"""Houses, vegetation and posts at the roadside, in the manner of a town style, and the body of a traffic light.

A prop's front looks along its x axis where it has one; houses are long along x, walls, hedges and fences too.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.body_parts import ADVERTS, STEEL, choose
from moe_bev_ros.world.scene import Colour, Part, Prop, Shape, Signal, Texture


@dataclass(frozen=True)
class _Look:
    """Of one town style.

    Attributes:
        heights_m: lowest and highest house.
        roof_m: height of a pitched roof; 0: flat.
        shop: share of houses with a shop sign.
    """

    facades: tuple[Colour, ...]
    roofs: tuple[Colour, ...]
    leaves: tuple[Colour, ...]
    heights_m: tuple[float, float]
    roof_m: float
    shop: float


_LOOKS = MappingProxyType(
    {
        'suburb': _Look(
            ((198, 178, 150), (170, 120, 100), (188, 190, 192), (214, 200, 170), (150, 152, 160), (206, 164, 128)),
            ((92, 84, 80),),
            ((72, 120, 50), (92, 134, 56), (58, 102, 52), (120, 136, 60)),
            (7.0, 17.0),
            0.0,
            0.0,
        ),
        'old_town': _Look(
            ((206, 186, 150), (188, 150, 116), (160, 136, 116), (214, 206, 190), (176, 120, 96)),
            ((132, 62, 44), (112, 70, 54), (84, 72, 68)),
            ((70, 104, 50), (88, 112, 56)),
            (8.0, 13.0),
            3.0,
            0.4,
        ),
        'modern': _Look(
            ((148, 166, 182), (196, 202, 206), (112, 128, 142), (222, 224, 224)),
            ((96, 100, 104),),
            ((82, 138, 62), (104, 150, 70), (64, 120, 66)),
            (12.0, 34.0),
            0.0,
            0.5,
        ),
        'industrial': _Look(
            ((168, 172, 174), (130, 138, 144), (150, 96, 76), (176, 168, 142)),
            ((110, 112, 112), (86, 90, 94)),
            ((104, 112, 62), (84, 98, 56)),
            (5.0, 11.0),
            1.2,
            0.6,
        ),
        'desert_town': _Look(
            ((226, 200, 158), (210, 176, 130), (234, 218, 186), (198, 152, 112)),
            ((216, 192, 152), (180, 140, 104)),
            ((122, 130, 72), (142, 140, 88)),
            (3.5, 9.0),
            0.0,
            0.3,
        ),
    }
)
STONES: tuple[Colour, ...] = ((168, 160, 148), (140, 136, 130), (176, 118, 92), (206, 200, 188))
SIGN_POST: Colour = (70, 74, 78)
HOUSINGS_XYZ_M = ((0.05, 0.0, 2.9), (0.05, -2.7, 4.7))  # of a traffic light: on the pole, and on the arm over the road
HOUSING_HEIGHT_M = 1.16
LAMPS: tuple[tuple[LightState, float, Colour], ...] = (
    (LightState.RED, 0.32, (255, 48, 36)),
    (LightState.AMBER, 0.0, (255, 190, 40)),
    (LightState.GREEN, -0.32, (60, 255, 120)),
)


def reach_m(prop: Prop) -> float:
    """Radius around a prop's place within which all of it stands [m]."""
    return max(float(np.hypot(*part.centre_3[:2]) + 0.5 * np.hypot(*part.size_3[:2])) for part in prop.parts)


def building(
    rng: np.random.Generator, x: float, y: float, yaw_rad: float, length_m: float, depth_m: float, style: str = 'suburb'
) -> Prop:
    """A house with rows of windows, a plinth and a roof; now and then shop signs on both long sides."""
    look = _LOOKS[style]
    height = float(rng.uniform(*look.heights_m))
    colour, roof = choose(rng, look.facades), choose(rng, look.roofs)
    blind = style == 'industrial' and rng.uniform() < 0.5
    parts = [
        Part(
            (0.0, 0.0, height / 2),
            (length_m, depth_m, height),
            colour,
            0.4,
            texture=Texture.PLAIN if blind else Texture.FACADE,
        ),
        Part((0.0, 0.0, 0.35), (length_m + 0.2, depth_m + 0.2, 0.7), (112, 108, 104), 0.35),
        Part((0.0, 0.0, height + 0.15), (length_m + 0.5, depth_m + 0.5, 0.3), roof, 0.3),
    ]
    if look.roof_m:
        pitched = (0.0, 0.0, height + 0.3 + look.roof_m / 2)
        parts.append(Part(pitched, (length_m + 0.3, depth_m + 0.3, look.roof_m), roof, 0.3, Shape.CABIN))
    if rng.uniform() < look.shop:
        paper, away = choose(rng, ADVERTS), 0.5 * depth_m + 0.12
        parts += [Part((0.0, y, 3.2), (0.5 * length_m, 0.1, 0.8), paper, 0.5, texture=Texture.LETTERING) for y in (away, -away)]
    return Prop(x, y, yaw_rad, tuple(parts))


def tree(rng: np.random.Generator, x: float, y: float, style: str = 'suburb') -> Prop:
    """A broad-leaved tree, or what else grows in such a town: firs, columns of leaves, palms."""
    yaw = float(rng.uniform(0.0, 6.28))
    leaves = choose(rng, _LOOKS[style].leaves)
    if style == 'desert_town':
        return Prop(x, y, yaw, _palm(rng, leaves))
    if style != 'suburb' and rng.uniform() < 0.4:
        return Prop(x, y, yaw, _fir(rng, leaves) if rng.uniform() < 0.5 else _columnar(rng, leaves))
    return Prop(x, y, yaw, _broad(rng, leaves))


def _trunk(height_m: float, thick_m: float) -> Part:
    return Part((0.0, 0.0, height_m / 2), (thick_m, thick_m, height_m), (92, 70, 50), 0.3, Shape.CYLINDER)


def _crown(centre_3: tuple[float, float, float], size_3: tuple[float, float, float], leaves: Colour, shape: Shape) -> Part:
    return Part(centre_3, size_3, leaves, 0.35, shape, 0.0, Texture.FOLIAGE)


def _broad(rng: np.random.Generator, leaves: Colour) -> tuple[Part, ...]:
    trunk, crown = float(rng.uniform(1.6, 2.4)), float(rng.uniform(2.2, 3.6))
    balls = []
    for angle in (0.4, 2.5, 4.6):
        x, y = 0.22 * crown * float(np.cos(angle)), 0.22 * crown * float(np.sin(angle))
        centre = (x, y, trunk + crown * (0.42 + 0.05 * angle))
        balls.append(_crown(centre, (0.82 * crown, 0.82 * crown, 0.86 * crown), leaves, Shape.ELLIPSOID))
    return (_trunk(trunk + 0.6, 0.3), *balls)


def _fir(rng: np.random.Generator, leaves: Colour) -> tuple[Part, ...]:
    height, wide = float(rng.uniform(4.0, 8.0)), float(rng.uniform(1.8, 3.0))
    dark = (leaves[0] * 2 // 3, leaves[1] * 3 // 4, leaves[2] * 4 // 5)
    cones = tuple(
        _crown((0.0, 0.0, height * z), (wide * w, wide * w, 0.5 * height), dark, Shape.CONE)
        for z, w in ((0.37, 1.0), (0.56, 0.76), (0.75, 0.5))
    )
    return (_trunk(0.2 * height, 0.26), *cones)


def _columnar(rng: np.random.Generator, leaves: Colour) -> tuple[Part, ...]:
    height, wide = float(rng.uniform(4.0, 7.0)), float(rng.uniform(1.0, 1.6))
    return (_trunk(1.2, 0.22), _crown((0.0, 0.0, 0.8 + height / 2), (wide, wide, height), leaves, Shape.ELLIPSOID))


def _palm(rng: np.random.Generator, leaves: Colour) -> tuple[Part, ...]:
    height, long = float(rng.uniform(3.5, 6.5)), float(rng.uniform(2.2, 3.2))
    fans = tuple(
        Part((0.0, 0.0, height + dz), (long, 0.5, 0.25), leaves, 0.35, Shape.ELLIPSOID, turn, Texture.FOLIAGE)
        for turn, dz in ((0.0, 0.0), (0.8, 0.1), (1.6, 0.0), (2.4, 0.1))
    )
    return (_trunk(height, 0.28), *fans)


def lamp_post(x: float, y: float, yaw_rad: float) -> Prop:
    """A street lamp whose arm points along ``yaw_rad``."""
    parts = (
        Part((0.0, 0.0, 3.0), (0.16, 0.16, 6.0), STEEL, 0.5, Shape.CYLINDER),
        Part((0.75, 0.0, 5.95), (1.6, 0.1, 0.1), STEEL, 0.5),
        Part((1.5, 0.0, 5.88), (0.6, 0.22, 0.12), (220, 220, 210), 0.5),
    )
    return Prop(x, y, yaw_rad, parts)


def bush(rng: np.random.Generator, x: float, y: float, style: str = 'suburb') -> Prop:
    """Leaves down to the ground."""
    size = float(rng.uniform(0.8, 1.6))
    leaves = choose(rng, _LOOKS[style].leaves)
    part = Part((0.0, 0.0, 0.35 * size), (size, size, 0.9 * size), leaves, 0.35, Shape.ELLIPSOID)
    return Prop(x, y, 0.0, (part,))


def hedge(rng: np.random.Generator, x: float, y: float, yaw_rad: float, length_m: float, style: str = 'suburb') -> Prop:
    """A cut hedge, long along x."""
    height, deep = float(rng.uniform(0.8, 1.8)), float(rng.uniform(0.6, 0.9))
    leaves = choose(rng, _LOOKS[style].leaves)
    parts = (
        Part((0.0, 0.0, 0.5 * height), (length_m, deep, height), leaves, 0.35, texture=Texture.FOLIAGE),
        Part((0.0, 0.0, height), (0.96 * length_m, 0.8 * deep, 0.16), leaves, 0.35, Shape.ELLIPSOID, 0.0, Texture.FOLIAGE),
    )
    return Prop(x, y, yaw_rad, parts)


def wall(rng: np.random.Generator, x: float, y: float, yaw_rad: float, length_m: float) -> Prop:
    """A garden wall with a coping, long along x."""
    height, stone = float(rng.uniform(0.6, 2.0)), choose(rng, STONES)
    parts = (
        Part((0.0, 0.0, 0.5 * height), (length_m, 0.26, height), stone, 0.4),
        Part((0.0, 0.0, height + 0.04), (length_m + 0.06, 0.36, 0.08), (120, 114, 108), 0.35),
    )
    return Prop(x, y, yaw_rad, parts)


def fence(rng: np.random.Generator, x: float, y: float, yaw_rad: float, length_m: float) -> Prop:
    """Posts with two rails and gaps between, long along x; most beams go through."""
    height, colour = float(rng.uniform(0.9, 1.5)), choose(rng, ((90, 70, 50), (70, 74, 78), (226, 226, 220)))
    num = max(2, round(length_m / 1.6) + 1)
    posts = tuple(
        Part((float(place), 0.0, 0.5 * height), (0.08, 0.08, height), colour, 0.4)
        for place in np.linspace(-0.5 * length_m + 0.04, 0.5 * length_m - 0.04, num)
    )
    rails = tuple(Part((0.0, 0.0, z * height), (length_m, 0.05, 0.1), colour, 0.4) for z in (0.45, 0.88))
    return Prop(x, y, yaw_rad, (*posts, *rails))


def traffic_light_parts(light: Signal) -> tuple[Part, ...]:
    """Pole, arm, housing and three lamps, of which the one of ``light.state`` shines; the lamps look along local x."""
    pole = Part((0.0, 0.0, 2.6), (0.16, 0.16, 5.2), SIGN_POST, 0.4, Shape.CYLINDER)
    heads: list[Part] = [Part((0.0, -1.4, 5.1), (0.1, 2.9, 0.1), SIGN_POST, 0.4)]
    for x, y, z in HOUSINGS_XYZ_M:
        heads.append(Part((x, y, z), (0.26, 0.42, HOUSING_HEIGHT_M), (30, 32, 34), 0.15))
        for state, dz, colour in LAMPS:
            lit = state is light.state
            shown = colour if lit else (colour[0] // 5, colour[1] // 5, colour[2] // 5)
            heads.append(Part((0.17, y, z + dz), (0.1, 0.28, 0.28), shown, 0.3, Shape.ELLIPSOID, glow=1.0 if lit else 0.0))
    return (pole, *heads)
