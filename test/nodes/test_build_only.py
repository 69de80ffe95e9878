"""bev_node with build_only: a process that ends by itself."""

import os
import subprocess
import sys

import pytest

from moe_bev_ros.runtime.environment import node_environment


def run(**parameters):
    """The process, ended."""
    options = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    command = [sys.executable, '-m', 'moe_bev_ros.nodes.bev_node', '--ros-args', '-p', 'build_only:=true', *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=node_environment(os.environ), check=False)


def test_the_engine_is_built_and_the_process_ends_well():
    process = run(engine='clustering')
    assert process.returncode == 0
    assert 'engine clustering is built' in process.stdout + process.stderr


@pytest.mark.parametrize('engine', ['onnxruntime', 'tensorrt'])
def test_an_engine_that_cannot_be_built_ends_with_its_cure(engine, tmp_path):
    process = run(engine=engine, engine_dir=tmp_path)
    assert process.returncode == 2
    assert process.stderr.startswith('error: ')
    assert '; ' in process.stderr
