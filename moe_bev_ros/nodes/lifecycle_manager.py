"""Owns the lifecycle states of the stack; the processes belong to whoever launched them.

It knows the nodes from its parameter ``node_names`` and from their heartbeats. `runtime.bringup` decides; this node carries.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from lifecycle_msgs.srv import ChangeState
from nav2_msgs.srv import ManageLifecycleNodes
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.task import Future
from std_srvs.srv import Trigger

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.msg import Heartbeat
from moe_bev_ros.nodes.base import HEARTBEAT_TOPIC, run
from moe_bev_ros.nodes.params import declare, param
from moe_bev_ros.runtime.bringup import Bringup, Command, Finding, Limits, Managed, NodeState, Request

TICK_PERIOD_S = 0.05
DIAGNOSTICS_PERIOD_S = 1.0


@dataclass(frozen=True)
class LifecycleManagerParams:
    """Parameters of lifecycle_manager."""

    node_names: tuple[str, ...] = param((), 'managed nodes in the order of bring-up', read_only=True)
    autostart: bool = param(True, 'configure and activate all nodes at start', read_only=True)
    silent_after_s: float = param(0.7, 'a node with an older heartbeat is reported [s]', low=0.3, high=10.0, read_only=True)
    transition_deadline_s: float = param(45.0, 'longest transition of a node [s]', low=1.0, high=600.0, read_only=True)
    command_deadline_s: float = param(
        120.0, 'longest wait of manage_nodes for all nodes [s]', low=1.0, high=600.0, read_only=True
    )
    retry_delay_s: float = param(0.5, 'between a failure and the next try [s]', low=0.0, high=60.0, read_only=True)
    max_tries: int = param(5, 'failures of a node in a row before it is given up', low=1, high=100, read_only=True)
    stable_after_s: float = param(20.0, 'time at the goal that forgives failures [s]', low=0.0, high=600.0, read_only=True)

    def __post_init__(self) -> None:
        if not self.node_names:
            raise InputError('node_names is empty; start the manager from config/stack.yaml, or name the nodes')

    def limits(self) -> Limits:
        """What the state machine wants to know."""
        return Limits(
            silent_after_s=self.silent_after_s,
            transition_deadline_s=self.transition_deadline_s,
            command_deadline_s=self.command_deadline_s,
            retry_delay_s=self.retry_delay_s,
            max_tries=self.max_tries,
            stable_after_s=self.stable_after_s,
        )


class LifecycleManager(Node):
    """Brings the nodes up and down, and a dead one back; never blocks its executor."""

    def __init__(self) -> None:
        super().__init__('lifecycle_manager')
        params = declare(self, LifecycleManagerParams)
        namespace = self.get_namespace().rstrip('/')
        names = [name if name.startswith('/') else f'{namespace}/{name}' for name in params.node_names]
        self.bringup = Bringup(names, params.limits())
        self._change_state = {name: self.create_client(ChangeState, f'{name}/change_state') for name in names}
        self._answers: dict[str, Future[Any]] = {}
        self._operator: Future[bool] | None = None
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_subscription(Heartbeat, HEARTBEAT_TOPIC, self._on_heartbeat, QoSProfile(depth=50))
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', QoSProfile(depth=10))
        while_waiting = ReentrantCallbackGroup()  # else nothing would run until a command is answered
        self.create_service(ManageLifecycleNodes, '~/manage_nodes', self._on_manage_nodes, callback_group=while_waiting)
        self.create_service(Trigger, '~/is_active', self._on_is_active)
        self.create_timer(TICK_PERIOD_S, self._tick, clock=steady)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._send_diagnostics, clock=steady)
        if params.autostart:
            self.bringup.command(Command.STARTUP, time.monotonic())

    def _on_heartbeat(self, heartbeat: Heartbeat) -> None:
        self.bringup.heard(heartbeat.node, heartbeat.pid, heartbeat.state, time.monotonic())

    def _tick(self) -> None:
        requests, findings = self.bringup.update(time.monotonic())
        for finding in findings:
            self._log(finding)
        for request in requests:
            self._ask(request)
        if self._operator is not None and self.bringup.succeeded is not None:
            self._operator.set_result(self.bringup.succeeded)
            self._operator = None

    def _ask(self, request: Request) -> None:
        client = self._change_state[request.node]
        if not client.service_is_ready():
            return  # asked again soon
        if earlier := self._answers.pop(request.node, None):
            client.remove_pending_request(earlier)
        call = ChangeState.Request()
        call.transition.id = int(request.transition)
        future = client.call_async(call)
        self._answers[request.node] = future
        future.add_done_callback(lambda done: self._on_answer(request, done))

    def _on_answer(self, request: Request, future: Future[Any]) -> None:
        response = None if future.cancelled() else future.result()
        if response is not None:
            self.bringup.answered(request, response.success, time.monotonic())

    async def _on_manage_nodes(self, request: Any, response: Any) -> Any:
        """Answer when the command has succeeded or failed; a newer command makes an older one fail."""
        response.success = False
        if request.command not in set(Command):
            self.get_logger().error(f'manage_nodes: unknown command {request.command}; wanted 0 to {max(Command)}')
            return response
        if not self.bringup.command(Command(request.command), time.monotonic()):
            return response
        if self._operator is not None:
            self._operator.set_result(False)
        self._operator = mine = Future(executor=self.executor)
        response.success = bool(await mine)
        return response

    def _on_is_active(self, _: Any, response: Any) -> Any:
        response.success = self.bringup.is_active
        facts = [f'{node.name}: {_message(node, self.bringup.goal)}' for node in self.bringup.nodes.values()]
        response.message = 'all nodes are active' if response.success else '; '.join(facts)
        return response

    def _log(self, finding: Finding) -> None:
        text = f'{finding.node}: {finding.text}' if finding.node else finding.text
        if finding.is_error:
            self.get_logger().error(text)
        else:
            self.get_logger().info(text)

    def _send_diagnostics(self) -> None:
        now_s = time.monotonic()
        array = DiagnosticArray(status=[_status(node, self.bringup.goal, now_s) for node in self.bringup.nodes.values()])
        is_active = self.bringup.is_active
        own = DiagnosticStatus(level=DiagnosticStatus.OK if is_active else DiagnosticStatus.ERROR)
        own.name = self.get_fully_qualified_name()
        own.message = 'all nodes are active' if is_active else 'not all nodes are active'
        array.status.append(own)
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def _status(node: Managed, goal: NodeState | None, now_s: float) -> DiagnosticStatus:
    if node.has_given_up or node.is_silent or not node.pid:
        level = DiagnosticStatus.ERROR
    else:
        level = DiagnosticStatus.OK if node.state is goal else DiagnosticStatus.WARN
    values = {
        'state': node.state.name.lower(),
        'pid': str(node.pid),
        'restarts': str(node.restarts),
        'heartbeat_age_s': f'{now_s - node.heard_s:.2f}' if node.pid else 'never heard',
    }
    status = DiagnosticStatus(level=level, name=f'{node.name} lifecycle', message=_message(node, goal))
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    return status


def _message(node: Managed, goal: NodeState | None) -> str:
    if node.has_given_up:
        return f'given up after {node.failures} failures'
    if not node.pid:
        return 'never heard; is its process running?'
    if node.is_silent:
        return f'pid {node.pid} died or hangs'
    wanted = '' if goal is None or node.state is goal else f', wanted {goal.name.lower()}'
    return node.state.name.lower() + wanted


def main() -> None:
    """Run lifecycle_manager in this process."""
    run(LifecycleManager)


if __name__ == '__main__':
    main()
