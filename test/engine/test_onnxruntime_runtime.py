"""What onnxruntime makes of a quantised sub-engine."""

import json

import numpy as np
import pytest
from engine.signed_qdq import quantised

from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.manifest import load_manifest
from moe_bev_ros.engine.onnxruntime_runtime import OnnxRuntime


@pytest.fixture
def part(exported):
    return load_manifest(exported[1]).parts['lidar_encoder']


def inputs_of(part):
    rng = np.random.default_rng(0)
    return {tensor.name: rng.normal(size=tensor.shape).astype(tensor.dtype) for tensor in part.inputs}


def test_quantised_layers_compute_on_unsigned_bytes_and_say_nearly_the_same(exported, part, tmp_path):
    path = quantised(exported[1] / part.file, tmp_path / part.file)
    session = OnnxRuntime(EngineSettings(), trace_dir=tmp_path).open(part, path)
    got, wanted = session.run(inputs_of(part)), OnnxRuntime(EngineSettings()).open(part, exported[1] / part.file)
    for name, values in wanted.run(inputs_of(part)).items():
        assert np.abs(got[name] - values).max() < 0.1 * np.abs(values).max()
    kernels = [event['args'] for event in json.loads(session.end_trace().read_text()) if event.get('cat') == 'Node']
    convolutions = [kernel for kernel in kernels if kernel.get('op_name') == 'QLinearConv']
    assert convolutions
    assert all('uint8' in kernel['input_type_shape'][0] for kernel in convolutions)
    assert not any(kernel.get('op_name') in ('Conv', 'FusedConv') for kernel in kernels)


def test_a_file_that_is_no_network_is_named(part, tmp_path):
    (tmp_path / part.file).write_bytes(b'no network')
    with pytest.raises(EngineError, match=r'lidar_encoder\.onnx.*moe-bev export'):
        OnnxRuntime(EngineSettings()).open(part, tmp_path / part.file)
