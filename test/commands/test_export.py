"""The command writes what engines read."""

import pytest
from engine.small_network import small_weights

from moe_bev_ros.cli import main
from moe_bev_ros.engine.base import EngineSettings
from moe_bev_ros.engine.manifest import file_sha256
from moe_bev_ros.engine.shipped import network_folder


def test_weights_are_exported_to_where_engines_look_for_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    weights = small_weights(tmp_path)
    assert main(['export', '--weights', str(weights)]) == 0
    manifest, _ = network_folder(EngineSettings(), weights)
    assert manifest.weights_sha256 == file_sha256(weights)
    printed = capsys.readouterr()
    assert str(tmp_path / 'cache') in printed.out
    assert printed.out.count(' MB') == len(manifest.parts) == 12
    assert printed.err == ''


@pytest.mark.parametrize(
    ('arguments', 'told'),
    [
        (['--profile', 'huge'], 'no profile'),
        (['--profile', 'orin_nx'], 'orin_nx.safetensors: no such weights'),
        (['--profile', 'orin_nx', '--untrained'], 'give --out'),
    ],
)
def test_what_cannot_be_exported_is_told(arguments, told, capsys):
    assert main(['export', *arguments]) == 2
    assert told in capsys.readouterr().err
