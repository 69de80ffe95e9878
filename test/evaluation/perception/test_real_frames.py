import numpy as np

from moe_bev_ros.core.frame import Frame, LidarPoints
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.datasets.frames import RecordedBox
from moe_bev_ros.datasets.single_frames import SingleFrame
from moe_bev_ros.engine.base import EngineOutput
from moe_bev_ros.evaluation.perception.real_frames import MIN_SCORE, Cars, cars_of, real_frames_results


def annotated(label, x, points=10):
    return RecordedBox(
        label, label.name.lower(), np.array([x, 0, 1, 4, 2, 1.5, 0], np.float32), np.zeros(2, np.float32), points
    )


def detected(*items, score=0.9):
    boxes = np.array([[x, 0, 1, 4, 2, 1.5, 0] for _, x in items], np.float32).reshape(-1, 7)
    labels = np.array([label for label, _ in items], np.uint8)
    return Detections(boxes, labels, np.full(len(items), score, np.float32), np.zeros((len(items), 2), np.float32))


BOXES = (
    annotated(Label.CAR, 5),
    annotated(Label.CAR, 15),
    annotated(Label.CAR, 25, points=4),
    annotated(Label.CAR, 35),
    annotated(Label.TRUCK, 20),
)


def test_only_cars_with_points_within_thirty_metres_are_asked_for():
    found = detected((Label.CAR, 5), (Label.TRUCK, 15), (Label.CAR, 25), (Label.CAR, 35), (Label.CAR, 10))
    assert cars_of(found, BOXES) == Cars(annotated=2, found=2, as_car=1, reported=3, correct=2)


def test_a_car_that_is_a_truck_is_no_wrong_report():
    assert cars_of(detected((Label.CAR, 20)), BOXES) == Cars(annotated=2, reported=1, correct=1)


def test_what_the_engine_is_not_sure_of_does_not_count():
    assert cars_of(detected((Label.CAR, 5), score=MIN_SCORE - 0.01), BOXES) == Cars(annotated=2)
    assert cars_of(detected((Label.UNKNOWN, 5)), BOXES) == Cars(annotated=2)


def test_frames_without_lidar_are_summed_apart_and_only_for_engines_that_can_do_without():
    points = LidarPoints(np.zeros((1, 5), np.float32))
    frames = [SingleFrame(name, Frame(1, None, lidar, None), boxes) for name, lidar, boxes in (
        ('a', points, BOXES), ('b', None, BOXES), ('c', points, None))]  # fmt: skip
    seen, blind = EngineOutput(detected((Label.CAR, 5)), True), EngineOutput(Detections.empty(), False)
    results = real_frames_results(frames, {'one': [seen, blind, seen], 'two': [seen, seen, seen]})
    assert [frame['name'] for frame in results['frames']] == ['a', 'b']
    assert results['not_annotated'] == ['c']
    assert results['engines']['one']['frames'][1] is None
    assert 'cameras_only' not in results['engines']['one']
    assert results['engines']['two']['cameras_only']['recall'] == 0.5
    assert results['engines']['two']['with_lidar']['annotated'] == 2
