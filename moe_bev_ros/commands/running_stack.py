"""A launched stack with a scorer beside it, for the commands that run one from start to end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.nodes.executor import LeanExecutor
from moe_bev_ros.nodes.scorer_node import ScorerNode
from moe_bev_ros.runtime.environment import node_environment
from moe_bev_ros.runtime.processes import POLL_PERIOD_S, Launcher
from moe_bev_ros.runtime.stack import NodeSpec, Stack

BRING_UP_TIMEOUT_S = 120.0
DISCOVERY_S = 1.0
ENGAGE_RETRY_S = 0.1


class RunningStack:
    """Use it as a context manager: at its end no process is left.

    Attributes:
        scorer: hears what the stack answers while `spin_until` runs.
        launcher: the processes.
    """

    def __init__(self, stack: Stack, log_dir: Path) -> None:
        os.environ.update(node_environment(os.environ))
        self.stack = stack
        self.log_dir = log_dir
        self.launcher = Launcher(stack, os.environ, log_dir=log_dir)
        self._others: list[Launcher] = []

    def __enter__(self) -> RunningStack:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.scorer = ScorerNode()
        self._executor = LeanExecutor()
        self._executor.add_node(self.scorer)
        try:
            self._refuse_company()
            self.launcher.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def wait_until_active(self) -> None:
        """Wait for the heartbeats of all managed nodes.

        Raises:
            InputError: they are not active in time, or a process died for good.
        """
        names = set(self.stack.managed_names)

        def is_up() -> bool:
            return names <= self.scorer.log.active_nodes() or self.launcher.has_given_up

        self.spin_until(is_up, BRING_UP_TIMEOUT_S)
        missing = sorted(names - self.scorer.log.active_nodes())
        if missing:
            raise InputError(
                f'not active after {BRING_UP_TIMEOUT_S:.0f} s: {", ".join(missing)}; see the logs in {self.log_dir}'
            )

    def start_beside(self, spec: NodeSpec) -> Launcher:
        """Start one more process that is no part of the stack."""
        launcher = Launcher(Stack((spec,)), os.environ, log_dir=self.log_dir, say=lambda _: None)
        self._others.append(launcher)
        launcher.start()
        return launcher

    def spin_until(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Hear messages and look after the processes until something is true; whether it became so in time."""
        deadline_s = time.monotonic() + timeout_s
        poll_at_s = 0.0
        while not is_done():
            now_s = time.monotonic()
            if now_s >= deadline_s:
                return False
            if now_s >= poll_at_s:
                poll_at_s = now_s + POLL_PERIOD_S
                self.launcher.poll()
            self._executor.spin_once(timeout_sec=0.02)
        return True

    def engage(self, is_over: Callable[[], bool] = lambda: False, timeout_s: float = BRING_UP_TIMEOUT_S) -> str:
        """Let control_node follow the plan; it refuses while there is none, so it is asked again and again.

        Args:
            is_over: when to leave it.

        Returns:
            Why it refused to the end; empty: it is engaged.

        Raises:
            InputError: it does not answer, or still refuses after the timeout.
        """
        client = self.scorer.create_client(SetBool, '/control_node/engage')
        if not self.spin_until(client.service_is_ready, BRING_UP_TIMEOUT_S):
            raise InputError(f'/control_node/engage is not there; see the logs in {self.log_dir}')
        deadline_s = time.monotonic() + timeout_s
        refusal = self._ask_to_engage(client)
        while refusal and not self.spin_until(is_over, ENGAGE_RETRY_S):
            if time.monotonic() > deadline_s:
                raise InputError(f'/control_node/engage: {refusal}; see {self.log_dir}')
            refusal = self._ask_to_engage(client)
        self.scorer.destroy_client(client)
        return refusal

    def num_subscriptions(self, topics: Sequence[str]) -> dict[str, int]:
        """How many subscriptions each topic has, once discovery has come to rest."""
        counts: dict[str, int] = {}
        changed_s = time.monotonic()

        def is_at_rest() -> bool:
            nonlocal counts, changed_s
            now = {topic: self.scorer.count_subscribers(topic) for topic in topics}
            if now != counts:
                counts, changed_s = now, time.monotonic()
            return time.monotonic() - changed_s > DISCOVERY_S

        self.spin_until(is_at_rest, 10 * DISCOVERY_S)
        return counts

    def _ask_to_engage(self, client: Any) -> str:
        future = client.call_async(SetBool.Request(data=True))
        answered = self.spin_until(future.done, BRING_UP_TIMEOUT_S)
        result = future.result() if answered else None
        return 'no answer' if result is None else '' if result.success else result.message

    def _refuse_company(self) -> None:
        """Two stacks in one domain would answer each other's frames."""
        names = {spec.name for spec in self.stack.nodes}
        self.spin_until(lambda: bool(names & set(self.scorer.get_node_names())), DISCOVERY_S / 2)
        found = sorted(names & set(self.scorer.get_node_names()))
        if found:
            domain = os.environ.get('ROS_DOMAIN_ID', '0')
            raise InputError(f'{", ".join(found)} run already in ROS domain {domain}; stop them or set another ROS_DOMAIN_ID')

    def _close(self) -> None:
        for launcher in (*self._others, self.launcher):
            launcher.stop()
        self._executor.shutdown()
        self.scorer.destroy_node()
        rclpy.try_shutdown()


def say(text: str) -> None:
    """One line for the user."""
    sys.stdout.write(f'{text}\n')
    sys.stdout.flush()
