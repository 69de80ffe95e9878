"""Where an engine finds its exported network, and what it says where it cannot."""

import resource
import shutil
import subprocess
import sys

import pytest
from engine.small_network import cameras_of, frame_of
from model.small_model import CONFIG, small_model

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.chain import chain_engine
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.engine.export import export_engine
from moe_bev_ros.engine.manifest import file_sha256, load_manifest
from moe_bev_ros.engine.onnxruntime_runtime import OnnxRuntime
from moe_bev_ros.engine.shipped import cache_folder, network_folder
from moe_bev_ros.engine.torch_network import torch_engine

EXACT = EngineSettings(precision='float32')


def test_an_engine_exports_nothing_twice_and_finds_what_torch_finds(cached, tmp_path, capsys):
    engine = chain_engine(EXACT, OnnxRuntime(EXACT), cached[0], tmp_path / 'none.json')
    frame = frame_of(cameras=cameras_of(height=CONFIG.image_height, width=CONFIG.image_width))
    found, wanted = (one.step(frame, None) for one in (engine, torch_engine(EXACT, cached[0], tmp_path / 'none.json')))
    assert len(found.detections) == len(wanted.detections) > 0
    assert list(found.stage_ms) == list(wanted.stage_ms)
    assert found.sparsity == wanted.sparsity
    assert engine.name == 'onnxruntime'
    assert capsys.readouterr().err == ''


def test_other_weights_are_another_export(cached, tmp_path):
    other = tmp_path / cached[0].name
    other.write_bytes(cached[0].read_bytes() + b' ')
    assert cache_folder(other) != cached[1]
    assert cache_folder(other).is_relative_to(tmp_path / 'cache')


def test_an_edited_export_is_refused_by_name(cached):
    (cached[1] / 'expert_lidar.onnx').write_bytes(b'')
    with pytest.raises(EngineError, match=r'expert_lidar\.onnx: was edited'):
        network_folder(EXACT, cached[0])


def test_int8_without_a_quantised_network_is_refused(cached):
    with pytest.raises(EngineError, match='moe-bev quantise'):
        network_folder(EngineSettings(precision='int8'), cached[0])


def test_a_folder_in_another_precision_is_refused(cached):
    with pytest.raises(EngineError, match='holds a network in float32'):
        network_folder(EngineSettings(precision='int8', engine_dir=cached[1]), cached[0])
    assert network_folder(EngineSettings(engine_dir=cached[1]))[0].config == CONFIG


def test_a_missing_run_time_is_named_with_what_to_install(monkeypatch):
    for name in ('onnxruntime', 'openvino', 'tensorrt'):
        monkeypatch.setitem(sys.modules, name, None)
        for module in (f'{name}_runtime', 'tensorrt_build', 'tensorrt_graph'):
            monkeypatch.delitem(sys.modules, f'moe_bev_ros.engine.{module}', raising=False)
        with pytest.raises(EngineError, match=f'engine {name}: .*{name}.*; .*install'):
            ENGINES[name](EngineSettings())


def test_onnxruntime_says_what_it_cannot_do():
    with pytest.raises(EngineError, match='openvino'):
        OnnxRuntime(EngineSettings(precision='bfloat16'))
    with pytest.raises(EngineError, match='device: auto'):
        OnnxRuntime(EngineSettings(device='gpu'))


def test_a_cache_that_cannot_be_written_is_told_with_a_cure(exported, tmp_path, monkeypatch):
    (tmp_path / 'taken').write_text('')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'taken'))
    with pytest.raises(EngineError, match=r'Not a directory; make room or .*engine_dir'):
        network_folder(EXACT, exported[0])


def test_a_full_disk_leaves_the_old_folder_and_nothing_else(exported, tmp_path):
    shutil.copytree(exported[1], tmp_path / 'out')
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(InputError, match=r'too large.*make room'):
            export_engine(small_model(), 'new', tmp_path / 'out')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_manifest(tmp_path / 'out').weights_sha256 == file_sha256(exported[0])
    assert [path.name for path in tmp_path.iterdir()] == ['out']


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'letter.txt').write_text('dear')
    with pytest.raises(InputError, match='mine: is there, and lacks manifest'):
        export_engine(small_model(), 'new', tmp_path / 'mine')
    assert (tmp_path / 'mine' / 'letter.txt').read_text() == 'dear'


@pytest.mark.slow
def test_two_processes_that_start_first_at_once_both_export_and_end_well(exported, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    script = (
        'import sys; from pathlib import Path; from moe_bev_ros.engine.base import EngineSettings;'
        'from moe_bev_ros.engine.shipped import network_folder; network_folder(EngineSettings(), Path(sys.argv[1]))'
    )
    both = [subprocess.Popen([sys.executable, '-c', script, str(exported[0])], stderr=subprocess.PIPE) for _ in range(2)]
    assert [(process.communicate()[1].count(b'exporting'), process.returncode) for process in both] == [(1, 0), (1, 0)]
    folder = cache_folder(exported[0])
    assert load_manifest(folder).weights_sha256 == file_sha256(exported[0])
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
