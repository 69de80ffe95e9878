"""A real `colcon build` of this tree. Where there is no ROS, the PyPI wheels and Debian's ament serve as the underlay."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEBIAN = Path('/usr/lib/python3/dist-packages')
NEEDED = (
    Path('/usr/share/ament_cmake'),
    Path('/usr/share/rosidl_cmake'),
    DEBIAN / 'ament_package',
    DEBIAN / 'ament_cmake_test',
)
SOURCES = (
    'package.xml',
    'setup.py',
    'pyproject.toml',
    'CMakeLists.txt',
    'LICENSE',
    'msg',
    'srv',
    'moe_bev_ros',
    'launch',
    'config',
)

pytestmark = [
    pytest.mark.skipif(
        any(not path.exists() for path in NEEDED) or shutil.which('cmake') is None,
        reason='no Debian ament; run: apt-get install -y ament-cmake rosidl-cmake cmake',
    ),
    pytest.mark.timeout(300),
]


def underlay(prefix: Path) -> None:
    """Make a prefix of the wheels whose CMake files name this machine's Python, not that of the machine they were built on."""
    import numpy

    wheels = Path(sys.prefix)
    prefix.mkdir()
    for name in ('include', 'lib'):
        (prefix / name).symlink_to(wheels / name)
    ignored = shutil.ignore_patterns('moe_bev_ros', 'nav2_msgs', 'tf2_msgs', 'man', 'fonts', 'jupyter')
    shutil.copytree(wheels / 'share', prefix / 'share', ignore=ignored)
    for path in (prefix / 'share').rglob('*_pyExport.cmake'):
        include = 'INTERFACE_INCLUDE_DIRECTORIES "'
        lines = path.read_text().splitlines()
        lines = [f'  {include}{numpy.get_include()}"' if include in line and '/opt/' in line else line for line in lines]
        path.write_text('\n'.join(lines))
    # Debian's ament_cmake is older than the wheels, which look for a package that was split off later.
    (prefix / 'share' / 'ament_cmake_ros_core' / 'cmake').mkdir(parents=True, exist_ok=True)
    config = prefix / 'share' / 'ament_cmake_ros_core' / 'cmake' / 'ament_cmake_ros_coreConfig.cmake'
    config.write_text('find_package(ament_cmake REQUIRED)\nset(ament_cmake_ros_core_FOUND TRUE)\n')


@pytest.fixture(scope='module')
def install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install folder of a workspace that holds this package alone."""
    base = tmp_path_factory.mktemp('colcon')
    workspace = base / 'workspace'
    source = workspace / 'src' / 'moe_bev_ros'
    source.mkdir(parents=True)
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns('__pycache__', '*.so'))
        else:
            shutil.copy(path, source)
    underlay(base / 'underlay')
    python_path = base / 'debian_python'
    python_path.mkdir()
    for name in ('ament_package', 'ament_cmake_test'):
        (python_path / name).symlink_to(DEBIAN / name)
    env = {**os.environ, 'PYTHONPATH': str(python_path), 'AMENT_PREFIX_PATH': str(base / 'underlay')}
    env['CMAKE_PREFIX_PATH'] = f'{base / "underlay"}:/usr'
    env['PATH'] = f'{Path(sys.prefix) / "bin"}:{env["PATH"]}'
    command = [sys.executable, '-m', 'colcon', 'build', '--merge-install', '--event-handlers', 'console_direct+']
    command += [
        '--cmake-args',
        f'-DPython3_EXECUTABLE={sys.executable}',
        f'-DPython3_ROOT_DIR={sys.base_prefix}',
        '-DBUILD_TESTING=OFF',
    ]
    result = subprocess.run(command, cwd=workspace, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    return workspace / 'install'


def site_packages(install: Path) -> Path:
    return next(install.glob('lib/python3*/site-packages'))


def test_python_lies_over_the_generated_messages(install: Path) -> None:
    package = site_packages(install) / 'moe_bev_ros'
    assert (package / 'msg' / '_objects.py').is_file()
    assert (package / '__init__.py').read_text() == (ROOT / 'moe_bev_ros' / '__init__.py').read_text()
    assert (package / 'nodes' / 'camera_node.py').is_file()


def test_launch_and_config_are_installed(install: Path) -> None:
    share = install / 'share' / 'moe_bev_ros'
    assert {path.name for path in (ROOT / 'launch').glob('*.py')} == {path.name for path in (share / 'launch').glob('*.py')}
    assert (share / 'config' / 'stack.yaml').is_file()
    assert (install / 'share/ament_index/resource_index/packages/moe_bev_ros').is_file()


def test_every_node_is_an_executable_of_the_package(install: Path) -> None:
    scripts = {path.name for path in (install / 'lib' / 'moe_bev_ros').iterdir() if os.access(path, os.X_OK)}
    nodes = ('camera', 'lidar', 'bev', 'planner', 'control', 'world')
    assert {'lifecycle_manager', 'moe-bev', *(f'{node}_node' for node in nodes)} <= scripts


def test_a_message_built_by_colcon_is_imported_from_there(install: Path) -> None:
    env = {**os.environ, 'PYTHONPATH': str(site_packages(install))}
    env['LD_LIBRARY_PATH'] = f'{install / "lib"}:{env.get("LD_LIBRARY_PATH", "")}'
    code = 'import moe_bev_ros.msg as m; m.Objects.__import_type_support__(); print(m.__file__)'
    result = subprocess.run([sys.executable, '-c', code], env=env, cwd='/', capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(str(install))
