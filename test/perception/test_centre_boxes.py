"""Peaks of the maps become boxes, each once."""

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.perception.centre_boxes import decode_centres

CELLS, CELL_M, HALF_M = 32, 0.8, 12.8


def empty_maps():
    return np.zeros((10, CELLS, CELLS), np.float32), np.zeros((10, CELLS, CELLS), np.float32)


def put(scores, boxes, label, row, column, score, size=(4.0, 2.0, 1.5), yaw=0.0, velocity=(0.0, 0.0)):
    scores[label, row, column] = score
    boxes[:, row, column] = (0.5, 0.25, 0.7, *np.log(size), np.sin(yaw), np.cos(yaw), *velocity)


def test_a_peak_becomes_the_box_that_the_maps_tell():
    scores, boxes = empty_maps()
    put(scores, boxes, Label.CAR, 20, 5, 0.9, yaw=2.0, velocity=(3.0, -1.0))
    found = decode_centres(scores, boxes, CELL_M, HALF_M)
    assert len(found) == 1
    expected = (5.5 * CELL_M - HALF_M, 20.25 * CELL_M - HALF_M, 0.7, 4.0, 2.0, 1.5, 2.0)
    np.testing.assert_allclose(found.boxes_n7[0], expected, rtol=1e-5)
    np.testing.assert_allclose(found.velocities_n2[0], (3.0, -1.0))
    assert found.labels_n[0] == Label.CAR


def test_near_the_better_box_of_a_class_no_other_one_is_left():
    scores, boxes = empty_maps()
    put(scores, boxes, Label.CAR, 10, 10, 0.6)
    put(scores, boxes, Label.CAR, 10, 11, 0.7)
    put(scores, boxes, Label.TRUCK, 10, 12, 0.5)
    put(scores, boxes, Label.CAR, 10, 20, 0.4)
    found = decode_centres(scores, boxes, CELL_M, HALF_M)
    assert [(Label(label), round(float(score), 1)) for label, score in zip(found.labels_n, found.scores_n)] == [
        (Label.CAR, 0.7),
        (Label.TRUCK, 0.5),
        (Label.CAR, 0.4),
    ]


def test_pedestrians_a_metre_apart_are_two():
    scores, boxes = empty_maps()
    put(scores, boxes, Label.PEDESTRIAN, 10, 10, 0.6)
    put(scores, boxes, Label.PEDESTRIAN, 10, 12, 0.7)
    assert len(decode_centres(scores, boxes, CELL_M, HALF_M)) == 2


def test_low_scores_and_empty_maps_give_nothing():
    scores, boxes = empty_maps()
    assert len(decode_centres(scores, boxes, CELL_M, HALF_M)) == 0
    put(scores, boxes, Label.CAR, 3, 3, 0.01)
    assert len(decode_centres(scores, boxes, CELL_M, HALF_M)) == 0
