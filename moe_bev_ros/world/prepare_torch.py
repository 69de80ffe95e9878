"""Brings instants of worlds into the tensors that `render_torch` works on, with the very code of `sensors.SensorSuite`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moe_bev_ros.core.camera import PINHOLE
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.casting_torch import Parts, Views
from moe_bev_ros.world.heights_torch import Grids, grids
from moe_bev_ros.world.lamps import headlights
from moe_bev_ros.world.lidar_torch import Sweeps
from moe_bev_ros.world.parts import NUM_COLUMNS
from moe_bev_ros.world.scene import Scene
from moe_bev_ros.world.sensors import Instant, SensorSuite
from moe_bev_ros.world.surfaces_torch import Pyramids
from moe_bev_ros.world.weather import LOW_SUN_RAD


@dataclass(frozen=True)
class Shot:
    """One instant of one world; see `SensorSuite.sense`.

    Attributes:
        world: index of the suite that it belongs to.
        history_k4: (K, 4) times relative to the stamp [s], and x, y, yaw of base_link in map then.
    """

    world: int
    scene: Scene
    history_k4: Array
    seed: int


class Worlds(NamedTuple):
    """What does not change from frame to frame, of all worlds.

    Attributes:
        statics, lights: maps of shadows and lamplight that props make; ``flat_w``: whether a world's ground is.
        air_kw: float32 columns of `weather`.
        sun_3w: float64 unit vector towards the sun; ``low_sun_w`` whether it can shine into a lens.
        rain_w, noise_w: rain [mm/h], and standard deviation of the image noise.
    """

    pyramids: Pyramids
    statics: Grids
    lights: Grids
    heights: Grids
    flat_w: Tensor
    air_kw: Tensor
    sun_3w: Tensor
    low_sun_w: Tensor
    rain_w: Tensor
    noise_w: Tensor


class Prepared(NamedTuple):
    """A batch of F frames with N images each, I = F N.

    Attributes:
        parts: all solids; ``static_p`` whether they never move, ``owners_p`` the track id of their actor (0: none).
        moving: the solids that cast shadows into this instant's maps.
        lamps_6n: headlights, see `shadows.cast_lamplight`; ``lamp_frame_n`` their frames.
        motion_6i: way and turn of each camera while its shutter is open, in its own frame; 0 where too little to blur.
        seed_i: of each image's noise.
    """

    world_f: Tensor
    parts: Parts
    static_p: Tensor
    owners_p: Tensor
    moving: Parts
    lamps_6n: Tensor
    lamp_frame_n: Tensor
    views: Views
    motion_6i: Tensor
    seed_i: Tensor
    sweeps: Sweeps


def load_worlds(suites: Sequence[SensorSuite], device: torch.device) -> Worlds:
    """The grounds and the weather of some suites."""
    maps, conditions = [suite.maps for suite in suites], [suite.condition for suite in suites]
    return Worlds(
        pyramids=_pyramids(suites, device),
        statics=grids([m.static_hw for m in maps], [m.shadow_3 for m in maps], device),
        lights=grids([m.lit_hw for m in maps], [m.lit_3 for m in maps], device),
        heights=grids([m.heights_hw.astype(np.float64) for m in maps], [m.heights_3 for m in maps], device),
        flat_w=_send([m.flat for m in maps], device),
        air_kw=_send(np.stack([suite.air_k for suite in suites], axis=1), device).float(),
        sun_3w=_send(np.stack([condition.sun_direction_3 for condition in conditions], axis=1), device),
        low_sun_w=_send([condition.sun_elevation_rad < LOW_SUN_RAD for condition in conditions], device),
        rain_w=_send([condition.rain_mm_per_h for condition in conditions], device),
        noise_w=_send([condition.noise for condition in conditions], device).float(),
    )


def _send(values: NDArray[Any] | Sequence[Any], device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(device)


def _pyramids(suites: Sequence[SensorSuite], device: torch.device) -> Pyramids:
    maps = [suite.maps for suite in suites]
    starts = np.cumsum([0, *(len(m.texels_p) for m in maps[:-1])])
    levels = max(len(m.levels_l3) for m in maps)
    layout_wl3 = np.stack([m.levels_l3[np.minimum(np.arange(levels), len(m.levels_l3) - 1)] for m in maps])
    layout_wl3[..., 0] += starts[:, None]
    texels = _send(np.concatenate([m.texels_p for m in maps]).view(np.uint8).reshape(-1, 4), device)
    frames = _send(np.stack([m.frame_3 for m in maps], axis=1), device)
    return Pyramids(texels, _send(layout_wl3.transpose(2, 0, 1), device), frames)


def prepare(suites: Sequence[SensorSuite], shots: Sequence[Shot], device: torch.device) -> Prepared:
    """Flatten scenes and send them to the device.

    Raises:
        InputError: rigs differ in the number or size of their images, or have fisheyes.
    """
    used = [suites[shot.world] for shot in shots]
    sizes = {(len(suite.rig.cameras), suite.rig.image_width, suite.rig.image_height) for suite in used}
    if len(sizes) != 1:
        raise InputError(f'a batch needs one number of cameras and one image size, got {sorted(sizes)}; make several batches')
    if any(camera.lens.kind != PINHOLE for suite in used for camera in suite.rig.cameras):
        raise InputError('batches hold pinhole cameras alone; render a rig with fisheyes by SensorSuite')
    instants = [suite.instant(shot.scene, shot.history_k4) for suite, shot in zip(used, shots)]
    lamps = [
        headlights(shot.scene.actors, instant.poses_k44[-1]) if suite.condition.headlights else np.zeros((0, 6))
        for suite, shot, instant in zip(used, shots, instants)
    ]
    owners = [i.actor_p for i in instants]
    tracks = [np.array([*(actor.track_id for actor in shot.scene.actors), 0], np.int64) for shot in shots]
    views, motion_i6 = _views(used, shots, instants, device)
    return Prepared(
        world_f=_send([shot.world for shot in shots], device),
        parts=_parts([instant.parts_pk for instant in instants], device),
        static_p=_send(np.concatenate(owners) < 0, device),
        owners_p=_send(np.concatenate([*(track[owner] for track, owner in zip(tracks, owners)), [0]]), device),
        moving=_parts([instant.parts_pk[len(suite.static_pk) :] for suite, instant in zip(used, instants)], device),
        lamps_6n=_send(np.concatenate(lamps).T, device),
        lamp_frame_n=_send(np.repeat(np.arange(len(shots)), [len(rows) for rows in lamps]), device),
        views=views,
        motion_6i=_send(motion_i6.T, device),
        seed_i=_send([64 * shot.seed + i for shot, suite in zip(shots, used) for i in range(len(suite.rig.cameras))], device),
        sweeps=_sweeps(used, shots, instants, device),
    )


def _parts(tables: Sequence[Array], device: torch.device) -> Parts:
    """One row more than there are solids, so that a look-up without a solid has something to read."""
    starts = np.cumsum([0, *(len(table) for table in tables)])
    rows_pk = np.concatenate([*tables, np.ones((1, NUM_COLUMNS))])
    return Parts(_send(rows_pk.T, device), tuple(int(start) for start in starts))


def _views(
    suites: Sequence[SensorSuite], shots: Sequence[Shot], instants: Sequence[Instant], device: torch.device
) -> tuple[Views, Array]:
    rig = suites[0].rig
    width, height, num = rig.image_width, rig.image_height, len(rig.cameras)
    both = list(zip(suites, instants))
    views = [suite.view(instant.poses_k44[-1], i, width, height) for suite, instant in both for i in range(num)]
    owners = [(suite, instant, i) for suite, instant in both for i in range(num)]
    motions = [suite.shutter_motion(instant, i, view) for (suite, instant, i), view in zip(owners, views)]
    origins, rotations, pinholes = (np.array([view[k] for view in views]) for k in range(3))
    return Views(
        frame_i=_send(np.repeat(np.arange(len(shots)), num), device),
        world_i=_send(np.repeat(np.array([shot.world for shot in shots]), num), device),
        flat_i=_send(np.repeat(np.array([suite.maps.flat for suite in suites]), num), device),
        origin_3i=_send(origins.T, device),
        rotation_33i=_send(rotations.transpose(1, 2, 0), device),
        pinhole_4i=_send(pinholes.T, device),
        height=height,
        width=width,
    ), np.array(motions).reshape(-1, 6)


def _sweeps(suites: Sequence[SensorSuite], shots: Sequence[Shot], instants: Sequence[Instant], device: torch.device) -> Sweeps:
    sweeps = [s.sweep_plan(instant, shot.history_k4) for s, instant, shot in zip(suites, instants, shots)]
    firings, beams = (
        np.array([len(values) for values in column]) for column in zip(*((s.firings_c10, s.tangents_b) for s in sweeps))
    )
    tangents_fb = np.full((len(shots), beams.max()), np.inf)
    for row, sweep in zip(tangents_fb, sweeps):
        row[: len(sweep.tangents_b)] = sweep.tangents_b
    columns: tuple[NDArray[Any], ...] = (
        np.concatenate([sweep.firings_c10 for sweep in sweeps]).T,
        np.repeat(np.arange(len(shots)), firings),
        np.concatenate([np.arange(count) for count in firings]),
        tangents_fb,
        np.stack([np.cumsum([0, *firings[:-1]]), firings, beams]),
        np.cumsum([0, *(firings * beams)[:-1]]),
        np.array([sweep.firings_c10[-1, :3] for sweep in sweeps]).T,
        np.stack([sweep.rotation_33 for sweep in sweeps], axis=-1),
        np.array([(sweep.slack_m, sweep.slack_rad) for sweep in sweeps]).T,
        np.array([sweep.limits for sweep in sweeps], np.float64).T,
        np.array([shot.world for shot in shots]),
        np.array([shot.seed for shot in shots]),
    )
    return Sweeps(*(_send(values, device) for values in columns))
