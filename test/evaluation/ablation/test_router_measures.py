import numpy as np
import pytest

from moe_bev_ros.datasets.nuscenes_tree import TreeBoxes
from moe_bev_ros.evaluation.ablation.router_measures import (
    RoutedFrame,
    by_condition,
    load_entropy,
    object_patches,
    scene_measures,
    worst,
)
from moe_bev_ros.model.config import profile

TINY = profile('tiny')


def routed(*patches, gates=None):
    patch_es = np.array(patches)
    return RoutedFrame(patch_es, np.full(patch_es.shape, 0.5, np.float32) if gates is None else np.array(gates, np.float32))


def truth(*xy, points=9):
    num = len(xy)
    boxes = np.zeros((num, 7), np.float32)
    boxes[:, :2] = xy
    names, empty = tuple(map(str, range(num))), ('',) * num
    zeros = np.zeros(num, np.uint8)
    return TreeBoxes(names, names, boxes, zeros, np.zeros((num, 2)), np.full(num, points), np.zeros(num), empty)


def test_even_experts_score_best():
    found = scene_measures([routed((0, 1), (2, 3)), routed((1, 2), (1, 2))], {0: np.array([0, 3])})
    assert found == pytest.approx(
        {'load_entropy': 1.0, 'max_violation': 0.0, 'filled_slots': 1.0, 'served_object_patches': 1.0}
    )


def test_a_slot_with_a_gate_of_nothing_or_with_a_patch_twice_is_not_filled():
    frame = routed((0, 1, 2, 3), (4, 4, 4, 5), gates=((0.5, 0.5, 0.5, 0.001), (0.5, 0.5, 0.5, 0.5)))
    assert frame.filled_es.tolist() == [[True, True, True, False], [True, False, False, True]]
    found = scene_measures([frame], {})
    assert found['filled_slots'] == pytest.approx(5 / 8)
    assert found['max_violation'] == pytest.approx(3 / 2.5 - 1)
    assert np.isnan(found['served_object_patches'])


def test_only_a_filled_slot_serves_a_patch():
    frame = routed((0, 1), (1, 2), gates=((0.5, 0.0), (0.0, 0.5)))
    assert scene_measures([frame], {0: np.array([0, 1, 2, 9])})['served_object_patches'] == pytest.approx(0.5)


def test_entropy_falls_with_unevenness():
    assert load_entropy(np.array([1.0, 1.0, 1.0, 1.0])) == pytest.approx(1.0)
    assert load_entropy(np.array([1.0, 1.0, 0.0, 0.0])) == pytest.approx(0.5)
    assert load_entropy(np.array([4.0, 0.0, 0.0, 0.0])) == pytest.approx(0.0)
    assert np.isnan(load_entropy(np.zeros(4)))


def test_objects_lie_in_the_patches_of_the_router():
    patch_m = TINY.patch * TINY.cell_m
    places = [
        (-TINY.half_m + 0.1, -TINY.half_m + 0.1),
        (-TINY.half_m + 2.5 * patch_m, -TINY.half_m + 1.5 * patch_m),
        (0.0, 99.0),
    ]
    assert object_patches(truth(*places), TINY).tolist() == [0, 16 + 2]
    assert object_patches(truth(places[0], places[0]), TINY).tolist() == [0]
    assert object_patches(truth(*places, points=0), TINY).tolist() == []  # nobody sees them


def test_the_worst_condition_counts():
    even = scene_measures([routed((0, 1), (2, 3))], {0: np.array([0, 9])})
    uneven = scene_measures([routed((0, 1), (2, 2))], {})
    found = by_condition([('day', even), ('night', uneven), ('night', even)])
    assert found['night']['filled_slots'] == pytest.approx(0.875)
    assert found['night']['served_object_patches'] == pytest.approx(0.5)
    assert worst(found)['filled_slots'] == pytest.approx(0.875)
    assert worst(found)['max_violation'] == found['night']['max_violation'] > 0
