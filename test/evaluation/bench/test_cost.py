"""Slopes and bends from rounds that are given, and a sweep of real processes on a small network."""

import json
from dataclasses import replace

import numpy as np
import pytest
from engine.small_network import CONFIG

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.evaluation.bench import cost as bench_cost
from moe_bev_ros.evaluation.bench import tables as bench_tables
from moe_bev_ros.evaluation.bench.cost import Sweep, bend, sweeps_of
from moe_bev_ros.evaluation.bench.frames import drawn_frames
from moe_bev_ros.evaluation.bench.rounds import Round
from moe_bev_ros.model.config import profile
from moe_bev_ros.perception.network_inputs import NetworkInputs


def rounds_of(times_ms):
    return [Round({str(count): [{'step': ms, 'network': ms - 2, 'pre_post': 2.0}] for count, ms in times_ms.items()}, 0.0)]


def test_a_slope_is_that_of_the_line_through_the_medians():
    sweep = Sweep('points', 'LiDAR points', 1000, tuple((count, CONFIG, count) for count in (1000, 2000, 4000)))
    found = bench_cost.summary(sweep, rounds_of({1000: 13.0, 2000: 16.0, 4000: 22.0}))
    assert found['slope_ms'] == pytest.approx(3.0)
    assert found['offset_ms'] == pytest.approx(10.0)
    assert found['bend'] is None
    assert found['rows'][1] == {'count': 2000, 'step_ms': 16.0, 'network_ms': 14.0, 'pre_post_ms': 2.0, 'least_ms': 16.0}


def test_a_bend_is_found_where_a_steeper_line_begins():
    counts = np.array([1.0, 2, 4, 6, 8, 10, 12])
    found = bend(counts, 10.0 + 2.0 * counts + 3.0 * np.maximum(counts - 6.0, 0.0))
    assert found is not None
    assert (found.at, round(found.before, 6), round(found.after, 6)) == (6.0, 2.0, 5.0)


def test_noise_on_a_line_is_no_bend():
    counts = np.array([1.0, 2, 4, 6, 8, 10, 12])
    noise = np.array([0.1, -0.1, 0.12, -0.08, 0.1, -0.11, 0.05])
    assert bend(counts, 10.0 + 2.0 * counts + noise) is None
    assert bend(counts, 10.0 + 2.0 * counts) is None


def test_every_sweep_of_a_profile_is_of_networks_that_can_be():
    sweeps = sweeps_of(profile('tiny'))
    assert [count for count, _, _ in sweeps['cameras'].sizes][::6] == [1, 12]
    assert sweeps['key_points'].sizes[-1][1].num_key_points == profile('tiny').num_blocks
    assert [config.num_cells**2 for _, config, _ in sweeps['cells'].sizes] == [count for count, _, _ in sweeps['cells'].sizes]
    assert all(
        any(config == profile('tiny') for _, config, _ in sweep.sizes) for name, sweep in sweeps.items() if name != 'points'
    )


@pytest.mark.parametrize('num_cameras', [1, 12])
def test_noise_fills_the_inputs_of_any_number_of_cameras(num_cameras):
    config = replace(CONFIG, num_cameras=num_cameras)
    first, second = drawn_frames(config, 500, 2)
    arrays = NetworkInputs(config).make(second.frame)
    assert arrays.camera_valid_n.all()
    assert arrays.lidar_valid
    assert (arrays.pixel_zc < num_cameras * config.num_blocks).any()
    assert first.base_link_now_se3_before is None


def test_a_sweep_of_real_engines(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    sweep = Sweep('points', 'LiDAR points', 1000, tuple((count, CONFIG, count) for count in (100, 1000)))
    results = bench_cost.run(CONFIG, [sweep], 1, 1, 1.0, tmp_path, lambda _: None, 'onnxruntime')
    assert [row['count'] for row in results['sweeps']['points']['rows']] == [100, 1000]
    assert results['engine'] == 'onnxruntime float32'
    assert json.loads(json.dumps(results)) == results
    assert len(bench_tables.cost_tables(results)) == 2
    assert bench_tables.cost_picture(results).png.startswith(b'\x89PNG')


def test_a_disk_that_refuses_frames_is_said(tmp_path):
    from moe_bev_ros.evaluation.bench.frames import save_frames

    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match='file'):
        save_frames(tmp_path / 'file' / 'frames.npz', drawn_frames(CONFIG, 10, 1))
