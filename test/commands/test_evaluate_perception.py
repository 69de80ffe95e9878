import json
import shutil

import pytest
from evaluation.small_tree import write_tree

pytest.importorskip('nuscenes', reason='the extra "evaluation" is not installed')

from moe_bev_ros.cli import main
from moe_bev_ros.commands.perceive_through_ros import own_domain


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('small') / 'tree'
    write_tree(root, num_scenes=3)
    return root


def evaluate(root, *more):
    return main(['evaluate', 'perception', '--data', str(root), '--workers', '1', '--resamples', '5', *more])


def test_figures_go_to_the_file_and_into_the_report(root, tmp_path, capsys):
    out, figures = tmp_path / 'out', tmp_path / 'p.json'
    assert evaluate(root, '--split', 'world_val', '--scenes', '2', '--json', str(figures), '--out', str(out)) == 0
    results = json.loads(figures.read_text())
    assert (results['engine'], results['scenes'], results['samples'], results['rate_hz']) == ('clustering', 2, 30, 10.0)
    assert set(results['strata']) == {'distance', 'condition', 'kind'}
    html = (out / 'report.html').read_text()
    for text in (f'{results["nds"]:.4f}', f'{results["published"]["nds"]:.4f}', 'condition: night', 'construction_vehicle'):
        assert text in html
    assert html.count('data:image/png;base64,') == 6  # two worst frames of each scene, two plots
    assert 'http' not in html.replace('http://www.w3.org', '')
    assert 'published' in capsys.readouterr().out


def test_two_frames_a_second_are_a_row_of_their_own(root, tmp_path):
    figures = tmp_path / 'p.json'
    assert evaluate(root, '--scenes', '1', '--keyframes-only', '--json', str(figures)) == 0
    assert json.loads(figures.read_text())['rate_hz'] == 2.0


@pytest.mark.parametrize(
    ('arguments', 'fact'),
    [
        (('--engine', 'nothing'), "no engine 'nothing'; there are"),
        (('--split', 'world_test'), 'none of the 0 scenes of world_test is here'),
        (('--split', 'elsewhere'), "no split 'elsewhere'; there are"),
        (('--scenes', '0'), '--scenes 0; give 1 or more'),
        (('--through-ros', '--keyframes-only'), 'leave --keyframes-only out'),
        (('--version', 'v2'), "no version 'v2'"),
    ],
)
def test_what_cannot_be_evaluated_is_said(root, capsys, arguments, fact):
    assert evaluate(root, *arguments) == 2
    assert fact in capsys.readouterr().err


def test_a_folder_that_is_no_tree_is_said(tmp_path, capsys):
    assert evaluate(tmp_path) == 2
    assert f'{tmp_path}: no folder with a sample.json' in capsys.readouterr().err


def test_a_sweep_that_is_cut_off_is_named(root, tmp_path, capsys):
    copy = tmp_path / 'copy'
    shutil.copytree(root, copy)
    path = sorted((copy / 'samples' / 'LIDAR_TOP').iterdir())[3]
    path.write_bytes(path.read_bytes()[:-7])
    assert evaluate(copy, '--json', str(tmp_path / 'p.json')) == 2
    assert path.name in capsys.readouterr().err
    assert not (tmp_path / 'p.json').exists()


def test_two_runs_get_two_domains():
    with own_domain() as first, own_domain() as second:
        assert first['ROS_DOMAIN_ID'] != second['ROS_DOMAIN_ID']


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_nodes_publish_what_one_process_publishes(root, tmp_path):
    figures, out = tmp_path / 'p.json', tmp_path / 'out'
    how = ('--through-ros', '--rate', '0.25', '--scenes', '1', '--json', str(figures), '--out', str(out))
    assert evaluate(root, *how) == 0
    ros = json.loads(figures.read_text())['through_ros']
    assert ros['nds'] > 0.05
    assert abs(ros['nds_difference']) <= 0.002
    assert (ros['frames']['in'], ros['frames']['lost']) == (71, 0)
