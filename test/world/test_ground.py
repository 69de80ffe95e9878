from __future__ import annotations

import numpy as np

from moe_bev_ros.world.ground import Ground, paint_ground
from moe_bev_ros.world.roads import Markings, Road


def texel(ground: Ground, x: float, y: float) -> np.ndarray:
    column, row = (int((v - o) / ground.resolution_m) for v, o in zip((x, y), ground.origin_xy_m))
    return ground.texels_p4[row * ground.widths_l[0] + column].astype(int)


def test_paint_is_bright_and_sends_light_back():
    ground = paint_ground(Road(), Markings((20.0,), (45.0,)), np.random.default_rng(0))
    asphalt, dash, line, grass = (
        texel(ground, 30.0, 0.0),
        texel(ground, 1.0, 1.75),
        texel(ground, 19.8, 0.0),
        texel(ground, 0.0, 35.0),
    )
    assert asphalt[:3].max() < 120 < dash[:3].min()
    assert line[3] == 200 > grass[3] > asphalt[3]
    assert grass[1] == grass[:3].max()


def test_each_level_halves_the_one_before():
    ground = paint_ground(Road(), Markings(), np.random.default_rng(0))
    assert (ground.widths_l[1:] == ground.widths_l[:-1] // 2).all()
    assert ground.starts_l[-1] + ground.heights_l[-1] * ground.widths_l[-1] == len(ground.texels_p4)
