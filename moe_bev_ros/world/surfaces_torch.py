"""Colours of surfaces before any light falls on them, as tensors: the twin of `surfaces`, all textures of M points at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moe_bev_ros.world.parts import BLUE, CX, GREEN, HX, HY, HZ, RED, TEXTURE
from moe_bev_ros.world.scene import Texture
from moe_bev_ros.world.solids_torch import noise
from moe_bev_ros.world.surfaces import COARSER, LEAF_M, LETTER_M, PAINT_WHITE, SHEEN, STOREY_M, STRIPE_M, WINDOW_M


class Pyramids(NamedTuple):
    """The pictures of the ground of several worlds, see `ground.Ground`.

    Attributes:
        texels_p4: uint8, all levels of all worlds end to end.
        layout_3wl: start, height and width of each level; a world with fewer levels repeats its coarsest.
        frames_3w: x and y of the corner of texel (0, 0) in map, and its size on level 0 [m].
    """

    texels_p4: Tensor
    layout_3wl: Tensor
    frames_3w: Tensor


def surfaces(parts_km: Tensor, units_3m: Tensor, normal_z_m: Tensor, up_sky_m: Tensor) -> tuple[Tensor, Tensor]:
    """(3, M) colour of parts at points of their unit spaces, and (M,) how far they mirror the sky."""
    texture = parts_km[TEXTURE].long()
    colour, mirror = parts_km[[RED, GREEN, BLUE]].clone(), torch.full_like(normal_z_m, SHEEN)
    mirror = torch.where(texture == Texture.GLASS, 0.25 + 0.25 * up_sky_m.clamp(min=0.0), mirror)
    for kind, paint in (
        (Texture.FACADE, _facade),
        (Texture.FOLIAGE, _foliage),
        (Texture.STRIPES, _stripes),
        (Texture.LETTERING, _lettering),
    ):
        chosen = texture == kind
        if kind is Texture.FACADE:
            chosen = chosen & (normal_z_m.abs() < 0.5)
        at = torch.nonzero(chosen)[:, 0]
        colour[:, at], mirror[at] = paint(parts_km[:, at], units_3m[:, at])
    return colour, mirror


def _facade(part: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    along = torch.where(u[0].abs() < 0.999, u[0] * part[HX], u[1] * part[HY])
    column, row = along / WINDOW_M + 100.0, (u[2] + 1.0) * part[HZ] / STOREY_M
    fu, fv = column - column.floor(), row - row.floor()
    window = (fu > 0.27) & (fu < 0.73) & (fv > 0.3) & (fv < 0.8) & (row < 2.0 * part[HZ] / STOREY_M - 0.5)
    lit = noise(column.long(), row.long(), part[CX].long()).float()
    pane = torch.stack([66.0 + 50.0 * lit, 78.0 + 52.0 * lit, 92.0 + 50.0 * lit])
    wall = part[[RED, GREEN, BLUE]] * torch.where(fv < 0.07, 0.9, 1.0)
    return torch.where(window, pane, wall), torch.where(window, 0.3, 0.0)


def _foliage(part: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    x, y, z = ((u[k] * part[half] / LEAF_M).floor().long() + 999 for k, half in enumerate((HX, HY, HZ)))
    leaf = 0.68 + 0.5 * noise(x, y, z).float() + 0.16 * u[2]
    return part[[RED, GREEN, BLUE]] * leaf, torch.zeros_like(leaf)


def _stripes(part: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    along = (u[0] * part[HX] + u[1] * part[HY] + u[2] * part[HZ]) / STRIPE_M
    return torch.where(along - along.floor() < 0.5, PAINT_WHITE, part[[RED, GREEN, BLUE]]), torch.zeros_like(along)


def _lettering(part: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    colour = part[[RED, GREEN, BLUE]]
    red, green, blue = colour
    front = u[0].abs() > 0.999
    wide, half = torch.where(front, u[1], u[0]), torch.where(front, part[HY], part[HX])
    key, one = (part[CX] * 7.0).long(), torch.ones_like(u[0], dtype=torch.int64)
    spot = wide * wide + (u[2] - 0.5) * (u[2] - 0.5) < 0.12
    swap = noise(key, one, 2 * one).float()
    picture = torch.where(spot, torch.stack([green, blue, red]), torch.stack([red, green + (255.0 - green) * 0.4 * swap, blue]))
    column, row = wide * half / LETTER_M + 500.0, (u[2] + 1.0) * part[HZ] / (2.0 * LETTER_M) + 500.0
    ink = (row - row.floor() < 0.55) & (noise(column.long(), row.long(), key) < 0.7)
    inks = torch.tensor([[30.0, 30.0, 36.0], [PAINT_WHITE, PAINT_WHITE, 220.0]], device=u.device)
    letters = torch.where(ink, inks[0][:, None], inks[1][:, None])
    result = torch.where(u[2] > 0.1, picture, letters)
    frame = (wide.abs() > 0.93) | (u[2].abs() > 0.93)
    return torch.where(frame, 0.4 * colour, result), torch.zeros_like(wide)


def texels(pyramids: Pyramids, world_m: Tensor, x_m: Tensor, y_m: Tensor, square_m2: Tensor) -> Tensor:
    """(3, M) colours of the ground at places in map, from the levels that fit the areas that pixels cover [m2]."""
    x0, y0, finest = pyramids.frames_3w[:, world_m].float()
    level = torch.zeros_like(world_m)
    for k in range(pyramids.layout_3wl.shape[2] - 1):
        level += square_m2 > COARSER * (finest * 2.0**k) ** 2
    start, height, width = pyramids.layout_3wl[:, world_m, level]
    size = finest * 2.0**level
    gx = torch.minimum(((x_m - x0) / size - 0.5).clamp(min=0.0), width - 1.001)
    gy = torch.minimum(((y_m - y0) / size - 0.5).clamp(min=0.0), height - 1.001)
    j, i = gx.long(), gy.long()
    fx, fy = gx - j, gy - i
    a = start + i * width + j
    weights = ((0, (1.0 - fx) * (1.0 - fy)), (1, fx * (1.0 - fy)), (width, (1.0 - fx) * fy), (width + 1, fx * fy))
    return sum((pyramids.texels_p4[a + step, :3].T * weight for step, weight in weights), torch.zeros((), device=a.device))
