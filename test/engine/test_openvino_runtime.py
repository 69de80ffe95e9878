"""Sub-engines in OpenVINO: in which precision they compute, on what memory, and what cannot be opened."""

import sys

import numpy as np
import pytest
import torch
from model.small_model import random_inputs, small_model
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from moe_bev_ros.engine.base import EngineError, EngineSettings, computes_bfloat16
from moe_bev_ros.engine.export import export_onnx
from moe_bev_ros.engine.manifest import Part, Tensor
from moe_bev_ros.model.sub_engines import sub_engines

OpenVino = pytest.importorskip('moe_bev_ros.engine.openvino_runtime', reason='openvino is not installed').OpenVino
EXACT = EngineSettings(precision='float32')


class Parts:
    """The sub-engines of a small network on the disk, and what goes between them in the second of two frames."""

    def __init__(self, folder):
        model = small_model()
        self.folder, self.engines = folder, sub_engines(model)
        export_onnx(model, folder)
        state = model.empty_memory(1)
        with torch.no_grad():
            for seed in range(2):
                self.values = {**random_inputs(seed=seed)._asdict(), **state}
                for engine in self.engines.values():
                    self.values |= zip(engine.output_names, engine.module(*(self.values[name] for name in engine.input_names)))
                state = {name: self.values[f'next_{name}'] for name in state}

    def open(self, name, settings=EXACT, **options):
        return OpenVino(settings, **options).open(self.part(name), self.folder / f'{name}.onnx')

    def part(self, name):
        engine = self.engines[name]
        sides = {key: value.numpy() for key, value in zip(engine.input_names, engine.inputs)}, self.said(name)
        inputs, outputs = (tuple(Tensor(key, value.shape, str(value.dtype)) for key, value in side.items()) for side in sides)
        return Part(f'{name}.onnx', '', inputs, outputs)

    def arrays(self):
        return {name: value.numpy() for name, value in self.values.items()}

    def said(self, name):
        """What torch says to the same."""
        engine = self.engines[name]
        with torch.no_grad():
            outputs = engine.module(*(self.values[key] for key in engine.input_names))
        return {key: value.numpy() for key, value in zip(engine.output_names, outputs)}


@pytest.fixture(scope='module')
def parts(tmp_path_factory):
    return Parts(tmp_path_factory.mktemp('onnx'))


def floats_of(session):
    """The precisions of the layers that compute with floats."""
    layers = session.compiled.get_runtime_model().get_ops()
    return {layer.get_rt_info()['runtimePrecision'].value for layer in layers} & {'f32', 'bf16', 'f16'}


@pytest.mark.parametrize('name', ['camera_encoder', 'lidar_encoder', 'expert_fused', 'memory_read', 'patch_experts', 'heads'])
def test_a_sub_engine_says_what_torch_says(parts, name):
    got = parts.open(name).run(parts.arrays())
    assert tuple(got) == parts.engines[name].output_names
    for key, values in got.items():
        np.testing.assert_allclose(values, parts.said(name)[key], rtol=1e-3, atol=1e-4, err_msg=key)


@pytest.mark.parametrize('precision', ['float32', 'int8'])
@pytest.mark.parametrize('name', ['camera_encoder', 'memory_read', 'patch_experts'])
def test_float32_is_float32_in_every_layer(parts, name, precision):
    assert floats_of(parts.open(name, EngineSettings(precision=precision))) == {'f32'}


@pytest.mark.skipif(not computes_bfloat16(), reason='this processor does not compute with bfloat16')
@pytest.mark.parametrize('precision', ['bfloat16', 'auto'])
def test_bfloat16_is_used_but_where_there_are_coordinates(parts, precision):
    settings = EngineSettings(precision=precision)
    assert 'bf16' in floats_of(parts.open('heads', settings))
    for name in ('memory_read', 'router', 'memory_write'):
        assert floats_of(parts.open(name, settings)) == {'f32'}


@pytest.mark.parametrize(('precision', 'wanted'), [('int8', {'f32'}), ('auto', {'f32'}), ('bfloat16', {'f32', 'bf16'})])
def test_beside_quantised_layers_the_others_are_float32_unless_bfloat16_is_asked_for(parts, tmp_path, precision, wanted):
    path = quantised(parts, 'heads', tmp_path)
    session = OpenVino(EngineSettings(precision=precision), traces=True).open(parts.part('heads'), path)
    session.run(parts.arrays())
    assert {layer.precision for layer in session.layers() if layer.kind == 'Convolution'} == {'i8'}
    if computes_bfloat16():
        assert floats_of(session) <= wanted


def quantised(parts, name, folder):
    """With quantise and dequantise nodes around its convolutions."""

    class OneFrame(CalibrationDataReader):
        frames = iter([{key: parts.arrays()[key] for key in parts.engines[name].input_names}])

        def get_next(self):
            return next(self.frames, None)

    source, path = parts.folder / f'{name}.onnx', folder / f'{name}.onnx'
    signed = {'activation_type': QuantType.QInt8, 'extra_options': {'ActivationSymmetric': True}}
    quantize_static(source, path, OneFrame(), QuantFormat.QDQ, op_types_to_quantize=['Conv'], per_channel=True, **signed)
    return path


def test_the_trace_tells_which_layers_ran_and_that_others_never_did(parts):
    run, not_run = (parts.open(name, traces=True) for name in ('expert_fused', 'expert_camera'))
    run.run(parts.arrays())
    assert sum(layer.wall_ms for layer in run.layers() if layer.kind == 'Convolution') > 0.0
    assert not_run.layers()
    assert all(layer.wall_ms == 0.0 for layer in not_run.layers())


def test_outputs_stay_in_one_place_and_inputs_are_read_where_they_lie(parts):
    session, arrays = parts.open('heads'), parts.arrays()
    first = session.run(arrays)['heat']
    kept, held = first.copy(), arrays['mixed'].copy()
    arrays['mixed'] += 1.0
    second = session.run(arrays)['heat']
    arrays['mixed'] -= 1.0
    assert second is first
    assert not np.allclose(second, kept)
    np.testing.assert_allclose(session.run({**arrays, 'mixed': held})['heat'], kept, atol=1e-4)


def test_the_number_of_threads_is_kept_and_none_is_bound_to_a_core(parts):
    compiled = parts.open('router', EngineSettings(num_threads=2)).compiled
    names = ('INFERENCE_NUM_THREADS', 'NUM_STREAMS', 'ENABLE_CPU_PINNING')
    assert [compiled.get_property(name) for name in names] == [2, 1, False]


def test_a_device_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(EngineError, match=r'no device npu; there are .*cpu'):
        OpenVino(EngineSettings(device='npu'))


def test_a_file_that_is_no_network_is_named(parts, tmp_path):
    (tmp_path / 'heads.onnx').write_bytes((parts.folder / 'heads.onnx').read_bytes()[:-2000])
    with pytest.raises(EngineError, match=r'heads.onnx.*moe-bev export'):
        OpenVino(EXACT).open(parts.part('heads'), tmp_path / 'heads.onnx')


def test_nothing_is_reported_over_the_network():
    assert sys.modules['openvino_telemetry'] is None
