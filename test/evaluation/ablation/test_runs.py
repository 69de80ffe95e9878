"""An ablation of a small network on a small tree: every row is trained, judged, kept, and compared with the reference."""

import json
from dataclasses import replace

import numpy as np
import pytest
from model.small_model import CONFIG, small_model

pytest.importorskip('nuscenes', reason='the extra "evaluation" is not installed')

from datasets.small_tree import write_small_tree

from moe_bev_ros.cli import main
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.evaluation.ablation import tables as ablation_tables
from moe_bev_ros.evaluation.ablation.engine import SceneJob, run_scene
from moe_bev_ros.evaluation.ablation.files import load_row
from moe_bev_ros.evaluation.ablation.runs import Plan, ablation, chosen_rows, shared_parts
from moe_bev_ros.evaluation.ablation.summary import NAMES, Comparison, is_met
from moe_bev_ros.learning.ablation_rows import REFERENCE, Goal, first_config
from moe_bev_ros.learning.first_weights import begin_with
from moe_bev_ros.learning.train_config import TrainConfig
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.weights_file import save_weights

ROWS = ('ten sweeps', 'dispatcher')


@pytest.fixture(scope='module')
def plan(tmp_path_factory):
    folder = tmp_path_factory.mktemp('ablation')
    for name in ('world-1000000', 'world-1000001'):
        write_small_tree(folder / 'tree', name)
    tree, training = open_tree(folder / 'tree'), TrainConfig(num_frames=100, batch=2, chunk=2, workers=0)
    scenes = tuple(tree.scenes(''))
    return Plan(
        replace(CONFIG, half_m=25.6, pillar_m=0.8), training, tree, tree, scenes, folder / 'out', 8, 4, (0,), resamples=5
    )


@pytest.fixture(scope='module')
def summary(plan):
    return ablation(plan, chosen_rows(plan.config, ROWS), lambda _: None)


def test_every_row_has_its_figures(summary):
    rows = {row['name']: row for row in summary['rows']}
    assert tuple(rows) == (REFERENCE, *ROWS)
    for row in rows.values():
        assert 0.0 <= row['interval'][0] <= row['nds'] + 1e-9
        assert {*NAMES, 'ms', 'bytes', 'attention_macs', 'difference'} <= set(row)
        assert row['ms'] > 0.0
    assert rows[REFERENCE]['difference'] is None
    assert rows['ten sweeps']['bytes'] > 1000.0  # of points, five numbers each
    assert rows[REFERENCE]['mean_active_experts'] == 1.0


def test_the_router_is_measured_by_condition(summary):
    for measures in summary['routers'].values():
        assert 0.0 < measures['load_entropy'] <= 1.0
        assert 0.0 < measures['filled_slots'] <= 1.0
        assert 0.0 <= measures['served_object_patches'] <= 1.0
    assert 0.0 < summary['routing_share'] < 1.0
    assert 1.0 <= summary['mean_active_experts'] <= 2.0
    assert summary['memory_gain']['velocity_error']['best'] == 'ten sweeps'


def test_the_table_is_made_of_it(summary):
    text = ablation_tables.ablation({'ablation': json.loads(json.dumps(summary))})
    for name in ROWS:
        assert f'| {name} |' in text


def test_what_is_finished_is_not_done_again(plan, summary):
    said = []
    assert ablation(plan, chosen_rows(plan.config, ROWS), said.append) == summary
    assert said == []


def test_a_row_that_was_lost_is_made_again_from_its_weights(plan, summary):
    (plan.out / 'rows' / 'dispatcher_seed0.json').unlink()
    weights = plan.out / 'weights' / 'reference_seed0' / 'small.safetensors'
    before, said = weights.stat().st_mtime_ns, []
    again = ablation(plan, chosen_rows(plan.config, ROWS), said.append)
    assert [row['nds'] for row in again['rows']] == pytest.approx([row['nds'] for row in summary['rows']])
    assert weights.stat().st_mtime_ns == before
    assert 'dispatcher' in said[0]


def test_rows_of_another_budget_are_refused(plan, summary):
    with pytest.raises(InputError, match=r'reference_seed0\.json: made with another frames; give another --out'):
        ablation(replace(plan, frames=8), chosen_rows(plan.config, ()), lambda _: None)


def test_a_damaged_row_is_named(plan, summary):
    path = plan.out / 'rows' / 'ten_sweeps_seed0.json'
    figures = json.loads(path.read_text())
    matches = path.with_suffix('.npz')
    whole = matches.read_bytes()
    matches.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r'ten_sweeps_seed0\.json: damaged .*remove it'):
        load_row(path, figures['plan'])
    matches.write_bytes(whole)
    assert load_row(path, figures['plan']) is not None


def test_the_same_weights_see_the_same_with_fixed_experts(plan, summary):
    weights = str(plan.out / 'weights' / 'reference_seed0' / 'small.safetensors')
    job = SceneJob(str(plan.tree.root), plan.tree.version, plan.scenes[0], weights, ('lidar',))
    first, second = run_scene(job), run_scene(job)
    assert set(first.num_experts) == {1}
    for one, two in zip(first.seen.keyframes, second.seen.keyframes):
        np.testing.assert_array_equal(one.detections.boxes_n7, two.detections.boxes_n7)


def test_an_unknown_row_is_refused_with_those_there_are(plan):
    with pytest.raises(InputError, match='no row magic; there are reference, dense_attention'):
        chosen_rows(plan.config, ['magic'])
    assert [row.name for row in chosen_rows(plan.config, ['memory'])][:2] == [REFERENCE, 'no memory']


def compared(reference, row):
    """Figures that swing with the draw: both alike."""

    def figures(values):
        return lambda times: np.array(values) * (1.0 + 0.01 * (times[0] - 1))

    return Comparison({REFERENCE: figures(reference), 'row': figures(row)}, 4, 50)


@pytest.mark.parametrize(
    ('goal', 'reference_nds', 'row_nds', 'met'),
    [
        (Goal.NONE, 0.5, 0.4, None),
        (Goal.KEPT, 0.498, 0.5, True),
        (Goal.KEPT, 0.48, 0.5, False),
        (Goal.WORSE, 0.5, 0.49, True),
        (Goal.WORSE, 0.5, 0.5, False),
        (Goal.ONE_POINT_WORSE, 0.5, 0.48, True),
        (Goal.ONE_POINT_WORSE, 0.5, 0.495, False),
        (Goal.NOT_BETTER, 0.5, 0.5, True),
        (Goal.NOT_BETTER, 0.5, 0.52, False),
        (Goal.BETTER, 0.5, 0.52, True),
        (Goal.BETTER, 0.5, 0.5, False),
    ],
)
def test_a_goal_is_met_only_where_the_interval_says_so(goal, reference_nds, row_nds, met):
    pair = compared([reference_nds, 0.3, 1.0, 1.0, 0.5], [row_nds, 0.3, 1.0, 1.0, 0.5])
    assert is_met(goal, 'row', pair) is met


def test_the_memory_must_leave_a_tenth_less_of_both_errors():
    both = compared([0.5, 0.3, 0.8, 0.8, 0.5], [0.5, 0.3, 1.0, 1.0, 0.5])
    assert is_met(Goal.LESS_PRECISE, 'row', both) is True
    assert both.gains(['row'])['velocity_error']['value'] == pytest.approx(0.2)
    one = compared([0.5, 0.3, 0.8, 0.95, 0.5], [0.5, 0.3, 1.0, 1.0, 0.5])
    assert is_met(Goal.LESS_PRECISE, 'row', one) is False


@pytest.mark.parametrize(
    ('more', 'fact'),
    [
        (('--frames', '0'), '--frames 0; give 1 or more'),
        (('--rows', 'magic'), 'no row magic'),
        (('--profile', 'huge'), "no profile 'huge'"),
    ],
)
def test_what_cannot_be_compared_is_said(plan, tmp_path, capsys, more, fact):
    root = str(plan.tree.root)
    assert main(['evaluate', 'ablation', '--data', root, '--train-data', root, '--out', str(tmp_path), *more]) == 2
    assert fact in capsys.readouterr().err


def test_the_common_beginning_takes_what_no_row_is_about(tmp_path):
    path = save_weights(small_model(), CONFIG, tmp_path / 'known.safetensors')
    shared = shared_parts(path)
    parts = {name.split('.')[0] for name in shared}
    assert parts == {'camera_encoder', 'lidar_encoder', 'lift', 'camera', 'lidar', 'fused', 'poor_sight', 'heads'}
    left = begin_with(BevModel(first_config(CONFIG)), shared)
    assert not parts & {name.split('.')[0] for name in left}
