import json
import os
import signal
import subprocess
import sys

import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from harness import ros
from moe_bev_ros.datasets.bag_writer import BagWriter, TopicQos
from moe_bev_ros.datasets.ros_types import type_store
from moe_bev_ros.msg import Objects
from moe_bev_ros.nodes.player_node import header_stamp_ns

LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NUM, PERIOD_NS, START_NS = 20, 20_000_000, 5_000_000_000


def header(stamp_ns):
    time_type = type_store().types['builtin_interfaces/msg/Time']
    stamp = time_type(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return type_store().types['std_msgs/msg/Header'](stamp=stamp, frame_id=str(stamp_ns))


@pytest.fixture
def bag(tmp_path):
    path = tmp_path / 'bag'
    with BagWriter(path) as writer:
        writer.add_topic('/tf_static', 'tf2_msgs/msg/TFMessage', TopicQos(transient_local=True))
        writer.add_topic('/header', 'std_msgs/msg/Header')
        writer.add_topic('/moe_bev/objects', 'moe_bev_ros/msg/Objects')
        writer.add_topic('/clock', 'rosgraph_msgs/msg/Clock')
        writer.write('/tf_static', START_NS, type_store().types['tf2_msgs/msg/TFMessage'](transforms=[]))
        for index in range(NUM):
            writer.write('/header', START_NS + index * PERIOD_NS, header(START_NS + index * PERIOD_NS))
    return path


def play(bag, tmp_path, *parameters):
    command = [sys.executable, '-m', 'moe_bev_ros.nodes.player_node', '--ros-args', '-p', f'bag:={bag}']
    for text in (f'report:={tmp_path / "report.json"}', 'count_topics:=["/header"]', 'tail_s:=0.1', *parameters):
        command += ['-p', text]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def report_of(tmp_path):
    return json.loads((tmp_path / 'report.json').read_text())


def test_a_bag_is_played_whole_and_in_order_under_a_rising_clock(bag, tmp_path):
    with ros() as h:
        clocks = h.listen(Clock, '/clock')
        heard = h.listen(Header, '/header', 50)
        objects = h.listen(Objects, '/moe_bev/objects')
        transforms = h.listen(TFMessage, '/tf_static', LATCHED)
        process = play(bag, tmp_path, 'wait_for:=["/header=1"]')
        h.spin_until(lambda: process.poll() is not None, 30)
        assert process.returncode == 0, process.stderr.read()
        h.spin_until(lambda: len(heard) == NUM)
        stamps = [START_NS + index * PERIOD_NS for index in range(NUM)]
        assert [int(message.frame_id) for message in heard] == stamps
        assert objects == []
        assert transforms
        times = [message.clock.sec * 10**9 + message.clock.nanosec for message in clocks]
        assert times == sorted(times)
        assert times[-1] > stamps[-1]
        report = report_of(tmp_path)
        assert report['stamps_ns']['/header'] == stamps
        assert (report['messages'], report['laps'], report['damage']) == (NUM + 1, 1, '')


def test_start_skips_the_beginning_but_not_the_transforms(bag, tmp_path):
    with ros() as h:
        transforms = h.listen(TFMessage, '/tf_static', LATCHED)
        heard = h.listen(Header, '/header')
        process = play(bag, tmp_path, 'wait_for:=["/header=1", "/tf_static=1"]', 'start_s:=0.3')
        h.spin_until(lambda: process.poll() is not None and transforms, 30)
        h.spin_until(lambda: len(heard) == 5)
        assert int(heard[0].frame_id) == START_NS + 15 * PERIOD_NS


def test_a_loop_lets_the_clock_jump_back_until_it_is_stopped(bag, tmp_path):
    with ros() as h:
        heard = h.listen(Header, '/header', 100)
        process = play(bag, tmp_path, 'wait_for:=["/header=1"]', 'loop:=true', 'rate:=4.0')
        h.spin_until(lambda: len(heard) > 2 * NUM, 30)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    assert [int(message.frame_id) for message in heard[NUM : NUM + 2]] == [START_NS, START_NS + PERIOD_NS]
    assert report_of(tmp_path)['laps'] >= 2


def test_a_bag_is_played_as_often_as_it_was_asked_for_and_all_of_it_is_reported_once(bag, tmp_path):
    with ros() as h:
        heard = h.listen(Header, '/header', 100)
        process = play(bag, tmp_path, 'wait_for:=["/header=1"]', 'laps:=2', 'rate:=4.0')
        h.spin_until(lambda: process.poll() is not None, 30)
        assert process.returncode == 0, process.stderr.read()
        h.spin_until(lambda: len(heard) == 2 * NUM)
    report = report_of(tmp_path)
    assert report['laps'] == 2
    assert report['stamps_ns']['/header'] == [int(message.frame_id) for message in heard]


def test_of_a_cut_bag_the_rest_is_played_and_the_exit_code_tells(bag, tmp_path):
    file = next(bag.glob('*.db3'))
    (bag / 'metadata.yaml').unlink()
    os.truncate(file, file.stat().st_size - 4096)
    process = play(bag, tmp_path)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 3
    assert 'can be read' in errors
    assert report_of(tmp_path)['damage']


@pytest.mark.parametrize(('parameter', 'fact'), [('start_s:=9.0', 'only 0.4 s long'), ('wait_for:=["/header"]', '/topic=2')])
def test_wrong_parameters_are_said_before_playing(bag, tmp_path, parameter, fact):
    process = play(bag, tmp_path, parameter)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert fact in errors


def test_the_header_stamp_is_read_from_the_serialized_bytes():
    data = type_store().serialize_cdr(header(123_456_789_012), 'std_msgs/msg/Header')
    assert header_stamp_ns(bytes(data)) == 123_456_789_012
