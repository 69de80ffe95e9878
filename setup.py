"""Build step of the pip install: compiles msg/ and srv/ with the rosidl generators from PyPI. colcon never runs this file."""

import hashlib
import importlib.util
import shutil
import sys
from pathlib import Path

from setuptools import Distribution, find_packages, setup

ROOT = Path(__file__).resolve().parent
OUT = ROOT / '.rosidl'
PACKAGES = {  # in build order: package name -> folder with msg/ and srv/
    'tf2_msgs': ROOT / 'interfaces' / 'tf2_msgs',
    'nav2_msgs': ROOT / 'interfaces' / 'nav2_msgs',
    'moe_bev_ros': ROOT,
}


def compile_interfaces() -> None:
    """Compile all message packages into .rosidl/, unless the definitions are those of the last time."""
    builder = ROOT / 'moe_bev_ros' / 'interfaces.py'
    files = [path for source in PACKAGES.values() for kind in ('msg', 'srv') for path in sorted((source / kind).glob('*.*'))]
    digest = hashlib.sha256(f'{sys.version} {_ros_version()}'.encode())
    for path in [builder, *files]:
        digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    stamp = OUT / 'stamp'
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return
    shutil.rmtree(OUT, ignore_errors=True)
    spec = importlib.util.spec_from_file_location('interfaces', builder)
    interfaces = importlib.util.module_from_spec(spec)
    sys.modules['interfaces'] = interfaces
    spec.loader.exec_module(interfaces)
    for package, source in PACKAGES.items():
        interfaces.build_interfaces(package, source, OUT)
    for old in (ROOT / 'moe_bev_ros').glob('*.so'):
        old.unlink()
    for extension in (OUT / 'python' / 'moe_bev_ros').glob('*.so'):
        shutil.copy(extension, ROOT / 'moe_bev_ros')
    stamp.write_text(digest.hexdigest())


def _ros_version() -> str:
    from importlib.metadata import version

    return version('ros-rosidl-generator-py')


def data_files() -> list[tuple[str, list[str]]]:
    """What a ROS prefix holds beside Python: libraries, definitions, launch files, configuration and index."""
    installed = [(OUT / 'lib', 'lib'), (OUT / 'share', 'share')]
    installed += [(ROOT / name, f'share/moe_bev_ros/{name}') for name in ('launch', 'config')]
    entries = [('share/moe_bev_ros', ['package.xml'])]
    for source, target in installed:
        for path in sorted(source.rglob('*')):
            if path.is_file() and '__pycache__' not in path.parts:
                folder = Path(target) / path.parent.relative_to(source)
                entries.append((str(folder), [str(path.relative_to(ROOT))]))
    entries += [('lib/moe_bev_ros', [str(path.relative_to(ROOT)) for path in sorted((OUT / 'bin').iterdir())])]
    return entries


def write_executables() -> None:
    """Scripts under lib/moe_bev_ros, where `ros2 run` and `ros2 launch` look for a package's executables."""
    (OUT / 'bin').mkdir(exist_ok=True)
    nodes = ROOT / 'moe_bev_ros' / 'nodes'
    for module in [*sorted(nodes.glob('*_node.py')), nodes / 'lifecycle_manager.py']:
        script = OUT / 'bin' / module.stem
        script.write_text(f'#!{sys.prefix}/bin/python\nfrom moe_bev_ros.nodes.{module.stem} import main\n\nmain()\n')
        script.chmod(0o755)


class PrefixDistribution(Distribution):
    """A package with compiled messages whose data files are installed in an editable install too.

    setuptools asks for ``has_data`` there, and has no such method.
    """

    def has_data(self) -> bool:
        """Whether there are data files to install."""
        return self.has_data_files()

    def has_ext_modules(self) -> bool:
        """The messages are compiled, so a wheel is good for this Python on this platform alone."""
        return True


compile_interfaces()
write_executables()
setup(
    distclass=PrefixDistribution,
    packages=[
        *find_packages(include=['moe_bev_ros', 'moe_bev_ros.*'], exclude=['moe_bev_ros.msg', 'moe_bev_ros.srv']),
        *('moe_bev_ros.msg', 'moe_bev_ros.srv', 'tf2_msgs', 'tf2_msgs.msg', 'nav2_msgs', 'nav2_msgs.srv'),
    ],
    package_dir={
        'moe_bev_ros.msg': '.rosidl/python/moe_bev_ros/msg',
        'moe_bev_ros.srv': '.rosidl/python/moe_bev_ros/srv',
        'tf2_msgs': '.rosidl/python/tf2_msgs',
        'nav2_msgs': '.rosidl/python/nav2_msgs',
    },
    package_data={
        'moe_bev_ros': [
            '*.so',
            'evaluation/bench/*.yaml',
            'evaluation/templates/*.j2',
            'engine/operator_tables/*.json',
            'weights/*.safetensors',
            'weights/*.json',
            'weights/*/*',
        ],
        'tf2_msgs': ['*.so'],
        'nav2_msgs': ['*.so'],
    },
    data_files=data_files(),
)
