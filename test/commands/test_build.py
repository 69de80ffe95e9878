"""``moe-bev build``: the check of operators, and what is said where engines cannot be built."""

import importlib.util
import shutil

import onnx
import pytest
from model.small_model import CONFIG
from onnx import helper

from moe_bev_ros.cli import main
from moe_bev_ros.engine.export import export_engine
from moe_bev_ros.engine.manifest import Manifest, load_manifest, part_of, write_manifest
from moe_bev_ros.model.bev_model import BevModel

NO_TENSORRT = pytest.mark.skipif(importlib.util.find_spec('tensorrt') is not None, reason='TensorRT is installed here')


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp('network') / 'onnx'
    export_engine(BevModel(CONFIG), 'weights', folder)
    return folder


@pytest.fixture
def folder(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / 'onnx')


def build(folder, *arguments):
    return main(['build', '--engine', 'tensorrt', '--engine-dir', str(folder), *arguments])


def test_the_check_tells_of_each_sub_engine_what_gpu_and_dla_take(exported, capsys):
    assert build(exported, '--check') == 0
    head, title, *lines = capsys.readouterr().out.splitlines()
    assert head == f'{exported}: small, float32'
    assert title.split() == ['sub-engine', 'operators', 'products', 'in', 'GPU', 'takes', 'DLA', 'takes', '(in', 'FP16)']
    found = {line.split()[0]: line.split()[1:] for line in lines[:12]}
    assert list(found) == list(load_manifest(exported).parts)
    assert ' '.join(found['camera_encoder']) == '30 11 FP16 all 26 of 30; to the GPU: 3 Cast, 1 Reshape'
    assert found['router'][1:] == ['3', 'FP32', 'all', 'no']
    assert [line.split(':')[0] for line in lines[12:]] == ['GPU', 'DLA']


def test_in_float32_nothing_is_halved(exported, capsys):
    assert build(exported, '--check', '--precision', 'float32') == 0
    assert '11 FP32' in capsys.readouterr().out


def test_an_operator_that_tensorrt_does_not_take_is_named(folder, capsys):
    manifest = load_manifest(folder)
    model = onnx.load(folder / 'heads.onnx')
    model.graph.node.append(helper.make_node('Det', ['road'], ['determinant'], 'made_up'))
    onnx.save(model, folder / 'heads.onnx')
    heads = manifest.parts['heads']
    parts = {**manifest.parts, 'heads': part_of(folder / 'heads.onnx', heads.inputs, heads.outputs)}
    write_manifest(folder, Manifest(manifest.config, 'float32', manifest.opset, manifest.weights_sha256, parts))
    assert build(folder, '--check') == 1
    assert '  not taken: Det made_up: not taken' in capsys.readouterr().out


@NO_TENSORRT
@pytest.mark.parametrize('arguments', [(), ('--dla', '0')])
def test_without_tensorrt_nothing_is_built_and_the_cure_is_told(folder, capsys, arguments):
    assert build(folder, *arguments) == 2
    assert 'error: engine tensorrt: No module named' in capsys.readouterr().err
    assert not (folder / 'tensorrt').exists()


def test_a_file_that_was_edited_after_the_export_is_told(folder, capsys):
    with (folder / 'router.onnx').open('ab') as file:
        file.write(b'?')
    assert build(folder, '--check') == 2
    assert 'router.onnx: was edited since it was exported' in capsys.readouterr().err


def test_a_dla_core_below_zero_is_told(folder, capsys):
    assert build(folder, '--dla', '-1') == 2
    assert 'DLA core -1; they are counted from 0' in capsys.readouterr().err


def test_a_folder_that_is_no_network_is_told(tmp_path, capsys):
    assert build(tmp_path, '--check') == 2
    assert 'manifest.json: No such file or directory' in capsys.readouterr().err
