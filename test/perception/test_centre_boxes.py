"""Peaks of the maps become boxes, each once."""

import numpy as np
import pytest
from scipy.ndimage import maximum_filter

from moe_bev_ros.core.attributes import ATTRIBUTES, NO_ATTRIBUTE
from moe_bev_ros.core.objects import Label
from moe_bev_ros.perception.centre_boxes import HIDDEN, NUM_MODES, NUM_STEPS, CentreMaps, decode_centres, decode_maps

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


GRID = CELLS // 2


def empty_network_maps():
    return CentreMaps(
        np.full((11, CELLS, CELLS), -9.0, np.float32),
        np.zeros((10, CELLS, CELLS), np.float32),
        np.zeros((5, CELLS, CELLS), np.float32),
        np.zeros((8, CELLS, CELLS), np.float32),
        np.zeros((NUM_MODES * (1 + 2 * NUM_STEPS), GRID, GRID), np.float32),
    )


def test_peaks_are_those_of_a_maximum_filter():
    scores = np.random.default_rng(0).random((10, CELLS, CELLS)).astype(np.float32)
    peaks = (scores == maximum_filter(scores, size=(1, 3, 3))) & (scores > 0.9)
    spread = np.zeros((10, CELLS, CELLS), np.float32)
    found = decode_centres(scores, spread, 100.0, HALF_M, min_score=0.9, max_boxes=5000)
    np.testing.assert_array_equal(found.scores_n, np.sort(scores[peaks])[::-1])


def test_a_box_carries_all_that_the_maps_say_of_it():
    maps = empty_network_maps()
    put(maps.heat_chw, maps.boxes_bhw, Label.PEDESTRIAN, 21, 5, 2.0, velocity=(2.0, 0.0))
    maps.log_sigma_shw[:, 21, 5] = np.log([0.1, 0.2, 9.0, 0.3, 0.4])
    maps.attributes_ahw[:, 21, 5] = [9.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.3, 0.2]
    of_modes = maps.forecast_fgg.reshape(NUM_MODES, 1 + 2 * NUM_STEPS, GRID, GRID)
    of_modes[3, 0, 10, 2] = 5.0
    of_modes[3, 1:, 10, 2] = np.tile([0.0, -1.5], NUM_STEPS)
    found = decode_maps(maps, CELL_M, HALF_M)
    assert found.scores_n[0] == pytest.approx(1.0 / (1.0 + np.exp(-2.0)))
    assert ATTRIBUTES[found.attributes_n[0]] == 'pedestrian.standing'
    np.testing.assert_allclose(found.covariances_n44[0], np.diag([0.01, 0.04, 0.09, 0.16]), rtol=1e-5)
    assert found.probabilities_nm[0].argmax() == 3
    np.testing.assert_allclose(found.probabilities_nm.sum(), 1.0, rtol=1e-5)
    np.testing.assert_allclose(found.futures_nmt2[0, 0, 1] - found.boxes_n7[0, :2], (2.0, 0.0), atol=1e-5)
    np.testing.assert_allclose(found.futures_nmt2[0, 3, 11] - found.boxes_n7[0, :2], (12.0, -1.5), atol=1e-5)
    assert not found.hidden_n[0]


def test_what_is_out_of_sight_is_flagged_and_believed_less():
    maps = empty_network_maps()
    put(maps.heat_chw, maps.boxes_bhw, HIDDEN, 8, 8, 3.0)
    maps.heat_chw[Label.BUS, 8, 8] = -5.0
    found = decode_maps(maps, CELL_M, HALF_M)
    assert (Label(int(found.labels_n[0])), bool(found.hidden_n[0])) == (Label.BUS, True)
    assert found.scores_n[0] < 0.5


def test_cones_have_no_attribute():
    maps = empty_network_maps()
    put(maps.heat_chw, maps.boxes_bhw, Label.TRAFFIC_CONE, 8, 8, 3.0)
    maps.attributes_ahw[2] = 9.0
    assert decode_maps(maps, CELL_M, HALF_M).attributes_n[0] == NO_ATTRIBUTE


def test_maps_that_are_not_numbers_give_nothing():
    maps = empty_network_maps()
    maps.heat_chw[:] = np.nan
    assert len(decode_maps(maps, CELL_M, HALF_M)) == 0


def test_peaks_on_the_rim_and_in_the_corners_are_found():
    maps = empty_network_maps()
    places = [(0, 0), (0, CELLS - 1), (CELLS - 1, 0), (CELLS - 1, CELLS - 1), (16, 0), (CELLS - 1, 16)]
    for row, column in places:
        put(maps.heat_chw, maps.boxes_bhw, Label.CAR, row, column, 1.0)
    found = decode_maps(maps, CELL_M, HALF_M)
    cells_n2 = np.floor((found.boxes_n7[:, :2] + HALF_M) / CELL_M).astype(int)
    assert sorted((row, column) for column, row in cells_n2.tolist()) == sorted(places)


def test_every_box_gets_the_futures_of_its_own_cell():
    rng, maps = np.random.default_rng(7), empty_network_maps()
    maps.forecast_fgg[:] = rng.normal(size=maps.forecast_fgg.shape)
    for row, column in rng.permutation(CELLS * CELLS)[:40, None] // (CELLS, 1) % CELLS:
        put(maps.heat_chw, maps.boxes_bhw, Label.PEDESTRIAN, row, column, rng.uniform(0.0, 3.0), velocity=rng.normal(size=2))
    found = decode_maps(maps, CELL_M, HALF_M)
    assert len(found) > 20
    column_n, row_n = np.floor((found.boxes_n7[:, :2] + HALF_M) / CELL_M).astype(int).T // 2
    said_nmf = maps.forecast_fgg[:, row_n, column_n].T.reshape(-1, NUM_MODES, 1 + 2 * NUM_STEPS)
    ahead_s = 0.5 * np.arange(1, NUM_STEPS + 1)
    steady_nt2 = found.boxes_n7[:, None, :2] + ahead_s[:, None] * found.velocities_n2[:, None]
    wanted = steady_nt2[:, None] + said_nmf[:, :, 1:].reshape(-1, NUM_MODES, NUM_STEPS, 2)
    np.testing.assert_allclose(found.futures_nmt2, wanted, rtol=1e-5, atol=1e-5)
    odds_nm = np.exp(said_nmf[:, :, 0])
    np.testing.assert_allclose(found.probabilities_nm, odds_nm / odds_nm.sum(axis=1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_one_value_that_is_no_number_is_found_in_any_map_and_order(value):
    assert empty_network_maps().is_finite()
    for index in range(len(CentreMaps._fields)):
        maps = empty_network_maps()
        maps[index][-1, 3, 5] = value
        assert not maps.is_finite()
        channels_inside = np.ascontiguousarray(maps[index].transpose(1, 2, 0)).transpose(2, 0, 1)
        assert not maps._replace(**{CentreMaps._fields[index]: channels_inside}).is_finite()
