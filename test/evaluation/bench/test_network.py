"""Ratios and limits from rounds that are given, and one round of real processes on a small network."""

import json

import numpy as np
import pytest
from engine.small_network import CONFIG, frame_of, small_weights

from moe_bev_ros.cli import main
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.evaluation.bench import network as bench_network
from moe_bev_ros.evaluation.bench import tables as bench_tables
from moe_bev_ros.evaluation.bench.frames import BenchFrame, drawn_frames, load_frames, save_frames
from moe_bev_ros.evaluation.bench.rounds import Round
from moe_bev_ros.evaluation.bench.sources import Sources, exported, prepare, shipped_weights
from moe_bev_ros.evaluation.bench.trace import kernel_events
from moe_bev_ros.evaluation.bench.turns import Turns, worker_environment
from moe_bev_ros.evaluation.bench.worker import WARM_FRAMES, Variant
from moe_bev_ros.model.twin_weights import write_dense_twin
from moe_bev_ros.model.weights_file import load_weights

NUM_FRAMES = WARM_FRAMES + 2


def step(network, convolution=10.0, pre_post=4.0):
    return {'network': network, 'convolution': convolution, 'pre_post': pre_post}


GIVEN = [
    Round(
        {
            'dense torch float32 channels-first': [step(900.0 * slow)],
            'dense torch float32': [step(600.0 * slow)],
            'dense openvino float32': [step(400.0 * slow)],
            'openvino float32': [step(200.0 * slow, 100.0 * slow)],
            'openvino bfloat16': [step(100.0 * slow)],
            'openvino int8': [step(50.0 * slow, 25.0 * slow, 10.0 * slow)],
            'onnxruntime float32': [step(210.0 * slow, 90.0 * slow)],
            'onnxruntime int8': [step(70.0 * slow, 20.0 * slow)],
            'rate openvino': [{'matmul_int8': 2000.0 * slow, 'matmul_float32': 10_000.0 * slow}],
        },
        0.02,
    )
    for slow in (1.0, 2.0)
]


def test_ratios_are_of_the_better_run_time_each_against_its_own():
    found = bench_network.summary(GIVEN, macs=5_000_000_000)
    assert found['ratios'] == {
        'int8_over_fp32_same_runtime': 4.0,
        'int8_over_bf16_same_runtime': 2.0,
        'int8_over_fp32_convolution': 4.5,
        'sparse_int8_over_dense_fp32_same_runtime': 8.0,
        'best_over_dense_fp32_eager': 18.0,
        'best_over_dense_fp32_channels_last': 12.0,
        'pre_post_over_network': 0.2,
    }
    assert found['ratio_details']['int8_over_fp32_convolution']['of'] == 'onnxruntime float32 : onnxruntime int8'
    assert all(one['agrees'] for one in found['ratio_details'].values())


def test_the_limit_is_what_the_same_run_computed_in_int8():
    found = bench_network.summary(GIVEN, macs=5_000_000_000)
    assert found['rates_gops'] == pytest.approx({'openvino matmul_int8': 1e6 / 3000, 'openvino matmul_float32': 1e6 / 15_000})
    assert found['int8_gops'] == pytest.approx(10.0 / 0.075)  # 10 GOP in the median of 50 and 100 ms
    assert found['share_of_int8_limit'] == pytest.approx((10.0 / 0.075) / (1e6 / 3000))


def test_what_was_not_measured_is_left_out():
    alone = [Round({'torch float32': [step(100.0)]}, 0.0)]
    assert set(bench_network.summary(alone, 1)['ratios']) == {'pre_post_over_network'}
    assert bench_network.summary(alone, 1)['share_of_int8_limit'] is None


def test_time_outside_int8_is_told_by_the_names_of_kernels():
    assert bench_network.share_outside_int8({'Convolution i8': 3.0, 'Reorder i8': 1.0}) == 0.25
    assert bench_network.share_outside_int8({'QLinearConv': 3.0, 'Convolution f32': 2.0, 'Gather': 1.0}) == 0.5


def test_kernels_of_an_onnxruntime_trace_are_summed_by_operator():
    events = [
        {'cat': 'Node', 'name': 'a_kernel_time', 'dur': 1500, 'args': {'op_name': 'Conv'}},
        {'cat': 'Node', 'name': 'b_kernel_time', 'dur': 500, 'args': {'op_name': 'Conv'}},
        {'cat': 'Node', 'name': 'b_fence_before', 'dur': 9, 'args': {'op_name': 'Conv'}},
        {'cat': 'Session', 'name': 'model_run', 'dur': 9000},
    ]
    assert kernel_events(events) == {'Conv': 2.0}


def test_every_library_of_a_worker_counts_its_threads_and_sleeps():
    environment = worker_environment({'PATH': '/bin', 'OMP_NUM_THREADS': '64'}, 2)
    assert environment['OMP_WAIT_POLICY'] == 'PASSIVE'
    assert environment['OMP_NUM_THREADS'] == '2'
    assert environment['PATH'] == '/bin'


def test_frames_come_back_as_they_were_saved(tmp_path):
    frames = drawn_frames(CONFIG, 100, 2)
    save_frames(tmp_path / 'frames.npz', frames)
    again = load_frames(tmp_path / 'frames.npz')
    assert len(again) == 2
    assert again[0].base_link_now_se3_before is None
    np.testing.assert_array_equal(again[1].base_link_now_se3_before, frames[1].base_link_now_se3_before)
    for before, after in zip(frames, again):
        assert before.frame.stamp_ns == after.frame.stamp_ns
        assert before.frame.cameras.names == after.frame.cameras.names
        np.testing.assert_array_equal(before.frame.cameras.images_nhw3, after.frame.cameras.images_nhw3)
        np.testing.assert_array_equal(before.frame.lidar.points_n5, after.frame.lidar.points_n5)


@pytest.mark.slow
def test_the_shipped_network_its_twin_and_frames_of_the_world_are_prepared_once(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    sources = prepare(shipped_weights('tiny'), tmp_path / 'int8', tmp_path, num_frames=2)
    exports = [path.stat().st_mtime_ns for path in (sources.folder, sources.dense_folder, sources.dense_weights)]
    again = prepare(shipped_weights('tiny'), tmp_path / 'int8', tmp_path, num_frames=2)
    assert again == sources
    assert exports == [path.stat().st_mtime_ns for path in (again.folder, again.dense_folder, again.dense_weights)]
    first, second = load_frames(sources.frames)
    assert first.frame.cameras.images_nhw3.shape == (6, 128, 352, 3)
    assert second.base_link_now_se3_before is not None


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bench')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(folder))
        weights = small_weights(folder)
        dense = write_dense_twin(weights, folder / 'dense.safetensors')
        save_frames(folder / 'frames.npz', tuple(BenchFrame(frame_of(index), None) for index in range(1, NUM_FRAMES + 1)))
        exports = exported(weights), exported(dense)
    return Sources(weights, dense, *exports, folder / 'gone', folder / 'frames.npz', folder)


def test_a_dense_twin_takes_what_is_alike(sources):
    dense, sparse = load_weights(sources.dense_weights), load_weights(sources.weights)
    assert dense.config.routing == 'dense'
    assert all((a == b).all() for a, b in zip(dense.heads.parameters(), sparse.heads.parameters()))


def test_one_round_of_real_engines_and_a_row_for_one_that_is_missing(sources):
    wanted = {'dense onnxruntime float32', 'onnxruntime float32', 'openvino int8', 'rate onnxruntime'}
    chosen = [item for item in bench_network.variants(sources, num_threads=1) if item.name in wanted]
    said = []
    results = bench_network.run(sources, chosen, 1, 1.0, said.append)
    rows = {row['name']: row for row in results['rows']}
    assert set(rows) == wanted - {'rate onnxruntime'}
    assert rows['openvino int8']['ms'] == {}
    assert 'gone' in rows['openvino int8']['error']
    stages = set(rows['onnxruntime float32']['ms'])
    assert {'inputs', 'camera_encoder', 'heads', 'boxes', 'network', 'convolution', 'pre_post', 'step'} <= stages
    assert stages == set(rows['dense onnxruntime float32']['ms'])
    assert results['ratios']['pre_post_over_network'] > 0
    assert set(results['rates_gops']) == {
        f'onnxruntime {kind}_{precision}' for kind in ('matmul', 'convolution') for precision in ('float32', 'int8')
    }
    assert json.loads(json.dumps(results)) == results
    text = '\n'.join(table.text() for table in bench_tables.network_tables(results))
    assert 'pre_post_over_network' in text
    assert bench_tables.network_picture(results).png.startswith(b'\x89PNG')
    assert 'round 1 of 1' in said


def test_where_others_are_never_quiet_it_says_so(sources):
    chosen = [Variant('torch float32', 'torch', 'float32', str(sources.weights), str(sources.frames), 1, channels_first=True)]
    with Turns(chosen, 1) as turns, pytest.raises(InputError, match='others used more than'):
        turns.rounds(1, -1.0, lambda _: None)
    assert len(turns.thrown) == 3


def test_a_process_that_dies_leaves_its_last_words(sources):
    chosen = [Variant('torch float32', 'torch', 'float32', str(sources.weights), str(sources.weights), 1)]
    with Turns(chosen, 1) as turns:
        assert turns.workers[0].error
        with pytest.raises(InputError, match='no engine ran'):
            turns.rounds(1, 1.0, lambda _: None)


def test_a_profile_that_does_not_ship_is_refused(capsys):
    assert main(['bench', '--profile', 'huge']) == 2
    assert 'no trained network' in capsys.readouterr().err
