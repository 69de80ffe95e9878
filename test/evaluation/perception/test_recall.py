import numpy as np

from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.datasets.frames import RecordedBox
from moe_bev_ros.evaluation.perception.recall import recall_by_distance, recall_table


def annotated(label, x, y, points=10, category='car'):
    return RecordedBox(label, category, np.array([x, y, 1, 4, 2, 1.5, 0], np.float32), np.zeros(2, np.float32), points)


def detected(*items):
    boxes = np.array([[x, y, 1, 4, 2, 1.5, 0] for _, x, y in items], np.float32).reshape(-1, 7)
    num = len(items)
    labels = np.array([label for label, _, _ in items], np.uint8)
    return Detections(boxes, labels, np.ones(num, np.float32), np.zeros((num, 2), np.float32))


def test_a_box_within_two_metres_is_found_and_one_beyond_is_not():
    rows = recall_by_distance(
        detected((Label.CAR, 6.9, 0), (Label.CAR, 15, 2.1)), (annotated(Label.CAR, 5, 0), annotated(Label.CAR, 15, 0))
    )
    assert [(row.annotated, row.found) for row in rows] == [(1, 1), (1, 0), (0, 0), (0, 0)]
    assert [(row.classified, row.correct) for row in rows] == [(1, 1), (1, 0), (0, 0), (0, 0)]


def test_one_detection_finds_one_box_only():
    rows = recall_by_distance(detected((Label.CAR, 5, 0)), (annotated(Label.CAR, 5, 1), annotated(Label.CAR, 5, -1)))
    assert (rows[0].annotated, rows[0].found) == (2, 1)


def test_a_box_with_few_points_takes_no_detection_from_one_that_is_asked_for():
    row = recall_by_distance(detected((Label.CAR, 5, 0)), (annotated(Label.CAR, 5, 0, points=1), annotated(Label.CAR, 6, 0)))[0]
    assert (row.annotated, row.found, row.correct) == (1, 1, 1)


def test_the_matching_finds_as_many_as_possible():
    rows = recall_by_distance(
        detected((Label.CAR, 5, 0), (Label.CAR, 6.5, 0)), (annotated(Label.CAR, 5.5, 0), annotated(Label.CAR, 8, 0))
    )
    assert rows[0].found == 2


def test_boxes_with_few_points_and_ignored_ones_are_not_asked_for():
    boxes = (annotated(Label.CAR, 5, 0, points=4), annotated(Label.UNKNOWN, 6, 0, category='ignored'))
    assert recall_by_distance(detected(), boxes)[0].annotated == 0


def test_unknown_finds_a_box_but_not_as_a_road_user_and_is_no_classified_box():
    row = recall_by_distance(detected((Label.UNKNOWN, 5, 0)), (annotated(Label.CAR, 5, 0),))[0]
    assert (row.found, row.found_as_road_user, row.found_with_label, row.classified) == (1, 0, 0, 0)


def test_another_class_counts_as_road_user_but_not_as_the_same_class():
    row = recall_by_distance(detected((Label.TRUCK, 5, 0)), (annotated(Label.CAR, 5, 0),))[0]
    assert (row.found_as_road_user, row.found_with_label) == (1, 0)


def test_the_table_ends_with_the_sum():
    rows = recall_by_distance(detected((Label.CAR, 5, 0)), (annotated(Label.CAR, 5, 0), annotated(Label.CAR, 15, 0)))
    assert recall_table(rows).splitlines()[-1].split()[:5] == ['0', '-', '50', '2', '50%']
