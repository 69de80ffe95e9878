"""Sub-engines in a row are the network, and those of frame experts that were not chosen do not run."""

import json

import numpy as np
import pytest
from engine.network_run import arrays_of, assert_same, copied, run

from moe_bev_ros.engine.base import EngineSettings
from moe_bev_ros.engine.chain import SubEngineChain
from moe_bev_ros.engine.manifest import load_manifest
from moe_bev_ros.engine.onnxruntime_runtime import OnnxRuntime
from moe_bev_ros.engine.torch_network import TorchNetwork
from moe_bev_ros.model.config import FRAME_EXPERTS

EXACT = EngineSettings(precision='float32')
EXPERTS = (('fused',), ('camera',), ('lidar', 'poor_sight'), ('fused',))


@pytest.fixture
def chain(exported):
    _, folder = exported
    return SubEngineChain(load_manifest(folder), folder, OnnxRuntime(EXACT))


def test_the_chain_agrees_with_torch_over_frames_with_memory(exported, chain):
    weights, _ = exported
    wanted = TorchNetwork(EXACT, weights)
    for seed, experts in enumerate(EXPERTS):
        dt_s = 0.1 if seed else 0.0
        (got, one), (said, other) = run(chain, seed, experts, dt_s), run(wanted, seed, experts, dt_s)
        assert_same(got, said)
        assert (one.num_key_points, one.num_pairs) == (other.num_key_points, other.num_pairs)
    assert chain.memory_bytes == wanted.memory_bytes > 0


def test_a_dropped_memory_leaves_no_trace(chain):
    first = copied(run(chain, 0, ('fused',))[0])
    second = copied(run(chain, 1, ('fused',))[0])
    chain.drop_memory()
    assert_same(run(chain, 0, ('fused',))[0], first)
    chain.drop_memory()
    assert not np.allclose(run(chain, 1, ('fused',))[0]['heat_chw'], second['heat_chw'])


def test_a_frame_may_be_encoded_before_the_one_ahead_of_it_is_concluded(chain):
    frames = [arrays_of(seed) for seed in range(3)]
    wanted = [copied(run(chain, seed, ('fused',))[0]) for seed in range(3)]
    chain.drop_memory()
    ahead = chain.encode(frames[0][0], ('fused',), lambda _: None)
    for index, (_, motion_33) in enumerate(frames):
        encoded = ahead
        if index < 2:
            ahead = chain.encode(frames[index + 1][0], ('fused',), lambda _: None)
        outputs = chain.conclude(encoded, motion_33, 0.1, ('fused',), lambda _: None)
        assert_same(outputs.maps._asdict(), {name: wanted[index][name] for name in outputs.maps._fields})


def test_buffers_stay_where_they_are_from_frame_to_frame_and_experts_share_theirs(exported):
    _, folder = exported
    run_time = Watched(EXACT)
    chain = SubEngineChain(load_manifest(folder), folder, run_time)
    places = [run(chain, seed, ('fused',))[1].maps.heat_chw.ctypes.data for seed in range(4)]
    assert len(set(places)) == 1
    for experts in (('lidar',), ('camera', 'poor_sight')):
        run(chain, 0, experts)
    said = [run_time.opened[f'expert_{name}'][0].said for name in FRAME_EXPERTS]
    assert all(maps['now'] is said[0]['now'] and maps['fine'] is said[0]['fine'] for maps in said)


def test_stages_are_told_in_order(chain):
    stages = []
    run(chain, 0, ('lidar',), clock=stages.append)
    last = ['frame_experts', 'memory', 'router', 'patch_experts', 'memory_write', 'heads']
    assert stages == ['lidar_encoder', *last]
    run(chain, 0, ('camera',), clock=stages.append)
    assert stages[7:] == ['camera_encoder', 'attention', *last]


@pytest.mark.parametrize(
    ('experts', 'idle'),
    [
        (('fused',), {'expert_camera', 'expert_lidar', 'expert_poor_sight'}),
        (('lidar',), {'expert_camera', 'expert_fused', 'expert_poor_sight', 'camera_encoder', 'camera_attention'}),
        (('camera', 'fused'), {'expert_lidar', 'expert_poor_sight'}),
    ],
)
def test_what_was_not_chosen_ran_no_kernel(exported, tmp_path, experts, idle):
    """As onnxruntime's own trace tells."""
    _, folder = exported
    run_time = Watched(EXACT, trace_dir=tmp_path)
    chain = SubEngineChain(load_manifest(folder), folder, run_time)
    for seed in range(2):
        run(chain, seed, experts)
    kernels = {name: set().union(*map(kernels_of, sessions)) for name, sessions in run_time.opened.items()}
    assert {name for name, ran in kernels.items() if not ran} == idle
    assert all('Conv' in kernels[f'expert_{name}'] for name in FRAME_EXPERTS if name in experts)


class Watched(OnnxRuntime):
    """Keeps what it opened, and these what they said last."""

    def __init__(self, *args, **keywords):
        super().__init__(*args, **keywords)
        self.opened = {}

    def open(self, part, path, outputs=None):
        session = WatchedSession(super().open(part, path, outputs))
        self.opened.setdefault(path.stem, []).append(session)
        return session


class WatchedSession:
    def __init__(self, session):
        self.session, self.said = session, None

    def run(self, inputs):
        self.said = self.session.run(inputs)
        return self.said


def kernels_of(session):
    events = json.loads(session.session.end_trace().read_text())
    return {event['args']['op_name'] for event in events if event.get('cat') == 'Node' and 'op_name' in event['args']}


def test_threads_do_not_change_what_is_said(exported, chain):
    _, folder = exported
    two = SubEngineChain(load_manifest(folder), folder, OnnxRuntime(EngineSettings(num_threads=2)))
    assert_same(run(two, 0, ('fused',))[0], run(chain, 0, ('fused',))[0])
