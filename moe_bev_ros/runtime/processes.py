"""Starts the stack as processes, starts the one that dies again, and leaves none behind.

The kernel kills every child when this process dies (PR_SET_PDEATHSIG), so that not even ``kill -9`` of the launcher leaves a
node driving on its own. Children have a process group of their own: Ctrl-C reaches the launcher alone, which stops them in the
reverse of the order of bring-up.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO

from moe_bev_ros.runtime.environment import node_environment
from moe_bev_ros.runtime.stack import NodeSpec, Stack, arguments
from moe_bev_ros.runtime.threads import num_threads_of

RESPAWN_DELAY_S = 0.1
MAX_DEATHS = 5
DEATHS_WINDOW_S = 20.0
STOP_SIGNALS = ((signal.SIGINT, 3.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0))
POLL_PERIOD_S = 0.05
_PR_SET_PDEATHSIG = 1


class Happening(Enum):
    """What can happen to a process."""

    STARTED = 'started'
    DIED = 'died'
    GIVEN_UP = 'given up'


@dataclass(frozen=True)
class ProcessEvent:
    """Something that happened to a node's process, seen at ``at_s`` (CLOCK_MONOTONIC)."""

    name: str
    pid: int
    happening: Happening
    text: str
    at_s: float


@dataclass
class _Child:
    spec: NodeSpec
    process: subprocess.Popen[bytes]
    log: IO[bytes] | None
    deaths_s: list[float] = field(default_factory=list)
    restarts: int = 0
    start_at_s: float | None = None
    has_given_up: bool = False


class Launcher:
    """The processes of one stack. Call ``poll`` about twenty times a second, from the thread that called ``start``.

    The kernel ties the children to that thread: it must live as long as they shall.
    """

    def __init__(
        self,
        stack: Stack,
        environment: Mapping[str, str],
        *,
        log_dir: Path | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.stack = stack
        self.environment = dict(environment)
        self.log_dir = log_dir
        self._say = say or _say_on_stderr
        self._children: dict[str, _Child] = {}

    def start(self) -> None:
        """Start all processes, in the order of the stack."""
        if self.log_dir is not None:
            self.log_dir.mkdir(parents=True, exist_ok=True)
        try:
            for spec in self.stack.nodes:
                log = (self.log_dir / f'{spec.name}.log').open('ab') if self.log_dir is not None else None
                self._children[spec.name] = _Child(spec, self._spawn(spec, log), log)
        except BaseException:
            self.stop()
            raise

    @property
    def pids(self) -> dict[str, int]:
        """Process id of every node that is running now."""
        return {name: child.process.pid for name, child in self._children.items() if child.process.poll() is None}

    @property
    def restarts(self) -> dict[str, int]:
        """How often each node was started again."""
        return {name: child.restarts for name, child in self._children.items()}

    @property
    def has_given_up(self) -> bool:
        """Whether some node is down for good."""
        return any(child.has_given_up for child in self._children.values())

    def poll(self) -> list[ProcessEvent]:
        """Notice what died, say so, and start it again."""
        now_s = time.monotonic()
        events: list[ProcessEvent] = []
        for child in self._children.values():
            if child.has_given_up:
                continue
            if child.start_at_s is None and child.process.poll() is not None:
                events += self._on_death(child, now_s)
            elif child.start_at_s is not None and now_s >= child.start_at_s:
                events.append(self._restart(child, now_s))
        return events

    def run(self) -> None:
        """Poll until KeyboardInterrupt."""
        while True:
            self.poll()
            time.sleep(POLL_PERIOD_S)

    def stop(self) -> None:
        """Stop all processes, last first; what does not listen is killed. None is left when this returns."""
        children = [child for child in reversed(self._children.values()) if child.process.poll() is None]
        for number, patience_s in STOP_SIGNALS:
            for child in children:
                child.process.send_signal(number)
            deadline_s = time.monotonic() + patience_s
            while children and time.monotonic() < deadline_s:
                children = [child for child in children if child.process.poll() is None]
                time.sleep(0.01)
            for child in children:
                self._say(f'{child.spec.name} (pid {child.process.pid}) did not end on {number.name} in {patience_s:.0f} s')
        for child in self._children.values():
            if child.log is not None:
                child.log.close()
        self._children.clear()

    def __enter__(self) -> Launcher:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _spawn(self, spec: NodeSpec, log: IO[bytes] | None) -> subprocess.Popen[bytes]:
        module = spec.executable if '.' in spec.executable else f'moe_bev_ros.nodes.{spec.executable}'
        command = [sys.executable, '-m', module, *arguments(self.stack, spec)]
        return subprocess.Popen(
            command,
            env=node_environment(self.environment, num_threads=num_threads_of(spec), raw_images=spec.raw_images),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),
        )

    def _on_death(self, child: _Child, now_s: float) -> list[ProcessEvent]:
        name, pid = child.spec.name, child.process.pid
        fact = _how_it_ended(child.process.returncode)
        events = [self._event(child, pid, Happening.DIED, f'{name} (pid {pid}) {fact}', now_s)]
        child.deaths_s = [at_s for at_s in child.deaths_s if now_s - at_s < DEATHS_WINDOW_S] + [now_s]
        if not child.spec.respawn or len(child.deaths_s) > MAX_DEATHS:
            child.has_given_up = True
            why = f'it died {len(child.deaths_s)} times in {DEATHS_WINDOW_S:.0f} s' if child.spec.respawn else 'respawn is off'
            events.append(self._event(child, pid, Happening.GIVEN_UP, f'{name} is not started again: {why}', now_s))
        else:
            child.start_at_s = now_s + RESPAWN_DELAY_S
        return events

    def _restart(self, child: _Child, now_s: float) -> ProcessEvent:
        child.process, child.start_at_s = self._spawn(child.spec, child.log), None
        child.restarts += 1
        name, pid = child.spec.name, child.process.pid
        return self._event(child, pid, Happening.STARTED, f'{name} started again (pid {pid}, restart {child.restarts})', now_s)

    def _event(self, child: _Child, pid: int, happening: Happening, text: str, now_s: float) -> ProcessEvent:
        self._say(text)
        return ProcessEvent(child.spec.name, pid, happening, text, now_s)


_libc = ctypes.CDLL(None, use_errno=True)


def _die_with(parent_pid: int) -> Callable[[], None]:
    """What the child does before it becomes the node: ask to be killed when its parent dies."""

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores it, and so would the node
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before we asked
            os._exit(1)

    return prepare


def _how_it_ended(returncode: int) -> str:
    if returncode >= 0:
        return f'ended with exit code {returncode}'
    return f'died of {signal.Signals(-returncode).name}'


def _say_on_stderr(text: str) -> None:
    sys.stderr.write(f'[launcher] {text}\n')
    sys.stderr.flush()
