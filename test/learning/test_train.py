"""A training learns, stops and goes on as if it had not stopped, and never hides what is wrong."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from learning.drive_frames import CountedDrive, CountedSource
from learning.training_run import MODEL, SHORT, equal, run, weights_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.train_config import load_train_config
from moe_bev_ros.model.weights_file import load_weights


class Interrupting(CountedSource):
    """A source during whose drives somebody presses Ctrl-C."""

    def __init__(self, lengths, at):
        super().__init__(lengths)
        self.at, self.given = at, 0

    def drive(self, index, seed):
        self.given += 1
        if self.given == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return super().drive(index, seed)


class SpoiltDrive(CountedDrive):
    """A drive whose clock says no number."""

    def frames(self):
        for item in super().frames():
            yield replace(item, dt_s=item.dt_s * np.nan)


class Spoilt(CountedSource):
    """A source of such drives from the fourth on."""

    def drive(self, index, seed):
        drive = super().drive(index, seed)
        return SpoiltDrive(index, seed, drive.num) if seed[-1] >= 4 else drive


LENGTHS = (3, 5, 4, 6)


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp('whole')
    lines = []
    run(out, say=lines.append)
    return out, lines


def test_it_learns_and_leaves_weights_log_and_curves(finished):
    out, lines = finished
    rows = json.loads((out / 'log.json').read_text())['rows']
    assert np.mean([row['total'] for row in rows[-3:]]) < 0.85 * rows[0]['total']
    assert rows[-1]['frames'] == SHORT.num_frames
    assert load_weights(out / 'small.safetensors').config == MODEL
    assert 'frames/s' in lines[-1]
    curves = EventAccumulator(str(out / 'tensorboard')).Reload()
    assert {'total', 'heat', 'velocity', 'rate', 'sparsity'} <= set(curves.Tags()['scalars'])
    assert (out / 'plateau.pt').is_file()


def test_an_interrupted_training_goes_on_to_the_same_weights(finished, tmp_path):
    lines = []
    assert run(tmp_path, say=lines.append, source=Interrupting(LENGTHS, at=6)) is None
    assert 'interrupted at step' in lines[-1]
    assert not (tmp_path / 'small.safetensors').exists()
    stopped = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)['step']
    assert 0 < stopped < SHORT.num_steps(1)
    run(tmp_path, say=lines.append)
    assert any(line.startswith(f'goes on at step {stopped}') for line in lines)
    assert equal(weights_of(finished[0] / 'checkpoint.pt'), weights_of(tmp_path / 'checkpoint.pt'))


def test_a_longer_run_goes_on_from_the_plateau(finished, tmp_path):
    (tmp_path / 'checkpoint.pt').write_bytes((finished[0] / 'plateau.pt').read_bytes())
    assert run(tmp_path, replace(SHORT, num_frames=64)) is not None
    with pytest.raises(InputError, match=r'training\.num_frames was 48, now 64'):
        run(finished[0], replace(SHORT, num_frames=64))


def test_a_loss_that_is_not_finite_stops_and_saves_the_batch(tmp_path):
    run(tmp_path, source=Interrupting(LENGTHS, at=4))
    before = (tmp_path / 'checkpoint.pt').read_bytes()
    with pytest.raises(InputError, match=r'not finite; its batch is in .*bad_batch\.pt'):
        run(tmp_path, source=Spoilt(LENGTHS))
    assert (tmp_path / 'checkpoint.pt').read_bytes() == before
    batch = torch.load(tmp_path / 'bad_batch.pt', weights_only=True)
    assert any(torch.isnan(inputs[-1]).any() for inputs in batch['inputs'])  # the times


def test_a_checkpoint_of_another_config_names_the_difference(finished):
    with pytest.raises(InputError, match=r'model\.num_experts was 4, now 8.*another --out'):
        run(finished[0], model=replace(MODEL, num_experts=8))
    with pytest.raises(InputError, match=r'training\.losses\.velocity was 1\.0, now 2\.0'):
        run(finished[0], replace(SHORT, losses=replace(SHORT.losses, velocity=2.0)))
    run(finished[0], replace(SHORT, threads=2))  # changes nothing that is learnt


@pytest.mark.parametrize('length', [0, 100, 20000])
def test_a_truncated_checkpoint_is_told(finished, tmp_path, length):
    whole = (finished[0] / 'checkpoint.pt').read_bytes()
    (tmp_path / 'checkpoint.pt').write_bytes(whole[:length])
    with pytest.raises(InputError, match=r'checkpoint\.pt: truncated or no checkpoint'):
        run(tmp_path)


def test_processes_under_torchrun_learn_the_same_weights(tmp_path):
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2', '--no-python']
    program = [sys.executable, '-m', 'learning.training_run', str(tmp_path)]
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1]), 'OMP_NUM_THREADS': '1'}
    done = subprocess.run([*command, *program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    state = torch.load(tmp_path / 'checkpoint.pt', weights_only=True)
    assert [len(part['places']) for part in state['streams']] == [2, 2]
    first, second = (torch.load(tmp_path / f'rank{rank}.pt', weights_only=True) for rank in range(2))
    assert equal(first, second)


def test_the_shipped_training_files_can_be_read():
    folder = Path(__file__).parents[2] / 'config' / 'training'
    for path in folder.glob('*.yaml'):
        assert load_train_config(path, workers=0).workers == 0


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('num_frames: 100\nrates: 1.0\n', 'no key rates'),
        ('num_frames: 100\nlosses: {heet: 1.0}\n', 'losses: no key heet'),
        ('num_frames: 100\nexpert_shares: {radar: 1.0}\n', 'give shares of camera'),
        ('num_frames: 3\n', 'num_frames must fill one step'),
        ('- 1\n', 'must hold keys'),
        ('a: [\n', 'not YAML'),
    ],
)
def test_a_wrong_training_file_is_told(tmp_path, text, told):
    path = tmp_path / 'wrong.yaml'
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        load_train_config(path)
