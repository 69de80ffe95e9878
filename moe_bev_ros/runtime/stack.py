"""Which processes make the stack: one YAML file, read into values; a variant of the stack is a function of a stack."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from moe_bev_ros.core.errors import InputError

MANAGER = 'lifecycle_manager'
PLANNER = 'planner_node'
WORLD = 'world_node'
BEV = 'bev_node'
CAMERA = 'camera_node'
_KEYS = {'name', 'executable', 'params', 'remappings', 'parameters', 'managed', 'respawn'}

Value = Any  # bool, int, float, str, or a list or tuple of one of these


@dataclass(frozen=True)
class NodeSpec:
    """One node, which is one process.

    Attributes:
        executable: module in ``moe_bev_ros.nodes`` and executable of the package; with a dot in it, any Python module (not for
            launch files).
        params_files: parameter files, later ones override earlier ones.
        remappings: (private topic, global topic) pairs.
        parameters: values that override those of the files.
        managed: the lifecycle manager moves it between states.
        respawn: started again when it ends.
        raw_images: publishes raw images, so it gets the larger shared memory.
    """

    name: str
    executable: str
    params_files: tuple[Path, ...] = ()
    remappings: tuple[tuple[str, str], ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    managed: bool = True
    respawn: bool = True
    raw_images: bool = False


@dataclass(frozen=True)
class Stack:
    """All nodes; the managed ones stand in the order of bring-up."""

    nodes: tuple[NodeSpec, ...]

    def __post_init__(self) -> None:
        names = [spec.name for spec in self.nodes]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f'nodes named twice: {", ".join(twice)}; give each its own name')

    def __getitem__(self, name: str) -> NodeSpec:
        """The node of this name."""
        for spec in self.nodes:
            if spec.name == name:
                return spec
        raise InputError(f'no node {name} in the stack; there are {", ".join(spec.name for spec in self.nodes)}')

    @property
    def managed_names(self) -> tuple[str, ...]:
        """Names of the managed nodes, in the order of bring-up."""
        return tuple(spec.name for spec in self.nodes if spec.managed)


def load_stack(path: Path) -> Stack:
    """Read ``stack.yaml``.

    Raises:
        InputError: names the file and the key that is wrong.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as err:
        raise InputError(f'{path}: {err.strerror}; name a folder that holds stack.yaml') from err
    except yaml.YAMLError as err:
        raise InputError(f'{path}: not YAML: {err}') from err
    entries = document.get('nodes') if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f'{path}: wanted a list under the key nodes')
    nodes = tuple(_node(entry, path, f'nodes[{index}]') for index, entry in enumerate(entries))
    try:
        return Stack(nodes)
    except InputError as err:
        raise InputError(f'{path}: {err}') from err


def with_parameters(stack: Stack, name: str, **values: Value) -> Stack:
    """Override parameters of one node, or of all with the name ``*``."""
    if name != '*':
        _ = stack[name]
    return Stack(
        tuple(
            dataclasses.replace(spec, parameters={**spec.parameters, **values}) if name in ('*', spec.name) else spec
            for spec in stack.nodes
        )
    )


def with_params_file(stack: Stack, path: Path) -> Stack:
    """Lay a parameter file over the shipped ones, for all nodes.

    Raises:
        InputError: it is missing, is no YAML, or is no parameter file; each node would die of it on its own.
    """
    if not path.is_file():
        raise InputError(f'{path}: no such parameter file')
    try:
        document = yaml.safe_load(path.read_text())
    except (UnicodeDecodeError, yaml.YAMLError) as err:
        raise InputError(f'{path}: no YAML: {err}') from err
    if not _holds_parameters(document):
        raise InputError(f'{path}: no parameter file; wanted for each node: NODE: / ros__parameters: / name: value')
    path = path.resolve()
    return Stack(tuple(dataclasses.replace(spec, params_files=(*spec.params_files, path)) for spec in stack.nodes))


def _holds_parameters(section: Any) -> bool:
    """Whether every branch of a parsed parameter file (namespaces may nest) ends in ros__parameters."""
    if not isinstance(section, dict) or not section:
        return False
    return isinstance(section.get('ros__parameters'), dict) or all(map(_holds_parameters, section.values()))


def with_engine(stack: Stack, engine: str) -> Stack:
    """Let bev_node run this engine; an empty name leaves the one of the parameter files.

    Raises:
        InputError: there is no such engine.
    """
    if not engine:
        return stack
    from moe_bev_ros.engine.engines import ENGINES  # half a second, which only who chooses one has to wait

    if engine not in ENGINES:
        raise InputError(f'no engine {engine!r}; there are {", ".join(ENGINES)}')
    return with_parameters(stack, BEV, engine=engine)


def without(stack: Stack, *names: str) -> Stack:
    """Leave nodes out."""
    for name in names:
        _ = stack[name]
    return Stack(tuple(spec for spec in stack.nodes if spec.name not in names))


def with_node(stack: Stack, spec: NodeSpec) -> Stack:
    """Add a node, last in the order of bring-up."""
    return Stack((*stack.nodes, spec))


def alone(stack: Stack, name: str) -> Stack:
    """One node, which configures and activates itself."""
    return with_parameters(Stack((stack[name],)), name, autostart=True)


def building(stack: Stack) -> Stack:
    """bev_node alone, which builds its engine and ends."""
    return with_parameters(Stack((dataclasses.replace(stack[BEV], respawn=False),)), BEV, build_only=True)


def without_goal(stack: Stack) -> Stack:
    """Let the planner drive on without a goal: for a simulated vehicle, or a bag to which nothing answers."""
    return with_parameters(stack, PLANNER, drive_without_goal=True)


def sim_stack(stack: Stack, config: Path, **world_parameters: Value) -> Stack:
    """Add the simulated world, whose clock every node follows. It is no part of the vehicle, so the manager leaves it alone.

    The planner drives along the street without a goal.
    """
    world = NodeSpec(
        name=WORLD,
        executable=WORLD,
        params_files=(config / 'world_node.param.yaml',),
        remappings=(('~/input/command', '/moe_bev/vehicle_command'), ('~/output/truth', '/moe_bev/world/truth')),
        parameters={'autostart': True, **world_parameters},
        managed=False,
        raw_images=True,
    )
    return with_parameters(with_node(without_goal(stack), world), '*', use_sim_time=True)


def parameters_of(stack: Stack, spec: NodeSpec) -> dict[str, Value]:
    """The overrides that a node is started with; the manager is told its nodes here, so that every variant agrees."""
    values = dict(spec.parameters)
    if spec.executable == MANAGER:
        values['node_names'] = stack.managed_names
    return values


def arguments(stack: Stack, spec: NodeSpec) -> list[str]:
    """The ``--ros-args ...`` command line of one node."""
    args = ['--ros-args', '-r', f'__node:={spec.name}']
    for private, topic in spec.remappings:
        args += ['-r', f'{private}:={topic}']
    for path in spec.params_files:
        args += ['--params-file', str(path)]
    for name, value in parameters_of(stack, spec).items():  # with the node's name: it beats a file's section of that name
        args += ['-p', f'{spec.name}:{name}:={_yaml(value)}']
    return args


def _yaml(value: Value) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=1_000_000).removesuffix('...\n').strip()


def _node(entry: Any, path: Path, where: str) -> NodeSpec:
    if not isinstance(entry, dict) or not isinstance(entry.get('name'), str):
        raise InputError(f'{path}: {where}: wanted a mapping with a name')
    where = f'{where} ({entry["name"]})'
    if unknown := sorted(set(entry) - _KEYS):
        raise InputError(f'{path}: {where}: unknown key {", ".join(unknown)}; known are {", ".join(sorted(_KEYS))}')
    files = [path.parent / name for name in _names(entry, path, where)]
    for file in files:
        if not file.is_file():
            raise InputError(f'{path}: {where}: params: no file {file}')
    return NodeSpec(
        name=entry['name'],
        executable=_typed(entry, 'executable', str, entry['name'], path, where),
        params_files=tuple(file.resolve() for file in files),
        remappings=tuple(_typed(entry, 'remappings', dict, {}, path, where).items()),
        parameters=_typed(entry, 'parameters', dict, {}, path, where),
        managed=_typed(entry, 'managed', bool, True, path, where),
        respawn=_typed(entry, 'respawn', bool, True, path, where),
    )


def _names(entry: dict[str, Any], path: Path, where: str) -> list[str]:
    """The parameter files of a node: one name, or a list of them."""
    given = entry.get('params', [])
    names = given if isinstance(given, list) else [given]
    if not all(isinstance(name, str) for name in names):
        raise InputError(f'{path}: {where}: params: wanted a file or a list of files, got {given!r}')
    return names


def _typed(entry: dict[str, Any], key: str, kind: type, default: Any, path: Path, where: str) -> Any:
    value = entry.get(key, default)
    if not isinstance(value, kind):
        raise InputError(f'{path}: {where}: {key}: wanted {kind.__name__}, got {value!r}')
    return value
