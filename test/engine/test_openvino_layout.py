"""Sub-engines with channels innermost in OpenVINO: the same answers, and no map turned over on its way."""

import numpy as np
import pytest
from engine.network_run import run

from moe_bev_ros.engine.base import EngineSettings
from moe_bev_ros.engine.chain import SubEngineChain
from moe_bev_ros.engine.manifest import load_manifest
from moe_bev_ros.engine.shipped import WEIGHTS, network_folder

runtime = pytest.importorskip('moe_bev_ros.engine.openvino_runtime', reason='openvino is not installed')
layout = pytest.importorskip('moe_bev_ros.engine.openvino_layout', reason='openvino is not installed')

INT8 = EngineSettings(precision='int8')


@pytest.mark.parametrize('name', ['expert_fused', 'expert_lidar', 'memory_read', 'memory_write', 'heads'])
def test_the_shipped_quantised_network_says_what_it_says_as_it_is(name):
    manifest, folder = network_folder(INT8, WEIGHTS)
    part = manifest.parts[name]
    rng = np.random.default_rng(0)
    inputs = {tensor.name: rng.random(tensor.shape, np.float32).astype(tensor.dtype) for tensor in part.inputs}
    inputs |= {
        name: np.full_like(age, 1e3) for name, age in inputs.items() if name.endswith('_age')
    }  # so old that all is written
    options = {'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': 1}
    plain = runtime.openvino.Core().compile_model(folder / part.file, 'CPU', options)
    wanted = plain({port: inputs[next(iter(port.names & inputs.keys()))] for port in plain.inputs})
    got = runtime.OpenVino(INT8).open(part, folder / part.file).run(inputs)
    for tensor, values in zip(part.outputs, wanted.values()):
        is_off = ~np.isclose(got[tensor.name], values, rtol=1e-4, atol=1e-4)
        assert is_off.mean() < 1e-3, tensor.name  # a step of the grid here and there


def test_no_map_is_turned_over_from_the_encoders_to_the_heads(exported):
    folder = exported[1]
    chain = SubEngineChain(load_manifest(folder), folder, runtime.OpenVino(EngineSettings(precision='float32'), traces=True))
    run(chain, 0, ('fused',))
    run(chain, 1, ('fused',))
    for name in ('expert_fused', 'memory_write'):
        turned = [layer for layer in chain._sessions[name].layers() if layer.kind == 'Transpose' and layer.wall_ms]
        assert not turned, name


def test_a_map_that_is_quantised_and_read_as_it_is_comes_in_twice():
    _, folder = network_folder(INT8, WEIGHTS)
    model = layout.with_inner_rows(runtime.openvino.Core().read_model(folder / 'memory_read.onnx'))
    taken = [name for port in model.inputs for name in port.names if name.startswith('now')]
    assert sorted(taken) == sorted(layout.names_of('now'))
