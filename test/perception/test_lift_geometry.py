from dataclasses import replace

import numpy as np
import pytest
from perception.camera_ring import HEIGHT, INTRINSICS_33, WIDTH, ring, seen_from

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.config import profile
from moe_bev_ros.perception.lift_geometry import LiftCache, lift_table

CONFIG = profile('tiny')
ALL = np.ones(6, bool)
NONE = 6 * CONFIG.num_blocks


def cell_point(index):
    """Centre of an inner cell; row = y, column = x."""
    row, column = divmod(index, CONFIG.num_cells)
    return [(column + 0.5) * 1.6 - 51.2, (row + 0.5) * 1.6 - 51.2]


def cell_points(z_m):
    return np.array([[*cell_point(index), z_m] for index in range(CONFIG.num_cells**2)])


def test_every_cell_is_where_the_camera_model_projects_it():
    intrinsics_n33, poses_n44 = ring()
    table = lift_table(CONFIG, intrinsics_n33, poses_n44, ALL)
    for height, z_m in enumerate(CONFIG.lift_heights_m):
        views = [seen_from(cell_points(z_m), *view) for view in zip(intrinsics_n33, poses_n44)]
        pixels_nc2, depth_nc = (np.stack(values) for values in zip(*views))
        u_nc, v_nc = pixels_nc2[..., 0], pixels_nc2[..., 1]
        seen_nc = (depth_nc > 2.0) & (u_nc >= -0.5) & (u_nc < WIDTH - 0.5) & (v_nc >= -0.5) & (v_nc < HEIGHT - 0.5)
        off_nc = np.where(seen_nc, np.abs(u_nc - (WIDTH - 1) / 2), np.inf)
        camera_c, cells = off_nc.argmin(axis=0), np.arange(CONFIG.num_cells**2)
        row_c, column_c = ((np.nan_to_num(values[camera_c, cells]) + 0.5) // 8 for values in (v_nc, u_nc))
        wanted = np.where(seen_nc.any(axis=0), camera_c * 16 * 44 + row_c * 44 + column_c, NONE)
        np.testing.assert_array_equal(table.pixel_zc[height], wanted)
        bin_c = np.searchsorted(CONFIG.depth_edges_m, depth_nc[camera_c, cells], side='right') - 1
        seen = wanted < NONE
        assert 0.5 < seen.mean() < 1.0
        np.testing.assert_array_equal(table.bin_zc[height][seen], np.clip(bin_c, 0, 31)[seen])
        assert not table.bin_zc[height][~seen].any()


def test_only_valid_cameras_are_looked_at():
    intrinsics_n33, poses_n44 = ring()
    valid_n = np.array([True, False, True, False, False, False])
    pixel_zc = lift_table(CONFIG, intrinsics_n33, poses_n44, valid_n).pixel_zc
    assert set(np.unique(pixel_zc[pixel_zc < NONE] // CONFIG.num_blocks)) == {0, 2}
    assert (lift_table(CONFIG, intrinsics_n33, poses_n44, np.zeros(6, bool)).pixel_zc == NONE).all()


def test_a_camera_whose_calibration_is_not_finite_sees_nothing():
    intrinsics_n33, poses_n44 = ring()
    intrinsics_n33[1, 0, 0] = np.nan
    pixel_zc = lift_table(CONFIG, intrinsics_n33, poses_n44, ALL).pixel_zc
    assert set(np.unique(pixel_zc // CONFIG.num_blocks)) == {0, 2, 3, 4, 5, 6}


def test_of_two_cameras_the_one_that_sees_a_cell_nearer_to_its_middle_is_taken():
    intrinsics_n33, poses_n44 = ring()
    turned = poses_n44[[0, 0]]
    intrinsics_n33 = intrinsics_n33[:2].copy()
    intrinsics_n33[0, 0, 2], intrinsics_n33[1, 0, 2] = 60.0, 290.0  # the same view, one cut further right, one further left
    table = lift_table(CONFIG, intrinsics_n33, turned, np.ones(2, bool))
    row, ahead_column = 32, 50  # y = 0.8 m, x = 29.6 m: straight ahead, hence at 60 and at 290 of 352 pixels
    assert table.pixel_zc[0, row * 64 + ahead_column] // CONFIG.num_blocks == 1
    left_cell = 40 * 64 + 50  # y = 13.6 m: 120 pixels further left
    assert table.pixel_zc[0, left_cell] // CONFIG.num_blocks == 1
    right_cell = 23 * 64 + 50  # y = -13.6 m
    assert table.pixel_zc[0, right_cell] // CONFIG.num_blocks == 0


@pytest.mark.parametrize(
    ('u', 'v', 'wanted'),
    [
        (-0.49, -0.49, 0),
        (-0.51, 5.0, NONE),
        (5.0, -0.51, NONE),
        (7.49, 0.0, 0),
        (7.51, 0.0, 1),
        (0.0, 7.51, 44),
        (351.49, 127.49, 16 * 44 - 1),
        (351.51, 100.0, NONE),
        (100.0, 127.51, NONE),
    ],
)
def test_blocks_cover_pixels_from_half_before_the_first_centre(u, v, wanted):
    intrinsics_n33, poses_n44 = ring(1)
    cell = 31 * 64 + 44
    pixels, depth_m = seen_from(np.array([[*cell_point(cell), CONFIG.lift_heights_m[0]]]), intrinsics_n33[0], poses_n44[0])
    shifted = intrinsics_n33.copy()
    shifted[0, :2, 2] += np.array([u, v]) - pixels[0]  # so that the cell's centre comes to lie there
    table = lift_table(CONFIG, shifted, poses_n44, np.ones(1, bool))
    assert table.pixel_zc[0, cell] == wanted
    if wanted != NONE:
        edges_m = CONFIG.depth_edges_m[table.bin_zc[0, cell] :]
        assert edges_m[0] <= depth_m[0] < edges_m[1]


def test_more_cameras_than_the_network_takes_are_refused_with_both_numbers():
    intrinsics_n33, poses_n44 = ring(8)
    with pytest.raises(InputError, match=r"8 cameras, but the network 'tiny' takes 6; choose 6"):
        lift_table(CONFIG, intrinsics_n33, poses_n44, np.ones(8, bool))


def test_a_network_of_fewer_cameras_and_one_height_has_its_own_table():
    small = replace(CONFIG, num_cameras=2, lift_heights_m=(1.0,))
    intrinsics_n33, poses_n44 = ring()
    table = lift_table(small, intrinsics_n33[:2], poses_n44[:2], np.ones(2, bool))
    assert table.pixel_zc.shape == table.bin_zc.shape == (1, 64 * 64)
    assert table.pixel_zc.max() == 2 * CONFIG.num_blocks


@pytest.mark.parametrize('change', ['intrinsics', 'pose', 'validity'])
def test_the_cache_makes_a_new_table_only_when_something_changed(change):
    cache = LiftCache(CONFIG)
    intrinsics_n33, poses_n44 = ring()
    valid_n = ALL.copy()
    first = cache.table(intrinsics_n33, poses_n44, valid_n)
    assert cache.table(intrinsics_n33.copy(), poses_n44.copy(), valid_n.copy()) is first
    if change == 'intrinsics':
        intrinsics_n33[2] = INTRINSICS_33 + np.float32([[30, 0, 0], [0, 30, 0], [0, 0, 0]])
    elif change == 'pose':
        poses_n44[2, :3, 3] += 1.0
    else:
        valid_n[2] = False
    second = cache.table(intrinsics_n33, poses_n44, valid_n)  # the very arrays, changed in place
    assert second is not first
    np.testing.assert_array_equal(second.pixel_zc, lift_table(CONFIG, intrinsics_n33, poses_n44, valid_n).pixel_zc)
    assert (second.pixel_zc != first.pixel_zc).any()
