"""The network's sub-engines in OpenVINO: what they say, in which precision, on what memory, and what cannot be opened."""

import sys

import numpy as np
import pytest
from engine.network_run import assert_same, run
from engine.signed_qdq import quantised

from moe_bev_ros.engine.base import EngineError, EngineSettings, computes_bfloat16
from moe_bev_ros.engine.chain import SubEngineChain
from moe_bev_ros.engine.manifest import load_manifest
from moe_bev_ros.engine.torch_network import TorchNetwork

OpenVino = pytest.importorskip('moe_bev_ros.engine.openvino_runtime', reason='openvino is not installed').OpenVino

EXACT = EngineSettings(precision='float32')
EXPERTS = (('fused',), ('camera',), ('lidar', 'poor_sight'), ('camera', 'fused'), ('fused',))
KEPT_EXACT = ('memory_read', 'router', 'memory_write')


class Opened(OpenVino):
    """Keeps what it opened."""

    def __init__(self, settings=EXACT, **options):
        super().__init__(settings, **options)
        self.sessions = {}

    def open(self, part, path, outputs=None):
        session = super().open(part, path, outputs)
        self.sessions.setdefault(path.stem, []).append(session)
        return session


def opened(exported, name, settings=EXACT, **options):
    """One sub-engine, and its part of the manifest."""
    folder = exported[1]
    part = load_manifest(folder).parts[name]
    return OpenVino(settings, **options).open(part, folder / part.file), part


def noise(part, seed=0):
    rng = np.random.default_rng(seed)
    return {tensor.name: rng.standard_normal(tensor.shape).astype(tensor.dtype) for tensor in part.inputs}


def floats_of(session):
    """The precisions of the layers that compute with floats."""
    layers = session.compiled.get_runtime_model().get_ops()
    return {layer.get_rt_info()['runtimePrecision'].value for layer in layers} & {'f32', 'bf16', 'f16'}


def test_the_network_says_what_torch_says_over_frames_with_memory(exported):
    weights, folder = exported
    chain, wanted = SubEngineChain(load_manifest(folder), folder, OpenVino(EXACT)), TorchNetwork(EXACT, weights)
    for seed, experts in enumerate(EXPERTS):
        dt_s = 0.1 if seed else 0.0
        (got, one), (said, other) = run(chain, seed, experts, dt_s), run(wanted, seed, experts, dt_s)
        assert_same(got, said)
        assert (one.num_key_points, one.num_pairs) == (other.num_key_points, other.num_pairs)


@pytest.mark.parametrize(
    ('experts', 'idle'),
    [
        (('fused',), {'expert_camera', 'expert_lidar', 'expert_poor_sight'}),
        (('lidar',), {'expert_camera', 'expert_fused', 'expert_poor_sight', 'camera_encoder', 'camera_attention'}),
    ],
)
def test_what_was_not_chosen_ran_no_layer(exported, experts, idle):
    """As OpenVINO's own trace tells."""
    folder, run_time = exported[1], Opened(traces=True)
    chain = SubEngineChain(load_manifest(folder), folder, run_time)
    for seed in range(2):
        run(chain, seed, experts)
    opened = run_time.sessions.items()
    ms = {name: sum(layer.wall_ms for session in sessions for layer in session.layers()) for name, sessions in opened}
    assert {name for name, took in ms.items() if took == 0.0} == idle


@pytest.mark.parametrize('precision', ['float32', 'int8'])
def test_float32_is_float32_in_every_layer(exported, precision):
    folder, run_time = exported[1], Opened(EngineSettings(precision=precision))
    SubEngineChain(load_manifest(folder), folder, run_time)
    assert {kind for sessions in run_time.sessions.values() for kind in floats_of(sessions[0])} == {'f32'}


@pytest.mark.skipif(not computes_bfloat16(), reason='this processor does not compute with bfloat16')
@pytest.mark.parametrize('precision', ['bfloat16', 'auto'])
def test_bfloat16_is_used_but_where_there_are_coordinates(exported, precision):
    folder, run_time = exported[1], Opened(EngineSettings(precision=precision))
    SubEngineChain(load_manifest(folder), folder, run_time)
    exact = {name for name, sessions in run_time.sessions.items() if floats_of(sessions[0]) == {'f32'}}
    assert exact == set(KEPT_EXACT)


@pytest.mark.parametrize('precision', ['int8', 'auto'])
def test_quantised_layers_compute_in_int8_and_the_others_in_float32(exported, tmp_path, precision):
    part = load_manifest(exported[1]).parts['heads']
    path = quantised(exported[1] / part.file, tmp_path / part.file)
    session = OpenVino(EngineSettings(precision=precision), traces=True).open(part, path)
    session.run(noise(part))
    assert {layer.precision for layer in session.layers() if layer.kind == 'Convolution' and layer.wall_ms} == {'i8'}
    assert floats_of(session) == {'f32'}


def test_outputs_stay_in_one_place_and_inputs_are_read_where_they_lie(exported):
    session, part = opened(exported, 'heads')
    values = noise(part)
    first = session.run(values)['heat']
    kept = first.copy()
    values['mixed'] += 1.0
    assert session.run(values)['heat'] is first
    assert not np.allclose(first, kept)
    session.run({**values, 'mixed': noise(part)['mixed']})
    np.testing.assert_allclose(first, kept, atol=1e-4)


def test_inner_maps_keep_their_channels_innermost_and_are_read_in_any_order(exported):
    session, part = opened(exported, 'expert_fused')
    values = noise(part)
    turned = {name: np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for name, array in values.items()}
    now = session.run(values)['now']
    assert now.transpose(0, 2, 3, 1).flags.c_contiguous
    kept = now.copy()
    np.testing.assert_array_equal(session.run(turned)['now'], kept)
    values['lidar_map'] += 1.0
    assert not np.allclose(session.run(values)['now'], kept)
    values['lidar_map'] += 1.0
    again = session.run(values)['now'].copy()
    np.testing.assert_array_equal(opened(exported, 'expert_fused')[0].run(values)['now'], again)


def test_the_number_of_threads_is_kept_and_none_is_bound_to_a_core(exported):
    session, _ = opened(exported, 'router', EngineSettings(precision='float32', num_threads=2))
    names = ('INFERENCE_NUM_THREADS', 'NUM_STREAMS', 'ENABLE_CPU_PINNING')
    assert [session.compiled.get_property(name) for name in names] == [2, 1, False]


def test_a_device_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(EngineError, match=r'no device npu; there are .*cpu'):
        OpenVino(EngineSettings(device='npu'))


def test_a_file_that_is_no_network_is_named(exported, tmp_path):
    part = load_manifest(exported[1]).parts['heads']
    path = tmp_path / part.file
    path.write_bytes((exported[1] / part.file).read_bytes()[:-2000])
    with pytest.raises(EngineError, match=r'heads.onnx.*moe-bev export'):
        OpenVino(EXACT).open(part, path)


def test_nothing_is_reported_over_the_network():
    assert sys.modules['openvino_telemetry'] is None
