"""An exported network for all tests of engines: exporting takes longer than what is tested."""

import shutil

import pytest
from model.small_model import small_model

from moe_bev_ros.engine.export import export_engine
from moe_bev_ros.engine.manifest import file_sha256
from moe_bev_ros.engine.shipped import cache_folder
from moe_bev_ros.model.weights_file import save_weights


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """The small network of test/model, which finds boxes: its weights, and the folder of its sub-engines; not to be changed."""
    folder, model = tmp_path_factory.mktemp('exported'), small_model()
    model.heads.heat.bias.data.fill_(-1.0)
    weights = save_weights(model, model.config, folder / 'small.safetensors')
    export_engine(model, file_sha256(weights), folder / 'onnx')
    return weights, folder / 'onnx'


@pytest.fixture
def cached(exported, tmp_path, monkeypatch):
    """The same weights, and a copy of the folder in the cache, where engines look for it."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    weights, folder = exported
    shutil.copytree(folder, cache_folder(weights))
    return weights, cache_folder(weights)
