"""Kills processes of a running stack and watches what happens; shared by the fault tests."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import State

from harness import Harness
from moe_bev_ros.msg import Heartbeat
from moe_bev_ros.nodes.base import HEARTBEAT_TOPIC
from moe_bev_ros.runtime.environment import node_environment
from moe_bev_ros.runtime.processes import Launcher
from moe_bev_ros.runtime.stack import MANAGER, Stack

TEST_FOLDER = Path(__file__).parents[1]


def child_environment() -> dict[str, str]:
    """What the stack's processes get, with the test folder importable."""
    path = os.pathsep.join([str(TEST_FOLDER), *filter(None, [os.environ.get('PYTHONPATH')])])
    return node_environment({**os.environ, 'PYTHONPATH': path})


def is_alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


class Watch:
    """A launched stack, its output topic, heartbeats and diagnostics."""

    def __init__(self, stack: Stack, harness: Harness) -> None:
        self.launcher = Launcher(stack, child_environment(), say=self._on_say)
        self.harness = harness
        self.said: list[str] = []
        self.output_s = 0.0
        self.output_count = 0
        self.manager_ok_s = 0.0
        self.active_pids: dict[str, int] = {}
        harness.peer.create_subscription(Heartbeat, HEARTBEAT_TOPIC, self._on_heartbeat, 50)
        harness.peer.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 50)

    def count_outputs(self, msg_type: type, topic: str, is_output: Callable[[Any], bool] = lambda _: True) -> None:
        """Count the messages of the stack's last node."""

        def on_output(message: Any) -> None:
            if is_output(message):
                self.output_s, self.output_count = time.monotonic(), self.output_count + 1

        self.harness.peer.create_subscription(msg_type, topic, on_output, 10)

    def until(self, condition: Callable[[], Any], timeout_s: float) -> None:
        """Spin and poll until the condition holds."""

        def polled() -> bool:
            self.launcher.poll()
            return bool(condition())

        self.harness.spin_until(polled, timeout_s)

    def until_output(self, timeout_s: float = 30.0) -> None:
        """Wait for an output from now on."""
        count = self.output_count
        self.until(lambda: self.output_count > count, timeout_s)

    def until_active(self, timeout_s: float = 60.0) -> None:
        """Wait until the manager says that all nodes are active."""
        self.until(lambda: self.manager_ok_s, timeout_s)

    def kill(self, name: str) -> tuple[float, float]:
        """``kill -9`` one node. Return after how many seconds its death was said, and it and the output were back."""
        before = self.launcher.pids
        begin_s = time.monotonic()
        os.kill(before[name], signal.SIGKILL)
        self.until(lambda: any(f'{name} (pid {before[name]}) died of SIGKILL' in text for text in self.said), 10.0)
        said_s = time.monotonic() - begin_s
        self.until(lambda: self.launcher.pids.get(name, before[name]) != before[name], 10.0)
        respawned_s = time.monotonic()
        self.until(lambda: self._is_back(name, respawned_s), 30.0)
        self.until_output()
        assert {**self.launcher.pids, name: 0} == {**before, name: 0}, 'another process was restarted'
        return said_s, time.monotonic() - begin_s

    def _is_back(self, name: str, respawned_s: float) -> bool:
        if name == MANAGER:
            return self.manager_ok_s > respawned_s
        return self.active_pids.get(f'/{name}') == self.launcher.pids.get(name)

    def _on_say(self, text: str) -> None:
        self.said.append(text)
        sys.stderr.write(f'[launcher] {text}\n')

    def _on_heartbeat(self, heartbeat: Heartbeat) -> None:
        if heartbeat.state == State.PRIMARY_STATE_ACTIVE:
            self.active_pids[heartbeat.node] = heartbeat.pid

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            if status.name == f'/{MANAGER}' and status.level == DiagnosticStatus.OK:
                self.manager_ok_s = time.monotonic()
