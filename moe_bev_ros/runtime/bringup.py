"""Brings lifecycle nodes up and down in order, and brings back alone the one that died.

A pure state machine: heartbeats, answers and time go in, transitions to ask for and findings to log come out. Two modes. Until
every node has reached the goal once, transitions are asked for one at a time: all nodes are configured in order, then all are
activated in order; the way down is the reverse. From then on each node is its own: one that is not where it should be is moved
there while the others keep running. A manager that starts afresh finds living nodes at the goal and has nothing to ask.

The commands are those of nav2's lifecycle manager (nav2_msgs/ManageLifecycleNodes), except that a node which is already where a
command leads counts as a success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

# A node that spins on for so long without an answer has not got the request (discovery races with it): ask again.
ASK_AGAIN_S = 1.0
# A heartbeat on its way may still carry the state from before an answer.
SETTLE_S = 0.15


class NodeState(IntEnum):
    """Primary states, with the ids of lifecycle_msgs/State."""

    UNKNOWN = 0
    UNCONFIGURED = 1
    INACTIVE = 2
    ACTIVE = 3
    FINALIZED = 4


class Transition(IntEnum):
    """Transitions that the manager asks for, with the ids of lifecycle_msgs/Transition."""

    CONFIGURE = 1
    CLEANUP = 2
    ACTIVATE = 3
    DEACTIVATE = 4
    UNCONFIGURED_SHUTDOWN = 5


class Command(IntEnum):
    """What an operator can ask for, with the ids of nav2_msgs/ManageLifecycleNodes."""

    STARTUP = 0
    PAUSE = 1
    RESUME = 2
    RESET = 3
    SHUTDOWN = 4
    CONFIGURE = 5
    CLEANUP = 6


_S, _T, _C = NodeState, Transition, Command
RESULT = {
    _T.CONFIGURE: _S.INACTIVE,
    _T.CLEANUP: _S.UNCONFIGURED,
    _T.ACTIVATE: _S.ACTIVE,
    _T.DEACTIVATE: _S.INACTIVE,
    _T.UNCONFIGURED_SHUTDOWN: _S.FINALIZED,
}
# The next transition of a node in some state, on its way to the goal.
WAY = {
    _S.ACTIVE: {_S.UNCONFIGURED: _T.CONFIGURE, _S.INACTIVE: _T.ACTIVATE},
    _S.INACTIVE: {_S.UNCONFIGURED: _T.CONFIGURE, _S.ACTIVE: _T.DEACTIVATE},
    _S.UNCONFIGURED: {_S.ACTIVE: _T.DEACTIVATE, _S.INACTIVE: _T.CLEANUP},
    _S.FINALIZED: {_S.ACTIVE: _T.DEACTIVATE, _S.INACTIVE: _T.CLEANUP, _S.UNCONFIGURED: _T.UNCONFIGURED_SHUTDOWN},
}
# All nodes make the earlier of these before any makes the later; those on the way down go through the nodes in reverse.
STEPS = (_T.CONFIGURE, _T.ACTIVATE, _T.DEACTIVATE, _T.CLEANUP, _T.UNCONFIGURED_SHUTDOWN)
DOWN = frozenset({_T.DEACTIVATE, _T.CLEANUP, _T.UNCONFIGURED_SHUTDOWN})
# Where a command leads, and the states from which it makes sense.
COMMANDS = {
    _C.STARTUP: (_S.ACTIVE, {_S.UNKNOWN, _S.UNCONFIGURED, _S.INACTIVE, _S.ACTIVE}),
    _C.PAUSE: (_S.INACTIVE, {_S.INACTIVE, _S.ACTIVE}),
    _C.RESUME: (_S.ACTIVE, {_S.INACTIVE, _S.ACTIVE}),
    _C.RESET: (_S.UNCONFIGURED, {_S.UNCONFIGURED, _S.INACTIVE, _S.ACTIVE}),
    _C.SHUTDOWN: (_S.FINALIZED, set(_S)),
    _C.CONFIGURE: (_S.INACTIVE, {_S.UNKNOWN, _S.UNCONFIGURED, _S.INACTIVE}),
    _C.CLEANUP: (_S.UNCONFIGURED, {_S.UNCONFIGURED, _S.INACTIVE}),
}


@dataclass(frozen=True)
class Limits:
    """When the manager loses patience [s]; see config/lifecycle_manager.param.yaml."""

    silent_after_s: float = 0.7
    transition_deadline_s: float = 45.0
    command_deadline_s: float = 120.0
    retry_delay_s: float = 0.5
    max_tries: int = 5
    stable_after_s: float = 20.0


@dataclass(frozen=True)
class Request:
    """A transition to ask a node for."""

    node: str
    pid: int
    transition: Transition


@dataclass(frozen=True)
class Finding:
    """Something to log; ``is_error`` where an operator has to act or the vehicle stops."""

    node: str
    text: str
    is_error: bool = True


@dataclass
class Managed:
    """What is known about one node. Times are CLOCK_MONOTONIC seconds."""

    name: str
    pid: int = 0
    state: NodeState = NodeState.UNKNOWN
    heard_s: float = 0.0
    restarts: int = 0
    is_silent: bool = False
    pending: Request | None = None
    asked_s: float = 0.0
    asked_last_s: float = 0.0
    changed_s: float = -1e9
    failures: int = 0
    retry_at_s: float = 0.0
    failed_s: float = 0.0
    has_given_up: bool = False


class Bringup:
    """The managed nodes in the order of bring-up."""

    def __init__(self, names: Sequence[str], limits: Limits) -> None:
        self.nodes = {name: Managed(name) for name in names}
        self.limits = limits
        self.goal: NodeState | None = None
        self._reached = False
        self._succeeded: bool | None = None
        self._deadline_s = 0.0
        self._findings: list[Finding] = []

    @property
    def is_active(self) -> bool:
        """Whether all nodes shall be active, are, and have been heard lately."""
        if self.goal is not NodeState.ACTIVE:
            return False
        return all(node.state is NodeState.ACTIVE and not node.is_silent for node in self.nodes.values())

    @property
    def succeeded(self) -> bool | None:
        """Whether the last command has led to its goal; None while it is under way."""
        return self._succeeded

    def command(self, command: Command, now_s: float) -> bool:
        """Take a new goal; nodes given up are tried again. False, and nothing happens, where it does not fit the states."""
        goal, allowed = COMMANDS[command]
        if wrong := [node for node in self.nodes.values() if node.state not in allowed]:
            facts = ', '.join(f'{node.name} is {node.state.name.lower()}' for node in wrong)
            self._findings.append(Finding('', f'{command.name} refused: {facts}'))
            return False
        self.goal, self._reached, self._succeeded = goal, False, None
        self._deadline_s = now_s + self.limits.command_deadline_s
        for node in self.nodes.values():
            node.failures, node.retry_at_s, node.has_given_up = 0, 0.0, False
        return True

    def heard(self, name: str, pid: int, state: int, now_s: float) -> None:
        """A heartbeat came."""
        node = self.nodes.get(name)
        if node is None:
            return
        if node.pid and pid != node.pid:
            self._on_restart(node, pid, now_s)
        elif node.is_silent:
            self._say(node, f'pid {pid} is heard again after {now_s - node.heard_s:.1f} s', is_error=False)
        node.pid, node.heard_s, node.is_silent = pid, now_s, False
        if state not in set(NodeState):
            return
        if node.pending is not None:
            if state == RESULT[node.pending.transition] != node.state:
                self._on_success(node, now_s)
        elif now_s - node.changed_s > SETTLE_S:
            node.state = NodeState(state)

    def answered(self, request: Request, ok: bool, now_s: float) -> None:
        """A node answered a request."""
        node = self.nodes[request.node]
        if node.pending != request:
            return
        if ok:
            self._on_success(node, now_s)
        elif node.asked_last_s != node.asked_s:  # the first request came through late after all; a heartbeat will tell
            node.pending, node.state = None, NodeState.UNKNOWN
        else:
            self._on_failure(node, f'{request.transition.name.lower()} failed; its own log says why', now_s)

    def update(self, now_s: float) -> tuple[list[Request], list[Finding]]:
        """Judge silence and deadlines, and choose the next transitions. Call about ten times a second."""
        for node in self.nodes.values():
            self._judge(node, now_s)
        self._judge_command(now_s)
        requests = self._alone(now_s) if self._reached else self._in_order(now_s)
        for request in requests:
            node = self.nodes[request.node]
            node.pending, node.asked_s, node.asked_last_s = request, now_s, now_s
        findings, self._findings = self._findings, []
        return requests + self._ask_again(now_s), findings

    def _judge(self, node: Managed, now_s: float) -> None:
        if not node.pid:
            return
        silent_s = now_s - node.heard_s
        if node.pending is not None:  # its executor is busy with the transition, so silence is normal
            if now_s - node.asked_s > self.limits.transition_deadline_s:
                name = node.pending.transition.name.lower()
                self._on_failure(node, f'{name} not done after {now_s - node.asked_s:.0f} s', now_s)
        elif silent_s > self.limits.silent_after_s and not node.is_silent:
            node.is_silent = True
            self._say(node, f'pid {node.pid} died or hangs: no heartbeat for {silent_s:.1f} s')
        if node.state == self.goal and now_s - max(node.failed_s, node.asked_s) > self.limits.stable_after_s:
            node.failures = 0

    def _judge_command(self, now_s: float) -> None:
        if self.goal is None or self._reached:
            return
        if all(node.state is self.goal and not node.is_silent for node in self.nodes.values()):
            self._reached = self._succeeded = True
            self._findings.append(Finding('', f'all {len(self.nodes)} nodes are {self.goal.name.lower()}', is_error=False))
        elif self._succeeded is None and any(node.has_given_up for node in self.nodes.values()):
            self._succeeded = False
        elif self._succeeded is None and now_s > self._deadline_s:
            self._succeeded = False
            for node in self.nodes.values():
                if node.state is not self.goal:
                    fact = f'is {node.state.name.lower()}' if node.pid else 'has never been heard; is its process running?'
                    self._say(node, f'{fact} after {self.limits.command_deadline_s:.0f} s')

    def _ask_again(self, now_s: float) -> list[Request]:
        requests = []
        for node in self.nodes.values():
            if node.pending is not None and min(now_s, node.heard_s) - node.asked_last_s > ASK_AGAIN_S:
                node.asked_last_s = now_s
                requests.append(node.pending)
        return requests

    def _in_order(self, now_s: float) -> list[Request]:
        if self.goal is None or any(node.pending for node in self.nodes.values()):
            return []
        for step in STEPS:
            nodes = [node for node in self.nodes.values() if self._next(node) is step]
            if step in DOWN:
                nodes.reverse()
            if nodes:
                return self._request(nodes[0], now_s)
        return []

    def _alone(self, now_s: float) -> list[Request]:
        return [request for node in self.nodes.values() if self._next(node) for request in self._request(node, now_s)]

    def _next(self, node: Managed) -> Transition | None:
        """The next transition towards the goal; one that has not been heard holds up those behind it on the way up."""
        assert self.goal is not None
        if node.state is NodeState.UNKNOWN and self.goal in (NodeState.ACTIVE, NodeState.INACTIVE):
            return Transition.CONFIGURE
        return WAY[self.goal].get(node.state)

    def _request(self, node: Managed, now_s: float) -> list[Request]:
        transition = self._next(node)
        is_ready = node.state is not NodeState.UNKNOWN and not node.is_silent and node.pending is None
        if transition is None or not is_ready or node.has_given_up or now_s < node.retry_at_s:
            return []
        return [Request(node.name, node.pid, transition)]

    def _on_restart(self, node: Managed, pid: int, now_s: float) -> None:
        node.restarts += 1
        self._say(node, f'pid {node.pid} died; pid {pid} takes its place (restart {node.restarts})')
        node.pending, node.state = None, NodeState.UNKNOWN
        self._count_failure(node, now_s, retry_delay_s=0.0)

    def _on_success(self, node: Managed, now_s: float) -> None:
        assert node.pending is not None
        node.state, node.changed_s = RESULT[node.pending.transition], now_s
        node.pending = None
        self._say(node, f'is {node.state.name.lower()}', is_error=False)

    def _on_failure(self, node: Managed, fact: str, now_s: float) -> None:
        node.pending, node.state = None, NodeState.UNKNOWN  # until its next heartbeat
        self._say(node, fact)
        self._count_failure(node, now_s, retry_delay_s=self.limits.retry_delay_s)

    def _count_failure(self, node: Managed, now_s: float, *, retry_delay_s: float) -> None:
        node.failures += 1
        node.failed_s, node.retry_at_s = now_s, now_s + retry_delay_s
        if node.failures >= self.limits.max_tries and not node.has_given_up:
            node.has_given_up = True
            self._say(node, f'given up after {node.failures} failures; cure it, then call manage_nodes with STARTUP')

    def _say(self, node: Managed, text: str, *, is_error: bool = True) -> None:
        self._findings.append(Finding(node.name, text, is_error))
