"""The launch files, loaded with the real ``launch`` and ``launch_ros``."""

from pathlib import Path

import pytest

pytest.importorskip('launch_ros.actions', reason='launch and launch_ros come with ROS and are not on PyPI')

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.launch_description_sources import get_launch_description_from_python_launch_file
from launch_ros.actions import Node

from launch import LaunchContext

LAUNCH = Path(__file__).parents[2] / 'launch'
STACK = ['lifecycle_manager', 'camera_node', 'lidar_node', 'bev_node', 'planner_node', 'control_node']
NODES = {
    'bringup': STACK,
    'orin': STACK,
    'replay': STACK,
    'sim': [*STACK, 'world_node'],
    **{name: [f'{name}_node'] for name in ('camera', 'lidar', 'bev', 'planner', 'control')},
}


def load(name: str, **values: str) -> tuple[list[Node], dict[str, str]]:
    """The node actions of a launch file, and its arguments."""
    context = LaunchContext()
    description = get_launch_description_from_python_launch_file(str(LAUNCH / f'{name}.launch.py'))
    nodes: list[Node] = []
    context.launch_configurations.update(values)
    for entity in description.entities:
        if isinstance(entity, DeclareLaunchArgument):
            entity.visit(context)
        elif isinstance(entity, OpaqueFunction):
            nodes += entity.execute(context)
    return nodes, dict(context.launch_configurations)


def test_every_launch_file_is_listed_here():
    assert {path.name.removesuffix('.launch.py') for path in LAUNCH.iterdir() if path.suffix == '.py'} == set(NODES)


@pytest.mark.parametrize('name', NODES)
def test_a_launch_file_starts_the_nodes_of_its_name(name):
    nodes, _ = load(name)
    assert [node.node_executable for node in nodes] == NODES[name]
    assert all(node.node_package == 'moe_bev_ros' for node in nodes)


@pytest.mark.parametrize(('name', 'expected'), [('bringup', 'false'), ('sim', 'true'), ('replay', 'true')])
def test_the_clock_fits_the_use(name, expected):
    assert load(name)[1]['use_sim_time'] == expected


def test_launch_files_are_short():
    assert max(len(path.read_text().splitlines()) for path in LAUNCH.glob('*.launch.py')) <= 20


def test_a_missing_params_file_is_named():
    with pytest.raises(ValueError, match=r'/nowhere\.yaml: no such parameter file'):
        load('bringup', params_file='/nowhere.yaml')


def test_the_engine_is_an_argument_of_every_launch_file_with_bev_node():
    nodes, values = load('bringup', engine='torch')
    assert values['engine'] == 'torch'
    with pytest.raises(ValueError, match='clustering, pillars, torch'):
        load('bev', engine='magic')
    assert len(nodes) == len(STACK)


@pytest.mark.parametrize('name', ['orin', 'bringup', 'bev'])
def test_only_the_engine_is_built_where_that_is_asked_for(name):
    (node,), _ = load(name, build_only='true')
    assert node.node_executable == 'bev_node'
