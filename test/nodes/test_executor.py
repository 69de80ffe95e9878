import threading
import time

import pytest
import rclpy
from builtin_interfaces.msg import Time
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Int32
from std_srvs.srv import SetBool

from moe_bev_ros.nodes.executor import LeanExecutor

LONGEST_S = 10.0


@pytest.fixture
def context():
    context = rclpy.Context()
    rclpy.init(context=context)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def node(context):
    node = Node('spun', context=context)
    yield node
    node.destroy_node()


@pytest.fixture
def executor(context, node):
    executor = LeanExecutor(context=context)
    executor.add_node(node)
    yield executor
    executor.remove_node(node)
    executor.shutdown()


def spin_until(executor, holds):
    deadline_s = time.monotonic() + LONGEST_S
    while not holds():
        assert time.monotonic() < deadline_s
        executor.spin_once(timeout_sec=0.5)


def test_timers_messages_and_services_are_called_back(executor, node):
    ticks, plain, with_info = [], [], []
    node.create_timer(0.01, lambda: ticks.append(time.monotonic()))
    node.create_subscription(Int32, 'number', lambda message: plain.append(message.data), 10)
    node.create_subscription(Int32, 'number', lambda message, info: with_info.append((message.data, info)), 10)
    publisher = node.create_publisher(Int32, 'number', 10)
    service = node.create_service(SetBool, 'set', lambda request, _: SetBool.Response(success=request.data))
    client = node.create_client(SetBool, 'set')
    spin_until(executor, lambda: publisher.get_subscription_count() == 2 and client.service_is_ready())
    for number in (1, 2, 3):
        publisher.publish(Int32(data=number))
    answer = client.call_async(SetBool.Request(data=True))
    spin_until(executor, lambda: answer.done() and len(plain) == len(with_info) == 3 and len(ticks) > 5)
    assert answer.result().success
    assert plain == [number for number, _ in with_info] == [1, 2, 3]
    assert service.service_name == '/set'


def test_what_is_patient_wakes_nobody_and_is_heard_before_everything_else(executor, node):
    heard = []
    patient = node.create_subscription(Int32, 'pose', lambda message: heard.append(f'pose {message.data}'), 10)
    patient.is_patient = True
    node.create_subscription(Clock, '/clock', lambda message: heard.append(f'clock {message.clock.sec}'), 10)
    node.create_subscription(Int32, 'sweep', lambda message: heard.append(f'sweep {message.data}'), 10)
    topics = ((Int32, 'pose'), (Clock, '/clock'), (Int32, 'sweep'))
    pose, clock, sweep = (node.create_publisher(msg_type, topic, 10) for msg_type, topic in topics)
    spin_until(executor, lambda: all(talker.get_subscription_count() == 1 for talker in (pose, clock, sweep)))
    talking = threading.Thread(target=lambda: [(pose.publish(Int32(data=1)), time.sleep(0.01)) for _ in range(100)])
    talking.start()
    wake_ups = 0
    while talking.is_alive():
        executor.spin_once(timeout_sec=0.5)
        wake_ups += 1
    assert wake_ups < 50
    spin_until(executor, lambda: heard)
    heard.clear()
    pose.publish(Int32(data=2))
    clock.publish(Clock(clock=Time(sec=3)))
    time.sleep(0.2)
    sweep.publish(Int32(data=4))
    spin_until(executor, lambda: 'sweep 4' in heard)
    assert [text for text in heard if text != 'pose 1'] == ['clock 3', 'pose 2', 'sweep 4']


def test_a_task_of_another_thread_wakes_it_up(executor):
    done_s = []
    thread = threading.Timer(0.1, lambda: executor.create_task(lambda: done_s.append(time.monotonic())))
    began_s = time.monotonic()
    thread.start()
    while not done_s:
        executor.spin_once(timeout_sec=LONGEST_S)
    assert done_s[0] - began_s < LONGEST_S / 2


def test_what_a_callback_makes_is_served_and_what_it_destroys_is_not_called_any_more(executor, node):
    called = []

    def replace():
        called.append('first')
        node.destroy_timer(first)
        node.destroy_timer(other)
        node.create_timer(0.01, lambda: called.append('second'))

    first = node.create_timer(0.05, replace)
    other = node.create_timer(0.05, lambda: called.append('other'))
    spin_until(executor, lambda: 'second' in called)
    assert called[0] == 'first'
    assert 'other' not in called


def test_a_cancelled_timer_is_silent_and_an_error_of_a_callback_comes_out(executor, node):
    ticks = []
    timer = node.create_timer(0.01, lambda: ticks.append(1))
    spin_until(executor, lambda: ticks)
    timer.cancel()
    num = len(ticks)

    def fail():
        raise ValueError('on purpose')

    node.create_timer(0.05, fail)
    with pytest.raises(ValueError, match='on purpose'):
        spin_until(executor, lambda: False)
    assert len(ticks) == num


def test_it_returns_when_the_time_is_over_and_says_when_ros_was_shut_down(executor, context):
    began_s = time.monotonic()
    executor.spin_once(timeout_sec=0.2)
    assert time.monotonic() - began_s < LONGEST_S
    rclpy.shutdown(context=context)
    with pytest.raises(ExternalShutdownException):
        executor.spin_once(timeout_sec=0.2)
