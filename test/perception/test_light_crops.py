import numpy as np
import pytest

from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.se3 import se3_from_xy_yaw, se3_from_xyz_rpy
from moe_bev_ros.core.traffic_light import LightPlace
from moe_bev_ros.perception.light_crops import CROP_SIZE, LEAST_PIXELS, NUM_CROPS, REACH_M, SIDE_M, light_crops

OPTICAL = np.array([[0.0, 0.0, 1.0, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
FOCAL = 276.0
RED = np.array([255, 0, 0], np.uint8)


def cameras_of(*yaws):
    """Grey images; the principal point in the middle."""
    images = np.full((len(yaws), 128, 352, 3), 115, np.uint8)
    matrices = np.tile(np.array([[FOCAL, 0, 176.0], [0, FOCAL, 64.0], [0, 0, 1]], np.float32), (len(yaws), 1, 1))
    poses = np.array([se3_from_xyz_rpy(1.5, 0.0, 1.5, 0.0, 0.0, yaw) @ OPTICAL for yaw in yaws])
    return CameraImages(images, matrices, poses, np.ones(len(yaws), np.bool_), tuple(str(yaw) for yaw in yaws))


def place_at(x, y, z=1.5, yaw=np.pi, element_id=1):
    return LightPlace(element_id, (x, y), (x, y, z), yaw, 1.16)


def test_the_crop_shows_three_metres_around_the_housing():
    cameras = cameras_of(0.0)
    side = round(SIDE_M * FOCAL / 20.0)
    cameras.images_nhw3[0, 63:66, 175:178] = RED
    crops = light_crops(cameras, [place_at(21.5, 0.0)], np.eye(4))
    assert crops.images_l3hw.shape == (NUM_CROPS, 3, CROP_SIZE, CROP_SIZE)
    assert crops.valid_l.tolist() == [True] + [False] * (NUM_CROPS - 1)
    assert crops.distance_l[0] == pytest.approx(20.0)
    redness = crops.images_l3hw[0, 0] - crops.images_l3hw[0, 1]
    row, column = np.unravel_index(np.argmax(redness), redness.shape)
    assert (row, column) in {(11, 11), (11, 12), (12, 11), (12, 12)}
    assert (redness > 0.1).sum() == pytest.approx((3 * CROP_SIZE / side) ** 2, abs=6)
    assert not crops.images_l3hw[1:].any()


def test_the_map_pose_moves_the_light_into_the_image():
    pose = se3_from_xy_yaw(100.0, 50.0, np.pi / 2)
    light = place_at(100.0, 71.5, yaw=-np.pi / 2)
    assert light_crops(cameras_of(0.0), [light], pose).distance_l[0] == pytest.approx(20.0)
    assert not light_crops(cameras_of(0.0), [light], np.eye(4)).valid_l.any()


@pytest.mark.parametrize(
    'light',
    [
        place_at(20.0, 0.0, yaw=0.0),
        place_at(20.0, 0.0, yaw=np.pi / 2),
        place_at(1.5 + REACH_M + 0.1, 0.0),
        place_at(-20.0, 0.0, yaw=0.0),
        place_at(10.0, 0.0, z=5.0),
    ],
    ids=['shines away', 'shines across', 'too far', 'behind', 'above the image'],
)
def test_what_no_camera_can_show_is_left_out(light):
    crops = light_crops(cameras_of(0.0), [light], np.eye(4))
    assert not crops.valid_l.any()
    assert (crops.place_l == -1).all()


def test_the_camera_with_most_room_around_the_light_is_taken():
    cameras = cameras_of(0.0, -0.5)
    cameras.images_nhw3[1] = 255
    right = place_at(25.0, -25.0 * np.tan(0.5), yaw=np.pi - 0.5)
    assert light_crops(cameras, [right], np.eye(4)).images_l3hw[0].min() > 2.0
    assert light_crops(cameras, [place_at(25.0, 0.0)], np.eye(4)).images_l3hw[0].max() < 1.0
    cameras.valid_n[1] = False
    assert light_crops(cameras, [right], np.eye(4)).images_l3hw[0].max() < 1.0


def test_the_nearest_lights_fill_the_slots():
    lights = [place_at(60.0 - 3.0 * index, 0.0, element_id=index) for index in range(NUM_CROPS + 3)]
    crops = light_crops(cameras_of(0.0), lights, np.eye(4))
    assert crops.place_l.tolist() == list(range(NUM_CROPS + 2, 2, -1))


def test_a_far_light_has_a_crop_of_least_size_and_outside_of_the_image_is_zero():
    cameras = cameras_of(0.0)
    cameras.images_nhw3[:] = 255
    far = place_at(1.5 + REACH_M - 0.1, 0.0)
    assert round(SIDE_M * FOCAL / (REACH_M - 0.1)) == LEAST_PIXELS
    assert light_crops(cameras, [far], np.eye(4)).images_l3hw[0].min() > 2.0
    high = place_at(21.5, 0.0, z=1.5 + 20.0 * 60.0 / FOCAL)  # four pixels below the upper edge
    crop = light_crops(cameras, [high], np.eye(4)).images_l3hw[0]
    assert not crop[:, :8].any()
    assert crop[:, 12:].min() > 2.0


def test_without_cameras_or_lights_nothing_is_cropped():
    assert not light_crops(None, [place_at(20.0, 0.0)], np.eye(4)).valid_l.any()
    assert not light_crops(cameras_of(0.0), [], np.eye(4)).valid_l.any()
