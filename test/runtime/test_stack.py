"""The stack as data."""

from pathlib import Path

import pytest
import yaml

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.runtime.stack import (
    MANAGER,
    NodeSpec,
    Stack,
    alone,
    arguments,
    building,
    load_stack,
    parameters_of,
    sim_stack,
    with_node,
    with_parameters,
    with_params_file,
    without,
)

CONFIG = Path(__file__).parents[2] / 'config'
CHAIN = ('control_node', 'camera_node', 'lidar_node', 'bev_node', 'planner_node')


@pytest.fixture
def stack() -> Stack:
    return Stack((NodeSpec(MANAGER, MANAGER, managed=False), NodeSpec('a_node', 'a_node'), NodeSpec('b_node', 'b_node')))


def write(folder: Path, text: str) -> Path:
    path = folder / 'stack.yaml'
    path.write_text(text)
    return path


def test_shipped_stack_is_brought_up_with_control_first_so_that_it_brakes_meanwhile():
    assert load_stack(CONFIG / 'stack.yaml').managed_names == CHAIN


def test_every_input_of_the_shipped_stack_that_is_ours_has_one_publisher():
    remappings = [item for spec in load_stack(CONFIG / 'stack.yaml').nodes for item in spec.remappings]
    outputs = [topic for private, topic in remappings if private.startswith('~/output')]
    inputs = {topic for private, topic in remappings if private.startswith('~/input') and topic.startswith('/moe_bev/')}
    assert len(outputs) == len(set(outputs))
    assert inputs - {'/moe_bev/traffic_lights'} <= set(outputs)


def test_manager_is_told_the_managed_nodes_of_every_variant(stack):
    assert parameters_of(without(stack, 'a_node'), stack[MANAGER])['node_names'] == ('b_node',)
    assert f'{MANAGER}:node_names:=[a_node, b_node]' in arguments(stack, stack[MANAGER])


def test_building_leaves_bev_node_alone_which_is_not_started_again():
    (spec,) = building(load_stack(CONFIG / 'stack.yaml')).nodes
    assert (spec.name, spec.respawn, spec.parameters) == ('bev_node', False, {'build_only': True})
    with pytest.raises(InputError, match='no node bev_node'):
        building(Stack((NodeSpec('a_node', 'a_node'),)))


def test_overrides_reach_one_node_or_all(stack):
    changed = with_parameters(with_parameters(stack, '*', use_sim_time=True), 'b_node', rate_hz=2.5)
    assert changed['a_node'].parameters == {'use_sim_time': True}
    assert arguments(changed, changed['b_node'])[-4:] == ['-p', 'b_node:use_sim_time:=true', '-p', 'b_node:rate_hz:=2.5']
    assert stack['b_node'].parameters == {}


def test_values_survive_the_command_line(stack):
    for value in ('plain', 'with space: and colon', 'true', '1.5', [1.0, 2.0], ['x', 'y'], 0, 'C:\\path'):
        args = arguments(with_parameters(stack, 'a_node', value=value), with_parameters(stack, 'a_node', value=value)['a_node'])
        assert yaml.safe_load(args[-1].removeprefix('a_node:value:=')) == value


def test_world_is_added_unmanaged_and_gives_everybody_the_clock(stack):
    stack = with_node(stack, NodeSpec('planner_node', 'planner_node'))
    sim = sim_stack(stack, CONFIG, seed=3)
    assert sim.managed_names == stack.managed_names
    assert sim['world_node'].parameters['seed'] == 3
    assert all(spec.parameters['use_sim_time'] for spec in sim.nodes)


def test_a_node_alone_activates_itself(stack):
    assert alone(stack, 'a_node').nodes[0].parameters == {'autostart': True}


def test_parameter_file_comes_after_the_shipped_one(stack, tmp_path):
    mine = tmp_path / 'mine.yaml'
    mine.write_text('/**: {ros__parameters: {}}')
    assert with_params_file(stack, mine)['a_node'].params_files[-1] == mine.resolve()
    with pytest.raises(InputError, match=r'nowhere\.yaml'):
        with_params_file(stack, tmp_path / 'nowhere.yaml')


def test_a_name_stands_for_one_node(stack):
    with pytest.raises(InputError, match='named twice: a_node'):
        with_node(stack, NodeSpec('a_node', 'a_node'))
    with pytest.raises(InputError, match='no node c_node'):
        without(stack, 'c_node')


@pytest.mark.parametrize(
    ('text', 'fact'),
    [
        ('nodes: {}', 'wanted a list under the key nodes'),
        ('nodes: [{executable: x}]', r'nodes\[0\]: wanted a mapping with a name'),
        ('nodes: [{name: x, colour: red}]', r'nodes\[0\] \(x\): unknown key colour'),
        ('nodes: [{name: x, managed: 3}]', 'managed: wanted bool, got 3'),
        ('nodes: [{name: x, params: none.yaml}]', 'params: no file'),
        ('nodes: [{name: x, params: 3}]', 'params: wanted a file or a list of files, got 3'),
        ('nodes: [{name: x}, {name: x}]', 'named twice: x'),
        ('nodes: [', 'not YAML'),
    ],
)
def test_a_bad_file_is_named_with_its_key(tmp_path, text, fact):
    with pytest.raises(InputError, match=rf'stack\.yaml: .*{fact}'):
        load_stack(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r'stack\.yaml: No such file'):
        load_stack(tmp_path / 'stack.yaml')


def test_a_node_may_have_several_parameter_files(tmp_path):
    for name in ('vehicle.yaml', 'x.yaml'):
        (tmp_path / name).write_text('')
    spec = load_stack(write(tmp_path, 'nodes: [{name: x, params: [vehicle.yaml, x.yaml]}]'))['x']
    assert spec.params_files == ((tmp_path / 'vehicle.yaml').resolve(), (tmp_path / 'x.yaml').resolve())


def test_planner_and_control_are_told_of_the_same_vehicle():
    stack = load_stack(CONFIG / 'stack.yaml')
    vehicle = (CONFIG / 'vehicle.param.yaml').resolve()
    assert all(stack[name].params_files[0] == vehicle for name in ('planner_node', 'control_node'))
    assert set(yaml.safe_load(vehicle.read_text())['/**']['ros__parameters']) >= {'wheelbase_m', 'vehicle_length_m'}


def test_the_planner_needs_a_goal_unless_the_vehicle_is_simulated():
    stack = load_stack(CONFIG / 'stack.yaml')
    assert 'drive_without_goal' not in stack['planner_node'].parameters
    assert sim_stack(stack, CONFIG)['planner_node'].parameters['drive_without_goal'] is True


@pytest.mark.parametrize('text', ['{: [', 'camera_node: {width: 3}', '- 1', ''])
def test_a_file_that_holds_no_parameters_is_refused_before_any_node_dies_of_it(tmp_path, text):
    path = tmp_path / 'my.yaml'
    path.write_text(text)
    with pytest.raises(InputError, match=r'my\.yaml: no '):
        with_params_file(load_stack(CONFIG / 'stack.yaml'), path)
