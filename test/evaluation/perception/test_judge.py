from dataclasses import replace

import numpy as np
import pytest
from evaluation.small_tree import SIZES, KnowingEngine, write_tree

pytest.importorskip('nuscenes', reason='the extra "evaluation" is not installed')

from moe_bev_ros.core.attributes import ATTRIBUTES, NO_ATTRIBUTE
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.evaluation.perception.detection import detection_rows
from moe_bev_ros.evaluation.perception.judge import judge
from moe_bev_ros.evaluation.perception.perceived import see_scene
from moe_bev_ros.evaluation.strata import intervals, paired_difference

SIZE = (96, 64)


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('small') / 'tree', num_scenes=3)


def seen_by(tree, **how):
    return [see_scene(tree, scene, KnowingEngine(tree, scene, **how), SIZE) for scene in tree.scenes()]


@pytest.fixture(scope='module')
def perfect(tree):
    return judge(tree, seen_by(tree), resamples=20)


@pytest.fixture(scope='module')
def shifted(tree):
    return judge(tree, seen_by(tree, shift_m=1.1, without=(Label.BUS,)), resamples=50)


def test_perfect_predictions_score_one(perfect):
    assert perfect.results['nds'] == pytest.approx(1.0, abs=1e-5)
    assert perfect.results['mean_ap'] == pytest.approx(1.0, abs=1e-9)
    assert perfect.results['attr_err'] == 0.0
    assert perfect.results['published']['nds'] == pytest.approx(1.0, abs=1e-4)
    assert set(perfect.results['classes']) == {label.name.lower() for label in SIZES}


def test_a_shift_is_the_translation_error(shifted):
    results = shifted.results
    assert results['classes']['car']['trans_err'] == pytest.approx(1.1, abs=1e-5)
    assert results['classes']['bus']['ap'] == 0.0
    assert results['classes']['car']['ap'] == pytest.approx(0.5, abs=0.01)  # found within 2 and 4 m, not within 0.5 and 1 m


def test_an_engine_that_sees_nothing_scores_zero(tree):
    results = judge(tree, seen_by(tree, without=tuple(SIZES)), resamples=1).results
    assert results['nds'] == 0.0
    assert results['mean_ap'] == 0.0
    assert results['published']['nds'] == 0.0
    assert results['metrics']['forecast_recall']['value'] == 0.0


def test_the_table_gives_the_devkits_own_score(shifted, perfect):
    for judged in (shifted.detections, shifted.published, perfect.published):
        nds, mean_ap = judged.table.figures()
        assert nds == pytest.approx(judged.summary['nds'], abs=1e-12)
        assert mean_ap == pytest.approx(judged.summary['mean_ap'], abs=1e-12)
        official, ours = judged.evaluation.evaluate()[0], judged.table.metrics()
        for name in ours.mean_dist_aps:
            for error in ours.tp_errors:
                expected = official.get_label_tp(name, error)
                assert ours.get_label_tp(name, error) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def spoiled(keyframe, rng):
    found = keyframe.detections
    given = (found.boxes_n7, found.labels_n, found.scores_n, found.velocities_n2)
    boxes, labels, scores, velocities = (np.concatenate([values] * 2) for values in given)
    boxes[:, :2] += rng.normal(0, 1.0, (len(boxes), 2))
    boxes[:, 6] += rng.normal(0, 0.5, len(boxes))
    scores = rng.integers(1, 6, len(scores)).astype(np.float32) / 6  # with ties
    return replace(keyframe, detections=Detections(boxes, labels, scores, velocities))


@pytest.fixture(scope='module')
def noisy(tree):
    rng = np.random.default_rng(3)
    seen = [replace(scene, keyframes=tuple(spoiled(item, rng) for item in scene.keyframes)) for scene in seen_by(tree)]
    return judge(tree, seen, resamples=1).detections


def test_noisy_scores_and_places_give_the_devkits_own_score(noisy):
    assert 0.1 < noisy.summary['nds'] < 0.9
    np.testing.assert_allclose(noisy.table.figures(), (noisy.summary['nds'], noisy.summary['mean_ap']), atol=1e-12)


@pytest.mark.parametrize('absent_count', [True, False])
@pytest.mark.parametrize('without', [(), (Label.BUS, Label.TRAFFIC_CONE)])
def test_the_quick_score_of_a_draw_is_the_devkits_arithmetic(noisy, shifted, absent_count, without):
    rng = np.random.default_rng(7)
    for table in (noisy.table, shifted.published.table, shifted.detections.distance_tables[0], noisy.table.only([1])):
        absent = {label.name.lower() for label in without}
        none = np.zeros(table.num_scenes, np.int64)
        classes = {n: replace(m, num_truth_s=none) if n in absent else m for n, m in table.classes.items()}
        table = replace(table, classes=classes)
        for times in (none + 1, none, *rng.multinomial(3, [1 / table.num_scenes] * table.num_scenes, 20)):
            slow = table.metrics(times, absent_count=absent_count)
            expected = (slow.nd_score, slow.mean_ap) if slow.mean_dist_aps else (np.nan, np.nan)
            np.testing.assert_allclose(table.figures(times, absent_count=absent_count), expected, atol=1e-12)


def test_a_scene_that_counts_twice_is_a_set_with_that_scene_twice(noisy):
    once, twice = noisy.table.figures(), noisy.table.figures(np.array([2, 2, 2]))
    np.testing.assert_allclose(twice, once, atol=0.02)
    assert len({noisy.table.figures(times)[1] for times in np.eye(3, dtype=np.int64)}) == 3


def test_a_table_of_some_scenes_is_the_whole_one_with_the_others_left_out(noisy):
    part = noisy.table.only([2, 0])
    for times in ([1, 1], [0, 3], [2, 1]):
        whole = noisy.table.figures(np.array([times[1], 0, times[0]]))
        np.testing.assert_allclose(part.figures(np.array(times)), whole, atol=0.02)
    np.testing.assert_array_equal(noisy.table.only([0, 1, 2]).figures(), noisy.table.figures())


def test_intervals_hold_the_value_and_pairs_differ(shifted, perfect):
    table, better = shifted.detections.table, perfect.detections.table
    (nds, _) = intervals(table.figures, range(3), 3, 50)
    assert nds.low <= nds.value <= nds.high
    (gain, _) = paired_difference(table.figures, better.figures, 3, 3, 50)
    assert 0.0 < gain.low <= gain.value <= gain.high
    (none, _) = paired_difference(table.figures, table.figures, 3, 3, 50)
    assert (none.low, none.value, none.high) == (0.0, 0.0, 0.0)
    with pytest.raises(InputError, match='cannot be paired'):
        paired_difference(table.figures, better.figures, 3, 4)


def test_strata_part_scenes_and_distances(shifted):
    strata = shifted.results['strata']
    assert {name: row['scenes'] for name, row in strata['condition'].items()} == {'day': 1, 'night': 2}
    assert set(strata['kind']) == {'free_driving', 'cut_in'}
    assert list(strata['distance']) == ['0-20 m', '20-35 m', '35-55 m']
    night = shifted.detections.table.figures(np.array([0, 1, 1]), absent_count=False)
    assert strata['condition']['night']['nds']['value'] == pytest.approx(night[0])


def test_what_an_engine_does_not_give_is_none(perfect):
    metrics = perfect.results['metrics']
    assert metrics['segmentation'] is None
    assert metrics['lights'] is None
    assert perfect.results['tracking'] is None


def test_tracks_are_judged_by_the_devkit(tree):
    tracking = judge(tree, seen_by(tree)[:2], resamples=1, tracking_workers=1).results['tracking']
    assert tracking['amota'] == pytest.approx(1.0)
    assert tracking['ids'] == 0
    assert tracking['classes']['bus']['amota'] == pytest.approx(1.0)


def test_at_most_500_boxes_a_sample_are_given_and_none_without_class():
    num = 700
    boxes = np.tile(np.array([1, 0, 0, 1, 1, 1, 0], np.float32), (num, 1))
    labels = np.full(num, Label.CAR, np.uint8)
    labels[:100] = Label.UNKNOWN
    scores = np.linspace(0, 1, num).astype(np.float32)
    rows = detection_rows('a', Detections(boxes, labels, scores, np.full((num, 2), np.nan, np.float32)), np.eye(4))
    assert len(rows) == 500
    assert rows[0]['detection_score'] == 1.0
    assert rows[-1]['velocity'] == [0.0, 0.0]
    assert rows[0]['attribute_name'] == 'vehicle.parked'


def test_the_attributes_of_an_engine_are_given_and_what_is_out_of_sight_is_not():
    boxes = np.tile(np.array([1, 0, 0, 1, 1, 1, 0], np.float32), (3, 1))
    detections = Detections(
        boxes,
        np.array([Label.CAR, Label.TRAFFIC_CONE, Label.CAR], np.uint8),
        np.array([0.9, 0.8, 0.7], np.float32),
        np.zeros((3, 2), np.float32),
        attributes_n=np.array([ATTRIBUTES.index('vehicle.stopped'), NO_ATTRIBUTE, 0], np.uint8),
        hidden_n=np.array([False, False, True]),
    )
    rows = detection_rows('a', detections, np.eye(4))
    assert [row['attribute_name'] for row in rows] == ['vehicle.stopped', '']
