"""``kill -9`` of small real nodes, of their manager and of their launcher."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from faults.killing import Watch, child_environment, is_alive
from std_msgs.msg import UInt64

from harness import ros
from moe_bev_ros.runtime.processes import MAX_DEATHS, Happening, Launcher
from moe_bev_ros.runtime.stack import MANAGER, NodeSpec, Stack

SMALL = 'faults.small_node'
CHAIN = Stack(
    (
        NodeSpec(MANAGER, MANAGER, managed=False),
        NodeSpec('source', SMALL, remappings=(('~/output/number', '/one'),), parameters={'rate_hz': 10.0}),
        NodeSpec('relay', SMALL, remappings=(('~/input/number', '/one'), ('~/output/number', '/two'))),
        NodeSpec('sink', SMALL, remappings=(('~/input/number', '/two'), ('~/output/number', '/three'))),
    )
)


def wait_until(condition, timeout_s=15.0):
    deadline = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return result


def test_each_killed_node_and_the_manager_come_back_alone():
    with ros() as harness:
        watch = Watch(CHAIN, harness)
        watch.count_outputs(UInt64, '/three')
        with watch.launcher:
            watch.until_active()
            for name in ('source', 'relay', 'sink', MANAGER):
                said_s, back_s = watch.kill(name)
                print(f'{name}: said after {said_s:.2f} s, back after {back_s:.2f} s')  # noqa: T201
                assert said_s < 1.0
                assert back_s < 5.0
            pids = list(watch.launcher.pids.values())
        assert len(pids) == 4
        assert not any(is_alive(pid) for pid in pids)


def test_no_node_outlives_a_killed_launcher(tmp_path):
    script = textwrap.dedent(f"""
        import os, time
        from pathlib import Path
        from faults.test_processes import CHAIN
        from moe_bev_ros.runtime.processes import Launcher
        with Launcher(CHAIN, os.environ) as launcher:
            Path({str(tmp_path / 'new')!r}).write_text(' '.join(map(str, launcher.pids.values())))
            os.rename({str(tmp_path / 'new')!r}, {str(tmp_path / 'pids')!r})
            launcher.run()
    """)
    launcher = subprocess.Popen([sys.executable, '-c', script], env=child_environment())
    wait_until((tmp_path / 'pids').exists)
    pids = [int(pid) for pid in (tmp_path / 'pids').read_text().split()]
    assert len(pids) == 4
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in pids))


def plain(name: str, tmp_path: Path, body: str) -> Stack:
    (tmp_path / f'{name}.py').write_text(body)
    return Stack((NodeSpec(name, f'plain.{name}'),))


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """Makes ``plain.<name>`` modules in tmp_path importable."""
    (tmp_path / 'plain').mkdir()
    return {**os.environ, 'PYTHONPATH': str(tmp_path)}


def test_a_process_that_dies_again_and_again_is_given_up_loudly(tmp_path, environment):
    said: list[str] = []
    launcher = Launcher(plain('crash', tmp_path / 'plain', 'raise SystemExit(2)'), environment, say=said.append)
    with launcher:
        wait_until(lambda: any(event.happening is Happening.GIVEN_UP for event in launcher.poll()))
        assert launcher.has_given_up
        assert launcher.poll() == []
    assert sum('ended with exit code 2' in text for text in said) == MAX_DEATHS + 1
    assert 'not started again' in said[-1]


def test_a_process_that_ignores_signals_is_killed_at_the_end(tmp_path, environment, monkeypatch):
    monkeypatch.setattr('moe_bev_ros.runtime.processes.STOP_SIGNALS', ((signal.SIGINT, 0.2), (signal.SIGKILL, 5.0)))
    body = 'import signal, sys, time\nsignal.signal(2, signal.SIG_IGN)\nprint("deaf", flush=True)\nwhile True: time.sleep(1)'
    said: list[str] = []
    with Launcher(plain('deaf', tmp_path / 'plain', body), environment, say=said.append, log_dir=tmp_path) as launcher:
        wait_until(lambda: 'deaf' in (tmp_path / 'deaf.log').read_text())
        pid = launcher.pids['deaf']
    assert not is_alive(pid)
    assert said == [f'deaf (pid {pid}) did not end on SIGINT in 0 s']
