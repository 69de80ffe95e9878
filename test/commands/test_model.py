"""``moe-bev model describe`` prints what it writes."""

import json

from moe_bev_ros.cli import main


def test_the_table_names_every_stage_and_the_file_holds_its_figures(tmp_path, capsys):
    assert main(['model', 'describe', '--profile', 'tiny', '--json', str(tmp_path / 'tiny.json')]) == 0
    text = capsys.readouterr().out
    values = json.loads((tmp_path / 'tiny.json').read_text())
    assert values['profile'] == 'tiny'
    stages = [cost for cost in values['costs'] if not cost['part_of']]
    assert len(stages) == 12
    for cost in stages:
        line = next(line for line in text.splitlines() if line.startswith(cost['name']))
        assert f'{cost["macs"] / 1e6:.1f}' in line
        assert line.split()[-1] == ('yes' if cost['dla'] else 'no')
    assert f'{values["active_macs"]["fused"] / 1e6:.1f}' in text


def test_an_unknown_profile_is_refused_with_those_there_are(capsys):
    assert main(['model', 'describe', '--profile', 'huge']) == 2
    assert 'tiny, orin_nx, orin_agx' in capsys.readouterr().err
