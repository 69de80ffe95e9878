"""Weights come back as they were, with the network that they belong to."""

import resource
from dataclasses import asdict

import pytest
import torch
from model.small_model import CONFIG, random_inputs, small_model
from safetensors.torch import load_file, save_file

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.weights_file import load_weights, save_weights


def test_a_loaded_network_says_the_same(tmp_path):
    model = small_model()
    loaded = load_weights(save_weights(model, CONFIG, tmp_path / 'new' / 'small.safetensors'))
    assert loaded.config == CONFIG
    assert not loaded.training
    with torch.no_grad():
        said, again = (net(random_inputs(), net.empty_memory(1), ('fused',))[0] for net in (model, loaded))
    assert torch.equal(said.heat, again.heat)
    assert torch.equal(said.boxes, again.boxes)


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path, limits = (
        save_weights(small_model(), CONFIG, tmp_path / 'small.safetensors'),
        resource.getrlimit(resource.RLIMIT_FSIZE),
    )
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(InputError, match=r'small\.safetensors: .*too large.*; make room'):
            save_weights(small_model(), CONFIG, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(InputError, match=r'none\.safetensors: no such weights; train'):
        load_weights(tmp_path / 'none.safetensors')


@pytest.mark.parametrize('length', [0, 5, 4000])
def test_truncated_weights_are_told(tmp_path, length):
    path = save_weights(small_model(), CONFIG, tmp_path / 'small.safetensors')
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match='truncated'):
        load_weights(path)


def test_weights_without_a_config_are_told(tmp_path):
    path = save_weights(small_model(), CONFIG, tmp_path / 'small.safetensors')
    save_file(load_file(path), tmp_path / 'bare.safetensors')
    with pytest.raises(InputError, match='another config'):
        load_weights(tmp_path / 'bare.safetensors')


def test_weights_of_another_network_are_told(tmp_path):
    path = save_weights(small_model(), CONFIG, tmp_path / 'small.safetensors')
    other = small_model(channels=32)
    with pytest.raises(InputError, match='another network'):
        load_weights(save_weights(other, CONFIG, path))
    assert asdict(other.config) != asdict(CONFIG)
