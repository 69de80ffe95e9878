from dataclasses import replace

import numpy as np
import pytest
from evaluation.small_tree import KnowingEngine, write_tree

from moe_bev_ros.core.objects import Forecast, Label, TrackedObject
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.datasets.road_raster import RoadRaster, vehicle_mask
from moe_bev_ros.engine.base import Segmentation
from moe_bev_ros.evaluation.perception.forecast import forecast_errors, forecast_tally
from moe_bev_ros.evaluation.perception.hidden import hidden_tally
from moe_bev_ros.evaluation.perception.lights import lights_tally, reported_state
from moe_bev_ros.evaluation.perception.matching import nearest_pairs
from moe_bev_ros.evaluation.perception.perceived import Tracks, see_scene
from moe_bev_ros.evaluation.perception.segmentation import overlap_counts, predicted_masks
from moe_bev_ros.evaluation.strata import groups, tally_figures
from moe_bev_ros.evaluation.tally import distance_bins
from moe_bev_ros.planning.lane_graph import Lane, LaneGraph
from moe_bev_ros.world.network import Crossing, LineKind, PaintLine, RoadNetwork

SIZE = (96, 64)
SCENE = 'world-1000000'


@pytest.fixture(scope='module')
def seen(tmp_path_factory):
    tree = write_tree(tmp_path_factory.mktemp('small') / 'tree', num_scenes=1)
    return see_scene(tree, SCENE, KnowingEngine(tree, SCENE), SIZE)


def value(tally, name):
    return float(tally[name][:, 0].sum() / tally[name][:, 1].sum())


def test_positions_pair_nearest_first_and_once():
    rows, columns = nearest_pairs(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.6, 0.0], [5.0, 0.0]]), 2.0)
    assert (rows.tolist(), columns.tolist()) == ([1], [0])


def test_forecasts_of_straight_movers_are_right_once_they_are_known(seen):
    later = replace(seen, keyframes=seen.keyframes[2:])
    tally = forecast_tally(later)
    assert value(tally, 'forecast_recall_moving') == 1.0
    assert value(tally, 'min_ade_1_moving') < 0.2
    assert value(tally, 'min_fde_1_moving') < 0.4
    assert value(tally, 'miss_rate_1_moving') == 0.0
    assert value(tally, 'constant_velocity_min_ade_1') == pytest.approx(value(tally, 'min_ade_1'), abs=1e-3)
    assert tally['min_ade_1'][:, 1].sum() == 8  # of the one keyframe with 6 s behind it; cones and barriers do not count


def test_the_best_of_k_modes_counts():
    truth = np.cumsum(np.tile([1.0, 0.0], (1, 12, 1)), axis=1)
    wrong, right = (truth + np.array([0.0, aside]) for aside in (3.0, 0.5))
    modes, probabilities = np.stack([wrong[0], right[0]])[None], np.array([[0.6, 0.4]])
    ade, fde, missed = forecast_errors(modes, probabilities, truth, 1)
    assert (ade[0], fde[0], missed[0]) == (3.0, 3.0, 1.0)
    ade, fde, missed = forecast_errors(modes, probabilities, truth, 2)
    assert (ade[0], fde[0], missed[0]) == (0.5, 0.5, 0.0)


def test_forecast_errors_are_those_of_the_devkit():
    official = pytest.importorskip('nuscenes.eval.prediction.metrics')
    rng = np.random.default_rng(0)
    modes, truth = rng.normal(0, 2, (7, 3, 12, 2)), rng.normal(0, 0.3, (7, 12, 2))
    probabilities = rng.random((7, 3))
    stacked = np.repeat(truth[:, None], 3, axis=1)
    for top in (1, 2, 3):
        ade, fde, missed = forecast_errors(modes, probabilities, truth, top)
        np.testing.assert_allclose(ade, official.min_ade_k(modes, stacked, probabilities)[:, top - 1])
        np.testing.assert_allclose(fde, official.min_fde_k(modes, stacked, probabilities)[:, top - 1])
        np.testing.assert_array_equal(missed, official.miss_rate_top_k(modes, stacked, probabilities, 2.0)[:, top - 1])


def test_a_short_forecast_goes_on_with_its_last_velocity():
    positions = np.array([[1.0, 0.0], [2.0, 0.0]], np.float32)
    box, four = np.zeros(7, np.float32), np.zeros((4, 4), np.float32)
    item = TrackedObject(1, Label.CAR, 0.5, box, np.zeros(2, np.float32), four, forecasts=(Forecast(1.0, 0.5, positions),))
    np.testing.assert_allclose(Tracks.of([item]).futures_nkt2[0, 0, :, 0], np.arange(1, 13))


def hidden_scene(tmp_path_factory, last):
    hidden = (Label.PEDESTRIAN, 6, last)
    tree = write_tree(tmp_path_factory.mktemp('hidden') / 'tree', num_scenes=1, hidden=hidden)
    return see_scene(tree, SCENE, KnowingEngine(tree, SCENE), SIZE)


def test_hidden_objects_are_recalled_by_a_track_near_them(tmp_path_factory):
    scene = hidden_scene(tmp_path_factory, 12)
    tally = hidden_tally(scene)
    assert tally['hidden_recall'][:, 1].sum() == 5  # seen last at 2.5 s, hidden from 3.0 s on: asked for at 3.5 to 5.5 s
    assert value(tally, 'hidden_recall') == 1.0

    def without(keyframe):
        keep = keyframe.tracks.labels_n != Label.PEDESTRIAN
        return replace(keyframe, tracks=Tracks(*(values[keep] for values in vars(keyframe.tracks).values())))

    forgetful = replace(scene, keyframes=tuple(without(keyframe) for keyframe in scene.keyframes))
    assert value(hidden_tally(forgetful), 'hidden_recall') == 0.0  # though others are published within 4 m


def test_briefly_hidden_objects_are_not_asked_for(tmp_path_factory):
    assert 'hidden_recall' not in hidden_tally(hidden_scene(tmp_path_factory, 6))


def test_lights_match_by_id_else_by_place():
    red = TrafficLight(7, (10.0, 0.0), LightState.RED)
    assert reported_state(red, [TrafficLight(7, (90.0, 0.0), LightState.RED)]) is LightState.RED
    assert reported_state(red, [TrafficLight(8, (10.0, 0.0), LightState.RED)]) is LightState.UNKNOWN
    assert reported_state(red, [TrafficLight(0, (12.0, 0.0), LightState.GREEN)]) is LightState.GREEN
    assert reported_state(red, [TrafficLight(0, (16.0, 0.0), LightState.RED)]) is LightState.UNKNOWN


def test_light_accuracy_is_the_share_of_right_states(seen):
    lights = (TrafficLight(7, (10.0, 2.0), LightState.RED), TrafficLight(8, (20.0, 2.0), LightState.GREEN))
    keyframe = replace(seen.keyframes[0], lights=lights, predicted_lights=(lights[0],))
    assert value(lights_tally(replace(seen, keyframes=(keyframe,))), 'light_accuracy') == 0.5
    assert lights_tally(seen) == {}


def grid(occupied):
    return Segmentation(np.where(occupied, 100, 0).astype(np.int8), 0.25, (-50.0, -50.0))


def test_iou_of_the_true_vehicles_is_one_and_of_nothing_zero(seen):
    truth, empty = seen.keyframes[0].truth, grid(np.zeros((400, 400), bool))
    true = vehicle_mask(truth, empty)
    expected_m2 = sum(
        box[3] * box[4] for box, label in zip(truth.boxes_n7, truth.labels_n) if label < 8 and label != Label.PEDESTRIAN
    )
    assert true.sum() * 0.25**2 == pytest.approx(expected_m2, rel=0.15)
    for segmentation, iou in ((grid(true), 1.0), (empty, 0.0)):
        counts = overlap_counts(predicted_masks(segmentation), segmentation, truth, None, np.eye(4))
        assert value(counts, 'iou_vehicles') == iou


def test_the_road_is_drawn_where_it_lies():
    centre = np.array([[-40.0, 0.0, 0.0], [40.0, 0.0, 0.0]])
    borders = {1: (centre[:, :2] + [0.0, 2.0], centre[:, :2] - [0.0, 2.0])}
    lines = (PaintLine(LineKind.DASHED, borders[1][0]), PaintLine(LineKind.STOP, np.array([[10.0, -2.0], [10.0, 2.0]])))
    crossing = Crossing(np.array([20.0, -2.0]), np.array([20.0, 2.0]))
    network = RoadNetwork(LaneGraph({1: Lane(1, centre, 10.0)}), borders, (), lines, (crossing,))
    raster, empty = RoadRaster.of(network), grid(np.zeros((400, 400), bool))
    pose = np.eye(4)
    pose[:3, 3] = 5.0, 0.0, 1.0
    masks = {name: raster.mask(name, empty, pose) for name in ('drivable', 'divider', 'crossing', 'stop_line')}
    assert masks['drivable'].sum() * 0.25**2 == pytest.approx(80 * 4, rel=0.1)
    _, columns = np.nonzero(masks['crossing'])
    assert columns.mean() * 0.25 - 50 == pytest.approx(15.0, abs=0.3)
    assert masks['stop_line'][200, 220]
    assert not masks['stop_line'][200, 240]
    counts = overlap_counts(masks, empty, None, raster, pose)
    assert {name: value(counts, name) for name in counts} == {f'iou_{name}': 1.0 for name in masks}


def test_tallies_part_by_distance_and_add_over_scenes():
    assert distance_bins(np.array([[19.0, 0.0], [0.0, 21.0], [36.0, 0.0], [60.0, 0.0]])).tolist() == [0, 1, 2, -1]
    first, second = {'a': np.array([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0]])}, {'b': np.ones((3, 2))}
    figures = tally_figures([first, second], ['a', 'b'])
    np.testing.assert_allclose(figures(np.array([1, 1])), [4 / 6, 1.0])
    np.testing.assert_allclose(figures(np.array([1, 0])), [4 / 6, np.nan])
    np.testing.assert_allclose(tally_figures([first], ['a'], 2)(np.array([2])), [0.75])


def test_groups_are_the_values_of_a_trait():
    traits = [{'condition': 'day'}, {'condition': 'fog', 'kind': 'merge'}, {'condition': 'day'}]
    assert groups(traits) == {'condition': {'day': [0, 2], 'fog': [1]}, 'kind': {'merge': [1]}}


def test_the_masks_of_an_engine_count_before_its_occupancy():
    grid = Segmentation(np.full((4, 4), 100, np.int8), 1.0, (-2.0, -2.0), {'drivable': np.eye(4, dtype=bool)})
    masks = predicted_masks(grid)
    assert list(masks) == ['drivable']
    assert masks['drivable'].sum() == 4
