"""The one place that knows ``launch`` and ``launch_ros``, which come with ROS and are not on PyPI.

A launch file says which variant of the stack it wants; the processes, parameters and remappings are those of stack.yaml.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from moe_bev_ros.runtime.environment import PACKAGE, config_dir, node_environment
from moe_bev_ros.runtime.processes import RESPAWN_DELAY_S
from moe_bev_ros.runtime.stack import (
    NodeSpec,
    Stack,
    building,
    load_stack,
    parameters_of,
    with_engine,
    with_parameters,
    with_params_file,
)
from moe_bev_ros.runtime.threads import num_threads_of

Variant = Callable[[Stack, dict[str, str]], Stack]


def describe(variant: Variant = lambda stack, _: stack, *, use_sim_time: bool = False, **arguments: str) -> LaunchDescription:
    """A launch description of the stack after ``variant``.

    Args:
        variant: gets the shipped stack and the values of ``arguments``.
        use_sim_time: default of the launch argument of that name.
        arguments: further launch arguments with their defaults.
    """
    defaults = {
        'config': str(config_dir()),
        'params_file': '',
        'engine': '',
        'build_only': 'false',
        'use_sim_time': str(use_sim_time).lower(),
        **arguments,
    }
    descriptions = {
        'config': 'folder with stack.yaml',
        'params_file': 'laid over the parameter files of the nodes',
        'engine': 'that bev_node runs; empty: that of its parameter file',
        'build_only': 'only build the engine of bev_node, as TensorRT needs it once on the vehicle, and end',
        'use_sim_time': 'follow /clock',
    }
    declared = [
        DeclareLaunchArgument(name, default_value=value, description=descriptions.get(name, 'see config/'))
        for name, value in defaults.items()
    ]

    def nodes(context: LaunchContext) -> list[Any]:
        values = {name: LaunchConfiguration(name).perform(context) for name in defaults}
        stack = variant(load_stack(Path(values['config']) / 'stack.yaml'), values)
        stack = with_parameters(stack, '*', use_sim_time=values['use_sim_time'].lower() == 'true')
        if values['params_file']:
            stack = with_params_file(stack, Path(values['params_file']))
        stack = with_engine(stack, values['engine'])
        if values['build_only'].lower() == 'true':
            stack = building(stack)
        return [_action(stack, spec) for spec in stack.nodes]

    return LaunchDescription([*declared, OpaqueFunction(function=nodes)])


def _action(stack: Stack, spec: NodeSpec) -> Node:
    environment = node_environment(os.environ, num_threads=num_threads_of(spec), raw_images=spec.raw_images)
    ours = {name: value for name, value in environment.items() if os.environ.get(name) != value}
    overrides = {name: list(value) if isinstance(value, tuple) else value for name, value in parameters_of(stack, spec).items()}
    return Node(
        package=PACKAGE,
        executable=spec.executable,
        name=spec.name,
        parameters=[*map(str, spec.params_files), overrides],
        remappings=list(spec.remappings),
        respawn=spec.respawn,
        respawn_delay=RESPAWN_DELAY_S,
        additional_env=ours,
        output='both',
    )
