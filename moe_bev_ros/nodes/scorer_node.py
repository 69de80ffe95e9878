"""Listens to what the stack answers and keeps the score. It is no part of the stack: nothing depends on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

import moe_bev_ros.msg as m
from moe_bev_ros.evaluation.summary import RunLog
from moe_bev_ros.nodes.base import HEARTBEAT_TOPIC, stamp_to_ns
from moe_bev_ros.nodes.convert import command_from_msg, trace_from_msg

DEEP_QOS = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
SHALLOW_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)


class ScorerNode(Node):
    """Feeds a RunLog.

    Attributes:
        log: what was heard.
        plans: (stamp_ns, reason, stop) of every trajectory, in order.
        truth: the last WorldTruth; None without a world.
        clock_ns: the last /clock; 0 before the first.
    """

    def __init__(self) -> None:
        super().__init__('scorer_node')
        self.log = RunLog()
        self.plans: list[tuple[int, str, bool]] = []
        self.truth: m.WorldTruth | None = None
        self.clock_ns = 0
        self.create_subscription(m.VehicleCommand, '/moe_bev/vehicle_command', self._on_command, DEEP_QOS)
        self.create_subscription(m.Objects, '/moe_bev/objects', self._on_objects, DEEP_QOS)
        self.create_subscription(m.EngineStatus, '/moe_bev/engine_status', self._on_engine_status, DEEP_QOS)
        self.create_subscription(m.Trajectory, '/moe_bev/trajectory', self._on_trajectory, DEEP_QOS)
        self.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, DEEP_QOS)
        self.create_subscription(m.Heartbeat, HEARTBEAT_TOPIC, self._on_heartbeat, DEEP_QOS)
        self.create_subscription(m.WorldTruth, '/moe_bev/world/truth', self._on_truth, DEEP_QOS)
        self.create_subscription(Clock, '/clock', self._on_clock, SHALLOW_QOS)

    def listen(self, msg_type: type, topic: str, callback: Callable[[Any], None]) -> None:
        """Hear one more topic, with a shallow queue: for pictures, where a missed message costs nothing."""
        self.create_subscription(msg_type, topic, callback, SHALLOW_QOS)

    def _on_command(self, message: m.VehicleCommand) -> None:
        self.log.command(
            stamp_to_ns(message.header.stamp),
            first_of_plan=message.first_of_plan,
            command=command_from_msg(message),
            trace=trace_from_msg(message.trace),
        )

    def _on_objects(self, message: m.Objects) -> None:
        self.log.scene(len(message.objects), valid=message.perception_valid)

    def _on_engine_status(self, message: m.EngineStatus) -> None:
        self.log.engine.status(
            message.engine,
            experts=message.experts,
            sparsity=dict(zip(message.sparsity_names, map(float, message.sparsity))),
            stage_ms=dict(zip(message.stages, map(float, message.stage_ms))),
            memory_bytes=message.memory_bytes,
            warnings=message.warnings,
        )

    def _on_trajectory(self, message: m.Trajectory) -> None:
        self.plans.append((stamp_to_ns(message.header.stamp), message.reason, message.stop))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            self.log.counters(status.name.lstrip('/'), {item.key: item.value for item in status.values})

    def _on_heartbeat(self, message: m.Heartbeat) -> None:
        self.log.heartbeat(message.node.lstrip('/'), message.pid, message.state)

    def _on_clock(self, message: Clock) -> None:
        self.clock_ns = stamp_to_ns(message.clock)

    def _on_truth(self, message: m.WorldTruth) -> None:
        self.truth = message
        self.log.truth(
            frames=message.frames,
            distance_m=message.distance,
            collisions=message.collisions,
            sim_ns=stamp_to_ns(message.header.stamp),
            wall_ns=time.monotonic_ns(),
        )
