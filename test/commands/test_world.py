import json
import os
import signal
import subprocess
import sys
import time

import cv2
import pytest

from moe_bev_ros.cli import main
from moe_bev_ros.datasets.nuscenes_tree import open_tree

SMALL = ['--image-size', '48x32', '--seconds', '1', '--condition', 'day']
LONG = 5  # scenes: more than are written before a signal comes, however busy the machine is


def write(out, scenes, *more):
    return ['world', 'write', '--split', 'val', '--scenes', str(scenes), '--out', str(out), *SMALL, *more]


def contents(root):
    paths = sorted(path for path in root.rglob('*') if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('whole') / 'tree'
    assert main(write(root, 2, '--workers', '1')) == 0
    return root


@pytest.fixture(scope='module')
def long_root(tmp_path_factory):
    root = tmp_path_factory.mktemp('long') / 'tree'
    assert main(write(root, LONG, '--workers', '2')) == 0
    return root


def heed_interrupts():
    """A shell that started the tests in its background has them, and what they start, ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize('how', [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_was_killed_or_interrupted_goes_on_and_ends_alike(tmp_path, long_root, how):
    out = tmp_path / 'tree'
    command = [sys.executable, '-m', 'moe_bev_ros.cli', *write(out, LONG, '--workers', '1')]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL, preexec_fn=heed_interrupts)
    scenes, images = out / 'v1.0-world' / 'scenes', out / 'samples' / 'CAM_FRONT'
    wait_for(lambda: (scenes / 'world-1000000.json').exists() and list(images.glob('world-1000001__*')))
    os.kill(process.pid, how)
    assert process.wait(60) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGINT:
        whole = {path.stem for path in scenes.glob('*.json')}
        assert {path.name.split('__')[0] for path in images.iterdir()} == whole
    assert not (out / 'v1.0-world' / 'sample.json').exists()
    assert main(write(out, LONG, '--workers', '2')) == 0
    assert contents(out) == contents(long_root)


def test_what_is_whole_is_not_written_again(root, capsys):
    assert main(write(root, 2)) == 0
    assert '0 scenes written; 2 in the tree' in capsys.readouterr().out


def test_other_parameters_are_refused(root, capsys):
    before = contents(root)
    assert main([*write(root, 2), '--seconds', '2']) == 2
    assert 'the scenes here have seconds 1.0 (now 2.0)' in capsys.readouterr().err
    assert contents(root) == before


def test_statistics_tell_how_hard_it_is(tmp_path, root, capsys):
    out = tmp_path / 'numbers.json'
    assert main(['world', 'stats', '--data', str(root), '--split', 'world_val', '--json', str(out)]) == 0
    numbers = json.loads(out.read_text())
    assert json.loads(capsys.readouterr().out) == numbers
    assert (numbers['scenes'], numbers['frames'], numbers['seeds']) == (2, 4, [1000000, 1000001])
    assert numbers['boxes_per_frame'] > 3
    assert 0.0 < numbers['share_at_most_5_points'] < 1.0
    assert len(numbers['scenario_hash']) == 64


def test_scenes_of_another_generator_are_refused(tmp_path, root, capsys):
    for name, data in contents(root).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    path = tmp_path / 'v1.0-world' / 'world' / 'world-1000001.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), 'scenario_hash': '0'}))
    assert main(['world', 'stats', '--data', str(tmp_path)]) == 2
    assert 'world-1000001 was written by another version of the generator' in capsys.readouterr().err
    path.write_text(json.dumps({**json.loads(path.read_text()), 'seed': 5}))
    assert main(['world', 'stats', '--data', str(tmp_path)]) == 2
    assert 'seed 5 is outside split' in capsys.readouterr().err


def test_one_picture_shows_a_scene(tmp_path, capsys):
    out = tmp_path / 'scene.jpg'
    assert main(['world', 'show', '--seed', '7', '--condition', 'fog', '--at', '0.2', '--out', str(out)]) == 0
    assert 'fog' in capsys.readouterr().out
    assert cv2.imread(str(out)).std() > 10


@pytest.mark.parametrize(
    ('argv', 'text'),
    [
        (write('absent', 2_000_000), 'has 1000000 seeds'),
        (['world', 'stats', '--data', 'absent'], 'absent'),
        (['world', 'from-frames', 'absent', '--out', 'out'], 'absent'),
        (['world', 'show', '--seed', '5000000', '--out', 'a.jpg'], '5000000'),
        (['world', 'show', '--seed', '5', '--out', 'a.pdf'], 'ends in .jpg or .png'),
        (['world', 'show', '--seed', '5', '--at', '-1', '--out', 'a.jpg'], '--at -1 lies before the start'),
        (['world', 'show', '--tracks', 'absent.npz', '--out', 'a.jpg'], 'absent.npz: no such file'),
        (['world', 'write', '--tracks', 'absent.npz', '--out', 'tree'], 'absent.npz: no such file'),
        (['world', 'write', '--tracks', 'a.npz', 'b/a.npz', '--out', 'tree'], 'have one name'),
        (['world', 'write', '--tracks', 'a.npz', '--scenes', '2', '--out', 'tree'], 'leave out --kind and --scenes'),
        (['world', 'write', '--split', 'val', '--out', 'tree'], '--split needs --scenes'),
    ],
)
def test_bad_arguments_are_errors_and_write_nothing(tmp_path, monkeypatch, capsys, argv, text):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert text in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_recorded_frames_become_a_tree(tmp_path, data_dir, capsys):
    assert main(['world', 'from-frames', str(data_dir / 'nuscenes' / 'scene-0061'), '--out', str(tmp_path / 'tree')]) == 0
    assert 'recorded frames of scene-0061' in capsys.readouterr().out


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path, capsys):
    assert main(['world', 'show', '--seed', '7', '--at', '0', '--out', str(tmp_path / 'absent' / 'a.jpg')]) == 2
    assert 'a.jpg: cannot be written' in capsys.readouterr().err


def test_a_recorded_drive_becomes_a_scene_of_a_split_of_its_own(tmp_path, data_dir, capsys):
    root, tracks = tmp_path / 'tree', data_dir / 'tracks' / 'scene-0061.npz'
    assert main(['world', 'write', '--tracks', str(tracks), '--out', str(root), *SMALL, '--workers', '1']) == 0
    tree = open_tree(root)
    assert tree.scenes('world_replay') == tree.scenes() == ('world-replay-scene-0061',)
    assert tree.world('world-replay-scene-0061')['kind'] == 'log_replay'
    frames = list(tree.frames('world-replay-scene-0061', (48, 32), keyframes_only=True))
    assert [len(frame.boxes) > 20 for frame in frames] == [True, True]
    assert main(['world', 'stats', '--data', str(root), '--split', 'world_replay']) == 0
    assert json.loads(capsys.readouterr().out.partition('\n')[2])['scenes_per_kind'] == {'log_replay': 1}


def test_one_picture_shows_a_recorded_drive(tmp_path, data_dir, capsys):
    tracks, out = data_dir / 'tracks' / 'scene-1077.npz', tmp_path / 'scene.png'
    assert main(['world', 'show', '--tracks', str(tracks), '--at', '0.2', '--out', str(out)]) == 0
    assert 'scene-1077.npz after 0.2 s: log_replay' in capsys.readouterr().out
    assert cv2.imread(str(out)).std() > 10
