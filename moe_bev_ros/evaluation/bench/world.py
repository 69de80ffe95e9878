"""Frames per second of the simulated sensors, beside a plain numpy rendering of the same scene in the same run.

The scene is a street of the demo: 40 actors of 6 parts and more, about 100 houses, trees and poles, six cameras of 352 x 128
with depth and a sweep of 32 x 1080, with shadows, textures, noise and motion blur. The ego drives straight on at 10 m/s.

The baseline is what one writes first: every ray against the box of every part, in numpy, with no culling, no colours, no noise.
It is timed on every BASELINE_STRIDE-th row and column of one camera, and scaled to the number of rays of a frame.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from moe_bev_ros.core.se3 import Array, se3_from_xy_yaw
from moe_bev_ros.world import imaging, sensors
from moe_bev_ros.world.ground import paint_ground
from moe_bev_ros.world.parts import COS, CX, CZ, HX, HZ, SIN, PartTables
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.scenario import make_scenario
from moe_bev_ros.world.sensors import SensorSuite
from moe_bev_ros.world.styles import GROUND_PALETTES

SEED = 3
HISTORY_K4 = np.array([[-0.1, 4.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0]])
BASELINE_STRIDE = 16
FRAMES_PER_BASELINE = 20
STAGES: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (sensors, ('cast_shadows', 'cast_ground', 'cast_parts', 'shade_image', 'cast_sweep', 'collect_points')),
    (imaging, ('blur', 'exposure_gain', 'develop')),
)


@dataclass(frozen=True)
class Spent:
    """Milliseconds of one frame."""

    name: str
    ms_min: float
    ms_median: float

    @property
    def per_s(self) -> float:
        """Frames per second at the least time."""
        return 1000.0 / self.ms_min


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        stages: on one thread; a stage's time is that of all cameras together.
    """

    actors: int
    parts: int
    frame: Spent
    baseline: Spent
    stages: tuple[Spent, ...]

    def text(self) -> str:
        """A table."""
        lines = [f'{self.actors} actors, {self.parts} parts; 6 cameras of 352 x 128 with depth, sweep of 32 x 1080']
        lines.append(f'{"":34}{"min [ms]":>10}{"median [ms]":>13}{"frames/s":>10}')
        lines += [
            f'{row.name:34}{row.ms_min:10.2f}{row.ms_median:13.2f}{row.per_s:10.3f}' for row in (self.frame, self.baseline)
        ]
        lines.append('stages of a frame on one thread:')
        lines += [f'  {row.name:32}{row.ms_min:10.2f}{row.ms_median:13.2f}' for row in self.stages]
        return '\n'.join(lines)


def run(seconds: float) -> Report:
    """Measure frames on two threads, stages on one, and the baseline, turn by turn."""
    scenario = make_scenario(SEED)
    scene, rng = scenario.scene, np.random.default_rng(SEED)
    ground = paint_ground(scenario.network, scenario.terrain, GROUND_PALETTES[scenario.style], rng)
    two, one = (SensorSuite(Rig(), ground, scene.props, scene.condition, threads) for threads in (2, 1))
    tables = PartTables(scene.props, scenario.terrain)
    parts_pk = np.concatenate([tables.static_pk, tables.lights(scene.lights), tables.actors(scene.actors)[0]])
    frames: list[float] = []
    baseline: list[float] = []
    stages: dict[str, list[float]] = {}
    for suite in (two, one):
        suite.sense(scene, HISTORY_K4, 0)
    end = time.perf_counter() + seconds
    while not frames or time.perf_counter() < end:
        baseline.append(_clock(lambda: _plain_depth(parts_pk)) * _scale())
        frames += [_clock(partial(two.sense, scene, HISTORY_K4, k)) for k in range(FRAMES_PER_BASELINE)]
        with _stage_times() as spent:
            one.sense(scene, HISTORY_K4, len(frames))
        for name, ms in spent.items():
            stages.setdefault(name, []).append(ms)
    two.close()
    one.close()
    rows = tuple(_spent(name, values) for name, values in stages.items())
    named = (_spent('a frame, two threads', frames), _spent('plain numpy, depth only, scaled', baseline))
    return Report(len(scene.actors), len(parts_pk), *named, rows)


def _spent(name: str, ms: list[float]) -> Spent:
    return Spent(name, min(ms), statistics.median(ms))


def _clock(call: Callable[[], object]) -> float:
    begin_ns = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - begin_ns) / 1e6


@contextmanager
def _stage_times() -> Iterator[dict[str, float]]:
    """Sums the time [ms] within each stage's kernel while it is open."""
    spent: dict[str, float] = {}
    kernels = [(module, name, getattr(module, name)) for module, names in STAGES for name in names]

    def timed(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            begin_ns = time.perf_counter_ns()
            result = kernel(*args)
            spent[name] = spent.get(name, 0.0) + (time.perf_counter_ns() - begin_ns) / 1e6
            return result

        return call

    for module, name, kernel in kernels:
        setattr(module, name, timed(name, kernel))
    try:
        yield spent
    finally:
        for module, name, kernel in kernels:
            setattr(module, name, kernel)


def _rays() -> tuple[Array, Array]:
    """Place of the front camera in map, and (R, 3) directions of some of its pixels."""
    rig = Rig()
    pose = se3_from_xy_yaw(*HISTORY_K4[-1, 1:]) @ rig.cameras[0].base_link_se3_camera
    k = rig.cameras[0].intrinsics_33(rig.image_width, rig.image_height)
    u, v = np.meshgrid(
        np.arange(0, rig.image_width, BASELINE_STRIDE) + 0.5, np.arange(0, rig.image_height, BASELINE_STRIDE) + 0.5
    )
    rays = np.stack([(u - k[0, 2]) / k[0, 0], (v - k[1, 2]) / k[1, 1], np.ones_like(u)], axis=-1).reshape(-1, 3)
    return pose[:3, 3], rays @ pose[:3, :3].T


def _scale() -> float:
    """Rays of a frame, cameras and sweep, per ray of the baseline."""
    rig = Rig()
    num = len(rig.cameras) * rig.image_width * rig.image_height + rig.lidar.num_azimuths * len(rig.lidar.elevations_rad)
    return num / len(_rays()[1])


def _plain_depth(parts_pk: Array) -> Array:
    """(R,) distance of the nearest box, or of the ground."""
    origin_3, rays_r3 = _rays()
    cos, sin = parts_pk[:, COS], parts_pk[:, SIN]
    turn_p33 = np.stack([cos, sin, 0 * cos, -sin, cos, 0 * cos, 0 * cos, 0 * cos, 1 + 0 * cos], axis=1).reshape(-1, 3, 3)
    half_p3 = parts_pk[:, HX : HZ + 1]
    start_p3 = np.einsum('pij,pj->pi', turn_p33, origin_3 - parts_pk[:, CX : CZ + 1]) / half_p3
    along_rp3 = np.einsum('pij,rj->rpi', turn_p33, rays_r3) / half_p3 + 1e-12
    low, high = (-1.0 - start_p3) / along_rp3, (1.0 - start_p3) / along_rp3
    near, far = np.minimum(low, high).max(axis=2), np.maximum(low, high).min(axis=2)
    depth_rp = np.where((near <= far) & (near > 0.0), near, np.inf)
    ground_r = np.where(rays_r3[:, 2] < 0.0, -origin_3[2] / np.minimum(rays_r3[:, 2], -1e-9), np.inf)
    return np.asarray(np.minimum(depth_rp.min(axis=1), ground_r))
