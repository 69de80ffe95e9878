"""Drives of the world tell what is true, and what will be."""

import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.drives import points_in_boxes
from moe_bev_ros.learning.world_drives import WorldDrive, WorldSource

SIZE = (96, 64)


@pytest.fixture(scope='module')
def frames():
    return list(WorldDrive(7, SIZE, None, ticks=11).frames())


def test_frames_come_ten_times_a_second_with_all_sensors(frames):
    assert len(frames) == 11
    assert frames[0].dt_s == 0.0
    np.testing.assert_allclose([item.dt_s for item in frames[1:]], 0.1, atol=1e-9)
    for item in frames:
        assert item.frame.cameras.images_nhw3.shape == (6, SIZE[1], SIZE[0], 3)
        assert len(item.frame.lidar.points_n5) > 1000
        assert len(item.truth) > 0


def test_the_future_of_a_frame_is_what_a_later_one_says(frames):
    now, later = frames[0], frames[10]
    now_se3_later = np.linalg.inv(later.frame.ego.odom_se3_base_link)
    now_se3_later = np.linalg.inv(now.frame.ego.odom_se3_base_link) @ np.linalg.inv(now_se3_later)
    compared = 0
    for n, name in enumerate(now.truth.instances):
        if name in later.truth.instances and np.isfinite(now.truth.futures_n12x2[n, 1]).all():
            box = later.truth.boxes_n7[later.truth.instances.index(name)]
            place = now_se3_later[:3, :3] @ box[:3] + now_se3_later[:3, 3]
            moved = place[:2] - now.truth.boxes_n7[n, :2]
            np.testing.assert_allclose(now.truth.futures_n12x2[n, 1], moved, atol=0.05)
            compared += 1
    assert compared > 3


def test_points_lie_in_the_boxes_that_own_them(frames):
    truth = frames[0].truth
    assert truth.num_lidar_n.max() > 10
    np.testing.assert_array_equal(truth.num_lidar_n, points_in_boxes(truth.boxes_n7, frames[0].frame.lidar.points_n5))
    seen = truth.visible_shares_n[truth.num_lidar_n > 20]
    assert (seen > 0.0).mean() > 0.5


def test_the_ego_stands_on_a_road(frames):
    drivable = frames[0].truth.road.road_khw(128, 51.2)[0]
    assert drivable[64, 64]
    assert 0.01 < drivable.mean() < 0.9


def test_seeds_of_other_splits_are_refused():
    with pytest.raises(InputError, match='train'):
        WorldDrive(1_000_000, SIZE, None)
    assert WorldSource(SIZE).drive(999_999, (0,)).scenario_seed == 999_999
