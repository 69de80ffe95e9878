"""Rectangles on the ground against an exact answer: clipping one polygon by the other."""

import cv2
import numpy as np

from moe_bev_ros.core.footprints import corners_of, footprints_of, overlap


def shared_area(first_5, second_5):
    polygons = [corners_of(box).astype(np.float32).reshape(-1, 1, 2) for box in (first_5, second_5)]
    return cv2.intersectConvexConvex(*polygons)[0]


def test_it_agrees_with_clipped_polygons():
    rng = np.random.default_rng(0)
    one_n5, other_n5 = (
        np.column_stack([rng.uniform(-3, 3, (500, 2)), rng.uniform(0.3, 5, (500, 2)), rng.uniform(-4, 4, 500)])
        for _ in range(2)
    )
    expected = np.array([shared_area(one, other) > 0.0 for one, other in zip(one_n5, other_n5)])
    assert np.array_equal(overlap(one_n5, other_n5), expected)
    assert 50 < expected.sum() < 450


def test_shapes_broadcast_and_touching_does_not_count():
    row_n5 = np.array([[2.0 + shift, 0.0, 2.0, 2.0, 0.0] for shift in (-0.001, 0.001, 10.0)])
    assert overlap(np.array([0.0, 0.0, 2.0, 2.0, 0.0]), row_n5).tolist() == [True, False, False]
    assert overlap(np.zeros((4, 1, 5)) + 1.0, np.zeros((0, 5))).shape == (4, 0)


def test_corners_begin_at_the_front_left():
    corners_42 = corners_of(footprints_of(np.array([[1.0, 2.0, 0.5, 4.0, 2.0, 1.0, np.pi / 2]]))[0])
    assert np.allclose(corners_42, [[0.0, 4.0], [2.0, 4.0], [2.0, 0.0], [0.0, 0.0]])
