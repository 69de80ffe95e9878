import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.engine.size_classes import UNKNOWN_SCORE, classify, complete, inside_a_vehicle, pieces_of_rows


def label_of(length, width, height, points=50):
    labels, scores = classify(*(np.array([value], np.float32) for value in (length, width, height)), np.array([points]))
    return Label(labels[0]), float(scores[0])


def test_usual_sizes_have_their_class():
    for size, label in (
        ((4.5, 1.8, 1.5), Label.CAR),
        ((1.8, 0.2, 1.5), Label.CAR),
        ((0.5, 0.4, 1.7), Label.PEDESTRIAN),
        ((0.3, 0.3, 0.7), Label.TRAFFIC_CONE),
        ((2.0, 0.5, 1.0), Label.BARRIER),
        ((11.0, 2.6, 3.2), Label.BUS),
        ((7.0, 2.4, 2.6), Label.TRUCK),
        ((0.3, 0.3, 2.5), Label.UNKNOWN),
    ):
        assert label_of(*size)[0] == label, size


def test_few_points_and_no_class_lower_the_score():
    assert label_of(4.5, 1.8, 1.5, points=3)[1] < label_of(4.5, 1.8, 1.5)[1]
    assert label_of(0.3, 0.3, 2.5)[1] <= UNKNOWN_SCORE


def test_a_rear_view_grows_away_from_the_sensor_and_its_near_edge_stays():
    rear = np.array([[-10, 0, 1.8, 0.2, np.pi / 2]], np.float32)
    x, y, length, width, yaw = complete(rear, np.array([Label.CAR], np.uint8))[0]
    assert (length, width) == (np.float32(4.4), np.float32(1.85))
    assert abs(x + length / 2 - -9.9) < 1e-5
    assert abs(y) < 0.03
    assert abs(np.sin(yaw)) < 1e-6


def test_a_row_of_barriers_becomes_pieces_that_cover_it():
    row = np.array([[10, 5, 8, 0.4, 0.3], [0, 9, 4.5, 1.8, 0]], np.float32)
    pieces, origin = pieces_of_rows(row, np.array([1.0, 1.5], np.float32))
    assert origin.tolist() == [0, 0, 0, 0, 1]
    np.testing.assert_allclose(pieces[:4, 2], 2.0)
    np.testing.assert_allclose(pieces[:4, :2].mean(axis=0), [10, 5], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(np.diff(pieces[:4, :2], axis=0), axis=1), 2.0, atol=1e-5)
    np.testing.assert_allclose(pieces[4], row[1])


def test_what_lies_inside_a_vehicle_is_a_part_of_it_and_what_stands_beside_is_not():
    boxes = np.array([[10, 0, 4.4, 1.9, 0.5], [10.5, 0.3, 0.6, 0.6, 0], [10, 1.8, 0.6, 0.6, 0]], np.float32)
    labels = np.array([Label.CAR, Label.PEDESTRIAN, Label.PEDESTRIAN], np.uint8)
    assert inside_a_vehicle(boxes, labels).tolist() == [False, True, False]
    assert not inside_a_vehicle(boxes[:0], labels[:0]).size
