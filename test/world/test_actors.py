from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.objects import Label
from moe_bev_ros.world.actors import MAKERS, SHARED, make_body
from moe_bev_ros.world.parts import BLUE, CX, CY, CZ, GLOW, HX, HY, HZ, RED, REFLECTIVITY, SHAPE, TEXTURE, local_table

LABELS = tuple(MAKERS)
SMALL = (Label.TRAFFIC_CONE, Label.BARRIER)
ODD_SIZES = {
    Label.CAR: ((3.4, 1.6, 1.4), (5.6, 2.2, 2.1)),
    Label.TRUCK: ((4.8, 1.9, 2.0), (14.0, 3.0, 4.1)),
    Label.BUS: ((6.5, 2.4, 2.6), (18.0, 3.2, 4.2)),
    Label.TRAILER: ((2.5, 1.5, 1.5), (15.0, 3.0, 4.2)),
    Label.CONSTRUCTION_VEHICLE: ((3.2, 1.4, 2.2), (12.0, 3.8, 4.5)),
    Label.PEDESTRIAN: ((0.3, 0.4, 1.0), (1.3, 1.0, 2.0), (0.9, 0.6, 1.2)),
    Label.MOTORCYCLE: ((1.4, 0.4, 1.0), (2.6, 1.2, 1.9)),
    Label.BICYCLE: ((1.2, 0.3, 0.9), (2.1, 0.9, 2.0)),
    Label.TRAFFIC_CONE: ((0.2, 0.2, 0.5), (0.7, 0.6, 1.4)),
    Label.BARRIER: ((0.2, 1.0, 0.7), (0.9, 4.0, 1.5), (3.0, 0.6, 1.0)),
}
LOOKS = [*range(RED, BLUE + 1), GLOW, TEXTURE]


def extent(body):
    table = local_table(body.parts)
    centre, half = table[:, [CX, CY, CZ]], table[:, [HX, HY, HZ]]
    return (centre - half).min(axis=0), (centre + half).max(axis=0)


def bodies(label):
    for seed in range(25):
        yield make_body(label, np.random.default_rng(seed), lookalike=seed % 5 == 4)
        for size in ODD_SIZES[label]:
            yield make_body(label, np.random.default_rng(seed), size)


@pytest.mark.parametrize('label', LABELS)
def test_a_body_fills_its_annotated_box_and_stays_within_it(label):
    for body in bodies(label):
        low, high = extent(body)
        size = np.array(body.size_3)
        assert (low >= np.array([-size[0] / 2, -size[1] / 2, 0.0]) - 0.02).all(), body
        assert (high <= np.array([size[0] / 2, size[1] / 2, size[2]]) + 0.02).all(), body
        assert (high - low >= 0.9 * size).all(), body


@pytest.mark.parametrize('label', LABELS)
def test_bodies_are_of_several_parts_and_stand_on_the_ground(label):
    for body in bodies(label):
        assert len(body.parts) >= (3 if label in SMALL else 6)
        assert extent(body)[0][2] <= 0.02


@pytest.mark.parametrize('label', LABELS)
def test_bodies_differ_by_seed_and_repeat_by_seed(label):
    assert make_body(label, np.random.default_rng(1)) == make_body(label, np.random.default_rng(1))
    assert make_body(label, np.random.default_rng(1)) != make_body(label, np.random.default_rng(2))


@pytest.mark.parametrize('label', [label for label in LABELS if label is not Label.PEDESTRIAN])
def test_kinds_of_a_class_differ_in_more_than_size(label):
    size = ODD_SIZES[label][1]
    layouts = {local_table(make_body(label, np.random.default_rng(seed), size).parts)[:, SHAPE].tobytes() for seed in range(40)}
    assert len(layouts) >= min(2, len(MAKERS[label]))


@pytest.mark.parametrize(
    ('first', 'second'), [(Label.TRUCK, Label.BUS), (Label.BUS, Label.TRAILER), (Label.MOTORCYCLE, Label.BICYCLE)]
)
def test_classes_with_the_same_shape_differ_in_looks_alone(first, second):
    size = ODD_SIZES[first][0]
    one, other = (
        local_table(make_body(label, np.random.default_rng(3), size, lookalike=True).parts) for label in (first, second)
    )
    assert np.array_equal(np.delete(one, LOOKS, axis=1), np.delete(other, LOOKS, axis=1))
    assert not np.array_equal(one[:, LOOKS], other[:, LOOKS])
    assert {first, second} <= set(SHARED)


def test_front_and_back_of_a_car_differ():
    table = local_table(make_body(Label.CAR, np.random.default_rng(0)).parts)
    lamps = table[table[:, GLOW] > 0]
    assert (lamps[lamps[:, CX] > 0, BLUE] > 150).all()
    assert (lamps[lamps[:, CX] < 0, BLUE] < 60).all()
    assert (table[table[:, REFLECTIVITY] > 0.9, CX] < 0).all()


def test_an_unknown_class_has_no_body():
    with pytest.raises(ValueError, match='ten classes'):
        make_body(Label.UNKNOWN, np.random.default_rng(0))
