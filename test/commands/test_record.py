import signal
import subprocess
import sys

import pytest
from builtin_interfaces.msg import Time
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header, String

from harness import ros
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.msg import Heartbeat
from moe_bev_ros.nodes.player_node import header_stamp_ns


def start(path, *arguments):
    command = [sys.executable, '-m', 'moe_bev_ros.cli', 'record', str(path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(
    ('storage', 'end'), [('sqlite3', signal.SIGINT), ('mcap', signal.SIGTERM), ('sqlite3', signal.SIGKILL)]
)
def test_messages_and_qos_are_recorded_however_it_ends(tmp_path, storage, end):
    with ros() as h:
        latched = h.peer.create_publisher(String, '/latched', QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL))
        best_effort = h.peer.create_publisher(Header, '/header', QoSProfile(depth=9, reliability=ReliabilityPolicy.BEST_EFFORT))
        own = h.peer.create_publisher(Heartbeat, '/moe_bev/heartbeat', 10)
        clock = h.peer.create_publisher(Clock, '/clock', 1)
        latched.publish(String(data='once'))
        process = start(tmp_path / 'bag', '--storage', storage)
        sent = [0]

        def send():
            sent[0] += 1
            clock.publish(Clock(clock=_time(sent[0])))
            best_effort.publish(Header(stamp=_time(sent[0])))
            own.publish(Heartbeat(node='/x', pid=sent[0]))

        h.peer.create_timer(0.02, send)
        h.spin_until(lambda: best_effort.get_subscription_count() > 0, 20)
        begun = sent[0]
        h.spin_until(lambda: sent[0] > begun + 120, 20)
        process.send_signal(end)
        h.spin_until(lambda: process.poll() is not None, 20)
        assert process.returncode == (0 if end != signal.SIGKILL else -signal.SIGKILL), process.stdout.read()
    with BagReader(tmp_path / 'bag') as bag:
        assert bool(bag.damage) == (end == signal.SIGKILL)
        assert bag.topics['/latched'].qos.transient_local
        assert bag.topics['/latched'].num_messages == 1
        assert not bag.topics['/header'].qos.reliable
        assert bag.topics['/moe_bev/heartbeat'].type_name == 'moe_bev_ros/msg/Heartbeat'
        headers = list(bag.messages(('/header',)))
        assert len(headers) > 40
        assert all(abs(message.stamp_ns - header_stamp_ns(message.data)) < 1e9 for message in headers)


def test_a_topic_that_nobody_publishes_is_said(tmp_path):
    process = start(tmp_path / 'bag', '--topics', '/absent')
    with ros() as h:
        h.spin_until(lambda: h.peer.count_subscribers('/clock') > 0 or process.poll() is not None, 20)
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert 'nothing was published on /absent' in text


def _time(number):
    return Time(sec=100 + number // 50, nanosec=number % 50 * 20_000_000)
