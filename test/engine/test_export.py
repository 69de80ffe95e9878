"""Each sub-engine as ONNX says what torch says, and all in a row are the network."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from model.small_model import CONFIG, random_inputs, small_model

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.export import OPSET, export_onnx
from moe_bev_ros.model.sub_engines import MAPS, sub_engines

RTOL, ATOL = 1e-3, 1e-4
NAMES = (
    *('camera_encoder', 'camera_attention', 'lidar_encoder'),
    *('expert_camera', 'expert_lidar', 'expert_fused', 'expert_poor_sight'),
    *('memory_read', 'router', 'patch_experts', 'memory_write', 'heads'),
)
EXPERTS = (('fused',), ('camera',), ('lidar', 'poor_sight'), ('fused',))


class Exported:
    """A network and its sub-engines in onnxruntime."""

    def __init__(self, folder, **changes):
        self.model = small_model(**changes)
        self.engines = sub_engines(self.model)
        self.paths = export_onnx(self.model, folder)
        self.sessions = {path.stem: session(path) for path in self.paths}

    def run(self, name, values):
        """Outputs by name; ``values`` may hold more than the sub-engine takes."""
        inputs = {node.name: values[node.name] for node in self.sessions[name].get_inputs()}
        outputs = self.sessions[name].run(None, inputs)
        return dict(zip((node.name for node in self.sessions[name].get_outputs()), outputs))


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    return Exported(tmp_path_factory.mktemp('onnx'))


@pytest.mark.parametrize('name', NAMES)
def test_a_graph_agrees_with_torch_on_every_output(exported, name):
    engine = exported.engines[name]
    values = random_values(exported)
    with torch.no_grad():
        wanted = engine.module(*(values[input_name] for input_name in engine.input_names))
    got = exported.run(name, {input_name: value.numpy() for input_name, value in values.items()})
    assert_same(got, dict(zip(engine.output_names, wanted)))


def random_values(exported):
    """Of all tensors by name, in the second of two random frames, so that the memory holds something."""
    state, values = exported.model.empty_memory(1), {}
    with torch.no_grad():
        for seed in range(2):
            values = {**random_inputs(seed=seed)._asdict(), **state}
            for engine in exported.engines.values():
                values |= zip(engine.output_names, engine.module(*(values[part] for part in engine.input_names)))
            state = {part: values[f'next_{part}'] for part in state}
    return values


def assert_same(got, wanted):
    """Dictionaries of arrays and of tensors; what is chosen may come in another order where scores are all but equal."""
    got, wanted = in_order(got), in_order({name: value.numpy() for name, value in wanted.items()})
    assert tuple(got) == tuple(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=RTOL, atol=ATOL, err_msg=name)


def in_order(values):
    values = dict(values)
    if 'chosen' in values:
        values['chosen'] = np.sort(values['chosen'], axis=1)
    if 'patches' in values:
        order = values['patches'].argsort(axis=2)
        values |= {name: np.take_along_axis(values[name], order, axis=2) for name in ('patches', 'gates')}
    for prefix in ('', 'next_'):
        if f'{prefix}token_xy' in values:
            order = np.lexsort(values[f'{prefix}token_xy'][0].T)
            names = [f'{prefix}{name}' for name in ('tokens', 'token_xy', 'token_velocity', 'token_valid')]
            values |= {name: values[name][:, order] for name in names}
    return values


def test_all_sub_engines_in_a_row_are_the_network_over_frames_with_memory(exported):
    state = exported.model.empty_memory(1)
    held = {name: value.numpy() for name, value in state.items()}
    for seed, experts in enumerate(EXPERTS):
        frame = random_inputs(seed=seed, dt_s=0.1 if seed else 0.0)
        with torch.no_grad():
            outputs, state = exported.model(frame, state, experts)
        values = chain(exported, {**{name: value.numpy() for name, value in frame._asdict().items()}, **held}, experts)
        held = {name: values[f'next_{name}'] for name in held}
        assert_same({name: values[name] for name in MAPS}, {name: getattr(outputs, name) for name in MAPS})
        assert_same(held, {name: state[name] for name in held})


def chain(exported, values, experts):
    for name in NAMES[:3]:
        values |= exported.run(name, values)
    said = [exported.run(f'expert_{expert}', values) for expert in experts]
    values |= {name: np.mean([maps[name] for maps in said], axis=0) for name in ('now', 'fine')}
    for name in NAMES[7:]:
        values |= exported.run(name, values)
    return values


def test_every_tensor_at_a_border_has_a_fixed_shape(exported):
    assert tuple(exported.sessions) == tuple(exported.engines) == NAMES
    for name, graph in exported.sessions.items():
        assert len(graph.get_outputs()) == len(exported.engines[name].output_names)
        for node in (*graph.get_inputs(), *graph.get_outputs()):
            assert all(isinstance(size, int) and size > 0 for size in node.shape), (name, node.name, node.shape)


def test_the_operator_set_is_the_one_that_is_stated(exported):
    for path in exported.paths:
        assert [entry.version for entry in onnx.load(path).opset_import if not entry.domain] == [OPSET]


def test_rows_that_meet_in_one_cell_are_summed(exported):
    """Torch's own export of index_add keeps one of them."""
    values = random_values(exported)
    values['token_xy'] = torch.full_like(values['token_xy'], 0.1)
    engine = exported.engines['memory_read']
    with torch.no_grad():
        wanted = dict(zip(engine.output_names, engine.module(*(values[part] for part in engine.input_names))))
    got = exported.run('memory_read', {part: value.numpy() for part, value in values.items()})
    assert_same({'prior': got['prior']}, {'prior': wanted['prior']})


def test_the_dense_twin_exports_as_well(tmp_path):
    blocks = CONFIG.num_blocks
    twin = Exported(tmp_path, num_key_points=blocks, sparsity=0.0, selection='dense', routing='dense', memory='recurrent')
    frame = random_inputs()
    held = {name: value.numpy() for name, value in twin.model.empty_memory(1).items()}
    with torch.no_grad():
        outputs, _ = twin.model(frame, twin.model.empty_memory(1), ('fused',))
    values = chain(twin, {**{name: value.numpy() for name, value in frame._asdict().items()}, **held}, ('fused',))
    assert_same({'heat': values['heat']}, {'heat': outputs.heat})


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path):
    (tmp_path / 'taken').write_text('')
    with pytest.raises(InputError, match='taken'):
        export_onnx(small_model(), tmp_path / 'taken')
