"""``moe-bev record``: what travels on the topics, as it is serialized, into a rosbag2 with the QoS of its publishers.

Recording times are those of /clock where somebody publishes one, so that the bag plays like the simulation ran; else the
machine's. Everything is handed to the operating system once a second: if this process is killed, at most the last second is
lost, and metadata.yaml, which `moe-bev replay` does without.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from threading import Event

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_writer import STORAGES, BagWriter, TopicQos
from moe_bev_ros.nodes.base import stamp_to_ns
from moe_bev_ros.nodes.player_node import message_class
from moe_bev_ros.runtime.environment import node_environment

DISCOVERY_PERIOD_S = 0.5
FLUSH_PERIOD_S = 1.0
DEPTH = 50
NOT_RECORDED = frozenset({'/clock', '/rosout', '/parameter_events'})


class Recorder(Node):
    """Subscribes to what is published, as it appears, and writes the bytes."""

    def __init__(self, writer: BagWriter, topics: tuple[str, ...]) -> None:
        super().__init__('moe_bev_recorder')
        self.writer = writer
        self.wanted = topics
        self.clock_ns = 0
        self._seen: set[str] = set()
        self.create_subscription(Clock, '/clock', self._on_clock, QoSProfile(depth=1))
        self.create_timer(DISCOVERY_PERIOD_S, self.discover)
        self.create_timer(FLUSH_PERIOD_S, writer.flush)

    def discover(self) -> None:
        """Subscribe to the wanted topics that have a publisher by now; without a choice, to all but ROS' own."""
        for topic, type_names in self.get_topic_names_and_types():
            wanted = topic in self.wanted if self.wanted else topic not in NOT_RECORDED
            if wanted and topic not in self._seen and self.count_publishers(topic):
                self._seen.add(topic)
                self._subscribe(topic, type_names[0])

    def _subscribe(self, topic: str, type_name: str) -> None:
        offers = [info.qos_profile for info in self.get_publishers_info_by_topic(topic)]
        qos = TopicQos(
            reliable=all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers),
            transient_local=all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers),
            depth=max([DEPTH, *(offer.depth for offer in offers)]),
        )
        try:
            msg_type = message_class(type_name)
            self.writer.add_topic(topic, type_name, qos)
        except InputError as err:
            self.get_logger().warning(f'{topic} is not recorded: {err}')
            return
        profile = QoSProfile(
            depth=qos.depth,
            reliability=ReliabilityPolicy.RELIABLE if qos.reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if qos.transient_local else DurabilityPolicy.VOLATILE,
        )

        def write(data: bytes) -> None:
            self.writer.write_serialized(topic, self.clock_ns or time.time_ns(), data)

        self.create_subscription(msg_type, topic, write, profile, raw=True)
        self.get_logger().info(f'recording {topic}')

    def _on_clock(self, message: Clock) -> None:
        self.clock_ns = stamp_to_ns(message.clock)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to, and which topics."""
    parser.add_argument('out', type=Path, help='the bag to make')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC', help='default: every topic that is published')
    parser.add_argument('--storage', choices=sorted(STORAGES), default='sqlite3')


def run(args: argparse.Namespace) -> int:
    """Record until Ctrl-C or SIGTERM."""
    os.environ.update(node_environment(os.environ))
    stop = Event()  # not KeyboardInterrupt, which could fall into the middle of a write
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts what runs in its background with SIGINT ignored
        signal.signal(number, lambda *_: stop.set())
    with BagWriter(args.out, args.storage) as writer:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        executor = SingleThreadedExecutor()
        recorder = Recorder(writer, tuple(args.topics))
        executor.add_node(recorder)
        try:
            while not stop.is_set():
                executor.spin_once(timeout_sec=0.1)
        finally:
            executor.shutdown()
            recorder.destroy_node()
            rclpy.try_shutdown()
        counts = dict(writer.counts)
    for topic, count in counts.items():
        sys.stdout.write(f'  {count:6d}  {topic}\n')
    missing = set(args.topics) - set(counts)
    for topic in sorted(missing):
        sys.stdout.write(f'nothing was published on {topic}\n')
    return 1 if missing or not counts else 0
