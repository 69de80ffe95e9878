import json

import pytest

from moe_bev_ros.cli import main


def test_bench_nodes_prints_and_writes_images_and_points(tmp_path, capsys):
    assert main(['bench', 'nodes', '--repeats', '1', '--json', str(tmp_path / 'rows.json')]) == 0
    report = json.loads((tmp_path / 'rows.json').read_text())
    assert set(report) == {'one image of 1600 x 900', '100,000 points'}
    assert all(row['ours_ms_median'] > 0 for rows in report.values() for row in rows)
    assert 'bytes to sweep' in capsys.readouterr().out


def test_repeats_below_1_are_refused(capsys):
    assert main(['bench', 'nodes', '--repeats', '0']) == 2
    assert '--repeats' in capsys.readouterr().err


@pytest.mark.parametrize('bench', ['nodes', 'transport'])
def test_every_bench_has_help(bench, capsys):
    with pytest.raises(SystemExit) as stop:
        main(['bench', bench, '--help'])
    assert stop.value.code == 0
    assert 'usage' in capsys.readouterr().out
