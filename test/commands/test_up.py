"""What ``moe-bev up`` starts."""

import argparse

import pytest

from moe_bev_ros.commands.up import add_arguments, stack_of
from moe_bev_ros.core.errors import InputError


def parse(*words: str):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return stack_of(parser.parse_args(words))


def test_the_shipped_stack_is_the_default():
    stack = parse()
    assert stack.nodes[0].name == 'lifecycle_manager'
    assert 'world_node' not in [spec.name for spec in stack.nodes]


def test_the_engine_of_the_parameter_file_stays_unless_one_is_named():
    assert 'engine' not in parse()['bev_node'].parameters
    assert parse('--engine', 'torch')['bev_node'].parameters['engine'] == 'torch'
    with pytest.raises(InputError, match='clustering, pillars, torch'):
        parse('--engine', 'magic')


def test_sim_adds_the_world_in_real_time():
    assert parse('--sim')['world_node'].parameters['realtime'] is True


def test_values_and_files_are_laid_over_the_shipped_ones(tmp_path):
    mine = tmp_path / 'mine.yaml'
    mine.write_text('/**: {ros__parameters: {}}')
    stack = parse('--params', str(mine), '--set', 'control_node.max_speed_mps=5.0', '--set', '*.use_sim_time=true')
    assert stack['control_node'].parameters == {'max_speed_mps': 5.0, 'use_sim_time': True}
    assert stack['bev_node'].params_files[-1] == mine


@pytest.mark.parametrize('text', ['control_node=5', 'control_node.max_speed', '.x=1'])
def test_a_malformed_value_is_named(text):
    with pytest.raises(InputError, match=r'wanted NODE\.PARAM=VALUE'):
        parse('--set', text)
