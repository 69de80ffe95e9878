"""What a drive's sensors may look like."""

from dataclasses import replace

import numpy as np
import pytest

from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.learning.appearance import MAX_CAMERAS, PLAIN_SHARE, Appearance, ImageLook, LidarLook
from moe_bev_ros.learning.drives import NUM_FUTURES, DriveFrame, FrameTruth

SAME = np.tile(np.arange(256, dtype=np.uint8), (MAX_CAMERAS, 3, 1))
BOTH = np.ones(2, bool)


def noise(shape: tuple[int, ...] = (2, 16, 32, 3)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def points(num: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(1)
    points_n5 = rng.uniform(-30.0, 30.0, (num, 5)).astype(np.float32)
    points_n5[:, 3] = rng.uniform(0.1, 0.4, num)  # as the world's are
    return points_n5


def drive_frame(stamp_ns: int) -> DriveFrame:
    poses = np.tile(np.eye(4), (2, 1, 1))
    cameras = CameraImages(noise(), np.tile(np.eye(3, dtype=np.float32), (2, 1, 1)), poses, BOTH, ('a', 'b'))
    truth = FrameTruth(
        np.zeros((0, 7), np.float32), np.zeros(0, np.uint8), np.zeros((0, 2), np.float32), np.zeros(0, np.int64),
        np.zeros(0, np.int64), np.zeros(0, np.float32), (), np.zeros((0, NUM_FUTURES, 2), np.float32), None,
    )  # fmt: skip
    return DriveFrame(Frame(stamp_ns, cameras, LidarPoints(points()), None), None, 0.0, truth, 'day', 'street')


def test_a_look_without_change_changes_no_pixel():
    np.testing.assert_array_equal(ImageLook(SAME, 1.0, 0.0).of(noise(), BOTH), noise())


def test_without_saturation_all_is_grey():
    images = ImageLook(SAME, 0.0, 0.0).of(noise(), BOTH)
    np.testing.assert_array_equal(images, images[..., :1].repeat(3, axis=-1))
    assert images.std() > 20


def test_more_saturation_does_not_wrap_around():
    images = np.zeros((1, 4, 4, 3), np.uint8)
    images[..., 0] = 255
    assert ImageLook(SAME, 1.5, 0.0).of(images, BOTH[:1])[0, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize(('weight', 'rougher'), [(0.2, False), (-0.1, True)])
def test_blur_smooths_and_sharpening_roughens(weight, rougher):
    images = np.clip(noise(), 96, 160)
    changed = ImageLook(SAME, 1.0, weight).of(images, BOTH)
    assert (np.abs(np.diff(changed.astype(int), axis=2)).mean() > np.abs(np.diff(images.astype(int), axis=2)).mean()) == rougher


def test_a_camera_that_is_not_valid_stays_black():
    images = noise()
    images[1] = 0
    look = ImageLook(np.full_like(SAME, 200), 1.0, 0.1)
    changed = look.of(images, np.array([True, False]))
    assert not changed[1].any()
    assert changed[0].min() == 200


def test_drawn_looks_keep_the_order_of_brightness_and_both_ends_apart():
    for seed in range(50):
        tables = ImageLook.drawn(np.random.default_rng(seed)).tables_n3x256.astype(int)
        assert np.all(np.diff(tables, axis=-1) >= 0)
        assert np.all(tables[..., -1] - tables[..., 0] > 100)


def test_drawn_intensities_reach_from_recorded_lidars_to_the_worlds():
    rng = np.random.default_rng(0)
    medians = [np.median(LidarLook.drawn(rng).of(points(), rng)[:, 3]) for _ in range(200)]
    assert np.percentile(medians, 15) < 0.045
    assert np.percentile(medians, 90) > 0.15


def test_points_of_a_look_without_change_stay():
    np.testing.assert_allclose(LidarLook().of(points(), np.random.default_rng(0)), points(), atol=1e-3)


def test_points_are_lost_hidden_and_without_intensity():
    rng = np.random.default_rng(0)
    assert len(LidarLook(lost_share=0.25).of(points(), rng)) == pytest.approx(3000, abs=120)
    assert np.linalg.norm(LidarLook(hidden_m=5.0).of(points(), rng)[:, :2], axis=1).min() >= 5.0
    assert not LidarLook(zero_share=1.0).of(points(), rng)[:, 3].any()


def test_a_tilted_lidar_sees_the_ground_rise_ahead():
    moved = LidarLook(level_m=0.1, slope_xy=(0.01, 0.0)).of(points(), np.random.default_rng(0))
    np.testing.assert_allclose(moved[:, 2] - points()[:, 2], 0.1 + 0.01 * points()[:, 0], atol=1e-5)


def test_points_that_are_not_numbers_are_no_trouble():
    bad = points()
    bad[:10] = np.nan
    bad[10:20, 3] = np.inf
    changed = LidarLook(hidden_m=1.0).of(bad, np.random.default_rng(0))
    assert np.all((changed[:, 3] >= 0.0) & (changed[:, 3] <= 1.0))


def test_a_drive_looks_the_same_all_the_time_but_loses_other_points():
    looks = (Appearance.drawn(np.random.default_rng(seed)) for seed in range(100))
    look = next(look for look in looks if look.images is not None and look.lidar is not None)
    look = replace(look, lidar=replace(look.lidar, lost_share=0.3))
    first, again, later = (look.of(drive_frame(stamp_ns)) for stamp_ns in (0, 0, 100))
    np.testing.assert_array_equal(first.frame.lidar.points_n5, again.frame.lidar.points_n5)
    np.testing.assert_array_equal(first.frame.cameras.images_nhw3, later.frame.cameras.images_nhw3)
    assert not np.array_equal(first.frame.lidar.points_n5, later.frame.lidar.points_n5)
    assert not np.array_equal(first.frame.cameras.images_nhw3, noise())


def test_some_drives_stay_as_they_are():
    rng = np.random.default_rng(0)
    looks = [Appearance.drawn(rng) for _ in range(400)]
    for part in ('images', 'lidar'):
        assert np.mean([getattr(look, part) is None for look in looks]) == pytest.approx(PLAIN_SHARE, abs=0.1)
    plain = Appearance(None, None, 0)
    np.testing.assert_array_equal(plain.of(drive_frame(0)).frame.lidar.points_n5, points())
