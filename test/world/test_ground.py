from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.world.ground import Ground, paint_ground
from moe_bev_ros.world.layouts import LAYOUTS
from moe_bev_ros.world.network import RoadNetwork
from moe_bev_ros.world.styles import GROUND_PALETTES, HELD_OUT_STYLE, STYLES
from moe_bev_ros.world.terrain import Terrain

STREET = LAYOUTS['street'](np.random.default_rng(0))
CROSSING_X = STREET.places['crossing'][0]


def painted(network: RoadNetwork, style: str = 'suburb', window: tuple[float, float, float, float] | None = None) -> Ground:
    return paint_ground(network, Terrain.flat(), GROUND_PALETTES[style], np.random.default_rng(0), window)


def texel(ground: Ground, x: float, y: float) -> np.ndarray:
    column, row = (int((v - o) / ground.resolution_m) for v, o in zip((x, y), ground.origin_xy_m))
    return ground.texels_p4[row * ground.widths_l[0] + column].astype(int)


def test_paint_is_bright_and_sends_light_back():
    ground = painted(STREET.network)
    asphalt, dash, line, grass = (texel(ground, *place) for place in ((30.0, 0.0), (1.0, 1.75), (18.8, 0.0), (0.0, 35.0)))
    assert asphalt[:3].max() < 120 < dash[:3].min()
    assert line[3] == 200 > grass[3] > asphalt[3]
    assert grass[1] == grass[:3].max()


def test_dashes_have_gaps_and_zebras_have_bars_across_the_parking_strips():
    ground = painted(STREET.network)
    dashes = [texel(ground, x, 1.75)[3] == 200 for x in np.arange(70.05, 100.0, 0.5)]
    assert dashes.count(True) == pytest.approx(dashes.count(False), abs=4)
    right_kerb = -1.75 - 2.4
    for bar in range(11):
        middle = right_kerb + 0.3 + bar + 0.25
        assert texel(ground, CROSSING_X, middle)[3] == 200
        assert texel(ground, CROSSING_X, middle + 0.5)[3] == 36
    assert texel(ground, CROSSING_X + 2.5, 0.0)[3] == 36


def test_a_window_shows_the_same_place():
    whole, part = painted(STREET.network), painted(STREET.network, window=(10.0, -5.0, 60.0, 8.0))
    assert (part.widths_l[0], part.heights_l[0]) == (500, 130)
    for place in ((18.8, 0.0), (30.0, 0.0), (CROSSING_X, -3.6), (25.0, 5.25)):
        assert texel(part, *place)[3] == texel(whole, *place)[3]


def test_an_island_covers_the_asphalt():
    ground = painted(LAYOUTS['roundabout'](np.random.default_rng(1)).network, 'modern')
    assert texel(ground, 0.0, 0.0)[3] == GROUND_PALETTES['modern'].grass[3]


def test_every_style_has_a_ground_of_its_own():
    assert HELD_OUT_STYLE in STYLES
    grounds = {style: texel(painted(STREET.network, style, (0.0, -5.0, 10.0, 5.0)), 5.0, 0.0)[3] for style in STYLES}
    assert set(grounds) == set(GROUND_PALETTES)
    assert len(set(grounds.values())) == len(STYLES)


def test_the_ground_lies_on_its_terrain():
    terrain = Terrain(np.ones((2, 2), np.float32))
    palette = GROUND_PALETTES['suburb']
    assert paint_ground(STREET.network, terrain, palette, np.random.default_rng(0), (0, 0, 5, 5)).terrain is terrain


def test_each_level_halves_the_one_before():
    ground = painted(STREET.network)
    assert (ground.widths_l[1:] == ground.widths_l[:-1] // 2).all()
    assert ground.starts_l[-1] + ground.heights_l[-1] * ground.widths_l[-1] == len(ground.texels_p4)
