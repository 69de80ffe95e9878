"""What every node of the stack can rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Path
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, qos_profile_sensor_data

from harness import ros
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.msg import Heartbeat
from moe_bev_ros.nodes import subscriptions
from moe_bev_ros.nodes.base import FRAME_QOS, HEARTBEAT_TOPIC, STATE_QOS, StackNode
from moe_bev_ros.nodes.convert import header
from moe_bev_ros.nodes.params import param
from moe_bev_ros.nodes.subscriptions import message_age_ns

SECOND = 1_000_000_000


@dataclass(frozen=True)
class EchoParams:
    gain: float = param(1.0, 'factor [1]', low=0.0, high=2.0)
    names: tuple[str, ...] = param((), 'names')
    count: int = param(3, 'number', low=1, high=9, read_only=True)

    def __post_init__(self) -> None:
        if self.gain == 1.5:
            raise ValueError('gain 1.5 does not go with these names')


class EchoNode(StackNode[EchoParams]):
    """Publishes every path it hears; refuses an empty one."""

    def __init__(self) -> None:
        super().__init__('echo', EchoParams)
        self.forgotten = 0
        self.fail: type[Exception] | None = None

    def setup(self) -> None:
        if self.fail:
            raise self.fail('map.osm: no lanes; give another map')
        self.out = self.advertise(Path, '~/output/path')
        self.subscribe(Path, '~/input/path', self.on_path)

    def on_path(self, message: Path, receive_ns: int) -> None:
        if not message.poses:
            raise InputError('path without poses; send at least one')
        if message.header.frame_id == 'bug':
            raise IndexError('list index out of range')
        self.out.publish(message)

    def params_changed(self) -> None:
        if self.params.gain == 1.75:
            raise ValueError('gain 1.75 does not go with what is set up')

    def forget(self) -> None:
        self.forgotten += 1

    def on_timer(self) -> None:
        self.ticks = getattr(self, 'ticks', 0) + 1
        raise KeyError('nothing there')


def path(stamp_ns: int, *, poses: int = 1, frame_id: str = 'map') -> Path:
    from geometry_msgs.msg import PoseStamped

    return Path(header=header(stamp_ns, frame_id), poses=[PoseStamped()] * poses)


def last_status(messages: list[DiagnosticArray]) -> Any:
    return messages[-1].status[0]


def test_messages_pass_only_while_active() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        received = h.listen(Path, '/echo/output/path')
        publisher = h.talk(Path, '/echo/input/path')
        h.spin_until(lambda: node.out.get_subscription_count() > 0)
        publisher.publish(path(1 * SECOND))
        h.spin_until(lambda: len(received) == 1)
        node.trigger_deactivate()
        publisher.publish(path(2 * SECOND))
        h.spin_until(lambda: node.inputs['/echo/input/path'].num_received == 2)
        h.spin_for(0.2)
        assert len(received) == 1


def test_a_bad_message_is_named_in_diagnostics_and_the_next_one_passes() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        diagnostics = h.listen(DiagnosticArray, '/diagnostics')
        received = h.listen(Path, '/echo/output/path')
        publisher = h.talk(Path, '/echo/input/path')
        h.spin_until(lambda: node.out.get_subscription_count() > 0)
        publisher.publish(path(1 * SECOND, poses=0))
        h.spin_until(lambda: diagnostics and 'path without poses' in last_status(diagnostics).message)
        assert '/echo/input/path' in last_status(diagnostics).message
        assert last_status(diagnostics).level == DiagnosticStatus.WARN
        publisher.publish(path(2 * SECOND))
        h.spin_until(lambda: len(received) == 1)


def test_an_unforeseen_error_in_a_callback_is_logged_and_forgets_but_does_not_end_the_node() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        received = h.listen(Path, '/echo/output/path')
        publisher = h.talk(Path, '/echo/input/path')
        h.spin_until(lambda: node.out.get_subscription_count() > 0)
        forgotten = node.forgotten
        publisher.publish(path(1 * SECOND, frame_id='bug'))
        h.spin_until(lambda: node.counters['failures'] == 1)
        assert node.forgotten == forgotten + 1
        assert any('/echo/input/path: IndexError: list index' in text for text in node.warnings)
        publisher.publish(path(2 * SECOND))
        h.spin_until(lambda: len(received) == 1)
        assert received[0].header.stamp.sec == 2


def test_an_unforeseen_error_in_a_timer_does_not_end_the_node() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        node.every(0.01, node.on_timer, steady=True)
        h.spin_until(lambda: node.counters['failures'] > 2)
        assert any('timer of 0.01 s: KeyError' in text for text in node.warnings)


def test_a_stamp_that_is_no_time_or_lies_in_the_future_is_refused_and_changes_nothing() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        received = h.listen(Path, '/echo/output/path')
        publisher = h.talk(Path, '/echo/input/path')
        h.spin_until(lambda: node.out.get_subscription_count() > 0)
        publisher.publish(path(1 * SECOND))
        h.spin_until(lambda: len(received) == 1)
        forgotten = node.forgotten
        not_a_time = path(2 * SECOND)
        not_a_time.header.stamp.nanosec = 2**32 - 1
        future = path(time.time_ns() + 3600 * SECOND)
        cases = ((path(0), 'stamp 0 s 0 ns is no time'), (not_a_time, 'stamp 2 s 4294967295 ns'), (future, 'stamp lies 3'))
        for count, (bad, fact) in enumerate(cases, start=1):
            publisher.publish(bad)
            h.spin_until(lambda count=count: node.counters['rejected'] == count)
            assert node.warnings[-1].startswith(f'/echo/input/path: {fact}')
        assert node.forgotten == forgotten
        publisher.publish(path(2 * SECOND))
        h.spin_until(lambda: len(received) == 2)


def test_texts_that_differ_in_numbers_only_are_said_once_and_topics_are_told_apart() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        for index in range(500):
            node.reject('/cam/0', f'stamp {index / 10:.3f} s is old')
        node.reject('/cam/1', 'stamp 1.000 s is old')
        assert node.warnings == ['/cam/0: stamp 49.900 s is old', '/cam/1: stamp 1.000 s is old']


def test_a_name_that_no_topic_may_have_is_refused_with_the_fact() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        with pytest.raises(InputError, match='is no name of a topic'):
            node.subscribe(Path, '/camera 1/image', node.on_path)


def test_diagnostics_speak_when_nothing_ever_comes() -> None:
    with ros() as h:
        h.start(EchoNode)
        diagnostics = h.listen(DiagnosticArray, '/diagnostics')
        h.spin_until(lambda: diagnostics)
        assert '/echo/input/path: no publisher' in last_status(diagnostics).message


def test_two_publishers_are_said() -> None:
    with ros() as h:
        h.start(EchoNode)
        diagnostics = h.listen(DiagnosticArray, '/diagnostics')
        h.talk(Path, '/echo/input/path')
        h.talk(Path, '/echo/input/path')
        h.spin_until(lambda: diagnostics and '2 publishers' in last_status(diagnostics).message)


def test_a_stamp_that_jumps_back_makes_the_node_forget() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        received = h.listen(Path, '/echo/output/path')
        publisher = h.talk(Path, '/echo/input/path')
        h.spin_until(lambda: node.out.get_subscription_count() > 0)
        before = node.forgotten
        publisher.publish(path(100 * SECOND))
        h.spin_until(lambda: len(received) == 1)
        publisher.publish(path(1 * SECOND))
        h.spin_until(lambda: len(received) == 2)
        assert node.forgotten == before + 1
        publisher.publish(path(1 * SECOND))
        h.spin_until(lambda: node.counters['rejected'] == 1)
        assert len(received) == 2


def test_a_failed_configuration_leaves_the_node_ready_for_another_try() -> None:
    with ros() as h:
        node = h.start(EchoNode, activate=False)
        node.fail = InputError
        assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
        node.fail = KeyError
        assert node.trigger_configure() == TransitionCallbackReturn.ERROR
        node.fail = None
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS


def test_a_node_can_bring_itself_up() -> None:
    with ros({'autostart': True}) as h:
        node = h.start(EchoNode, activate=False)
        h.spin_until(lambda: node.is_active)


def test_a_parameter_out_of_range_is_refused_at_start_with_its_meaning() -> None:
    with ros({'gain': 7.0}) as h, pytest.raises(InputError, match=r'gain.*between 0.0 and 2.0.*factor'):
        h.start(EchoNode)


def test_a_parameter_of_the_wrong_type_is_refused_at_start() -> None:
    with ros({'gain': 'fast'}) as h, pytest.raises(InputError, match='gain'):
        h.start(EchoNode)


def test_parameters_change_live_as_a_whole_or_not_at_all() -> None:
    with ros({'names': ['a', 'b']}) as h:
        node = h.start(EchoNode)
        assert node.params == EchoParams(1.0, ('a', 'b'), 3)
        assert node.set_parameters([Parameter('gain', value=0.5)])[0].successful
        assert node.params.gain == 0.5
        refused = node.set_parameters([Parameter('gain', value=1.5)])[0]
        assert not refused.successful
        assert 'does not go' in refused.reason
        assert not node.set_parameters([Parameter('count', value=4)])[0].successful
        assert node.params == EchoParams(0.5, ('a', 'b'), 3)
        assert not node.set_parameters([Parameter('gain', value=1.75)])[0].successful
        assert not node.set_parameters([Parameter('gain', value=float('nan'))])[0].successful
        assert node.params == EchoParams(0.5, ('a', 'b'), 3)


def test_messages_come_without_info_too_as_on_humble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, 'CALLBACKS_TAKE_INFO', False)
    with ros() as h:
        node = h.start(EchoNode)
        received = h.listen(Path, '/echo/output/path')
        publisher = h.talk(Path, '/echo/input/path')
        h.spin_until(lambda: node.out.get_subscription_count() > 0)
        publisher.publish(path(1 * SECOND))
        h.spin_until(lambda: len(received) == 1)


@pytest.mark.parametrize(('age_s', 'lowest_s', 'highest_s'), [(-5.0, 0.0, 0.0), (0.5, 0.5, 0.6), (3600.0, 10.0, 10.0)])
def test_a_message_is_never_younger_than_now_and_a_stale_one_stays_stale(
    age_s: float, lowest_s: float, highest_s: float
) -> None:
    info = {'received_timestamp': time.time_ns() - round(age_s * SECOND)}
    assert lowest_s * SECOND <= message_age_ns(info) <= highest_s * SECOND
    assert message_age_ns(None) == 0


def test_the_heart_beats_in_every_state() -> None:
    with ros() as h:
        node = h.start(EchoNode, activate=False)
        beats = h.listen(Heartbeat, HEARTBEAT_TOPIC)
        h.spin_until(lambda: len(beats) >= 2)
        assert beats[0].node == '/echo'
        node.trigger_configure()
        node.trigger_activate()
        h.spin_until(lambda: beats[-1].state == 3)


def test_qos_can_be_overridden_by_parameters() -> None:
    with ros({'qos_overrides./echo/input/path.subscription.reliability': 'best_effort'}) as h:
        h.start(EchoNode)
        info = h.peer.get_subscriptions_info_by_topic('/echo/input/path')
        h.spin_until(lambda: h.peer.get_subscriptions_info_by_topic('/echo/input/path'))
        info = h.peer.get_subscriptions_info_by_topic('/echo/input/path')
        assert info[0].qos_profile.reliability.name == 'BEST_EFFORT'


def test_a_jump_of_the_simulated_clock_makes_the_node_forget() -> None:
    from rosgraph_msgs.msg import Clock

    from moe_bev_ros.nodes.convert import time_to_msg

    with ros({'use_sim_time': True}) as h:
        node = h.start(EchoNode)
        publisher = h.talk(Clock, '/clock')
        publisher.publish(Clock(clock=time_to_msg(50 * SECOND)))
        h.spin_until(lambda: node.now_ns() == 50 * SECOND)
        before = node.forgotten
        publisher.publish(Clock(clock=time_to_msg(3 * SECOND)))
        h.spin_until(lambda: node.forgotten == before + 1)


def test_a_best_effort_publisher_is_heard_all_the_same() -> None:
    with ros() as h:
        node = h.start(EchoNode)
        publisher = h.peer.create_publisher(Path, '/echo/input/path', qos_profile_sensor_data)
        h.spin_until(lambda: publisher.get_subscription_count() > 0)
        publisher.publish(path(1 * SECOND))
        h.spin_until(lambda: node.inputs['/echo/input/path'].num_received == 1)


def test_an_override_touches_its_own_topic_alone() -> None:
    with ros({'qos_overrides./echo/input/path.subscription.depth': 7}) as h:
        h.start(EchoNode)
        assert STATE_QOS.depth == 1


TALKER = """
from nav_msgs.msg import Path
from moe_bev_ros.nodes.base import StackNode, run
from nodes.test_base import EchoParams

class Talker(StackNode[EchoParams]):
    def __init__(self):
        super().__init__('talker', EchoParams)

    def setup(self):
        self.output = self.advertise(Path, '~/output/path')
        self.every(0.05, self.work, steady=True)

    def work(self):
        self.output.publish(Path())
        if FAILS and self.output.get_subscription_count():
            self.create_timer(0.0, lambda: 1 / 0, clock=self.steady_clock)

    def last_word(self):
        message = Path()
        message.header.frame_id = 'last word'
        self.output.publish(message)

run(Talker)
"""


@pytest.mark.parametrize('end', [signal.SIGINT, signal.SIGTERM, None])
def test_a_process_has_a_last_word_whether_told_to_stop_or_failing(end: signal.Signals | None) -> None:
    code = TALKER.replace('FAILS', str(end is None))
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
    with ros() as h:
        heard = h.listen(Path, '/talker/output/path')
        command = [sys.executable, '-c', code, '--ros-args', '-p', 'autostart:=true']
        process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
        h.spin_until(lambda: heard, 20.0)
        if end is not None:
            process.send_signal(end)
        h.spin_until(lambda: heard[-1].header.frame_id == 'last word')
        _, error = process.communicate(timeout=10)
    assert ('ZeroDivisionError' in error) == (end is None)
    assert (process.returncode == 0) == (end is not None)


class ListeningNode(StackNode[EchoParams]):
    """Keeps the order in which it hears two topics."""

    def __init__(self) -> None:
        super().__init__('listener', EchoParams)
        self.heard: list[str] = []

    def setup(self) -> None:
        self.subscribe(Path, '~/input/motion', lambda *_: self.heard.append('motion'), QoSProfile(depth=20), patient=True)
        self.subscribe(Path, '~/input/sweep', lambda *_: self.heard.append('sweep'))


def test_all_motion_that_waits_is_heard_before_a_sweep() -> None:
    with ros() as h:
        node = h.start(ListeningNode)
        motion, sweep = (h.talk(Path, f'/listener/input/{name}', 20) for name in ('motion', 'sweep'))
        for step in range(1, 11):
            motion.publish(path(step * SECOND))
        sweep.publish(path(10 * SECOND))
        h.spin_until(lambda: len(node.heard) == 11)
        assert node.heard == ['motion'] * 10 + ['sweep']


class NewestNode(StackNode[EchoParams]):
    """Notes the stamps that it answers, of a topic of which only the newest counts."""

    def __init__(self) -> None:
        super().__init__('newest', EchoParams)
        self.answered_s: list[int] = []

    def setup(self) -> None:
        self.subscribe(
            Path, '~/input/frame', lambda m, _: self.answered_s.append(m.header.stamp.sec), FRAME_QOS, newest_only=True
        )


def test_the_newest_frame_that_waits_is_answered_and_the_others_are_counted() -> None:
    with ros() as h:
        node = h.start(NewestNode)
        frames = h.talk(Path, '/newest/input/frame', 20)
        for step in range(1, 8):
            frames.publish(path(step * SECOND))
        h.spin_until(lambda: node.inputs['/newest/input/frame'].num_received == 7)
        assert node.answered_s[-1] == 7
        assert len(node.answered_s) + node.counters['dropped_by_policy'] == 7
        assert node.counters['dropped_by_policy'] > 0
        frames.publish(path(8 * SECOND))
        h.spin_until(lambda: node.answered_s[-1] == 8)
