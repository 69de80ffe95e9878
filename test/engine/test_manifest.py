"""A folder says when it is not as it was exported."""

import json

import pytest
from model.small_model import CONFIG

from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.manifest import MANIFEST, Tensor, load_manifest


@pytest.fixture
def folder(cached):
    return cached[1]


def test_a_manifest_comes_back_as_it_was_written(folder):
    manifest = load_manifest(folder)
    assert (manifest.config, manifest.precision, len(manifest.parts)) == (CONFIG, 'float32', 12)
    assert {path.name for path in folder.iterdir()} == {MANIFEST, *(part.file for part in manifest.parts.values())}
    shape = (1, CONFIG.channels, CONFIG.num_cells, CONFIG.num_cells)
    assert manifest.parts['expert_camera'].inputs == (Tensor('camera_map', shape, 'float32'),)
    assert manifest.parts['router'].outputs[0].dtype == 'int64'
    assert Tensor('motion', (1, 3, 3), 'float32') in manifest.parts['memory_read'].inputs


def test_an_edited_file_is_named(folder):
    path = folder / 'heads.onnx'
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r'heads\.onnx: was edited .*moe-bev export'):
        load_manifest(folder)


def test_a_missing_file_is_named(folder):
    (folder / 'router.onnx').unlink()
    with pytest.raises(EngineError, match=r'router\.onnx: No such file .*moe-bev export'):
        load_manifest(folder)


@pytest.mark.parametrize(
    'change',
    [
        lambda content: content.pop('parts'),
        lambda content: content['config'].pop('channels'),
        lambda content: content.update(precision='int4'),
        lambda content: content['parts']['heads'].pop('sha256'),
    ],
)
def test_a_manifest_of_another_version_is_named(folder, change):
    content = json.loads((folder / MANIFEST).read_text())
    change(content)
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(EngineError, match=r'manifest\.json: no manifest of this version'):
        load_manifest(folder)


@pytest.mark.parametrize('text', ['', '{"parts": ', '[]'])
def test_a_broken_manifest_is_named(folder, text):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(EngineError, match=r'manifest\.json: no manifest'):
        load_manifest(folder)


def test_a_folder_without_a_manifest_is_no_engine(tmp_path):
    with pytest.raises(EngineError, match=r'manifest\.json: No such file'):
        load_manifest(tmp_path)
