"""A small network with quantisers: calibrated, corrected, trained, stored, exported. In one file: modelopt loads slowly."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from learning.drive_frames import drive_frame
from model.small_model import CONFIG, random_inputs, small_model

pytest.importorskip('modelopt', reason='the extra "quantisation" is not installed')

from modelopt.torch.quantization import calib

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineSettings
from moe_bev_ros.engine.manifest import load_manifest
from moe_bev_ros.engine.onnxruntime_runtime import OnnxRuntime
from moe_bev_ros.engine.quantised_export import export_quantised
from moe_bev_ros.learning.batches import Batch, to_batch
from moe_bev_ros.learning.bev_targets import TargetMaker, Targets
from moe_bev_ros.learning.bias_correction import correct_biases, hearing, mean_of_channels
from moe_bev_ros.learning.calibration import RULES, branch_of, entropy_range, measured_ranges, set_ranges
from moe_bev_ros.learning.distillation import Teacher, view_guided_loss
from moe_bev_ros.learning.layer_errors import layer_errors, sensitivities
from moe_bev_ros.learning.post_training import ALL_BRANCHES, best_rules
from moe_bev_ros.learning.quantisation_policy import load_policy, quantised_layers
from moe_bev_ros.learning.quantisation_training import CPU, FineTuning, QuantisationTraining, fine_tuned
from moe_bev_ros.learning.quantised_weights import load_quantised, quantised_bytes, save_quantised
from moe_bev_ros.learning.quantisers import (
    Bits,
    activation_quantisers,
    distance_to_grid,
    on_grid,
    only,
    quantised,
    weight_quantisers,
    weight_ranges,
)
from moe_bev_ros.learning.train_config import LossWeights, TrainConfig
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.folding import folded
from moe_bev_ros.model.sub_engines import sub_engines
from moe_bev_ros.runtime.environment import config_dir

POLICY = config_dir() / 'quantisation' / 'tiny.yaml'
SMALL = replace(CONFIG, half_m=25.6, pillar_m=0.8)
BITS = Bits()


def frame_of(seed: int) -> Batch:
    """Noise, with the targets of one car."""
    targets = TargetMaker(SMALL).make(drive_frame())
    inputs = random_inputs(seed=seed, config=SMALL)
    return Batch(inputs, Targets(*(torch.from_numpy(np.asarray(value)[None]) for value in targets)), ('day',))


@pytest.fixture(scope='module')
def reference() -> BevModel:
    return folded(small_model(half_m=25.6, pillar_m=0.8))


@pytest.fixture(scope='module')
def frames() -> list[Batch]:
    return [frame_of(seed) for seed in range(3)]


@pytest.fixture(scope='module')
def layers(reference):
    return quantised_layers(load_policy(POLICY), reference, POLICY)


@pytest.fixture(scope='module')
def ranges(reference, layers, frames):
    return measured_ranges(quantised(reference, layers, BITS), frames, 8, lambda _: None)


@pytest.fixture
def model(reference, layers, ranges) -> BevModel:
    result = quantised(reference, layers, BITS)
    set_ranges(result, ranges, dict.fromkeys(ALL_BRANCHES, 'max'))
    return result


def heat_of(model, frame):
    with torch.no_grad():
        return model(frame.inputs, model.empty_memory(1), ('fused',))[0].heat


def test_rounding_changes_little_and_float_layers_nothing(reference, model, frames):
    said, expected = (heat_of(one, frames[0]) for one in (model, reference))
    assert not torch.equal(said, expected)
    assert (said - expected).square().mean() < 0.05 * expected.var()
    with only(model, frozenset()):
        torch.testing.assert_close(heat_of(model, frames[0]), expected)


def test_every_module_has_ranges_of_its_own(model):
    first, second = (
        model.get_submodule(f'patch_experts.convolution.{expert}.layers.0').input_quantizer.amax for expert in (0, 1)
    )
    assert first.shape == second.shape == ()
    weights = weight_quantisers(model)['patch_experts.convolution.0.layers.0.weight_quantizer'].amax
    assert weights.shape == (8, 1, 1, 1)


def test_the_rules_give_ranges_and_no_rule_exceeds_the_largest_value(ranges):
    assert set(ranges) == set(RULES)
    for rule in RULES:
        assert ranges[rule].keys() == ranges['max'].keys()
        assert all(0.0 < value <= 1.001 * ranges['max'][name] for name, value in ranges[rule].items())
    assert any(ranges['percentile'][name] < value for name, value in ranges['max'].items())


def test_branches_are_told_by_name():
    names = ('camera_encoder.smooth.0.input_quantizer', 'lidar_encoder.sum.first_quantizer', 'heads.up.input_quantizer')
    assert [branch_of(name) for name in names] == ['camera', 'lidar', 'map']


@pytest.mark.parametrize('bits', [8, 6])
def test_the_entropy_range_is_modelopts(bits):
    torch.manual_seed(bits)
    calibrator = calib.HistogramCalibrator(bits, None, False)
    values = torch.randn(20000).abs() ** 2
    values[:5000] = 0.0
    calibrator.collect(values)
    ours = entropy_range(calibrator._calib_hist.double().numpy(), calibrator._calib_bin_edges.double().numpy(), bits)
    theirs = float(calibrator.compute_amax('entropy', stride=16, start_bin=2 ** (bits - 1)))
    assert ours == pytest.approx(theirs)


def test_a_layer_that_reads_nothing_is_named(reference, frames):
    policy = load_policy(POLICY).with_rules(('attention.rest.key_value', 'int8'))
    idle = quantised(reference, quantised_layers(policy, reference, POLICY), BITS)
    with pytest.raises(InputError, match=r'attention\.rest\.key_value read nothing'):
        measured_ranges(idle, frames[:1], 8, lambda _: None)


def test_corrected_biases_bring_the_means_back(reference, model, frames):
    def means(network):
        found = []
        with torch.no_grad(), hearing(network, ['heads.where.0'], lambda _, output: found.append(mean_of_channels(output))):
            for frame in frames:
                heat_of(network, frame)
        return torch.stack(found).mean(0)

    with torch.no_grad():
        model.lidar_encoder.narrow[0].bias.add_(0.1)
    before = (means(model) - means(reference)).abs().mean()
    correct_biases(model, reference, frames)
    assert (means(model) - means(reference)).abs().mean() < 0.2 * before


def test_few_bits_take_the_range_with_the_least_error():
    torch.manual_seed(0)
    weight = torch.randn(6, 100)
    weight[:, 0] *= 4.0
    found, largest = weight_ranges(weight, 4), weight.abs().amax(1, keepdim=True)
    assert (found < largest).any()
    errors = [(on_grid(weight, reach, 4) - weight).square().sum() for reach in (found, largest)]
    assert errors[0] < errors[1]
    torch.testing.assert_close(weight_ranges(weight, 8), largest)


def test_the_distance_to_the_grid_pulls_weights_to_it(model):
    before = distance_to_grid(model)
    assert 0.03 < float(before) < 0.12  # 1/12 where weights lie at random between two steps
    optimiser = torch.optim.SGD(model.parameters(), 1e-6)
    for _ in range(20):
        optimiser.zero_grad()
        distance_to_grid(model).backward()
        optimiser.step()
    assert distance_to_grid(model) < before


def test_a_pupil_that_is_its_teacher_has_no_distillation_loss(reference, frames):
    teacher = Teacher(copy.deepcopy(reference), 1)
    shown = teacher.show(frames, ('fused',))
    teacher.state = reference.empty_memory(1)
    again = teacher.show(frames, ('fused',))
    assert float(view_guided_loss(frames, *again, *shown)) == 0.0
    worse = [maps + 0.1 for maps in again[0]]
    assert float(view_guided_loss(frames, worse, again[1], *shown)) > 0.0


class OneDrive:
    """The same drive, again and again."""

    num_drives = 1

    def drive(self, index, seed):
        return self

    def frames(self):
        yield drive_frame(gap=0)
        yield drive_frame(tick=1)


def tuning(steps, **weights):
    return FineTuning(TrainConfig(num_frames=4 * steps, batch=2, chunk=2, rate=1e-3, workers=0), **weights)


def test_training_changes_weights_and_keeps_ranges_and_goes_on_where_it_stopped(reference, model, tmp_path):
    def train(network, steps_done):
        run = QuantisationTraining(network, copy.deepcopy(reference), given, OneDrive(), tmp_path / f'{steps_done}.checkpoint')
        return run, [run.learn([to_batch(step, CPU) for step in next(run.streams)]) for _ in range(steps_done)]

    given = tuning(2, grid=1.0, distillation=1.0)
    whole, terms = train(copy.deepcopy(model), 2)
    assert set(terms[0]) == {'task', 'grid', 'views'}
    assert not torch.equal(whole.model.heads.where[0].weight, model.heads.where[0].weight)
    for name, quantiser in activation_quantisers(model).items():
        assert torch.equal(whole.model.get_submodule(name).amax, quantiser.amax)
    half, _ = train(copy.deepcopy(model), 1)
    half.save()
    rest = fine_tuned(copy.deepcopy(model), copy.deepcopy(reference), given, OneDrive(), half.checkpoint, lambda _: None)
    torch.testing.assert_close(rest.heads.where[0].weight, whole.model.heads.where[0].weight)


def test_a_checkpoint_of_another_run_is_refused(reference, model, tmp_path):
    run = QuantisationTraining(copy.deepcopy(model), reference, tuning(2), OneDrive(), tmp_path / 'a.checkpoint')
    run.save()
    with pytest.raises(InputError, match=r'tuning\.grid'):
        QuantisationTraining(copy.deepcopy(model), reference, tuning(2, grid=3.0), OneDrive(), run.checkpoint)


def test_a_quantised_network_comes_back_from_its_file(model, layers, frames, tmp_path):
    path = save_quantised(model, layers, BITS, tmp_path / 'a.safetensors')
    assert torch.equal(heat_of(load_quantised(path), frames[0]), heat_of(model, frames[0]))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match='damaged'):
        load_quantised(path)


def test_fewer_bits_take_fewer_bytes(reference, layers, ranges):
    sizes = []
    for bits in (Bits(8, 8), Bits(4, 6)):
        network = quantised(reference, layers, bits)
        set_ranges(network, ranges, dict.fromkeys(ALL_BRANCHES, 'max'))
        sizes.append(quantised_bytes(network))
    assert sizes[1] < sizes[0] < 4 * sum(value.numel() for value in reference.parameters())


def test_each_layer_has_its_error_and_its_cost(model, frames):
    errors = layer_errors(model, frames[:1])
    assert set(errors['heads.where.0']) == {'input', 'weight'}
    assert set(errors['heads.sum']) == {'first', 'second'}
    assert all(10.0 < value <= 200.0 for sides in errors.values() for value in sides.values())
    ranked = sensitivities(model, frames[:1], LossWeights(), lambda _: None)
    assert [one.loss for one in ranked] == sorted((one.loss for one in ranked), reverse=True)
    assert {'heads.where.0', 'camera.inner.0.sum'} <= {one.layer for one in ranked}


def test_the_rule_of_a_branch_is_the_one_with_the_least_loss(reference, layers, ranges, frames):
    told = []
    found = best_rules(reference, layers, BITS, ranges, frames[:1], LossWeights(), told.append)
    assert set(found) == set(ALL_BRANCHES)
    for line, (branch, rule) in zip(told, found.items()):
        name, _, rest = line.partition(': ')
        losses = {one: float(loss) for one, loss in (item.split(' ') for item in rest.partition('; ')[2].split(', '))}
        assert (name, losses[rule]) == (branch, min(losses.values()))


@pytest.fixture(scope='module')
def exported(reference, layers, ranges, tmp_path_factory) -> tuple[BevModel, Path]:
    network, folder = quantised(reference, layers, BITS), tmp_path_factory.mktemp('quantised') / 'engine'
    set_ranges(network, ranges, dict.fromkeys(ALL_BRANCHES, 'max'))
    export_quantised(network, '0' * 64, folder)
    return network, folder


def test_the_engine_has_every_part_with_int8_weights_alone(exported):
    network, folder = exported
    manifest = load_manifest(folder)
    assert manifest.precision == 'int8'
    assert list(manifest.parts) == list(sub_engines(network))
    values = onnx.load(folder / 'expert_fused.onnx').graph.initializer
    kernels = [value for value in values if len(value.dims) == 4]
    assert len(kernels) == 4
    assert {value.data_type for value in kernels} == {onnx.TensorProto.INT8}


@pytest.mark.parametrize('part', ['camera_encoder', 'lidar_encoder', 'expert_fused', 'memory_read', 'patch_experts', 'heads'])
def test_the_exported_network_says_what_the_one_in_torch_says(exported, part):
    network, folder = exported
    engine, told = sub_engines(network)[part], load_manifest(folder).parts[part]
    torch.manual_seed(1)
    inputs = [0.2 * torch.rand_like(one) if one.dim() > 3 and one.is_floating_point() else one for one in engine.inputs]
    with torch.no_grad():
        expected = engine.module(*inputs)
    given = {name: value.numpy() for name, value in zip(engine.input_names, inputs)}
    found = OnnxRuntime(EngineSettings(precision='int8')).open(told, folder / told.file).run(given)
    for name, value in zip(engine.output_names, expected):
        if value.is_floating_point() and value.abs().max() > 0:
            gap = np.abs(found[name] - value.numpy())
            assert gap.max() < 0.03 * float(value.abs().max()), name  # a step of the grid where sums round the other way
            assert gap.mean() < 5e-3 * float(value.abs().max()), name
