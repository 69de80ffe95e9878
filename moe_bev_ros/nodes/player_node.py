"""Plays a rosbag2 with /clock: the recorded bytes go straight to the publishers, with the QoS that the bag names.

It waits until every subscription that it was told of is matched, because a reliable writer sends nothing to a reader that it
does not know yet. Afterwards it keeps the clock running, so that what waits for time to pass still gets its turn.
"""

from __future__ import annotations

import signal
import struct
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.datasets.bag_reader import BagMessage, BagReader, BagTopic
from moe_bev_ros.nodes.convert import time_to_msg
from moe_bev_ros.nodes.params import declare, param
from moe_bev_ros.runtime.memory import keep_freed_memory

CLOCK_PERIOD_S = 0.02
LAP_PAUSE_S = 3.0  # what is still under way when the clock jumps back would be forgotten
SETTLE_S = 0.5  # the reader may know the writer a little later than the writer the reader
NOT_PLAYED = ('/clock', '/rosout', '/parameter_events', '/diagnostics', '/moe_bev/')
STILL_PLAYED = ('/moe_bev/traffic_lights',)
EXIT_DAMAGED = 3


@dataclass(frozen=True)
class PlayerParams:
    """Parameters of player_node."""

    bag: str = param('', 'folder or storage file of the rosbag2', read_only=True)
    rate: float = param(1.0, 'speed of playing; 1: as recorded', low=0.01, high=100.0, read_only=True)
    loop: bool = param(False, 'begin again at the end; the clock then jumps back', read_only=True)
    laps: int = param(1, 'how often it is played, without loop', low=1, high=10_000, read_only=True)
    start_s: float = param(0.0, 'skip this much of the beginning [s]', low=0.0, read_only=True)
    wait_for: tuple[str, ...] = param((), 'topic=number of subscriptions to wait for before playing', read_only=True)
    match_timeout_s: float = param(20.0, 'longest wait for these subscriptions [s]', low=0.0, read_only=True)
    tail_s: float = param(2.0, 'how long the clock runs on after the last message [s, wall]', low=0.0, read_only=True)
    count_topics: tuple[str, ...] = param((), 'topics whose header stamps go into the report', read_only=True)
    report: str = param('', 'JSON file that says what was played; empty: none', read_only=True)


class PlayerNode(Node):
    """Publishes one bag and says what it sent."""

    def __init__(self) -> None:
        super().__init__('player_node')
        self.params = declare(self, PlayerParams)
        if not self.params.bag:
            raise InputError('parameter bag: name the folder of a rosbag2')
        self.bag = BagReader(self.params.bag)
        self.stamps_ns: dict[str, list[int]] = {topic: [] for topic in self.params.count_topics}
        self.num_messages = self.laps = 0
        self.sim_s = self.wall_s = 0.0
        self.is_played = False
        self._told_ns = -1
        self._clock = self.create_publisher(Clock, '/clock', QoSProfile(depth=1))
        self._senders = {topic.name: sender for topic in self.bag.topics.values() if (sender := self._sender(topic))}
        self._latched = tuple(name for name in self._senders if self.bag.topics[name].qos.transient_local)
        self._start_ns = self.bag.start_ns + round(self.params.start_s * 1e9)
        if self._start_ns > self.bag.end_ns:
            raise InputError(f'{self.bag.path}: only {self.bag.duration_s:.1f} s long; start before that')

    def play(self) -> int:
        """Play to the end, or forever with ``loop``; returns the exit code."""
        if self.bag.damage:
            self.get_logger().error(self.bag.damage)
        self._wait_for_subscriptions()
        while True:
            self._play_once()
            if self.params.loop or self.laps == self.params.laps:
                self._write_report()
            if not self.params.loop and self.laps == self.params.laps:
                break
            self._run_clock(self.bag.end_ns, LAP_PAUSE_S)
        self._run_clock(self.bag.end_ns, self.params.tail_s)
        return EXIT_DAMAGED if self.bag.damage else 0

    def close(self) -> None:
        """Write the report and close the bag."""
        self._write_report()
        self.bag.close()

    def _sender(self, topic: BagTopic) -> Any:
        if topic.name.startswith(NOT_PLAYED) and topic.name not in STILL_PLAYED:
            return None
        qos = QoSProfile(
            depth=max(topic.qos.depth, 10),
            reliability=ReliabilityPolicy.RELIABLE if topic.qos.reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if topic.qos.transient_local else DurabilityPolicy.VOLATILE,
        )
        try:
            return self.create_publisher(message_class(topic.type_name), topic.name, qos)
        except InputError as err:
            self.get_logger().warning(f'{topic.name} is not played: {err}')
            return None

    def _wait_for_subscriptions(self) -> None:
        wanted = dict(_topic_and_count(text) for text in self.params.wait_for)
        deadline_s = time.monotonic() + self.params.match_timeout_s
        missing = set(wanted)
        while missing and time.monotonic() < deadline_s:
            missing = {topic for topic in wanted if self._num_matched(topic) < wanted[topic]}
            self._run_clock(self._start_ns, 0.05, rate=0.0)
        if missing:
            facts = ', '.join(f'{topic}: {self._num_matched(topic)} of {wanted[topic]}' for topic in sorted(missing))
            self.get_logger().error(
                f'subscriptions not matched in {self.params.match_timeout_s:.0f} s ({facts}); playing anyway'
            )
        self._run_clock(self._start_ns, SETTLE_S, rate=0.0)

    def _num_matched(self, topic: str) -> int:
        sender = self._senders.get(topic)
        return sender.get_subscription_count() if sender is not None else 0

    def _play_once(self) -> None:
        if self.params.start_s > 0:
            for message in self.bag.messages(self._latched):
                if message.stamp_ns < self._start_ns:
                    self._send(message)
        begin_s = time.monotonic()
        for message in self.bag.messages(tuple(self._senders), self._start_ns):
            self._run_clock_until(message.stamp_ns, begin_s)
            self._send(message)
        self.laps += 1
        self.sim_s += (self.bag.end_ns - self._start_ns) / 1e9
        self.wall_s += time.monotonic() - begin_s
        self.is_played = True

    def _send(self, message: BagMessage) -> None:
        self._senders[message.topic].publish(bytes(message.data))
        self.num_messages += 1
        if message.topic in self.stamps_ns:
            self.stamps_ns[message.topic].append(header_stamp_ns(message.data))

    def _run_clock_until(self, stamp_ns: int, begin_s: float) -> None:
        """Wait until it is time for a message, and leave the clock at its stamp."""
        due_s = begin_s + (stamp_ns - self._start_ns) / 1e9 / self.params.rate
        while (left_s := due_s - time.monotonic()) > CLOCK_PERIOD_S:
            self._tell_time(stamp_ns - round(left_s * self.params.rate * 1e9))
            time.sleep(CLOCK_PERIOD_S)
        time.sleep(max(0.0, left_s))
        if stamp_ns != self._told_ns:  # many messages have the same stamp, and every node wakes up for the clock
            self._tell_time(stamp_ns)

    def _run_clock(self, start_ns: int, seconds: float, *, rate: float | None = None) -> None:
        rate = self.params.rate if rate is None else rate
        begin_s = time.monotonic()
        while (passed_s := time.monotonic() - begin_s) < seconds:
            self._tell_time(start_ns + round(passed_s * rate * 1e9))
            time.sleep(CLOCK_PERIOD_S)

    def _tell_time(self, stamp_ns: int) -> None:
        self._clock.publish(Clock(clock=time_to_msg(stamp_ns)))
        self._told_ns = stamp_ns

    def _write_report(self) -> None:
        if self.params.report:
            content = {
                'is_played': self.is_played,
                'laps': self.laps,
                'messages': self.num_messages,
                'sim_s': self.sim_s,
                'wall_s': self.wall_s,
                'damage': self.bag.damage,
                'stamps_ns': self.stamps_ns,
            }
            write_json(Path(self.params.report), content)


def message_class(type_name: str) -> Any:
    """The Python class of ``package/msg/Type``.

    Raises:
        InputError: the package is not installed.
    """
    package, _, name = type_name.partition('/msg/')
    try:
        return getattr(import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError) as err:
        raise InputError(f'type {type_name} is not installed; source the workspace that defines it') from err


def header_stamp_ns(data: bytes) -> int:
    """Stamp of a serialized message that begins with a std_msgs/Header."""
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def _topic_and_count(text: str) -> tuple[str, int]:
    topic, _, count = text.partition('=')
    if not count.isdigit():
        raise InputError(f'parameter wait_for: {text!r} is not of the form /topic=2')
    return topic, int(count)


def main() -> None:
    """Play one bag in this process."""
    keep_freed_memory()
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell starts what runs in its background with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        node = PlayerNode()
    except InputError as err:
        print(f'error: {err}', file=sys.stderr)  # noqa: T201
        rclpy.try_shutdown()
        raise SystemExit(2) from err
    code = 130
    try:
        code = node.play()
    except InputError as err:
        node.get_logger().error(str(err))
        code = 2
    except KeyboardInterrupt:
        pass
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    raise SystemExit(code)


if __name__ == '__main__':
    main()
