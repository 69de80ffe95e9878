import numpy as np
import pytest
from perception.camera_ring import HEIGHT, WIDTH, ring, seen_from

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.config import profile
from moe_bev_ros.perception.depth_maps import depth_map
from moe_bev_ros.perception.lift_geometry import block_projections

CONFIG = profile('tiny')


def cloud(points_n3):
    return np.pad(np.asarray(points_n3, np.float32), ((0, 0), (0, 2)))


def depths(points_n5, intrinsics_n33, poses_n44, valid_n=(True,) * 6):
    depth_nhw = np.full((6, 16, 44), 7.0, np.float32)
    depth_map(points_n5, block_projections(CONFIG, intrinsics_n33, poses_n44), np.array(valid_n), depth_nhw)
    return depth_nhw


def test_every_block_holds_the_nearest_point_that_the_camera_model_puts_there():
    points_n5 = cloud(np.random.default_rng(5).uniform([-40, -40, -1], [40, 40, 5], (5000, 3)))
    intrinsics_n33, poses_n44 = ring()
    wanted_nhw = np.full((6, 16, 44), np.inf)
    for camera, view in enumerate(zip(intrinsics_n33, poses_n44)):
        pixels_n2, depth_n = seen_from(points_n5[:, :3], *view)
        inside = np.all((pixels_n2 >= -0.5) & (pixels_n2 < (WIDTH - 0.5, HEIGHT - 0.5)), axis=1)  # NaN behind the camera
        column_n, row_n = ((pixels_n2[inside] + 0.5) // 8).astype(int).T
        np.minimum.at(wanted_nhw[camera], (row_n, column_n), depth_n[inside])
    wanted_nhw[np.isinf(wanted_nhw)] = 0.0
    assert 0.2 < (wanted_nhw > 0).mean() < 0.9
    np.testing.assert_allclose(depths(points_n5, intrinsics_n33, poses_n44), wanted_nhw, rtol=1e-6)


def test_the_order_of_the_points_does_not_matter():
    points_n5 = cloud([[20.0, 0.0, 1.0], [10.0, 0.05, 1.3], [30.0, 0.0, 0.7]])
    intrinsics_n33, poses_n44 = ring(1)
    found = depths(points_n5, intrinsics_n33, poses_n44)
    np.testing.assert_array_equal(found, depths(points_n5[::-1], intrinsics_n33, poses_n44))
    assert 8.9 < found[found > 0].min() < 9.1


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('column', [0, 1, 2])
def test_points_that_are_not_finite_are_left_out(column, value):
    points_n5 = cloud([[20.0, 0.0, 1.0]])
    points_n5[0, column] = value
    assert not depths(points_n5, *ring()).any()


def test_no_points_and_no_cameras_give_an_empty_map():
    intrinsics_n33, poses_n44 = ring()
    assert not depths(cloud(np.zeros((0, 3))), intrinsics_n33, poses_n44).any()
    assert not depths(cloud([[20.0, 0.0, 1.0]]), intrinsics_n33[:0], poses_n44[:0]).any()


def test_more_cameras_than_the_network_takes_are_refused():
    with pytest.raises(InputError, match='7 cameras'):
        depths(cloud([[20.0, 0.0, 1.0]]), *ring(7))


def test_a_camera_that_is_not_valid_sees_nothing():
    points_n5 = cloud(np.random.default_rng(5).uniform([-40, -40, -1], [40, 40, 5], (5000, 3)))
    wanted_nhw = depths(points_n5, *ring())
    wanted_nhw[3] = 0.0
    np.testing.assert_array_equal(depths(points_n5, *ring(), [True, True, True, False, True, True]), wanted_nhw)
