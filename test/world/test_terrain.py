from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.world.terrain import Terrain, rolling_terrain

BOX = (-120.0, -60.0, 250.0, 80.0)


def slope(grade_x: float, grade_y: float) -> Terrain:
    x, y = 4.0 * np.arange(30) - 40.0, 4.0 * np.arange(20) - 20.0
    return Terrain((grade_x * x[None] + grade_y * y[:, None]).astype(np.float32), (-40.0, -20.0), 4.0)


def hills() -> Terrain:
    return next(ground for seed in range(20) if not (ground := rolling_terrain(np.random.default_rng(seed), BOX)).is_flat)


def test_height_is_linear_between_corners_and_constant_beyond():
    ground = slope(0.04, -0.02)
    places = np.array([[3.3, 7.9], [-39.0, 1.0], [-400.0, 0.0]])
    assert ground.height(places) == pytest.approx([0.04 * 3.3 - 0.02 * 7.9, -1.56 - 0.02, -1.6], abs=1e-4)


@pytest.mark.parametrize('yaw', [0.0, 1.1, np.pi])
def test_a_pose_stands_on_the_slope_and_keeps_its_heading(yaw):
    pose = slope(0.05, 0.03).pose(10.0, 5.0, yaw)
    assert pose[:3, 3] == pytest.approx([10.0, 5.0, 0.05 * 10.0 + 0.03 * 5.0], abs=1e-4)
    assert pose[:3, :3] @ pose[:3, :3].T == pytest.approx(np.eye(3), abs=1e-9)
    assert pose[:3, 2] == pytest.approx(np.array([-0.05, -0.03, 1.0]) / np.linalg.norm([0.05, 0.03, 1.0]), abs=1e-4)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
    assert np.arctan2(pose[1, 0], pose[0, 0]) == pytest.approx(yaw, abs=3e-3)


def test_some_ground_is_flat_and_no_hill_is_too_steep():
    grounds = [rolling_terrain(np.random.default_rng(seed), BOX, max_grade=0.05) for seed in range(60)]
    assert 10 < sum(ground.is_flat for ground in grounds) < 40
    for ground in grounds:
        if ground.is_flat:
            continue
        places = np.random.default_rng(0).uniform(BOX[:2], BOX[2:], (300, 2))
        step = np.array([0.5, 0.0])
        east, north = (ground.height(places + s) - ground.height(places - s) for s in (step, step[::-1]))
        assert np.hypot(east, north).max() < 0.0505
        assert np.ptp(ground.heights_hw) > 0.3


def test_hills_cover_the_box_and_have_no_edges():
    ground = hills()
    rows, columns = ground.heights_hw.shape
    assert ground.origin_xy_m == BOX[:2]
    assert ((columns - 1) * ground.cell_m, (rows - 1) * ground.cell_m) >= (BOX[2] - BOX[0], BOX[3] - BOX[1])
    grades = np.diff(ground.heights_hw.astype(float), axis=1) / ground.cell_m
    assert np.abs(np.diff(grades, axis=1)).max() < 0.02


def test_equal_seeds_give_equal_hills():
    one, other = (rolling_terrain(np.random.default_rng(3), BOX) for _ in range(2))
    assert (one.heights_hw == other.heights_hw).all()
