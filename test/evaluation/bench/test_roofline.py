"""The roofline by hand, and the command that prints it."""

import json

import pytest
import torch

from moe_bev_ros.cli import main
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.evaluation.bench.roofline import BANDWIDTH, UTILISATION, PowerMode, Stage, note, predicted, read_chip
from moe_bev_ros.model.operations import Operation, operations_of

MODE = PowerMode('hand', gpu_tops=2.0 / UTILISATION, dla_tops=1.0 / UTILISATION, gigabytes_per_s=1.0 / BANDWIDTH)
HEAVY = Operation('convolution', macs=3_000_000_000, values=1_000_000, indices=0)  # INT8: 3 ms of sums, 1 ms of bytes
WIDE = Operation('cat', macs=0, values=4_000_000, indices=250_000)  # INT8: 4 + 4 x 0.25 = 5 ms of bytes


def test_each_operation_takes_the_longer_of_its_sums_and_its_bytes():
    assert predicted(Stage('heads', (HEAVY, WIDE), dla=False), MODE).gpu_ms == pytest.approx(3.0 + 5.0)


def test_a_stage_that_stays_in_fp16_computes_half_as_fast_and_moves_twice_as_much():
    stage = Stage('router', (HEAVY, WIDE), dla=True)
    assert predicted(stage, MODE).gpu_ms == pytest.approx(6.0 + 9.0)
    assert predicted(stage, MODE).dla_ms is None
    assert stage.moved_bytes == 2 * 5_000_000 + 4 * 250_000


def test_a_dla_takes_a_stage_where_it_can_and_both_share_the_images():
    heads, images = (predicted(Stage(name, (HEAVY,), dla=True), MODE) for name in ('heads', 'camera_encoder'))
    assert heads.dla_ms == pytest.approx(6.0)
    assert images.dla_ms == pytest.approx(3.0)
    assert heads.best_ms == pytest.approx(3.0)


def test_a_convolution_is_counted_by_hand_and_what_follows_rides_on_it():
    class Layers(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.norm = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False), torch.nn.BatchNorm2d(8).eval()

        def forward(self, image, other, index):
            rows = torch.relu(self.norm(self.convolution(image)) + other).flatten(2)[0]
            return rows.index_select(0, index)

    with torch.device('meta'):
        given = torch.zeros(1, 3, 4, 4), torch.zeros(1, 8, 4, 4), torch.zeros(2, dtype=torch.int64)
        done = {item.name: item for item in operations_of(Layers(), given)}
    assert done['convolution'] == Operation('convolution', 16 * 3 * 8 * 9, 3 * 16 + 3 * 8 * 9 + 8 * 16, 0)
    assert done['add'].values == 8 * 16  # the other operand
    assert done['index_select'] == Operation('index_select', 0, 2 * 2 * 16, 2)
    assert 'native_batch_norm' not in done
    assert sum(item.values for item in done.values()) == 3 * 16 + 3 * 8 * 9 + 8 * 16 + 8 * 16 + 2 * 2 * 16


def test_every_chip_names_its_sources_and_gains_with_power():
    for name in ('orin_nx', 'orin_agx'):
        chip = read_chip(name)
        assert all(source.startswith('https://') for source in chip.sources)
        assert [mode.gpu_tops for mode in chip.modes] == sorted(mode.gpu_tops for mode in chip.modes)


def test_a_profile_without_a_chip_is_refused_with_those_that_have_one(capsys):
    with pytest.raises(InputError, match='orin_nx, orin_agx'):
        read_chip('tiny')
    assert main(['model', 'roofline', '--profile', 'tiny']) == 2
    assert 'no chip' in capsys.readouterr().err


def test_the_command_predicts_every_stage_and_judges_the_goal(tmp_path, capsys):
    assert main(['model', 'roofline', '--profile', 'orin_nx', '--json', str(tmp_path / 'roofline.json')]) == 0
    text = capsys.readouterr().out
    results = json.loads((tmp_path / 'roofline.json').read_text())
    profile = results['profiles']['orin_nx']
    assert {'camera_encoder', 'expert_fused', 'heads'} <= {stage['name'] for stage in profile['stages']}
    assert 'expert_lidar' not in {stage['name'] for stage in profile['stages']}
    for mode, total in profile['total_ms'].items():
        assert total['gpu_ms'] == pytest.approx(sum(stage['predicted_ms'][mode]['gpu_ms'] for stage in profile['stages']))
        assert total['best_ms'] <= total['gpu_ms']
    assert note(results) in text
    assert 'goal 85 ms: met on paper' in text
