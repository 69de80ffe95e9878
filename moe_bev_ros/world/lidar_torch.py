"""Spinning LiDARs' sweeps as tensors: the twin of `lidar`, for all frames of a batch at once, whatever their beams."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from moe_bev_ros.world.casting_torch import NOTHING, Parts, Windows, cast_windows, pack, pairs, unpack
from moe_bev_ros.world.heights_torch import ground_at, meet_ground, meet_plane
from moe_bev_ros.world.lidar import FALSE_FROM_M, FALSE_OVER_M, FDX, FTIME, FUX, FX, LEAST_RANGE_M, WET_ECHO
from moe_bev_ros.world.parts import CX, CY, CZ, HX, HY, HZ, REFLECTIVITY, SHAPE, TEXTURE, VX, VY
from moe_bev_ros.world.scene import Texture
from moe_bev_ros.world.shading_torch import Maps
from moe_bev_ros.world.solids_torch import MISS, noise, normals, to_unit

PLACE, ALONG, UP = slice(FX, FX + 3), slice(FDX, FDX + 3), slice(FUX, FUX + 3)


class Sweeps(NamedTuple):
    """One sweep a frame, beams of a firing side by side, firings and frames end to end.

    Attributes:
        firings_10c: float64, rows as the columns of `lidar`, of all frames; ``frame_c`` and ``number_c``: whose and which.
        tangents_fb: float64 of each frame's beams, rising, filled up with infinity.
        layout_3f: of each frame, its first firing, its firings and its beams.
        cells_f: first beam of each frame.
        sensor_3f, rotation_33f: float64 pose of the sensor at the end of the sweep.
        slack_2f: how far sensor and actors can move [m] and turn [rad] within the sweep.
        limits_6f: float64, see `lidar.LidarLimits`.
        world_f: whose ground it is; ``seed_f`` of the noise.
    """

    firings_10c: Tensor
    frame_c: Tensor
    number_c: Tensor
    tangents_fb: Tensor
    layout_3f: Tensor
    cells_f: Tensor
    sensor_3f: Tensor
    rotation_33f: Tensor
    slack_2f: Tensor
    limits_6f: Tensor
    world_f: Tensor
    seed_f: Tensor


class Beams(NamedTuple):
    """Every beam of every firing, and what it met: distance along the floor [m], and solid (-1: ground)."""

    firing_n: Tensor
    beam_n: Tensor
    floor_n: Tensor
    part_n: Tensor


def cast_sweeps(parts: Parts, sweeps: Sweeps, maps: Maps) -> Beams:
    """What every beam meets first."""
    beams_c = sweeps.layout_3f[2, sweeps.frame_c]
    firing = torch.repeat_interleave(torch.arange(len(beams_c), device=beams_c.device), beams_c)
    beam = torch.arange(len(firing), device=firing.device) - (torch.cumsum(beams_c, 0) - beams_c)[firing]
    best = pack(_ground(sweeps, firing, beam, maps), -1)
    for index_m, t_m, part_m in cast_windows(_windows(parts, sweeps), 0.0):
        best.scatter_reduce_(0, index_m, torch.where(t_m < MISS, pack(t_m, part_m), NOTHING), 'amin')
    return Beams(firing, beam, *unpack(best))


def _rays(sweeps: Sweeps, firing_n: Tensor, beam_n: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Start and direction, 1 along the floor, of beams in map, and the tangents of their elevations."""
    row = sweeps.firings_10c[:, firing_n]
    slope = sweeps.tangents_fb[sweeps.frame_c[firing_n], beam_n]
    return row[PLACE], row[ALONG] + slope * row[UP], slope


def _ground(sweeps: Sweeps, firing_n: Tensor, beam_n: Tensor, maps: Maps) -> Tensor:
    start, direction, _ = _rays(sweeps, firing_n, beam_n)
    world = sweeps.world_f[sweeps.frame_c[firing_n]]
    floor = meet_plane(start[2], direction[2])
    rolling = torch.nonzero(~maps.flat_w[world])[:, 0]
    if len(rolling):
        floor[rolling] = meet_ground(maps.heights, world[rolling], start[:, rolling], direction[:, rolling])
    return floor.float()


def _windows(parts: Parts, sweeps: Sweeps) -> Windows:
    """For every solid in reach, every firing that can meet it, and the beams that can; see `lidar._window`."""
    frame, part = pairs(parts.starts, torch.arange(len(sweeps.world_f), device=sweeps.world_f.device))
    flat = parts.table_kp[[CX, CY]][:, part] - sweeps.sensor_3f[:2, frame]
    near = (flat * flat).sum(0) < (sweeps.limits_6f[0, frame] + parts.table_kp[HX, part] + parts.table_kp[HY, part]) ** 2
    frame, part = frame[near], part[near]
    first, count, low, high = _spans(parts.table_kp[:, part], sweeps, frame)
    count = torch.where(low < high, count, 0)
    job = torch.repeat_interleave(torch.arange(len(part), device=part.device), count)
    step = torch.arange(len(job), device=part.device) - (torch.cumsum(count, 0) - count)[job]
    begin, firings, beams = sweeps.layout_3f[:, frame[job]]
    number = (first[job] + step) % firings
    table, f = parts.table_kp[:, part[job]], sweeps.firings_10c[:, begin + number]
    offset = table[[CX, CY, CZ]] - f[PLACE]
    offset[:2] += table[[VX, VY]] * f[FTIME]
    middle = (offset * f[ALONG]).sum(0).clamp(min=0.0)
    origin, along, up = (to_unit(table, vector) for vector in (-offset, f[ALONG], f[UP]))
    rest = torch.zeros_like(along)
    rays = torch.cat([origin + middle * along, along, middle * up, up, rest, rest, middle[None]]).float()
    at_first = frame[job] * sweeps.tangents_fb.shape[1] + low[job]
    cell = sweeps.cells_f[frame[job]] + number * beams + low[job]
    size = (high[job] - low[job], torch.ones_like(low[job]))
    return Windows(rays, sweeps.tangents_fb.float().reshape(-1), at_first, part[job], table[SHAPE].long(), *size, cell, beams)


def _spans(table: Tensor, sweeps: Sweeps, frame: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First firing and number of firings, first beam and the one after the last, that can meet each solid."""
    r, (slack_m, slack_rad) = sweeps.rotation_33f[..., frame], sweeps.slack_2f[:, frame]
    ahead, left, up = (r * (table[[CX, CY, CZ]] - sweeps.sensor_3f[:, frame])[:, None]).sum(0)
    tilt = torch.sqrt((1.0 - r[2, 2] ** 2).clamp(min=0.0))
    distance, flat = torch.hypot(ahead, left), torch.hypot(table[HX], table[HY])
    radius, half_height = flat + tilt * table[HZ] + slack_m, table[HZ] + tilt * flat + 0.05 * slack_m
    inside = distance <= radius + 0.1
    near, far = torch.where(inside, 1.0, distance - radius), distance + radius
    low, high = up - half_height, up + half_height
    tan_low = torch.where(inside, -MISS, torch.where(low < 0.0, low / near, low / far))
    tan_high = torch.where(inside, MISS, torch.where(high > 0.0, high / near, high / far))
    bearing = torch.where(inside, 0.0, torch.atan2(left, ahead))
    half = torch.where(inside, torch.pi, torch.asin((radius / distance.clamp(min=1e-9)).clamp(max=1.0)) + slack_rad)
    firings = sweeps.layout_3f[1, frame]
    first = ((torch.pi - bearing - half) / (2 * torch.pi) * firings).floor().long()
    count = torch.minimum(firings, (2.0 * half / (2 * torch.pi) * firings).long() + 3)
    tangents = sweeps.tangents_fb[frame]
    return first, count, (tangents < tan_low[:, None]).sum(1), (tangents <= tan_high[:, None]).sum(1)


def collect_points(parts: Parts, owners_p: Tensor, sweeps: Sweeps, beams: Beams, maps: Maps) -> tuple[Tensor, Tensor, Tensor]:
    """(M, 6) float32 points as in `sensors.Sensed`, (M,) their owners and (M,) their frames, in the order of firing.

    Args:
        owners_p: of each solid; 0: none.
    """
    frame = sweeps.frame_c[beams.firing_n]
    range_m, _, _, _, false_share, _ = sweeps.limits_6f[:, frame]
    number, seed = sweeps.number_c[beams.firing_n], sweeps.seed_f[frame]
    length = torch.sqrt(1.0 + sweeps.tangents_fb[frame, beams.beam_n] ** 2)
    t = beams.floor_n.double() * length
    missed = noise(seed, number, 4 * beams.beam_n + 1_000_003) >= false_share
    drop = FALSE_FROM_M + FALSE_OVER_M * noise(seed, number, 4 * beams.beam_n + 1_000_004) ** 2
    wet = ~missed & (drop < torch.minimum(t, range_m))
    t = torch.where(wet, drop, t)
    keep = torch.nonzero(wet | ((t < range_m) & (t >= LEAST_RANGE_M)))[:, 0]
    beams = Beams(*(column[keep] for column in beams))
    frame, number, seed, length, t, wet = frame[keep], number[keep], seed[keep], length[keep], t[keep], wet[keep]
    echo = torch.where(wet, 0.04, _echoes(parts, sweeps, beams, maps))
    range_m, spread_m, dropout, thickness, _, _ = sweeps.limits_6f[:, frame]
    passed = torch.where(wet, 1.0, torch.exp(-2.0 * thickness * t))
    lost = dropout + 0.9 * (1.0 - echo * passed / (0.08 + 0.2 * t / range_m)).clamp(min=0.0)
    draws = [noise(seed, number, 4 * beams.beam_n + k) for k in range(4)]
    flat = (t + 2.0 * spread_m * (draws[1] + draws[2] + draws[3] - 1.5)) / length
    azimuth = torch.pi - 2 * torch.pi * (number + 0.5) / sweeps.layout_3f[1, frame]
    slope, time = sweeps.tangents_fb[frame, beams.beam_n], sweeps.firings_10c[FTIME, beams.firing_n]
    intensity = (echo * passed * (0.9 + 0.2 * noise(seed + 1, number, beams.beam_n))).clamp(max=1.0)
    place = (flat * torch.cos(azimuth), flat * torch.sin(azimuth), flat * slope)
    points = torch.stack([*place, intensity, beams.beam_n.double(), time], 1).float()
    owners = torch.where(wet | (beams.part_n < 0), 0, owners_p[beams.part_n.clamp(min=0)])
    found = wet | (draws[0] >= lost)
    return points[found], owners[found], frame[found]


def _echoes(parts: Parts, sweeps: Sweeps, beams: Beams, maps: Maps) -> Tensor:
    """Share of light that each beam's solid or ground sends back; see `lidar.echo_of_part` and `echo_of_ground`."""
    start, direction, slope = _rays(sweeps, beams.firing_n, beams.beam_n)
    place, unit = start + beams.floor_n * direction, direction / torch.sqrt(1.0 + slope * slope)
    table, time = parts.table_kp[:, beams.part_n.clamp(min=0)], sweeps.firings_10c[FTIME, beams.firing_n]
    moved = torch.stack([place[0] - table[VX] * time, place[1] - table[VY] * time, place[2]])
    normal = normals(table[SHAPE].long(), table, to_unit(table, moved - table[[CX, CY, CZ]]))
    through = torch.where(table[TEXTURE].long() == Texture.GLASS, 0.1, 1.0)
    of_part = table[REFLECTIVITY] * (0.35 + 0.65 * (normal * unit).sum(0).abs()) * through
    frame = sweeps.frame_c[beams.firing_n]
    world = sweeps.world_f[frame]
    x0, y0, size = maps.pyramids.frames_3w[:, world]
    begin, height, width = maps.pyramids.layout_3wl[:, world, 0]
    j = torch.minimum(((place[0] - x0) / size).long().clamp(min=0), width - 1)
    i = torch.minimum(((place[1] - y0) / size).long().clamp(min=0), height - 1)
    _, slope_x, slope_y = ground_at(maps.heights, world, place[0], place[1])
    facing = (unit[2] - slope_x * unit[0] - slope_y * unit[1]).abs()
    reflectivity = maps.pyramids.texels_p4[begin + i * width + j, 3] / 255.0
    of_ground = reflectivity * (0.6 + 0.4 * facing) * (1.0 - WET_ECHO * sweeps.limits_6f[5, frame])
    return torch.where(beams.part_n >= 0, of_part, of_ground)
