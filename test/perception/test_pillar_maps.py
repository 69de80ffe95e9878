import numpy as np
import pytest

from moe_bev_ros.perception.pillar_maps import PillarMap, age_map, pillar_map

HALF_M, PILLAR_M = 51.2, 0.4


def cloud(*rows_4):
    return np.array([(*row, 0.0) for row in rows_4], np.float32)


def by_hand(points_n5):
    """The same map with one plain loop over the pillars."""
    side = round(2 * HALF_M / PILLAR_M)
    wanted = np.zeros((16, side, side))
    points = points_n5.astype(float)
    place = (points[:, :2] + HALF_M) / PILLAR_M
    cell = np.floor(place).astype(int)
    good = np.all((cell >= 0) & (cell < side), axis=1) & (points[:, 2] >= -2.0) & (points[:, 2] <= 5.0)
    for column, row in np.unique(cell[good], axis=0):
        mine = good & (cell[:, 0] == column) & (cell[:, 1] == row)
        z, intensity = points[mine, 2], points[mine, 3]
        offset = (place[mine] - cell[mine] - 0.5).mean(axis=0)
        heights = np.bincount(np.clip(np.floor((z + 0.5) / 0.5).astype(int), 0, 7), minlength=8)
        values = [np.log1p(mine.sum()) / 4, *offset, z.max() / 4, z.min() / 4, z.mean() / 4, intensity.mean(), intensity.max()]
        wanted[:, row, column] = [*values, *np.log1p(heights) / 4]
    return wanted


def test_a_crowd_of_points_gives_what_a_plain_loop_gives():
    rng = np.random.default_rng(3)
    points_n5 = rng.uniform([-3, -3, -3, 0, 0], [3, 3, 6, 1, 0], (4000, 5)).astype(np.float32)
    points_n5[:300, :2] *= 20.0
    np.testing.assert_allclose(pillar_map(points_n5, HALF_M, PILLAR_M), by_hand(points_n5), atol=2e-5)


def test_rows_run_along_y_and_columns_along_x():
    found = pillar_map(cloud((10.1, -20.1, 0.3, 0.5)), HALF_M, PILLAR_M)
    row, column = int((-20.1 + HALF_M) / PILLAR_M), int((10.1 + HALF_M) / PILLAR_M)
    assert np.argwhere(found[0]).tolist() == [[row, column]]
    assert found[0, row, column] == pytest.approx(np.log1p(1) / 4)
    assert found[9, row, column] == pytest.approx(np.log1p(1) / 4)


def test_extremes_are_right_where_all_values_are_below_zero():
    found = pillar_map(cloud((0.1, 0.1, -1.0, 0.0), (0.1, 0.1, -0.4, 0.2)), HALF_M, PILLAR_M)[:, 128, 128]
    np.testing.assert_allclose(found[3:8], [-0.1, -0.25, -0.175, 0.1, 0.2], atol=1e-6)


@pytest.mark.parametrize('xy', [(51.2, 0.0), (0.0, 51.2), (-51.21, 0.0), (0.0, -51.21), (1e30, 0.0)])
def test_what_is_just_outside_is_left_out(xy):
    assert not pillar_map(cloud((*xy, 0.5, 0.5)), HALF_M, PILLAR_M).any()


def test_the_corners_of_the_square_are_inside():
    low, high = (np.nextafter(np.float32(end), np.float32(0.0)) for end in (-51.2, 51.2))
    found = pillar_map(cloud((low, low, 0.0, 0.0), (high, high, 0.0, 0.0)), HALF_M, PILLAR_M)
    assert np.argwhere(found[0]).tolist() == [[0, 0], [255, 255]]


def test_heights_outside_the_limits_are_left_out_and_inside_them_fall_into_the_outer_bins():
    heights = [-2.1, -1.9, -0.6, -0.1, 3.4, 4.9, 5.1]
    found = pillar_map(cloud(*((0.1, 0.1, z, 0.0) for z in heights)), HALF_M, PILLAR_M)[:, 128, 128]
    np.testing.assert_allclose(np.expm1(4 * found[8:]), [3, 0, 0, 0, 0, 0, 0, 2], atol=1e-5)
    assert np.expm1(4 * found[0]) == pytest.approx(5)


@pytest.mark.parametrize('column', [0, 1, 2, 3])
@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_a_point_that_is_not_finite_changes_nothing(column, value):
    good = cloud((5.0, 5.0, 1.0, 0.3), (5.1, 5.1, 0.5, 0.6))
    bad = good[:1].copy()
    bad[0, column] = value
    np.testing.assert_array_equal(pillar_map(np.concatenate([bad, good]), HALF_M, PILLAR_M), pillar_map(good, HALF_M, PILLAR_M))


def test_a_map_that_is_filled_again_holds_nothing_of_the_last_one():
    rng, pillars = np.random.default_rng(6), PillarMap(HALF_M, PILLAR_M)
    for num, reach_m in ((3000, 50.0), (20000, 5.0), (0, 1.0), (40, 400.0), (3000, 50.0)):
        points_n5 = rng.uniform(-1, 1, (num, 5)).astype(np.float32) * np.float32([reach_m, reach_m, 3.0, 1.0, 0.0])
        np.testing.assert_array_equal(pillars.fill(points_n5), pillar_map(points_n5, HALF_M, PILLAR_M))
    assert not pillars.fill(points_n5 + np.float32(1000.0)).any()


def test_pillars_of_more_points_than_any_table_are_right():
    points_n5 = np.tile(cloud((0.1, 0.1, 0.5, 0.3)), (70000, 1))
    assert pillar_map(points_n5, HALF_M, PILLAR_M)[0, 128, 128] == pytest.approx(np.log1p(70000) / 4, rel=1e-6)


def test_ages_are_the_mean_and_the_newest_of_a_pillar():
    points_n5 = cloud((0.1, 0.1, 0.5, 0.0), (0.2, 0.1, 0.5, 0.0), (0.3, 0.1, 9.0, 0.0), (4.1, 0.1, 0.5, 0.0))
    points_n5[:, 4] = -0.9, -0.3, 0.0, 0.0  # the third is too high to count
    found = age_map(points_n5, HALF_M, PILLAR_M)
    np.testing.assert_allclose(found[:, 128, 128], [0.6, 0.3], atol=1e-6)
    found[:, 128, 128] = 0.0
    assert not found.any()
