"""package.xml names what the code imports, so that rosdep installs it on a ROS machine."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
KEYS = {  # import -> rosdep key where the two differ
    'cv2': 'python3-opencv',
    'lanelet2': 'lanelet2_python',
    'numba': 'python3-numba',
    'numpy': 'python3-numpy',
    'scipy': 'python3-scipy',
    'yaml': 'python3-yaml',
}
BUILD_ONLY = {'interfaces.py'}  # the pip install's message compiler; colcon brings its own
# Used where they are, never needed; apsw comes with rosbags, google.protobuf with onnx, tensorrt with JetPack.
WHERE_INSTALLED = {'autoware_map_msgs', 'torch', 'apsw', 'google', 'tensorrt'}


def third_party_imports() -> set[str]:
    names = set()
    for path in (ROOT / 'moe_bev_ros').rglob('*.py'):
        if path.name in BUILD_ONLY or path.parent.name in ('msg', 'srv'):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split('.')[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split('.')[0])
    return {name for name in names if name not in sys.stdlib_module_names and name != 'moe_bev_ros'}


def extras() -> set[str]:
    """Imports of the pip install's extras: evaluation and training, which need no ROS machine."""
    tomllib = pytest.importorskip('tomllib', reason='comes with Python 3.11')
    lists = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies'].values()
    names = {re.split(r'[^\w-]', requirement)[0] for requirements in lists for requirement in requirements}
    return {'sklearn' if name == 'scikit-learn' else name.removesuffix('-devkit').removeprefix('nvidia-') for name in names}


def test_every_import_is_a_dependency_or_a_listed_requirement() -> None:
    parse_package = pytest.importorskip('catkin_pkg.package', reason='comes with colcon').parse_package
    if not (ROOT / 'package.xml').is_file():
        pytest.skip('the tests do not lie in the source tree')
    package = parse_package(ROOT / 'package.xml')
    keys = {dependency.name for dependency in [*package.build_depends, *package.exec_depends]}
    requirements = (ROOT / 'requirements-ros.txt').read_text()
    missing = {
        name
        for name in third_party_imports() - WHERE_INSTALLED - extras()
        if KEYS.get(name, name) not in keys and f'\n{name}>=' not in requirements
    }
    assert missing == set()
