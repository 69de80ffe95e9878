"""Runs real nodes in this process and waits for facts, never for fixed times."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.node import Node
from rclpy.qos import QoSProfile

from moe_bev_ros.nodes.executor import LeanExecutor


class Harness:
    """A context, an executor and a peer node that talks to the node under test."""

    def __init__(self) -> None:
        self.executor = LeanExecutor()
        self.peer = Node('peer')
        self.executor.add_node(self.peer)
        self.nodes: list[Any] = []

    def start(self, make_node: Callable[[], Any], *, activate: bool = True) -> Any:
        """Make a lifecycle node, configure and activate it."""
        node = make_node()
        self.executor.add_node(node)
        self.nodes.append(node)
        if activate:
            assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
            assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return node

    def listen(self, msg_type: type, topic: str, qos: QoSProfile | int = 10) -> list[Any]:
        """Subscribe; the returned list fills while spinning."""
        received: list[Any] = []
        self.peer.create_subscription(msg_type, topic, received.append, qos)
        return received

    def talk(self, msg_type: type, topic: str, qos: QoSProfile | int = 10) -> Any:
        """Make a publisher and wait until somebody listens."""
        publisher = self.peer.create_publisher(msg_type, topic, qos)
        self.spin_until(lambda: publisher.get_subscription_count() > 0)
        return publisher

    def spin_until(self, condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
        """Spin until the condition holds; fail after the timeout."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f'condition not met within {timeout_s} s'
            self.executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        """Spin for a while, to show that something does not happen."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        """Destroy everything."""
        self.executor.shutdown()
        for node in [*self.nodes, self.peer]:
            node.destroy_node()


@contextmanager
def ros(parameters: dict[str, Any] | None = None, arguments: list[str] | None = None) -> Iterator[Harness]:
    """A fresh ROS context whose nodes take these parameter overrides and ROS arguments (remappings and so on)."""
    args = ['--ros-args', *(arguments or [])]
    for name, value in (parameters or {}).items():
        args += ['-p', f'{name}:={_yaml(value)}']
    rclpy.init(args=args)
    harness = Harness()
    try:
        yield harness
    finally:
        harness.close()
        rclpy.try_shutdown()


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return '[' + ', '.join(_yaml(item) for item in value) + ']'
    return f'"{value}"' if isinstance(value, str) else repr(value)
