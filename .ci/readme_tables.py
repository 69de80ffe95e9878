"""Writes the parameter tables of README.md from the dataclasses of the nodes; with --check only says whether they are true."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from moe_bev_ros.nodes.bev_node import BevParams
from moe_bev_ros.nodes.camera_node import CameraParams
from moe_bev_ros.nodes.control_node import ControlParams
from moe_bev_ros.nodes.lidar_node import LidarParams
from moe_bev_ros.nodes.lifecycle_manager import LifecycleManagerParams
from moe_bev_ros.nodes.planner_node import PlannerParams
from moe_bev_ros.nodes.world_node import WorldParams

README = Path(__file__).resolve().parents[1] / 'README.md'
TABLES = {
    'camera_node': CameraParams,
    'lidar_node': LidarParams,
    'bev_node': BevParams,
    'planner_node': PlannerParams,
    'control_node': ControlParams,
    'lifecycle_manager': LifecycleManagerParams,
    'world_node': WorldParams,
}


def table(params_type: type) -> str:
    """One row a parameter."""
    rows = ['| parameter | default | range | what |', '|---|---|---|---|']
    for field in dataclasses.fields(params_type):
        default = ', '.join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
        low, high = field.metadata['low'], field.metadata['high']
        limits = f'{low} to {high}' if low is not None and high is not None else ''
        limits = f'from {low}' if low is not None and high is None else limits
        fixed = ' (read-only)' if field.metadata['read_only'] else ''
        rows.append(
            f'| `{field.name}` | {f"`{default}`" if default else ""} | {limits} | {field.metadata["description"]}{fixed} |'
        )
    return '\n'.join(rows)


def main() -> int:
    """Rewrite the README, or compare with --check."""
    text = before = README.read_text()
    for name, params_type in TABLES.items():
        begin, end = f'<!-- parameters of {name} -->\n', f'\n<!-- end of {name} -->'
        head, rest = text.split(begin)
        text = head + begin + table(params_type) + end + rest.split(end)[1]
    if text == before:
        print('README.md: parameter tables are those of the nodes')
        return 0
    if '--check' in sys.argv:
        print('README.md: parameter tables differ from the nodes; run: make format')
        return 1
    README.write_text(text)
    return 0


if __name__ == '__main__':
    sys.exit(main())
