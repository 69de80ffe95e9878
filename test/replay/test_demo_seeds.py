"""The demo as a user runs it, for the streets that the README names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def demo(out: Path, *arguments: str) -> dict:
    command = [sys.executable, '-m', 'moe_bev_ros.cli', 'demo', '--out', str(out), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['frames_in'] == summary['frames_out'] == 200
    assert summary['frames_lost'] == summary['dropped_by_policy'] == summary['collisions'] == 0
    return summary


@pytest.mark.parametrize('seed', range(1, 6))
def test_it_drives_80_m_without_a_collision_or_a_lost_frame(tmp_path: Path, seed: int) -> None:
    assert demo(tmp_path, '--seed', str(seed))['distance_m'] >= 80.0


def test_without_lidar_it_stops_and_does_not_drive_on(tmp_path: Path) -> None:
    assert demo(tmp_path, '--blind', 'lidar')['distance_m'] < 40.0


def test_without_cameras_it_drives_on_by_lidar(tmp_path: Path) -> None:
    assert demo(tmp_path, '--blind', 'cameras')['distance_m'] >= 80.0
