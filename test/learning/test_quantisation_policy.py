import pytest
from model.small_model import small_model

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.quantisation_policy import layers_of, load_policy, nearest, quantised_layers
from moe_bev_ros.model.folding import folded
from moe_bev_ros.runtime.environment import config_dir

SHIPPED = config_dir() / 'quantisation' / 'tiny.yaml'


@pytest.fixture(scope='module')
def model():
    return folded(small_model())


def policy_of(tmp_path, text):
    path = tmp_path / 'policy.yaml'
    path.write_text(text)
    return load_policy(path), path


def test_the_shipped_policy_fits_and_keeps_what_must_stay_float(model):
    layers = quantised_layers(load_policy(SHIPPED), model, SHIPPED)
    assert {'camera_encoder.to_8.0.0.0', 'lidar_encoder.fine.0.0', 'fused.merge.first', 'heads.where.0'} <= set(layers.inputs)
    kept = {'router.coarse', 'memory.forget', 'lift.depth', 'heads.boxes', 'heads.heat', 'attention.leading.query'}
    assert kept <= set(layers_of(model))
    assert not kept & set(layers.inputs)


def test_the_last_pattern_that_matches_decides(model, tmp_path):
    policy, path = policy_of(tmp_path, "layers: {'*': float, 'heads.*': int8, heads.heat: float}\noutputs: []")
    layers = quantised_layers(policy, model, path).inputs
    assert 'heads.where.0' in layers
    assert 'heads.heat' not in layers
    assert all(name.startswith('heads.') for name in layers)


def test_a_name_without_a_layer_is_named_with_the_nearest(model, tmp_path):
    policy, path = policy_of(tmp_path, "layers: {'*': int8, heads.heats: float}\noutputs: []")
    with pytest.raises(InputError, match=r"policy\.yaml: 'heads\.heats' is no layer .* heads\.heat"):
        quantised_layers(policy, model, path)


def test_an_output_without_a_layer_is_named(model, tmp_path):
    policy, path = policy_of(tmp_path, "layers: {'*': int8}\noutputs: [memory.fuse.3]")
    with pytest.raises(InputError, match=r'memory\.fuse\.3'):
        quantised_layers(policy, model, path)


def test_rules_can_be_added(model, tmp_path):
    policy, path = policy_of(tmp_path, "layers: {'*': int8}\noutputs: []")
    assert 'heads.up' not in quantised_layers(policy.with_rules(('heads.*', 'float')), model, path).inputs


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('layers: [a', 'not YAML'),
        ('layers: {}', 'must hold layers and outputs'),
        ("layers: {'*': int4}\noutputs: []", 'int8 or float'),
        ("layers: {'*': int8}\noutputs: heads.up", 'a list of patterns'),
    ],
)
def test_a_broken_policy_is_told(tmp_path, text, told):
    with pytest.raises(InputError, match=told):
        policy_of(tmp_path, text)


def test_a_missing_policy_is_told(tmp_path):
    with pytest.raises(InputError, match=r'none\.yaml: No such file'):
        load_policy(tmp_path / 'none.yaml')


def test_a_policy_that_quantises_nothing_is_refused(model, tmp_path):
    policy, path = policy_of(tmp_path, "layers: {'*': float}\noutputs: []")
    with pytest.raises(InputError, match='no layer is int8'):
        quantised_layers(policy, model, path)


def test_the_nearest_names_look_alike():
    assert nearest('hed.up', ['router.fine', 'heads.up', 'heads.heat', 'memory.fuse'])[0] == 'heads.up'
