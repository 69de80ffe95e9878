import numpy as np
import pytest
from evaluation.small_tree import KnowingEngine, write_tree

pytest.importorskip('nuscenes', reason='the extra "evaluation" is not installed')

from moe_bev_ros.evaluation.perception.detection import devkit_view
from moe_bev_ros.evaluation.perception.perceived import see_scene
from moe_bev_ros.evaluation.perception.quick_tracking import LEFT_OUT
from moe_bev_ros.evaluation.perception.tracking import FIGURES, load_tracks, official_tracking, tracked_classes, tracking_rows

SIZE = (96, 64)


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp('small') / 'tree', num_scenes=2)


def rows_of(tree, rng):
    """Tracks with gaps, wrong places, changes of id and false ones; nothing of trucks."""
    classes, rows = [name for name in tracked_classes() if name != 'truck'], {}
    for name in tree.scenes():
        for keyframe in see_scene(tree, name, KnowingEngine(tree, name), SIZE).keyframes:
            found = tracking_rows(keyframe.sample_token, keyframe.tracks, keyframe.map_se3_base_link, classes)
            rows[keyframe.sample_token] = [row for row in found if rng.random() < 0.8]
            rows[keyframe.sample_token] += [{**row, 'tracking_id': f'{row["tracking_id"]}-false'} for row in found[:3]]
    for row in (row for found in rows.values() for row in found):
        row['translation'] = [*(np.array(row['translation'][:2]) + rng.normal(0.0, 0.8, 2)), row['translation'][2]]
        row['tracking_score'] = float(rng.uniform(0.1, 0.9))
        row['tracking_id'] += str(rng.integers(2)) if rng.random() < 0.3 else ''
    return rows


@pytest.fixture(scope='module')
def rows(tree):
    return rows_of(tree, np.random.default_rng(5))


@pytest.fixture(scope='module')
def figures(tree, rows):
    with devkit_view(tree, tree.scenes()) as view:
        return official_tracking(view, tree.version, rows, workers=1)


def test_quick_figures_are_those_of_the_devkit_alone(tree, rows, figures):
    with devkit_view(tree, tree.scenes()) as view:
        metrics, _ = load_tracks(view, tree.version, rows).evaluate()
    assert 0.1 < figures['amota'] < 0.9
    assert min(figures['frag'], figures['ids'], figures['mt'], figures['fp']) > 0
    for name in FIGURES:
        assert figures[name] == pytest.approx(metrics.compute_metric(name), abs=1e-9), name
        for of_class in tracked_classes():
            expected = metrics.compute_metric(name, of_class)
            assert figures['classes'][of_class][name] == pytest.approx(expected, abs=1e-9, nan_ok=True), (name, of_class)
    assert not set(LEFT_OUT) & set(FIGURES)


def test_several_processes_give_the_same_figures(tree, rows, figures):
    with devkit_view(tree, tree.scenes()) as view:
        by_two = official_tracking(view, tree.version, rows, workers=2)
    np.testing.assert_equal({**by_two, 'seconds': 0.0}, {**figures, 'seconds': 0.0})


def test_without_any_track_nothing_is_found(tree):
    samples = [item.sample_token for name in tree.scenes() for item in tree.frames(name, SIZE, keyframes_only=True)]
    with devkit_view(tree, tree.scenes()) as view:
        figures = official_tracking(view, tree.version, {token: [] for token in samples}, workers=1)
    assert (figures['amota'], figures['recall'], figures['tp']) == (0.0, 0.0, 0.0)
