"""The sensors of many frames at once, on any device of torch: the batched twin of `sensors.SensorSuite`.

Frames may come from different worlds with different rigs; only the number and size of images is one. `prepare_torch` flattens
the scenes; here all else is done on the device, with the formulas of the numba kernels, a module each: `casting_torch` (whose
docstring tells how the nearest solid is found), `heights_torch`, `maps_torch`, `shading_torch`, `surfaces_torch`,
`imaging_torch`, `lidar_torch`. Depth, solids and ranges are those of the kernels but for rounding; so are colours, but for
pixels where the edge of a texture falls between two roundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from moe_bev_ros.world import imaging_torch as imaging
from moe_bev_ros.world.casting_torch import cast_views
from moe_bev_ros.world.heights_torch import Grids
from moe_bev_ros.world.lidar_torch import cast_sweeps, collect_points
from moe_bev_ros.world.maps_torch import cast_lamplight, cast_shadows, sample
from moe_bev_ros.world.prepare_torch import Prepared, Shot, Worlds, load_worlds, prepare
from moe_bev_ros.world.sensors import SensorSuite
from moe_bev_ros.world.shading_torch import Maps, shade
from moe_bev_ros.world.weather import HORIZON_R


class Rendered(NamedTuple):
    """What the sensors of F frames with N cameras give, on the device.

    Attributes:
        images_fnhw3: uint8 RGB.
        depth_fnhw: float32, along the optical axis [m]; 1e9 for the sky.
        parts_fnhw: int64, the solid of each pixel, counted in its frame; -1: ground or sky.
        points_m6, owners_m: points of all sweeps and their actors, as in `sensors.Sensed`; ``frame_m`` tells whose, rising.
    """

    images_fnhw3: Tensor
    depth_fnhw: Tensor
    parts_fnhw: Tensor
    points_m6: Tensor
    owners_m: Tensor
    frame_m: Tensor


def render_batch(suites: Sequence[SensorSuite], shots: Sequence[Shot], device: str = 'cpu') -> Rendered:
    """Images and sweeps of some instants; for many batches keep `load_worlds` and call `prepare` and `render`."""
    place = torch.device(device)
    return render(load_worlds(suites, place), prepare(suites, shots, place))


@torch.inference_mode()
def render(worlds: Worlds, batch: Prepared) -> Rendered:
    """Images and sweeps of a batch whose tensors are on the worlds' device."""
    maps = _maps(worlds, batch)
    depth_ihw, ids_ihw = cast_views(batch.parts, batch.views, worlds.heights)
    images = _images(worlds, batch, maps, depth_ihw, ids_ihw)
    beams = cast_sweeps(batch.parts, batch.sweeps, maps)
    points = collect_points(batch.parts, batch.owners_p, batch.sweeps, beams, maps)
    starts = torch.tensor(batch.parts.starts, device=ids_ihw.device)[batch.views.frame_i][:, None, None]
    ids = torch.where(ids_ihw < 0, ids_ihw, ids_ihw - starts)
    per_frame = (len(batch.world_f), -1, *depth_ihw.shape[1:])
    return Rendered(images.reshape(*per_frame, 3), depth_ihw.reshape(per_frame), ids.reshape(per_frame), *points)


def _maps(worlds: Worlds, batch: Prepared) -> Maps:
    """The worlds' maps with the shadows and headlights of what moves."""
    world, frames = batch.world_f, torch.arange(len(batch.world_f), device=batch.world_f.device)
    shadows, lights = _copies(worlds.statics, world), _copies(worlds.lights, world)
    cast_shadows(batch.moving, frames, worlds.sun_3w[:, world], shadows)
    cast_lamplight(batch.lamps_6n, batch.lamp_frame_n, lights)
    return Maps(worlds.pyramids, shadows, worlds.statics, lights, worlds.heights, worlds.flat_w)


def _copies(grids: Grids, which_f: Tensor) -> Grids:
    """A map for each frame."""
    start, rows, columns = grids.layout_3g[:, which_f]
    size = rows * columns
    begin = torch.cumsum(size, 0) - size
    cell = torch.arange(int(size.sum()), device=size.device) + torch.repeat_interleave(start - begin, size)
    return Grids(grids.values_p[cell], torch.stack([begin, rows, columns]), grids.frames_3g[:, which_f])


def _images(worlds: Worlds, batch: Prepared, maps: Maps, depth_ihw: Tensor, ids_ihw: Tensor) -> Tensor:
    """(I, H, W, 3) uint8, step by step as `SensorSuite` does it."""
    views, world = batch.views, batch.views.world_i
    light = shade(batch.parts, batch.static_p, views, worlds.air_kw, maps, depth_ihw, ids_ihw)
    imaging.add_halos(batch.parts, views, worlds.air_kw, depth_ihw, light)
    place = views.origin_3i[:2].float()
    veiled = worlds.low_sun_w[world] & (sample(maps.shadows, views.frame_i, place[0], place[1]) == 0.0)
    imaging.add_veil(views, worlds.air_kw, veiled, light)
    imaging.add_streaks(worlds.rain_w[world], worlds.air_kw[HORIZON_R, world], batch.seed_i, light)
    light = imaging.blur(batch.motion_6i, views, depth_ihw, light)
    return imaging.develop(light, imaging.exposure_gains(light), worlds.noise_w[world], batch.seed_i)
