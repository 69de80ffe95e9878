"""A short bag through all nodes, measured; and rows judged from summaries that are given."""

import json

import pytest

from moe_bev_ros.cli import main
from moe_bev_ros.evaluation.bench import bag as bench_bag
from moe_bev_ros.evaluation.bench import graph as bench_graph
from moe_bev_ros.evaluation.bench.bag import BagKind
from moe_bev_ros.evaluation.bench.tables import graph_line


def summary(p50, p99, *, frames_in=3000, lost=0):
    return {
        'frames_in': frames_in,
        'frames_out': frames_in - lost,
        'dropped_by_policy': 0,
        'frames_lost': lost,
        'frames_overcounted': 0,
        'latency_ms': {'sensor_to_command': {'p50': p50, 'p99': p99, 'max': 2 * p99}} if p50 else {},
        'engine': {'stage_ms': {}, 'expert_share': {}},
        'nodes': [{'restarts': 0}, {'restarts': 1}],
    }


def row(name, *args, bag='704x256', **kwargs):
    return bench_graph.row(name, {'bag': bag}, summary(*args, **kwargs), 0.0123)


def test_a_row_holds_what_happened_to_every_frame():
    one = row('704x256', 50.0, 80.0, lost=2)
    assert (one['frames_in'], one['frames_out'], one['frames_lost'], one['restarts']) == (3000, 2998, 2, 1)
    assert one['foreign'] == 0.012
    assert 'p50 50.0, p99 80.0 ms; frames in 3000, out 2998' in graph_line(one)


def test_the_goal_is_met_by_two_percentiles_and_by_losing_nothing():
    assert bench_graph.verdict(row('704x256', 60.0, 85.0)) == 'met'
    assert bench_graph.verdict(row('704x256', 61.0, 90.0, lost=1)) == 'missed: p50 above 60 ms, p99 above 85 ms, frames lost'
    assert bench_graph.verdict(row('704x256', 50.0, 80.0, frames_in=600)) == 'met (600 frames; 3000 are wanted)'
    assert bench_graph.verdict(row('704x256', 0.0, 0.0)).startswith('missed')
    assert bench_graph.verdict(row('1600x900', 500.0, 800.0)) == ''


def test_the_dense_network_is_compared_with_rows_of_the_same_images():
    rows = [row('704x256', 50.0, 80.0), row('1600x900', 70.0, 90.0, bag='1600x900'), row(bench_graph.DENSE, 400.0, 800.0)]
    assert bench_graph.ratios(rows, bench_graph.DENSE) == {'704x256': 8.0}
    assert bench_graph.ratios(rows[:2], bench_graph.DENSE) == {}


@pytest.mark.slow
def test_a_bag_is_made_once_and_goes_through_every_node_as_often_as_it_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(bench_bag.KINDS, '704x256', BagKind((352, 128), False, 1.0))
    options = ['--engine', 'clustering', '--rows', '704x256', '--seconds', '1', '--cache', str(tmp_path)]
    command = ['bench', 'graph', *options, '--domain', '100', '--json', str(tmp_path / 'graph.json')]
    assert main(command) == 0
    results = json.loads((tmp_path / 'graph.json').read_text())
    (one,) = results['rows']
    assert (one['frames_in'], one['frames_lost'], one['laps']) == (12, 0, 2)
    assert bench_graph.total_ms(one, 'p50') > 0
    assert 'sensor_to_command' in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ['352x128_1s']


@pytest.mark.parametrize('option', [('--seconds', '0'), ('--threads', '-1')])
def test_wrong_options_are_refused_before_anything_starts(option, capsys):
    assert main(['bench', 'graph', *option]) == 2
    assert option[0] in capsys.readouterr().err
