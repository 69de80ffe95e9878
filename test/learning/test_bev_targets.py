"""Targets stand where the boxes are, and what was seen before is asked for while it is hidden."""

from dataclasses import replace

import numpy as np
import pytest
from learning.drive_frames import BOXES, LABELS, SMALL, VELOCITIES, drive_frame, road_view, truth_of

from moe_bev_ros.core.objects import Label
from moe_bev_ros.learning.bev_targets import HIDDEN, MAX_BOXES, UNKNOWN_ROAD, TargetMaker


def make(truth, maker=None, **kwargs):
    return (maker or TargetMaker(SMALL)).make(drive_frame(truth, gap=0, **kwargs))


def box_at(targets, slot):
    row, column = divmod(int(targets.cell[slot]), SMALL.num_head_cells)
    x_cells, y_cells, z, *logs, sin, cos, vx, vy = targets.boxes[slot]
    xy = np.array([column + x_cells, row + y_cells]) * SMALL.head_cell_m - SMALL.half_m
    return [*xy, z, *np.exp(logs), np.arctan2(sin, cos), vx, vy]


def test_decoded_targets_are_the_boxes():
    targets = make(truth_of())
    assert targets.valid.sum() == 2
    for slot in range(2):
        n = int(np.flatnonzero(targets.label[slot] == LABELS)[0])
        np.testing.assert_allclose(box_at(targets, slot), [*BOXES[n], *VELOCITIES[n]], atol=1e-4)
        row, column = divmod(int(targets.cell[slot]), SMALL.num_head_cells)
        assert targets.heat[LABELS[n], row, column] == 1.0
    assert (targets.heat == 1.0).sum() == 2


def test_shapes_do_not_depend_on_what_is_there():
    none, some = make(truth_of(BOXES[:0], LABELS[:0], VELOCITIES[:0])), make(truth_of())
    assert [part.shape for part in none] == [part.shape for part in some]
    assert [part.dtype for part in none] == [part.dtype for part in some]
    assert not none.valid.any()
    crowd = make(
        truth_of(np.repeat(BOXES[:1], 400, axis=0), np.repeat(LABELS[:1], 400), np.repeat(VELOCITIES[:1], 400, axis=0))
    )
    assert crowd.valid.sum() == MAX_BOXES


def test_boxes_off_the_map_are_left_out():
    away = BOXES + np.array([40.0, 0, 0, 0, 0, 0, 0], np.float32)
    assert make(truth_of(away[:1], LABELS[:1], VELOCITIES[:1])).valid.sum() == 0


def test_what_nothing_ever_saw_is_not_asked_for():
    targets = make(truth_of(num_lidar=0, shares=0.1))
    assert not targets.valid.any()
    assert not targets.heat.any()


@pytest.mark.parametrize(('ticks', 'hidden'), [(10, True), (29, True), (32, False)])
def test_what_was_seen_in_the_last_three_seconds_is_hidden_when_it_is_out_of_sight(ticks, hidden):
    maker = TargetMaker(SMALL)
    make(truth_of(), maker)
    gone = drive_frame(truth_of(num_lidar=0, shares=0.0), ticks, ticks)
    targets = maker.make(gone)
    assert targets.hidden.sum() == (2 if hidden else 0)
    assert targets.valid.sum() == targets.hidden.sum()
    assert (targets.heat[HIDDEN] == 1.0).sum() == targets.hidden.sum()
    assert not targets.heat[:HIDDEN].any()


def test_what_comes_back_into_sight_is_no_longer_hidden():
    maker = TargetMaker(SMALL)
    for tick, seen in enumerate((1, 0, 1)):
        targets = maker.make(drive_frame(truth_of(num_lidar=5 * seen, shares=float(seen)), tick, min(tick, 1)))
        assert targets.hidden[:2].tolist() == [not seen] * 2


def test_a_missing_sensor_sees_nothing():
    by_points, by_images = truth_of(num_lidar=5, shares=0.0), truth_of(num_lidar=0, shares=0.9)
    assert make(by_points).by_lidar.sum() == 2
    assert not make(by_points, lidar=False).valid.any()
    assert make(by_images).by_camera.sum() == 2
    assert not make(by_images, cameras=False).valid.any()


def test_what_is_not_known_is_masked():
    velocities = np.array([[np.nan, np.nan], [0.0, 0.0]], np.float32)
    truth = replace(truth_of(velocities=velocities), attributes_n=np.array([-1, 6]))
    targets = make(truth)
    slot = int(np.flatnonzero(targets.label[:2] == Label.CAR)[0])
    assert np.isnan(targets.boxes[slot, 8:]).all()
    assert np.isfinite(targets.boxes[slot, :8]).all()
    assert not targets.future_mask[slot].any()
    assert targets.future_mask[1 - slot].all()
    assert targets.attribute[slot] == -1


def test_the_road_is_not_known_without_a_map_and_vehicles_where_nobody_saw_them():
    seen, unseen = make(truth_of(num_lidar=[5, 5])), make(truth_of(num_lidar=0, shares=0.0))
    assert (seen.road[:4] == UNKNOWN_ROAD).all()
    assert (seen.road[4] == 1).sum() == pytest.approx(4.5 * 1.9 / SMALL.head_cell_m**2, abs=4)
    assert ((seen.road[4] == 1) == (unseen.road[4] == UNKNOWN_ROAD)).all()
    with_road = make(truth_of(road=road_view()))
    assert (with_road.road[0] == 1).sum() == pytest.approx(4.0 * 2 * SMALL.half_m / SMALL.head_cell_m**2, rel=0.3)
    assert not (with_road.road == UNKNOWN_ROAD).any()
