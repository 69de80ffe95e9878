import numpy as np

from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.perception.doubles import one_a_place
from moe_bev_ros.perception.track_measurements import LABELS, measurements_of


def told(*items):
    """Of (label, x, y, score): index, and votes by label, of each that is followed."""
    boxes_n7 = np.array([(x, y, 0.8, 2.0, 0.8, 1.6, 0.0) for _, x, y, _ in items], np.float32).reshape(-1, 7)
    labels_n, scores_n = (np.array([item[i] for item in items], dtype) for i, dtype in ((0, np.uint8), (3, np.float32)))
    found = one_a_place(measurements_of(Detections(boxes_n7, labels_n, scores_n, np.zeros((len(items), 2), np.float32)), None))
    votes = [{LABELS[i]: round(float(row_l[i]), 2) for i in np.flatnonzero(row_l)} for row_l in found.votes_nl]
    return found.index_n.tolist(), votes


def test_a_rider_of_three_classes_is_one_and_all_of_them_count():
    rider = (Label.BICYCLE, 12, 2, 0.4), (Label.MOTORCYCLE, 12.3, 2, 0.5), (Label.PEDESTRIAN, 12.1, 2, 0.3)
    assert told(*rider) == ([1], [{Label.BICYCLE: 0.4, Label.MOTORCYCLE: 0.5, Label.PEDESTRIAN: 0.3}])


def test_vehicles_in_one_place_are_one_and_those_in_a_row_are_not():
    assert told((Label.BUS, 20, 3, 0.6), (Label.TRAILER, 20.9, 3, 0.4), (Label.TRUCK, 30, 3, 0.5))[0] == [0, 2]


def test_what_may_stand_as_near_is_left_alone():
    beside = (
        (Label.PEDESTRIAN, 5, 0, 0.5),
        (Label.PEDESTRIAN, 5.6, 0, 0.5),
        (Label.BARRIER, 9, 0, 0.5),
        (Label.TRAFFIC_CONE, 9.5, 0, 0.4),
    )
    assert told(*beside)[0] == [0, 1, 2, 3]
    assert told((Label.CAR, 5, 0, 0.5), (Label.UNKNOWN, 5, 0, 0.4))[0] == [0, 1]
    assert told() == ([], [])


def test_only_what_is_followed_itself_takes_the_place_of_others():
    row = (Label.CAR, 0, 0, 0.9), (Label.CAR, 1.4, 0, 0.6), (Label.TRUCK, 2.8, 0, 0.3)
    assert told(*row) == ([0, 2], [{Label.CAR: 1.5}, {Label.TRUCK: 0.3}])
