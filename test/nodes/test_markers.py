import numpy as np
from visualization_msgs.msg import Marker

from moe_bev_ros.core.objects import Label, Scene, TrackedObject
from moe_bev_ros.nodes.markers import ObjectMarkers


def scene(*items):
    objects = tuple(
        TrackedObject(
            number,
            label,
            0.7,
            np.array([10, 2, 0.8, 4, 2, 1.5, 0.5], np.float32),
            np.array([speed, 0], np.float32),
            np.eye(4, dtype=np.float32),
        )
        for number, label, speed in items
    )
    return Scene(1_000_000_000, objects, True, True, True)


def kinds(array):
    return [(marker.ns, marker.id, marker.action) for marker in array.markers]


def test_a_moving_object_has_box_caption_and_arrow_and_a_standing_one_no_arrow():
    array = ObjectMarkers().update(scene((1, Label.CAR, 5.0), (2, Label.BARRIER, 0.0)))
    assert [(ns, number) for ns, number, _ in kinds(array)] == [
        ('boxes', 1),
        ('captions', 1),
        ('velocities', 1),
        ('boxes', 2),
        ('captions', 2),
    ]
    assert array.markers[0].header.frame_id == 'base_link'
    assert array.markers[1].text.startswith('car 1')


def test_markers_of_objects_that_are_gone_are_deleted_once():
    markers = ObjectMarkers()
    markers.update(scene((1, Label.CAR, 5.0), (2, Label.CAR, 0.0)))
    second = markers.update(scene((2, Label.CAR, 0.0)))
    assert [item for item in kinds(second) if item[2] == Marker.DELETE] == [
        ('boxes', 1, Marker.DELETE),
        ('captions', 1, Marker.DELETE),
        ('velocities', 1, Marker.DELETE),
    ]
    assert all(action == Marker.ADD for _, _, action in kinds(markers.update(scene((2, Label.CAR, 0.0)))))
