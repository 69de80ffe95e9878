from __future__ import annotations

import numpy as np

from moe_bev_ros.world.collision import overlaps


def box(x: float, y: float, yaw: float = 0.0, length: float = 4.0, width: float = 2.0) -> np.ndarray:
    return np.array([x, y, 0.8, length, width, 1.6, yaw], np.float32)


def test_boxes_overlap_only_where_they_share_ground():
    others = np.stack([box(3.9, 0.0), box(4.1, 0.0), box(0.0, 1.9), box(0.0, 2.1), box(50.0, 0.0)])
    assert overlaps(box(0.0, 0.0), others).tolist() == [True, False, True, False, False]


def test_a_turned_box_passes_a_corner_that_its_bounds_would_hit():
    assert overlaps(box(0.0, 0.0), box(3.5, 2.6, np.pi / 4)[None]).tolist() == [False]
    assert overlaps(box(0.0, 0.0), box(3.2, 2.2, np.pi / 4)[None]).tolist() == [True]


def test_a_box_within_another_overlaps():
    assert overlaps(box(0.0, 0.0), box(0.2, 0.1, 1.0, 0.5, 0.5)[None]).tolist() == [True]


def test_nothing_overlaps_with_nothing():
    assert overlaps(box(0.0, 0.0), np.zeros((0, 7), np.float32)).shape == (0,)
