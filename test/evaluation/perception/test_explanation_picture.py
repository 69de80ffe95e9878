"""The picture of an explanation."""

import cv2
import numpy as np
import pytest

from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints, without_camera, without_cameras
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.engine.explanation import Explanation
from moe_bev_ros.evaluation.perception.explanation_picture import (
    CAPTION,
    FIRST_POINT,
    OTHER_POINT,
    TILE_WIDTH,
    draw_explanation,
)
from moe_bev_ros.evaluation.pictures import CLASS_COLOURS, GAP, PANEL

HEIGHT = 128
CAR = np.array([[20.0, 0.0, 1.0, 4.0, 2.0, 1.5, 0.0]], np.float32)


def explanation(hot: tuple[int, int, int] = (0, 4, 30)) -> Explanation:
    influence = np.zeros((2, 16, 44), np.float32)
    influence[hot] = 1.0
    key_points = np.tile(np.array([[83.5, 99.5], [203.5, 59.5]], np.float32), (2, 1, 1))
    return Explanation(
        influence, np.zeros((2, 16, 44), np.float32), key_points, 1, CAR[:, :2], np.ones(1, np.float32), Label.CAR
    )


def frame() -> Frame:
    poses, matrices = np.tile(np.eye(4), (2, 1, 1)), np.tile(np.eye(3, dtype=np.float32), (2, 1, 1))
    images = np.full((2, HEIGHT, 352, 3), 40, np.uint8)
    cameras = CameraImages(images, matrices, poses, np.ones(2, bool), ('CAM_FRONT', 'other'))
    return Frame(1, cameras, LidarPoints(np.zeros((0, 5), np.float32)), None)


def seen() -> Detections:
    return Detections(CAR, np.array([Label.CAR], np.uint8), np.ones(1, np.float32), np.zeros((1, 2), np.float32))


def tile(picture: np.ndarray, slot: int) -> np.ndarray:
    left = slot * (TILE_WIDTH + GAP)
    return picture[CAPTION : CAPTION + HEIGHT, left : left + TILE_WIDTH].astype(int)


def test_heat_lies_where_the_network_looked():
    front = tile(draw_explanation(explanation(), frame(), Detections.empty()), 1)
    changed = np.abs(front - 40).sum(axis=2)
    assert changed[35, 243] > 100  # the middle of block (4, 30)
    assert changed[5, 5] < 10


def test_first_key_points_are_marked_differently_from_the_others():
    front = tile(draw_explanation(explanation(), frame(), Detections.empty()), 1)
    first, other = front[92:108, 76:92].reshape(-1, 3), front[55:65, 198:210].reshape(-1, 3)
    assert (first == FIRST_POINT).all(axis=1).any()
    assert (other == OTHER_POINT).all(axis=1).any()
    assert not (other == FIRST_POINT).all(axis=1).any()


def test_a_camera_that_is_not_valid_shows_nothing():
    picture = draw_explanation(explanation(), without_camera(frame(), 0), Detections.empty())
    assert (tile(picture, 1) == PANEL).all()


def test_an_object_ahead_lies_above_the_vehicle():
    with_car, without = (draw_explanation(explanation(), frame(), found) for found in (seen(), Detections.empty()))
    rows, columns = np.nonzero((with_car != without).any(axis=2))
    side = with_car.shape[0]
    assert rows.mean() == pytest.approx(side / 2 - 20 * side / 102.4, abs=3)
    assert columns.mean() == pytest.approx(with_car.shape[1] - side / 2, abs=3)
    assert (with_car == CLASS_COLOURS[Label.CAR]).all(axis=2).any()


def test_the_picture_can_be_stored(tmp_path):
    assert cv2.imwrite(str(tmp_path / 'a.png'), draw_explanation(explanation(), frame(), seen()))


def test_without_cameras_there_is_no_picture():
    with pytest.raises(ValueError, match='without cameras'):
        draw_explanation(explanation(), without_cameras(frame()), seen())
