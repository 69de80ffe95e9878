"""Images and sweeps of small scenes whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import inverse, transform_points
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.conditions import Condition, draw_condition
from moe_bev_ros.world.ground import Ground, paint_ground
from moe_bev_ros.world.layouts import LAYOUTS
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import FISHEYE_RIG
from moe_bev_ros.world.scene import Actor, Body, Part, Prop, Scene, Shape, Signal
from moe_bev_ros.world.sensors import Sensed, SensorSuite
from moe_bev_ros.world.styles import GROUND_PALETTES
from moe_bev_ros.world.terrain import Terrain

RNG = np.random.default_rng(0)
GROUND = paint_ground(LAYOUTS['street'](RNG).network, Terrain.flat(), GROUND_PALETTES['suburb'], RNG)
STILL = np.array([[-0.1, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
RIG = Rig()
RED_BOX = Body(Label.CAR, (2.0, 4.0, 3.0), (Part((0.0, 0.0, 1.5), (2.0, 4.0, 3.0), (230, 20, 20), 0.8),))


DAY = Condition(sun_azimuth_rad=np.pi, sun_elevation_rad=0.7)


def sense(
    *actors: Actor, history=STILL, props: tuple[Prop, ...] = (), lights: tuple[Signal, ...] = (), seed: int = 1,
    condition: Condition = DAY, ground: Ground = GROUND, rig: Rig = RIG,
) -> Sensed:  # fmt: skip
    scene = Scene(actors, props, lights, condition)
    suite = SensorSuite(rig, ground, props, condition)
    try:
        return suite.sense(scene, history, seed)
    finally:
        suite.close()


def test_depth_is_the_distance_along_the_optical_axis():
    sensed = sense(Actor(1, RED_BOX, 11.7, 0.0, 0.0))
    assert sensed.depth_nhw[0, 60, 150:200] == pytest.approx(9.0, abs=1e-4)
    ground_row = 120
    focal = Rig().cameras[0].intrinsics_33(352, 128)[1, 1]
    assert sensed.depth_nhw[5, ground_row, 3] == pytest.approx(1.5 * focal / (ground_row + 0.5 - 64), rel=1e-4)


def test_a_red_box_is_red_and_the_sky_is_blue():
    image = sense(Actor(1, RED_BOX, 11.7, 0.0, 0.0)).images_nhw3[0].astype(int)
    red, green, blue = image[70, 176]
    assert red > 120 > 2 * max(green, blue)
    assert image[2, 5, 2] > image[2, 5, 0]


def test_each_camera_sees_what_stands_before_it():
    places = {0: (12.0, 0.0), 1: (7.0, -8.0), 2: (-2.0, -9.0), 3: (-12.0, 0.0), 4: (-2.0, 9.0), 5: (7.0, 8.0)}
    for index, (x, y) in places.items():
        depth = sense(Actor(1, RED_BOX, x, y, 0.0)).depth_nhw[:, 50]
        seen = [camera for camera in range(6) if (depth[camera] < 30.0).any()]
        assert index in seen
        assert len(seen) <= 2


def test_a_level_top_that_stands_does_not_mirror_the_sky():
    """Seen flat, a car's roof does; a ledge would flash in single pixels."""
    table = Part((0.0, 0.0, 1.05), (6.0, 6.0, 0.5), (30, 20, 20))
    roof = sense(Actor(1, Body(Label.CAR, (6.0, 6.0, 1.3), (table,)), 12.0, 0.0, 0.0)).images_nhw3[0, 68, 170:180]
    ledge = sense(props=(Prop(12.0, 0.0, 0.0, (table,)),)).images_nhw3[0, 68, 170:180]
    assert ledge[:, 2].mean() < 40.0
    assert roof[:, 2].mean() > 60.0


def test_the_ground_is_darker_in_a_shadow():
    lit = sense().images_nhw3[0, 120, 176].astype(int).sum()
    shaded = sense(
        Actor(1, RED_BOX, -2.3, 0.0, 0.0), props=(Prop(3.0, 0.0, 0.0, (Part((0.0, 0.0, 4.0), (3.0, 6.0, 1.0), (9, 9, 9)),)),)
    )
    assert shaded.images_nhw3[0, 120, 176].astype(int).sum() < 0.8 * lit


def test_the_lit_lamp_shines_in_its_colour():
    for state, channel in ((LightState.RED, 0), (LightState.GREEN, 1)):
        light = Signal(0, (8.0, 0.0), state, 9.0, -1.0, np.pi)
        image = sense(lights=(light,)).images_nhw3[0].astype(int)
        pure = image[..., channel] - np.delete(image, channel, axis=2).max(axis=2)
        assert pure.max() > 90


def test_ranges_fall_on_the_box_within_the_noise():
    points = sense(Actor(1, RED_BOX, 20.0, 0.0, 0.0)).points_n6
    ahead = points[(np.abs(points[:, 1]) < 1.5) & (points[:, 0] > 5.0) & (points[:, 2] > -1.2)]
    assert len(ahead) > 60
    assert ahead[:, 0] + 0.94 == pytest.approx(19.0, abs=0.08)
    assert ahead[:, 3].mean() > 0.5


def test_ground_points_lie_on_the_ground_and_rings_rise_with_elevation():
    points = sense().points_n6
    assert np.abs(points[:, 2] + 1.84).max() < 0.06
    elevation = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    assert elevation == pytest.approx(-30.67 + points[:, 4] * 41.34 / 31, abs=0.05)
    assert np.hypot(points[:, 0], points[:, 1]).max() < 70.0


def test_a_moving_sensor_smears_the_sweep_and_its_own_motion_puts_it_right():
    speed = 10.0
    history = np.array([[t, speed * t, 0.0, 0.0] for t in np.linspace(-0.1, 0.0, 6)])
    points = sense(Actor(1, RED_BOX, 20.0, 0.0, 0.0), history=history).points_n6
    ahead = points[(np.abs(points[:, 1]) < 1.5) & (points[:, 0] > 5.0) & (points[:, 2] > -1.2)]
    assert ahead[:, 5] == pytest.approx(-0.05, abs=0.01)
    assert ahead[:, 0].mean() + 0.94 == pytest.approx(19.0 + 0.05 * speed, abs=0.1)
    assert ahead[:, 0] + 0.94 + speed * ahead[:, 5] == pytest.approx(19.0, abs=0.08)


def test_a_moving_actor_is_met_where_it_is_when_the_beam_comes():
    points = sense(Actor(1, RED_BOX, 20.0, 0.0, 0.0, speed_mps=10.0)).points_n6
    ahead = points[(np.abs(points[:, 1]) < 1.5) & (points[:, 0] > 5.0) & (points[:, 2] > -1.2)]
    assert ahead[:, 0].mean() + 0.94 == pytest.approx(18.5, abs=0.1)


def test_the_same_seed_gives_the_same_bits_and_another_seed_other_noise():
    actor = Actor(1, RED_BOX, 20.0, 0.0, 0.0)
    first, again, other = sense(actor), sense(actor), sense(actor, seed=2)
    assert np.array_equal(first.points_n6, again.points_n6)
    assert np.array_equal(first.images_nhw3, again.images_nhw3)
    assert len(first.points_n6) != len(other.points_n6)


@pytest.mark.parametrize('shape', list(Shape))
def test_culling_loses_no_pixel_and_no_beam(shape):
    """A solid that touches image borders and the LiDAR's seam is hit as often from behind as a turned scene from the front."""
    body = Body(Label.CAR, (3.0, 3.0, 3.0), (Part((0.0, 0.0, 1.5), (3.0, 3.0, 3.0), (9, 9, 9), 0.9, shape),))
    counts = []
    for yaw in np.linspace(0.0, 2 * np.pi, 7)[:-1] + 0.1:
        history = np.array([[-0.1, 0.0, 0.0, yaw], [0.0, 0.0, 0.0, yaw]])
        at = np.array([0.94 * np.cos(yaw), 0.94 * np.sin(yaw)]) - 6.0
        points = sense(Actor(1, body, *at, 0.0), history=history).points_n6
        counts.append(int((points[:, 2] > -1.7).sum()))
    assert max(counts) - min(counts) < 0.08 * max(counts) + 8


SLOPE = 0.06


def on_a_slope() -> Ground:
    """The street's ground, rising along x."""
    x, y = np.meshgrid(np.arange(-300.0, 300.0, 4.0), np.arange(-300.0, 300.0, 4.0))
    return replace(GROUND, terrain=Terrain((SLOPE * x + 0.0 * y).astype(np.float32), (-300.0, -300.0), 4.0))


def test_on_an_even_slope_the_ground_is_as_far_away_as_on_the_flat():
    flat, sloping = sense().depth_nhw[[0, 1, 3]], sense(ground=on_a_slope()).depth_nhw[[0, 1, 3]]
    near = (flat < 60.0) & (sloping < 1000.0)
    assert near.sum() > 40_000
    assert np.abs(sloping - flat)[near].max() < 0.01


def test_from_level_ground_a_slope_ahead_is_met_where_it_rises():
    heights = np.tile(np.maximum(0.0, SLOPE * np.arange(-20.0, 300.0, 4.0)), (100, 1)).astype(np.float32)
    ground = replace(GROUND, terrain=Terrain(heights, (-20.0, -200.0), 4.0))
    depth = sense(ground=replace(ground, terrain=replace(ground.terrain, origin_xy_m=(-4.0, -200.0)))).depth_nhw[0, :, 176]
    focal = RIG.cameras[0].intrinsics_33(352, 128)[1, 1]
    row = 70
    down = (row + 0.5 - 64) / focal  # 1.5 - down d = SLOPE (1.7 + d - 16)
    assert depth[row] == pytest.approx((1.5 + SLOPE * (16.0 - 1.7)) / (down + SLOPE), abs=0.01)


def test_things_stand_on_the_slope():
    sensed = sense(Actor(1, RED_BOX, 20.0, 0.0, 0.0), ground=on_a_slope())
    on_it = sensed.points_n6[sensed.owners_n == 1]
    up = np.array([-SLOPE, 0.0, 1.0]) / np.hypot(1.0, SLOPE)
    along = np.array([1.0, 0.0, SLOPE]) / np.hypot(1.0, SLOPE)
    in_map_x = (on_it[:, 0] + 0.94) * along[0] + (on_it[:, 2] + 1.84) * up[0]
    assert len(on_it) > 60
    assert in_map_x == pytest.approx(19.0, abs=0.12)


def test_points_know_whose_they_are():
    sensed = sense(Actor(7, RED_BOX, 20.0, 0.0, 0.0), Actor(9, RED_BOX, 0.0, 12.0, 0.0))
    for track_id, (x, y) in {7: (19.06, 0.0), 9: (-0.94, 11.0)}.items():
        places = sensed.points_n6[sensed.owners_n == track_id, :2]
        assert len(places) > 30
        assert np.abs(places - (x, y)).max() < 3.2
    assert set(np.unique(sensed.owners_n)) == {0, 7, 9}


def test_half_a_box_behind_another_is_half_seen():
    front = Body(Label.CAR, (1.0, 4.0, 3.0), (Part((0.0, 0.0, 2.0), (1.0, 4.0, 4.0), (9, 9, 9)),))
    parts = tuple(Part((x, 0.0, 1.0), (0.5, 2.0, 1.0), (9, 9, 9)) for x in (0.0, 0.4))
    behind = Body(Label.CAR, (1.0, 2.0, 2.0), parts)
    scene = Scene((Actor(1, front, 11.0, -2.0, 0.0), Actor(2, behind, 14.0, 0.0, 0.0), Actor(3, behind, 0.0, 0.0, 0.0)), (), ())
    suite = SensorSuite(Rig(cameras=RIG.cameras[:1]), GROUND, (), scene.condition)
    shares = suite.visible_shares(scene, np.eye(4))
    suite.close()
    assert shares[1] == 1.0
    assert shares[2] == pytest.approx(0.5, abs=0.04)
    assert 3 not in shares


def test_night_is_darker_than_day_and_lamps_light_the_way():
    day, night = (
        sense(condition=c).images_nhw3.astype(float) for c in (DAY, draw_condition('night', np.random.default_rng(0)))
    )
    assert night.mean() < 0.5 * day.mean()
    ahead, behind = night[0, 85:110, 120:230].mean(), night[3, 85:110, 120:230].mean()
    assert ahead > 1.5 * behind


def test_fog_hides_what_is_far_and_takes_far_points():
    fog = replace(draw_condition('fog', np.random.default_rng(0)), visibility_m=30.0)
    wall = Actor(
        1, Body(Label.TRUCK, (1.0, 20.0, 8.0), (Part((0.0, 0.0, 4.0), (1.0, 20.0, 8.0), (20, 20, 20)),)), 60.0, 0.0, 0.0
    )
    clear, thick = (sense(wall, condition=c) for c in (DAY, fog))
    contrast = [abs(s.images_nhw3[0, 10, 176].astype(float) - s.images_nhw3[0, 58, 176]).mean() for s in (clear, thick)]
    assert contrast[1] < 0.4 * contrast[0]
    far, near = ([(low < np.hypot(s.points_n6[:, 0], s.points_n6[:, 1])).sum() for s in (clear, thick)] for low in (30.0, 0.0))
    assert far[1] < 0.4 * far[0]
    assert near[1] > 0.6 * near[0]


def test_rain_wets_the_ground_and_gives_points_from_drops():
    rain = replace(draw_condition('rain', np.random.default_rng(0)), rain_mm_per_h=20.0)
    dry, wet = sense(), sense(condition=rain)
    high = [(s.points_n6[:, 2] > -1.5).sum() for s in (dry, wet)]
    assert high[0] == 0
    assert high[1] > 30
    assert len(wet.points_n6) < len(dry.points_n6)


def test_motion_blurs_what_is_near():
    moving = np.array([[-0.1, -2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    still, blurred = (
        sense(history=h, condition=replace(DAY, exposure_s=0.02, noise=0.0)).images_nhw3[4].astype(float)
        for h in (STILL, moving)
    )
    rough = [np.abs(np.diff(image[100:], axis=1)).mean() for image in (still, blurred)]
    assert rough[1] < 0.8 * rough[0]


def test_a_fisheye_rig_shows_colours_depths_and_shares():
    rig = replace(FISHEYE_RIG, image_width=96, image_height=72)
    ahead = Actor(3, RED_BOX, 9.0, 0.0, 0.0)
    sensed = sense(ahead, rig=rig)
    assert sensed.images_nhw3.shape == (len(rig.cameras), 72, 96, 3)
    base_link_se3_camera = rig.cameras[0].base_link_se3_camera
    face_n3 = np.array([[8.0, side, up] for side in (-1.0, 0.0, 1.0) for up in (0.8, 1.5)])
    optical = transform_points(inverse(base_link_se3_camera), face_n3)
    for (u, v), depth in zip(rig.cameras[0].model(96, 72).project(optical), optical[:, 2], strict=True):
        assert sensed.depth_nhw[0, int(v), int(u)] == pytest.approx(depth, abs=0.01)
        red, green, blue = sensed.images_nhw3[0, int(v), int(u)].astype(int)
        assert red > 100 > 2 * max(green, blue)
    assert len(sensed.points_n6) > 1000
    suite = SensorSuite(rig, GROUND, (), DAY)
    shares = suite.visible_shares(Scene((ahead, Actor(4, RED_BOX, 14.0, 0.0, 0.0)), (), (), DAY), np.eye(4))
    suite.close()
    assert shares[3] > 0.99
    assert shares[4] < 0.4
