"""The light that reaches each pixel of a batch of cameras, as tensors: the twin of `shading`, term by term."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moe_bev_ros.world.casting_torch import Parts, Views, directions
from moe_bev_ros.world.heights_torch import Grids, ground_at
from moe_bev_ros.world.maps_torch import sample
from moe_bev_ros.world.parts import BASE, CX, CY, CZ, SHAPE
from moe_bev_ros.world.parts import GLOW as PART_GLOW
from moe_bev_ros.world.shading import BEAM_TOP_M, LAMP_B, LAMP_G, LAMP_R, LEVEL_NZ, WET_DARKENS
from moe_bev_ros.world.solids_torch import MISS, normals, to_unit
from moe_bev_ros.world.surfaces import SHEEN
from moe_bev_ros.world.surfaces_torch import Pyramids, surfaces, texels
from moe_bev_ros.world.weather import (
    AMBIENT,
    GLOW,
    HORIZON_B,
    HORIZON_R,
    LAMPS,
    SUN_B,
    SUN_R,
    SUN_X,
    SUN_Y,
    SUN_Z,
    THICKNESS,
    WET,
    ZENITH_B,
    ZENITH_R,
)

SUN, SUNLIGHT = slice(SUN_X, SUN_Z + 1), slice(SUN_R, SUN_B + 1)
HORIZON, ZENITH = slice(HORIZON_R, HORIZON_B + 1), slice(ZENITH_R, ZENITH_B + 1)


class Maps(NamedTuple):
    """The ground of all worlds, and the light on it in all frames; see `shading.GroundMaps`.

    Attributes:
        shadows, lights: one map a frame; ``statics`` and ``heights`` one a world.
        flat_w: whether a world's ground is flat.
    """

    pyramids: Pyramids
    shadows: Grids
    statics: Grids
    lights: Grids
    heights: Grids
    flat_w: Tensor


class _Points(NamedTuple):
    """Lit points, their frames and worlds, where they lie in map, from where they are seen, and their worlds' weather."""

    frame_m: Tensor
    world_m: Tensor
    at_3m: Tensor
    seen_3m: Tensor
    air_km: Tensor


def sky(air_km: Tensor, direction_3m: Tensor) -> Tensor:
    """(3, M) colour of the sky in unit directions, with a glow around the sun."""
    height = torch.sqrt((direction_3m[2].clamp(min=0.0) * 1.5).clamp(max=1.0))
    glow = air_km[GLOW] * (direction_3m * air_km[SUN]).sum(0).clamp(min=0.0) ** 24
    tint = torch.tensor([1.0, 0.9, 0.5], device=glow.device)[:, None]
    return air_km[HORIZON] + (air_km[ZENITH] - air_km[HORIZON]) * height + tint * glow


def shade(
    parts: Parts, static_p: Tensor, views: Views, air_kw: Tensor, maps: Maps, depth_ihw: Tensor, ids_ihw: Tensor
) -> Tensor:
    """(3, I, H, W) light of every pixel.

    Args:
        static_p: whether a part never moves; props' shadows fall only on those that do.
        air_kw: float32 columns of `weather` of each world.
    """
    rays = directions(views, torch.float32).reshape(3, -1)
    depth, ids = depth_ihw.reshape(-1), ids_ihw.reshape(-1)
    image = torch.arange(len(views.frame_i), device=depth.device).repeat_interleave(views.height * views.width)
    unit = rays * torch.rsqrt((rays * rays).sum(0))
    light = sky(air_kw[:, views.world_i[image]], unit)
    on_part, on_ground = torch.nonzero(ids >= 0)[:, 0], torch.nonzero((ids < 0) & (depth < MISS))[:, 0]
    for at, lit_by in ((on_part, None), (on_ground, views.pinhole_4i[0].float())):
        shown = image[at]
        place = views.origin_3i[:, shown].float() + depth[at] * rays[:, at]
        points = _Points(views.frame_i[shown], views.world_i[shown], place, unit[:, at], air_kw[:, views.world_i[shown]])
        if lit_by is None:
            colour = _part_light(parts.table_kp[:, ids[at]].float(), static_p[ids[at]], points, maps)
        else:
            square = (depth[at] / lit_by[shown]) ** 2 / (-points.seen_3m[2]).clamp(min=0.04)
            colour = _ground_light(points, maps, square)
        light[:, at] = torch.lerp(light[:, at], colour, _clearness(points.air_km, depth[at]))
    return light.reshape(3, *depth_ihw.shape)


def _clearness(air_km: Tensor, depth_m: Tensor) -> Tensor:
    x = depth_m.clamp(max=1e6) * air_km[THICKNESS]
    return 1.0 / (1.0 + x * (1.0 + x * (0.5 + x * (0.1666667 + x * 0.0416667))))


def _lamplight(points: _Points, maps: Maps, above_m: Tensor | float) -> Tensor:
    """(3, M) light of lamps."""
    lamp = sample(maps.lights, points.frame_m, points.at_3m[0], points.at_3m[1]) * (points.air_km[LAMPS] / 255.0)
    height = BEAM_TOP_M - torch.as_tensor(above_m, device=lamp.device)
    tint = torch.tensor([LAMP_R, LAMP_G, LAMP_B], device=lamp.device)[:, None]
    return tint * lamp * height.clamp(0.15, 1.0)


def _shade_on(part_km: Tensor, points: _Points, maps: Maps) -> Tensor:
    """(M,) share of sunlight that props leave: that of the ground under each point along the sun."""
    (start, rows, columns), (x0, y0, size) = (
        maps.statics.layout_3g[:, points.world_m], maps.statics.frames_3g[:, points.world_m].float()
    )  # fmt: skip
    sun, run = points.air_km[SUN], (points.at_3m[2] - part_km[BASE]) / points.air_km[SUN_Z]
    gx, gy = points.at_3m[0] - run * sun[0] - x0, points.at_3m[1] - run * sun[1] - y0
    j, i = (gx / size).long(), (gy / size).long()
    inside = (gx >= 0.0) & (gy >= 0.0) & (i < rows) & (j < columns)
    return torch.where(inside, 1.0 - maps.statics.values_p[torch.where(inside, start + i * columns + j, 0)] / 255.0, 1.0)


def _part_light(part_km: Tensor, static_m: Tensor, points: _Points, maps: Maps) -> Tensor:
    """(3, M) light from parts."""
    air, seen = points.air_km, points.seen_3m
    units = to_unit(part_km, points.at_3m - part_km[[CX, CY, CZ]])
    normal = normals(part_km[SHAPE].long(), part_km, units)
    facing = (normal * seen).sum(0)
    mirrored = seen - 2.0 * facing * normal
    colour, mirror = surfaces(part_km, units, normal[2], mirrored[2])
    sun = (normal * air[SUN]).sum(0).clamp(min=0.0)
    sun = sun * torch.where(static_m, 1.0, _shade_on(part_km, points, maps))
    light = air[AMBIENT] * (1.0 + 0.2 * normal[2]) + air[SUNLIGHT] * sun
    light = light + _lamplight(points, maps, points.at_3m[2] - part_km[BASE])
    glow = part_km[PART_GLOW]
    colour = colour * (light + glow * (1.15 - light))
    polish = mirror + (0.35 - 0.35 * glow) * (1.0 + facing.clamp(max=0.0)) ** 3
    dull = (mirror == 0.0) | ((mirror <= SHEEN) & (normal[2] > LEVEL_NZ) & static_m)
    polish = torch.where(dull, 0.0, polish)
    reflection = torch.where(mirrored[2] < 0.0, (140.0 * air[AMBIENT])[None], sky(air, mirrored))
    return colour * (1.0 - polish) + reflection * polish


def _ground_light(points: _Points, maps: Maps, square_m2: Tensor) -> Tensor:
    """(3, M) light from the ground."""
    air, (x, y, _) = points.air_km, points.at_3m
    sun = air[SUN_Z]
    if not bool(maps.flat_w.all()):
        _, slope_x, slope_y = ground_at(maps.heights, points.world_m, x.double(), y.double())
        sloped = (sun - slope_x.float() * air[SUN_X] - slope_y.float() * air[SUN_Y]).clamp(min=0.0)
        sun = torch.where(maps.flat_w[points.world_m], sun, sloped)
    sun = sun * (1.0 - sample(maps.shadows, points.frame_m, x, y) / 255.0)
    light = 1.2 * air[AMBIENT] + air[SUNLIGHT] * sun + _lamplight(points, maps, 0.0)
    colour = texels(maps.pyramids, points.world_m, x, y, square_m2) * light * (1.0 - WET_DARKENS * air[WET])
    polish = air[WET] * (0.04 + 0.5 * (1.0 + points.seen_3m[2].clamp(max=0.0)) ** 4)
    return torch.lerp(colour, air[HORIZON], polish)
