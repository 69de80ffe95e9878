import json

import pytest

pytest.importorskip('nuscenes', reason='the extra "evaluation" is not installed')

from engine.small_network import CONFIG
from evaluation.small_tree import write_tree

from moe_bev_ros.cli import main
from moe_bev_ros.engine.capability import load_capability
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.weights_file import save_weights


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('small') / 'tree'
    write_tree(root, num_scenes=3)
    return root


@pytest.fixture(scope='module')
def evaluate(root, tmp_path_factory):
    weights = save_weights(BevModel(CONFIG), CONFIG, tmp_path_factory.mktemp('weights') / 'test.safetensors')  # finds little

    def run(*more):
        how = ['--weights', str(weights), '--workers', '1', '--resamples', '5']
        return main(['evaluate', 'experts', '--data', str(root), *how, *map(str, more)])

    return run


def test_the_matrix_is_measured_and_the_dispatcher_uses_it(evaluate, tmp_path, capsys):
    figures, matrix, picture = tmp_path / 'e.json', tmp_path / 'm.json', tmp_path / 'm.png'
    assert evaluate('--split', 'world_val', '--scenes', 2, '--json', figures, '--capability', matrix, '--picture', picture) == 0
    results = json.loads(figures.read_text())
    assert results == json.loads(matrix.read_text())
    assert (results['split'], results['scenes'], results['costs']['fused']) == ('world_val', 2, 1.0)
    assert set(results['scores']['camera+lidar']) == {'day', 'night', 'free_driving', 'cut_in'}
    assert set(load_capability(matrix).scores) == set(results['scores']) == set(results['whole'])
    assert picture.read_bytes().startswith(b'\x89PNG')
    assert '**' in capsys.readouterr().out

    compared = tmp_path / 'd.json'
    assert evaluate('--dispatch', '--scenes', 2, '--capability', matrix, '--json', compared) == 0
    rows = {row['name']: row for row in json.loads(compared.read_text())['rows']}
    first, drawn = rows['dispatcher'], rows['random, the same choices']
    assert set(rows) == {'dispatcher', 'always fused', 'always lidar', 'always camera', 'random, the same choices'}
    assert rows['always fused']['mean_cost'] == rows['always fused']['mean_active_experts'] == 1.0
    assert drawn['shares'] == first['shares']
    assert drawn['mean_cost'] == pytest.approx(first['mean_cost'])
    assert set(first['shares']) == {'lidar'}  # the tree has no cameras


def test_a_lost_sensor_leaves_a_row(evaluate, tmp_path):
    figures = tmp_path / 'l.json'
    assert evaluate('--lose', 'camera', '--after', 4, '--scenes', 1, '--json', figures) == 0
    results = json.loads(figures.read_text())
    assert (results['sensor'], results['keyframes'], results['frames_late'], results['valid_share']) == ('camera', 7, 0, 1.0)
    assert results['lost_above_without']['value'] == 0.0  # the tree has no cameras


@pytest.mark.parametrize(
    ('arguments', 'fact'),
    [
        (('--after', '0'), '--after 0; give a number above 0'),
        (('--dispatch', '--picture', 'p.png'), '--picture shows the matrix'),
        (('--scenes', '1'), 'scenes in the conditions day alone'),
        (('--lose', 'lidar', '--after', '60'), 'ends 7.0 s after its begin'),
        (('--weights', 'nothing.safetensors'), 'nothing.safetensors: no such weights'),
    ],
)
def test_what_cannot_be_evaluated_is_said(evaluate, capsys, arguments, fact):
    assert evaluate(*arguments) == 2
    assert fact in capsys.readouterr().err
