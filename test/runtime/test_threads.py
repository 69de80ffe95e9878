"""Threads of a node: told by its parameters, and there when its process begins."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch

from moe_bev_ros.runtime.environment import config_dir, node_environment
from moe_bev_ros.runtime.processes import Launcher
from moe_bev_ros.runtime.stack import NodeSpec, Stack, load_stack, with_parameters, with_params_file
from moe_bev_ros.runtime.threads import COUNTS, limit_threads, num_threads_of

COMPUTING = ('camera_node', 'lidar_node', 'bev_node', 'planner_node', 'control_node')


def shipped():
    return load_stack(config_dir() / 'stack.yaml')


@pytest.fixture
def restored(monkeypatch):
    """The threads of this process as they were."""
    for name in (*COUNTS, 'OMP_WAIT_POLICY'):
        monkeypatch.setenv(name, '7')
    before = cv2.getNumThreads(), torch.get_num_threads()
    yield
    cv2.setNumThreads(before[0])
    torch.set_num_threads(before[1])


@pytest.mark.usefixtures('restored')
def test_libraries_that_are_loaded_and_those_that_will_be_take_the_number():
    limit_threads(2)
    assert (cv2.getNumThreads(), torch.get_num_threads()) == (2, 2)
    assert {os.environ[name] for name in COUNTS} == {'2'}
    assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'
    limit_threads(1)
    assert (cv2.getNumThreads(), torch.get_num_threads()) == (1, 1)


def test_every_node_that_computes_says_how_many_threads_in_its_parameter_file():
    for name in COMPUTING:
        assert 'num_threads' in ''.join(path.read_text() for path in shipped()[name].params_files)


def test_later_files_and_single_values_win(tmp_path):
    stack = shipped()
    assert (num_threads_of(stack['camera_node']), num_threads_of(stack['bev_node'])) == (2, 1)
    path = tmp_path / 'own.yaml'
    path.write_text(
        '/**:\n  ros__parameters:\n    num_threads: 3\n/camera_node:\n  ros__parameters:\n    num_threads: 4\n'
        'planner_node:\n  ros__parameters:\n    headway_s: 2.0\n/other/bev_node:\n  ros__parameters:\n    num_threads: 9\n'
    )
    stack = with_params_file(stack, path)
    assert [num_threads_of(stack[name]) for name in COMPUTING] == [4, 3, 3, 3, 3]
    stack = with_parameters(stack, 'camera_node', num_threads=5)
    assert num_threads_of(stack['camera_node']) == 5


@pytest.mark.parametrize('text', ['', 'a: [', '/**:\n  ros__parameters:\n    num_threads: many\n'])
def test_what_gives_no_number_counts_as_one_thread(tmp_path, text):
    path = tmp_path / 'own.yaml'
    path.write_text(text)
    assert num_threads_of(NodeSpec('camera_node', 'camera_node', (path, tmp_path / 'none.yaml'))) == 1


def test_a_started_node_has_the_number_of_its_parameters_whatever_the_user_has_set(tmp_path):
    stack = with_parameters(shipped(), 'camera_node', num_threads=3)
    stack = Stack(tuple(stack[name] for name in ('camera_node', 'control_node')))
    user = node_environment({**os.environ, 'OMP_NUM_THREADS': '8', 'OMP_WAIT_POLICY': ''})
    with Launcher(stack, user, log_dir=tmp_path, say=lambda _: None) as launcher:
        environments = {name: environment_of(pid) for name, pid in launcher.pids.items()}
    assert {name: {found[count] for count in COUNTS} for name, found in environments.items()} == {
        'camera_node': {'3'},
        'control_node': {'1'},
    }
    assert {found['OMP_WAIT_POLICY'] for found in environments.values()} == {'PASSIVE'}


def environment_of(pid):
    lines = Path(f'/proc/{pid}/environ').read_text().split('\0')
    return dict(line.split('=', 1) for line in lines if line)


def test_a_library_in_a_process_of_these_variables_has_so_many_threads():
    code = 'import torch, numba; print(torch.get_num_threads(), numba.get_num_threads())'
    environment = node_environment(os.environ, num_threads=1)
    result = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, check=False)
    assert result.stdout.split() == ['1', '1'], result.stderr
