"""The batched twin sees what the numba kernels see: same depth, solids, points and colours."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.actors import make_body
from moe_bev_ros.world.conditions import draw_condition
from moe_bev_ros.world.ground import Ground, paint_ground
from moe_bev_ros.world.layouts import LAYOUTS
from moe_bev_ros.world.render import cast_ground, cast_parts
from moe_bev_ros.world.render_torch import Rendered, Shot, render_batch
from moe_bev_ros.world.rigs import FISHEYE_RIG, NUSCENES_RIG, random_rig
from moe_bev_ros.world.scene import Actor, Part, Prop, Scene, Shape, Signal, Texture
from moe_bev_ros.world.sensors import Sensed, SensorSuite
from moe_bev_ros.world.styles import GROUND_PALETTES
from moe_bev_ros.world.terrain import Terrain

RNG = np.random.default_rng(4)
FLAT = paint_ground(LAYOUTS['street'](RNG).network, Terrain.flat(), GROUND_PALETTES['suburb'], RNG)
HEIGHTS = 2.0 * np.sin(np.arange(100)[:, None] * 0.1) * np.cos(np.arange(110) * 0.13)
ROLLING = replace(FLAT, terrain=Terrain(HEIGHTS.astype(np.float32), (-200.0, -200.0), 4.0))
HISTORY = np.array([[t, 8.0 * t, 0.3 * t, 0.2 * t] for t in np.linspace(-0.1, 0.0, 6)])
RIG = replace(NUSCENES_RIG, image_width=120, image_height=44)


def _thing(rng: np.random.Generator) -> Part:
    return Part(
        centre_3=(0.0, 0.0, float(rng.uniform(0.5, 5.0))),
        size_3=tuple(float(size) for size in rng.uniform(0.2, 4.0, 3)),
        colour=tuple(int(value) for value in rng.integers(20, 255, 3)),
        reflectivity=float(rng.random()),
        shape=list(Shape)[rng.integers(len(Shape))],
        yaw_rad=float(rng.uniform(0.0, 6.0)),
        texture=list(Texture)[rng.integers(len(Texture))],
        glow=float(rng.choice([0.0, 0.0, 0.0, 0.8])),
    )


@cache
def world(condition: str, ground_name: str) -> tuple[SensorSuite, Shot]:
    """Clutter of every shape and texture, actors of every class, and a light."""
    rng = np.random.default_rng(2)
    ground: Ground = FLAT if ground_name == 'flat' else ROLLING
    props = tuple(
        Prop(
            float(rng.uniform(-50, 50)),
            float(rng.choice([-1, 1]) * rng.uniform(6, 40)),
            0.3 * i,
            tuple(_thing(rng) for _ in '123'),
        )
        for i in range(50)
    )
    labels = [label for label in Label if label is not Label.UNKNOWN] * 2
    actors = tuple(
        Actor(i + 1, make_body(label, rng), *(float(rng.uniform(-b, b)) for b in (35, 9, 3)), float(rng.uniform(0, 12)))
        for i, label in enumerate(labels)
    )
    air = draw_condition(condition, np.random.default_rng(1))
    rig = RIG if ground_name == 'flat' else replace(random_rig(np.random.default_rng(0)), image_width=120, image_height=44)
    suite = SensorSuite(rig, ground, props, air)
    light = Signal(0, (8.0, 0.0), LightState.RED, 9.0, -3.0, np.pi)
    return suite, Shot(0, Scene(actors, props, (light,), air), HISTORY, 5)


def both(condition: str, ground_name: str) -> tuple[Sensed, Rendered]:
    suite, shot = world(condition, ground_name)
    return suite.sense(shot.scene, shot.history_k4, shot.seed), render_batch([suite], [shot])


@pytest.mark.parametrize('ground_name', ['flat', 'rolling'])
def test_depth_agrees_to_a_centimetre_and_solids_are_the_same(ground_name):
    """All but a few pixels, where one float32 rounding of another order decides whether an edge is met."""
    suite, shot = world('day', ground_name)
    seen = render_batch([suite], [shot])
    instant = suite.instant(shot.scene, shot.history_k4)
    depth, ids = np.empty((44, 120), np.float32), np.empty((44, 120), np.int32)
    for index in range(6):
        view = suite.view(instant.poses_k44[-1], index, 120, 44)
        cast_ground(*view, suite.maps.flat, suite.maps.heights_hw, suite.maps.heights_3, depth)
        cast_parts(instant.parts_pk, *view, depth, ids)
        assert (np.abs(seen.depth_fnhw[0, index].numpy() - depth) <= 0.01).mean() >= 0.999
        assert (seen.parts_fnhw[0, index].numpy() == ids).mean() >= 0.999
        assert 0.05 < (ids >= 0).mean() < 0.99


@pytest.mark.parametrize('ground_name', ['flat', 'rolling'])
@pytest.mark.parametrize('condition', ['day', 'night_rain'])
def test_sweeps_have_the_same_points(condition, ground_name):
    kernel, twin = both(condition, ground_name)
    points = twin.points_m6.numpy()
    assert len(points) == pytest.approx(len(kernel.points_n6), rel=1e-3)
    rows = {(point[4], point[5]): i for i, point in enumerate(points)}
    pairs = [(i, rows[beam]) for i, beam in enumerate(map(tuple, kernel.points_n6[:, 4:])) if beam in rows]
    first, second = np.array(pairs).T
    assert len(pairs) >= 0.999 * len(kernel.points_n6)
    assert (np.linalg.norm(kernel.points_n6[first, :3] - points[second, :3], axis=1) <= 0.01).mean() >= 0.999
    assert np.abs(kernel.points_n6[first, 3] - points[second, 3]).mean() < 1e-3
    assert (kernel.owners_n[first] == twin.owners_m.numpy()[second]).mean() >= 0.999
    assert (kernel.owners_n > 0).sum() > 300


@pytest.mark.parametrize(
    ('condition', 'ground_name'), [('day', 'rolling'), ('low_sun', 'flat'), ('night_rain', 'rolling'), ('fog', 'flat')]
)
def test_colours_agree(condition, ground_name):
    """On average to a fraction of a grey level; single pixels at the borders of windows and leaves may differ more."""
    kernel, twin = both(condition, ground_name)
    apart = np.abs(kernel.images_nhw3.astype(int) - twin.images_fnhw3[0].numpy().astype(int))
    assert apart.mean() < 0.3
    assert (apart.max(axis=-1) > 3).mean() < 0.01
    assert kernel.images_nhw3.std() > 8.0


def test_a_batch_of_two_worlds_is_the_two_alone():
    """Worlds that differ in ground, weather, rig and number of beams."""
    (one, shot), (other, second) = world('night_rain', 'flat'), world('day', 'rolling')
    other_rig = replace(other.rig, lidar=replace(other.rig.lidar, elevations_rad=other.rig.lidar.elevations_rad[::2]))
    other = SensorSuite(other_rig, ROLLING, second.scene.props, other.condition)
    second = replace(second, world=1, seed=9, history_k4=HISTORY * (1.0, 0.5, 1.0, 3.0))
    batch = render_batch([one, other], [shot, second])
    alone = [render_batch([one], [shot]), render_batch([other], [replace(second, world=0)])]
    for index, single in enumerate(alone):
        mine = batch.frame_m == index
        assert torch.equal(batch.depth_fnhw[index], single.depth_fnhw[0])
        assert torch.equal(batch.parts_fnhw[index], single.parts_fnhw[0])
        assert (batch.images_fnhw3[index].int() - single.images_fnhw3[0].int()).abs().max() <= 1
        assert torch.equal(batch.points_m6[mine], single.points_m6)
        assert torch.equal(batch.owners_m[mine], single.owners_m)
    assert len(alone[0].points_m6) != len(alone[1].points_m6)


def test_an_empty_world_has_ground_and_sky():
    air = draw_condition('night', np.random.default_rng(1))
    suite = SensorSuite(RIG, FLAT, (), air)
    shot = Shot(0, Scene((), (), (), air), HISTORY, 1)
    kernel, twin = suite.sense(shot.scene, HISTORY, 1), render_batch([suite], [shot])
    assert (twin.parts_fnhw == -1).all()
    assert twin.depth_fnhw[0].numpy() == pytest.approx(kernel.depth_nhw, rel=1e-5)
    assert len(twin.points_m6) == len(kernel.points_n6)


def test_rigs_that_do_not_fit_one_batch_are_refused():
    (suite, shot), air = world('day', 'flat'), draw_condition('day', np.random.default_rng(1))
    wide = SensorSuite(replace(RIG, image_width=128), FLAT, (), air)
    with pytest.raises(InputError, match='one image size'):
        render_batch([suite, wide], [shot, replace(shot, world=1)])
    with pytest.raises(InputError, match='pinhole cameras alone'):
        render_batch([SensorSuite(FISHEYE_RIG, FLAT, (), air)], [shot])
