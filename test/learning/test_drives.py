"""A frame that is turned and mirrored stays one and the same scene for every sensor."""

import numpy as np
import pytest
from learning.drive_frames import BOXES, SIZE, drive_frame, ego_pose, road_view, truth_of

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import without_camera, without_cameras, without_lidar
from moe_bev_ros.core.se3 import inverse, transform_points
from moe_bev_ros.learning.drives import POSE_NOISE_M, Variation, augmented, points_in_boxes

ANGLE = 0.7
CHANGES = pytest.mark.parametrize(('angle', 'mirrored'), [(ANGLE, False), (0.0, True), (ANGLE, True)])


def pixels_of(frame, xyz_n3, camera):
    cameras = frame.cameras
    optical = transform_points(inverse(cameras.base_link_se3_camera_n44[camera]), np.asarray(xyz_n3, float))
    pixels = optical @ cameras.intrinsics_n33[camera].astype(float).T
    return pixels[:, :2] / pixels[:, 2:], optical[:, 2]


@CHANGES
def test_boxes_project_to_the_same_pixels(angle, mirrored):
    before = drive_frame()
    after = augmented(before, angle, mirrored=mirrored)
    for camera, box in ((0, 0), (1, 1)):
        (old,), (old_depth,) = pixels_of(before.frame, before.truth.boxes_n7[box : box + 1, :3], camera)
        (new,), (new_depth,) = pixels_of(after.frame, after.truth.boxes_n7[box : box + 1, :3], camera)
        assert old_depth > 0.0
        assert new_depth == pytest.approx(old_depth, abs=1e-4)
        expected = (SIZE[0] - 1 - old[0], old[1]) if mirrored else old
        np.testing.assert_allclose(new, expected, atol=1e-2)


def test_a_mirrored_image_shows_at_the_mirrored_pixel_what_the_image_showed():
    before = drive_frame()
    after = augmented(before, 0.0, mirrored=True)
    np.testing.assert_array_equal(after.frame.cameras.images_nhw3[:, :, 5], before.frame.cameras.images_nhw3[:, :, SIZE[0] - 6])


@CHANGES
def test_points_stay_in_their_boxes(angle, mirrored):
    after = augmented(drive_frame(), angle, mirrored=mirrored)
    assert points_in_boxes(after.truth.boxes_n7, after.frame.lidar.points_n5).tolist() == [5, 5]


@CHANGES
def test_the_motion_moves_what_stands_to_where_it_is_now(angle, mirrored):
    standing_map = np.array([[110.0, 55.0, 0.0]])
    frames = [augmented(drive_frame(tick=tick, gap=tick and 3), angle, mirrored=mirrored) for tick in (0, 3)]
    side = np.array([1.0, -1.0 if mirrored else 1.0, 1.0])
    seen = [transform_points(inverse(ego_pose(tick)), standing_map) * side for tick in (0, 3)]
    cos, sin = np.cos(angle), np.sin(angle)
    seen = [xyz @ np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]]) for xyz in seen]
    np.testing.assert_allclose(transform_points(frames[1].base_link_now_se3_before, seen[0]), seen[1], atol=1e-9)
    poses = [item.frame.ego.odom_se3_base_link for item in frames]
    np.testing.assert_allclose(inverse(poses[1]) @ poses[0], frames[1].base_link_now_se3_before, atol=1e-9)
    assert np.linalg.det(poses[0][:3, :3]) == pytest.approx(1.0)


@CHANGES
def test_futures_and_velocities_turn_with_the_boxes(angle, mirrored):
    truth = augmented(drive_frame(), angle, mirrored=mirrored).truth
    heading = np.array([np.cos(truth.boxes_n7[0, 6]), np.sin(truth.boxes_n7[0, 6])])
    old = np.array([np.cos(BOXES[0, 6]), np.sin(BOXES[0, 6])])
    assert truth.velocities_n2[0] @ heading == pytest.approx(np.array([5.0, 1.0]) @ old, abs=1e-4)
    np.testing.assert_allclose(truth.futures_n12x2[0, 3], 2.0 * truth.velocities_n2[0], rtol=1e-5)


@CHANGES
def test_the_road_turns_with_what_stands_on_it(angle, mirrored):
    boxes = np.array([[10.0, 1.5, 0.8, 4.5, 1.9, 1.6, 0.0], [10.0, 4.0, 0.8, 4.5, 1.9, 1.6, 0.0]], np.float32)
    item = augmented(drive_frame(truth_of(boxes, road=road_view())), angle, mirrored=mirrored)
    drivable, divider, *_ = item.truth.road.road_khw(256, 25.6)
    columns, rows = ((item.truth.boxes_n7[:, :2] + 25.6) / 0.2).astype(int).T
    assert drivable[rows, columns].tolist() == [1, 0]
    place = np.array([[10.0, 2.0 * (-1.0 if mirrored else 1.0)]]) @ np.array(
        [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    )
    column, row = ((place[0] + 25.6) / 0.2).astype(int)
    assert divider[row - 1 : row + 2, column - 1 : column + 2].any()


def test_cameras_are_off_in_the_same_way_all_along_a_drive():
    variation = Variation(noise_seed=3)
    first, second = (variation.of(drive_frame(tick=tick)).frame.cameras.base_link_se3_camera_n44 for tick in (0, 5))
    right = drive_frame().frame.cameras.base_link_se3_camera_n44
    np.testing.assert_array_equal(first, second)
    shifts = np.linalg.norm((first - right)[:, :3, 3], axis=1)
    assert (shifts > 0.0).all()
    assert (shifts < 6 * POSE_NOISE_M).all()


def test_sensors_can_be_taken_away():
    frame = drive_frame().frame
    assert not without_lidar(frame).lidar_valid
    assert not without_cameras(frame).camera_valid
    one_less = without_camera(frame, 1).cameras
    assert one_less.valid_n.tolist() == [True, False]
    assert not one_less.images_nhw3[1].any()
    assert frame.cameras.images_nhw3[1].any()


def test_a_box_that_is_not_finite_is_named():
    boxes = BOXES.copy()
    boxes[1, 0] = np.nan
    with pytest.raises(InputError, match=r'user 1: its box .* is not finite'):
        truth_of(boxes)
