"""Values check themselves once, when they are made."""

import numpy as np
import pytest

from moe_bev_ros.core.command import Command
from moe_bev_ros.core.frame import CameraImages, Frame, LidarPoints
from moe_bev_ros.core.objects import Detections
from moe_bev_ros.core.plan import Plan


def test_both_pedals_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match='both'):
        Command(throttle=0.1, brake=0.1, steering_angle_rad=0.0, acceleration_mps2=0.0, speed_mps=0.0)


def test_a_pedal_beyond_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match='pedals'):
        Command(throttle=1.5, brake=0.0, steering_angle_rad=0.0, acceleration_mps2=0.0, speed_mps=0.0)


def test_a_steering_angle_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match='finite'):
        Command(0.0, 0.5, steering_angle_rad=float('nan'), acceleration_mps2=0.0, speed_mps=0.0)


def test_a_plan_with_one_point_or_nan_is_refused() -> None:
    with pytest.raises(ValueError, match='points_t7'):
        Plan(0, 'map', np.zeros((1, 7)))
    with pytest.raises(ValueError, match='finite'):
        Plan(0, 'map', np.full((2, 7), np.nan))


def test_boxes_of_the_wrong_shape_are_named() -> None:
    with pytest.raises(ValueError, match=r'boxes_n7 must be \(2, 7\), got \(2, 6\)'):
        Detections(np.zeros((2, 6), np.float32), np.zeros(2, np.uint8), np.zeros(2, np.float32), np.zeros((2, 2), np.float32))


def test_forecasts_of_the_wrong_shape_or_without_probabilities_are_named() -> None:
    boxes, labels = np.zeros((2, 7), np.float32), np.zeros(2, np.uint8)
    scores, velocities = np.zeros(2, np.float32), np.zeros((2, 2), np.float32)
    futures = np.zeros((2, 6, 12, 2), np.float32)
    with pytest.raises(ValueError, match='together'):
        Detections(boxes, labels, scores, velocities, futures_nmt2=futures)
    with pytest.raises(ValueError, match=r'probabilities_nm must be \(2, 6\)'):
        Detections(boxes, labels, scores, velocities, futures_nmt2=futures, probabilities_nm=np.ones((2, 5), np.float32))
    with pytest.raises(ValueError, match=r'hidden_n must be \(2,\)'):
        Detections(boxes, labels, scores, velocities, hidden_n=np.zeros(3, bool))


def test_points_of_the_wrong_shape_are_named() -> None:
    with pytest.raises(ValueError, match='points_n5'):
        LidarPoints(np.zeros((4, 4), np.float32))


def test_a_frame_without_a_valid_image_has_no_camera() -> None:
    images = CameraImages(
        np.zeros((2, 4, 6, 3), np.uint8), np.zeros((2, 3, 3), np.float32), np.zeros((2, 4, 4)), np.zeros(2, bool), ('a', 'b')
    )
    frame = Frame(0, images, None, None)
    assert not frame.camera_valid
    assert not frame.lidar_valid
