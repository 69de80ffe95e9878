"""Compiles ROS interface definitions where there is no ROS: with the rosidl generators from PyPI and the machine's g++.

colcon does this on a ROS machine. Here the same generators are called in the same order (REP-2011 type hashes included), so
that a message built by pip travels to a node built by colcon. The result is laid out as every ROS prefix is:
``python/<package>/{msg,srv}``, ``lib/lib<package>__*.so`` and ``share/<package>/{msg,srv}``; installed over ``sys.prefix``,
the libraries are found on the LD_LIBRARY_PATH that the ROS wheels set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

TYPESUPPORTS = ('rosidl_typesupport_fastrtps_c', 'rosidl_typesupport_introspection_c')
C_GENERATORS = ('rosidl_generator_c', *TYPESUPPORTS, 'rosidl_typesupport_c')


class InterfaceError(RuntimeError):
    """A definition could not be compiled; the message names the file and what the compiler said."""


@dataclass(frozen=True)
class Library:
    """One shared library of a message package: what it is made of and what it links to."""

    name: str
    sources: tuple[Path, ...]
    links: tuple[str, ...]


def build_interfaces(package: str, source: Path, out: Path, dependencies: Sequence[Path] = ()) -> None:
    """Compile ``source/{msg,srv}/*`` as the ROS package ``package`` into the prefix-shaped folder ``out``.

    Args:
        package: ROS package name.
        source: folder that holds ``msg/`` and, or, ``srv/``.
        out: made anew for this package; several packages may share it.
        dependencies: ``out`` folders of packages built before that this one refers to.

    Raises:
        InterfaceError: a definition is wrong, or the compiler fails.
    """
    prefix = ros_prefix()
    work = out / 'build' / package
    shutil.rmtree(work, ignore_errors=True)
    definitions = _adapt(package, source, work / 'adapter')
    if not definitions:
        raise InterfaceError(f'{source}: no .msg and no .srv file below msg/ or srv/')
    roots = [prefix, *dependencies]
    _generate(package, source, definitions, work, roots)
    _install_share(package, source, definitions, work, out / 'share')
    _compile(package, work, out, roots)
    _install_python(package, work, out / 'python' / package)


def ros_prefix() -> Path:
    """The prefix that the ROS wheels were installed to (the virtual environment, or pip's build environment)."""
    import rosidl_generator_c

    return Path(rosidl_generator_c.__file__).resolve().parents[4]


def _adapt(package: str, source: Path, out: Path) -> list[Path]:
    """Translate every .msg and .srv to .idl; returns their paths relative to ``source``."""
    from rosidl_adapter.msg import convert_msg_to_idl
    from rosidl_adapter.srv import convert_srv_to_idl

    convert: dict[str, Callable[..., object]] = {'msg': convert_msg_to_idl, 'srv': convert_srv_to_idl}
    definitions = [path.relative_to(source) for kind in convert for path in sorted((source / kind).glob(f'*.{kind}'))]
    for definition in definitions:
        kind = definition.parent.name
        convert[kind](source.absolute(), package, definition, out.absolute() / kind)
    return definitions


def _generate(package: str, source: Path, definitions: list[Path], work: Path, roots: Sequence[Path]) -> None:
    from rosidl_generator_c import generate_c
    from rosidl_generator_py import generate_py
    from rosidl_generator_type_description import generate_type_hash
    from rosidl_typesupport_c import generate_c as generate_typesupport_c
    from rosidl_typesupport_fastrtps_c import generate_typesupport_fastrtps_c
    from rosidl_typesupport_introspection_c import generate_c as generate_introspection_c

    idls = [definition.with_suffix('.idl') for definition in definitions]
    shares = [share for root in roots for share in sorted((root / 'share').glob('*')) if _has_interfaces(share)]
    descriptions = work / 'type_description' / package

    def arguments(generator: str, output_dir: Path) -> str:
        output_dir.mkdir(parents=True)
        path = work / f'{generator}.json'
        content = {
            'package_name': package,
            'idl_tuples': [f'{(work / "adapter").absolute()}:{idl}' for idl in idls],
            'include_paths': [f'{share.name}:{share}' for share in shares],
            'output_dir': str(output_dir),
            'template_dir': str(ros_prefix() / 'share' / generator / 'resource'),
            'target_dependencies': [],
            'ros_interface_dependencies': [],
            'type_description_tuples': [f'{idl}:{descriptions / idl.with_suffix(".json")}' for idl in idls],
            'non_idl_tuples': [f'{source.absolute()}:{definition}' for definition in definitions],
        }
        path.write_text(json.dumps(content))
        return str(path)

    generate_type_hash(arguments('rosidl_generator_type_description', descriptions))
    generators: dict[str, Callable[[str], object]] = {
        'rosidl_generator_c': generate_c,
        'rosidl_typesupport_introspection_c': generate_introspection_c,
        'rosidl_typesupport_fastrtps_c': generate_typesupport_fastrtps_c,
        'rosidl_typesupport_c': lambda args: generate_typesupport_c(args, list(TYPESUPPORTS)),
        'rosidl_generator_py': lambda args: generate_py(args, [*TYPESUPPORTS, 'rosidl_typesupport_c']),
    }
    for name, generate in generators.items():
        output_dir = work / name / package
        generate(arguments(name, output_dir))
        for template in (ros_prefix() / 'share' / name / 'resource').glob('*visibility_control.h.in'):
            text = template.read_text().replace('@PROJECT_NAME@', package).replace('@PROJECT_NAME_UPPER@', package.upper())
            (output_dir / 'msg').mkdir(exist_ok=True)
            (output_dir / 'msg' / template.name.removesuffix('.in')).write_text(text)


def _has_interfaces(share: Path) -> bool:
    return (share / 'msg').is_dir() or (share / 'srv').is_dir()


def _compile(package: str, work: Path, out: Path, roots: Sequence[Path]) -> None:
    include_dirs = [directory for root in roots for directory in _include_dirs(root)]
    include_dirs += [work / name for name in C_GENERATORS]
    flags = ['-O1', '-fPIC', *(f'-I{directory}' for directory in include_dirs)]
    lib = out / 'lib'
    lib.mkdir(parents=True, exist_ok=True)
    for old in lib.glob(f'lib{package}__*.so'):
        old.unlink()
    lib_dirs = [lib, *(root / 'lib' for root in roots)]
    libraries = list(_libraries(package, work, lib_dirs))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        sources = [source for library in libraries for source in library.sources]
        objects = dict(zip(sources, pool.map(lambda source: _compile_one(source, flags), sources), strict=True))
    for library in libraries:
        path = (work / 'rosidl_generator_py' / package if '_s__' in library.name else lib) / library.name
        command = ['g++', '-shared', '-Wl,--as-needed', '-o', str(path), *(str(objects[source]) for source in library.sources)]
        command += [f'-Wl,-soname,{path.name}', *(f'-L{directory}' for directory in lib_dirs)]
        _run([*command, *(f'-l{name}' for name in library.links)], path)


def _include_dirs(root: Path) -> list[Path]:
    import numpy

    if (root / 'build').is_dir():
        return [directory for name in C_GENERATORS for directory in (root / 'build').glob(f'*/{name}')]
    interpreter = [Path(sysconfig.get_paths()['include']), Path(numpy.get_include())]
    return [root / 'include', *sorted((root / 'include').iterdir()), *interpreter]


def _libraries(package: str, work: Path, lib_dirs: Sequence[Path]) -> Iterator[Library]:
    """The libraries of one message package, in the order in which they link."""

    def found(name: str, *patterns: str) -> tuple[Path, ...]:
        return tuple(sorted(path for pattern in patterns for path in (work / name).rglob(pattern)))

    def others(suffix: str) -> tuple[str, ...]:
        paths = (path for directory in lib_dirs for path in directory.glob(f'lib*__{suffix}.so'))
        names = {path.name.removeprefix('lib').removesuffix('.so') for path in paths}
        return tuple(sorted(names - {f'{package}__{suffix}'}))

    own_c = f'{package}__rosidl_generator_c'
    yield Library(
        f'lib{own_c}.so', found('rosidl_generator_c', '*.c'), ('rosidl_runtime_c', 'rcutils', *others('rosidl_generator_c'))
    )
    yield Library(
        f'lib{package}__rosidl_typesupport_introspection_c.so',
        found('rosidl_typesupport_introspection_c', '*.c'),
        (own_c, 'rosidl_typesupport_introspection_c', *others('rosidl_typesupport_introspection_c')),
    )
    yield Library(
        f'lib{package}__rosidl_typesupport_fastrtps_c.so',
        found('rosidl_typesupport_fastrtps_c', '*.cpp'),
        (
            own_c,
            'rosidl_typesupport_fastrtps_c',
            'rosidl_typesupport_fastrtps_cpp',
            'fastcdr',
            'rmw',
            *others('rosidl_typesupport_fastrtps_c'),
        ),
    )
    yield Library(
        f'lib{package}__rosidl_typesupport_c.so', found('rosidl_typesupport_c', '*.cpp'), (own_c, 'rosidl_typesupport_c')
    )
    yield Library(
        f'lib{package}__rosidl_generator_py.so',
        tuple(path for path in found('rosidl_generator_py', '*_s.c') if '.ep.' not in path.name),
        (own_c, *others('rosidl_generator_py')),
    )
    for typesupport in (*TYPESUPPORTS, 'rosidl_typesupport_c'):
        yield Library(
            f'{package}_s__{typesupport}.so',
            found('rosidl_generator_py', f'_{package}_s.ep.{typesupport}.c'),
            (
                own_c,
                f'{package}__rosidl_generator_py',
                f'{package}__rosidl_typesupport_c',
                f'{package}__{typesupport}',
                'rcutils',
            ),
        )


def _compile_one(source: Path, flags: Sequence[str]) -> Path:
    target = source.with_suffix('.o')
    compiler = ['g++', '-std=c++17'] if source.suffix == '.cpp' else ['gcc']
    _run([*compiler, *flags, '-c', str(source), '-o', str(target)], source)
    return target


def _run(command: list[str], about: Path) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as err:
        raise InterfaceError(f'{command[0]} is missing; run: apt-get install -y g++ python3-dev') from err
    if result.returncode:
        raise InterfaceError(f'{about}: {command[0]} failed\n{result.stderr[-3000:]}')


def _install_share(package: str, source: Path, definitions: list[Path], work: Path, share: Path) -> None:
    shutil.rmtree(share / package, ignore_errors=True)
    names = []
    for definition in definitions:
        idl = definition.with_suffix('.idl')
        json_file = definition.with_suffix('.json')
        (share / package / definition.parent).mkdir(parents=True, exist_ok=True)
        shutil.copy(source / definition, share / package / definition)
        shutil.copy(work / 'adapter' / idl, share / package / idl)
        shutil.copy(work / 'type_description' / package / json_file, share / package / json_file)
        names += [str(definition), str(idl), str(json_file)]
    index = share / 'ament_index' / 'resource_index'
    for kind, content in (('packages', ''), ('rosidl_interfaces', '\n'.join(names))):
        (index / kind).mkdir(parents=True, exist_ok=True)
        (index / kind / package).write_text(content)


def _install_python(package: str, work: Path, out: Path) -> None:
    generated = work / 'rosidl_generator_py' / package
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(generated, out, ignore=shutil.ignore_patterns('*.c', '*.o'))
    (out / '__init__.py').touch()
