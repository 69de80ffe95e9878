"""What every node of the stack shares: lifecycle, guarded subscriptions, heartbeat and diagnostics.

A node of ours overrides ``setup`` (make publishers and subscriptions), ``forget`` (time jumped, or deactivated) and, where it
has more to say, ``extra_diagnostics``. What differs between ROS distributions sits in ``subscriptions.py``: run on Jazzy
and Kilted, written for Humble but not run there.
"""

from __future__ import annotations

import copy
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import State
from rclpy.clock import Clock, ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.exceptions import InvalidTopicNameException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.signals import SignalHandlerOptions
from rclpy.timer import Timer
from rclpy.validate_topic_name import validate_topic_name

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.stamps import FORWARD_S, Stamp, StampGuard
from moe_bev_ros.msg import Heartbeat
from moe_bev_ros.nodes.diagnostics import diagnostic_status
from moe_bev_ros.nodes.executor import LeanExecutor
from moe_bev_ros.nodes.params import declare, on_change, param  # noqa: F401
from moe_bev_ros.nodes.subscriptions import Subscriptions, message_age_ns
from moe_bev_ros.runtime.health import InputHealth
from moe_bev_ros.runtime.memory import keep_freed_memory, spare_what_lasts
from moe_bev_ros.runtime.repetition import Repetition
from moe_bev_ros.runtime.shared_memory import remove_abandoned_segments

P = TypeVar('P')

SENSOR_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
FRAME_QOS = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)  # with newest_only: what is passed over is counted
STATE_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TF_STATIC_QOS = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
HEARTBEAT_TOPIC = '/moe_bev/heartbeat'
HEARTBEAT_PERIOD_S = 0.2
DIAGNOSTICS_PERIOD_S = 1.0


class StackNode(LifecycleNode, Generic[P]):
    """A lifecycle node that says what it lacks, and never lets a bad message end it."""

    def __init__(self, name: str, params_type: type[P]) -> None:
        super().__init__(name)
        self.declare_parameter('autostart', False)
        self.steady_clock = Clock(clock_type=ClockType.STEADY_TIME)
        self.params_type = params_type
        self.is_alone = False  # in its process, which `run` knows: what lasts there lasts as long as the node
        self.params: P = declare(self, params_type)
        on_change(self, params_type, self._accept_params)
        self.counters: dict[str, int] = {'dropped_by_policy': 0, 'rejected': 0, 'failures': 0}
        self.inputs: dict[str, InputHealth] = {}
        self._stamp_guards: dict[str, StampGuard] = {}
        self._said = Repetition()
        self._subscriptions_made = Subscriptions(self, self.warn_slowly)
        self._publishers_made: list[Any] = []
        self._timers_made: list[Any] = []
        self._heartbeat = self.create_publisher(Heartbeat, HEARTBEAT_TOPIC, QoSProfile(depth=10))
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', QoSProfile(depth=10))
        self.create_timer(HEARTBEAT_PERIOD_S, self._send_heartbeat, clock=self.steady_clock)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._send_diagnostics, clock=self.steady_clock)
        threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jump_handle = self.get_clock().create_jump_callback(threshold, post_callback=self._on_clock_jump)
        if self.get_parameter('autostart').value:
            self._autostart_timer = self.create_timer(0.0, self._autostart, clock=self.steady_clock)

    # What a node of ours overrides ------------------------------------------------------------------------------------

    def setup(self) -> None:
        """Make the pure objects, publishers, subscriptions and timers. Called on configure; may raise InputError."""

    def forget(self) -> None:
        """Drop everything that depends on earlier messages. Called when time jumps and on deactivation."""

    def last_word(self) -> None:
        """Say what must be said before this process ends, by a signal or an error; everything can still be published."""

    def params_changed(self) -> None:
        """Take over ``self.params`` after a change at run time."""

    def extra_diagnostics(self) -> dict[str, str]:
        """More key-value pairs for /diagnostics."""
        return {}

    # What a node of ours calls ----------------------------------------------------------------------------------------

    def advertise(self, msg_type: type, topic: str, qos: QoSProfile = STATE_QOS) -> Publisher[Any]:
        """Make a publisher that is silent unless the node is active, with QoS overrides from parameters."""
        options = QoSOverridingOptions.with_default_policies()
        publisher = self.create_lifecycle_publisher(msg_type, topic, copy.copy(qos), qos_overriding_options=options)
        self._publishers_made.append(publisher)
        return publisher

    def subscribe(
        self,
        msg_type: type,
        topic: str,
        callback: Callable[[Any, int], None],
        qos: QoSProfile = STATE_QOS,
        *,
        stamped: bool = True,
        required: bool = True,
        period_s: float = 0.0,
        many_publishers: bool = False,
        patient: bool = False,
        newest_only: bool = False,
    ) -> None:
        """Subscribe with a guard around the callback.

        Args:
            callback: gets the message and the CLOCK_MONOTONIC time at which it was received [ns]; may raise InputError.
            stamped: the message has a header whose stamps must rise; a jump leads to ``forget``.
            required: diagnostics warn while nothing has come.
            period_s: expected time between two messages; diagnostics warn after five times that; 0: not periodic.
            many_publishers: more than one publisher is normal on this topic.
            patient: its messages do not wake the node up; whatever does, all that wait are taken before. For what others are
                understood with, as odometry: with the newest motion a sweep is built, and nobody wakes up for each pose.
            newest_only: of the messages that wait, call back with the newest, and count the others as dropped by policy; the
                depth of ``qos`` is how many can wait, beyond it the middleware drops them and nobody counts.
        """
        try:
            validate_topic_name(topic)
        except InvalidTopicNameException as err:
            raise InputError(f'{topic!r} is no name of a topic: {" ".join(str(err).split())}') from err
        name = self.resolve_topic_name(topic)
        health = InputHealth(name, required=required, period_s=period_s, many_publishers=many_publishers)
        self.inputs[name] = health
        guard = self._stamp_guards.setdefault(name, StampGuard()) if stamped else None

        def guarded(message: Any, info: Any, answer: Callable[[Any, int], None] = callback) -> None:
            now_s = time.monotonic()
            silence_s = now_s - health.last_s
            health.received(now_s)
            receive_ns = time.monotonic_ns() - message_age_ns(info)
            if self.is_active and (guard is None or self._stamp_accepted(guard, message, name, silence_s)):
                self._defended(name, lambda: answer(message, receive_ns))

        def newest_that_waits(message: Any, info: Any) -> None:
            *older, newest = [(message, info), *self._subscriptions_made.waiting(name, msg_type)]
            for passed_over in older:
                guarded(*passed_over, answer=self._count_dropped)
            guarded(*newest)

        on_message = newest_that_waits if newest_only else guarded
        overrides = QoSOverridingOptions.with_default_policies()
        self._subscriptions_made.make(msg_type, name, on_message, copy.copy(qos), overrides, patient=patient)

    def every(self, period_s: float, callback: Callable[[], None], *, steady: bool = False) -> Timer:
        """Call back periodically while active, on ROS time unless ``steady``."""

        def guarded() -> None:
            if self.is_active:
                self._defended(f'timer of {period_s:g} s', callback)

        clock = self.steady_clock if steady else self.get_clock()
        timer = self.create_timer(period_s, guarded, clock=clock)
        self._timers_made.append(timer)
        return timer

    def waker(self, callback: Callable[[], None]) -> Callable[[], None]:
        """What other threads call to have ``callback`` called soon in the executor's thread, while active."""

        def guarded() -> None:
            if self.is_active:
                self._defended('what another thread did', callback)

        return self.create_guard_condition(guarded).trigger

    def reject(self, topic: str, fact: str) -> None:
        """Count a message that cannot be used and say why, naming the topic."""
        self.counters['rejected'] += 1
        if topic in self.inputs:
            self.inputs[topic].rejected(fact, time.monotonic())
        self.warn_slowly(f'{topic}: {fact}')

    def warn_slowly(self, text: str) -> None:
        """Log a warning; texts that differ in numbers only, at most once in two seconds."""
        if self._said.is_due(text, time.monotonic()):
            self.get_logger().warning(text)

    @property
    def warnings(self) -> list[str]:
        """The last text of each kind of warning, the newest at the end."""
        return self._said.texts

    @property
    def is_active(self) -> bool:
        """Whether the node is in the active state."""
        return self.state_id == State.PRIMARY_STATE_ACTIVE

    @property
    def state_id(self) -> int:
        """The lifecycle_msgs/State id the node is in."""
        return int(self._state_machine.current_state[0])

    def now_ns(self) -> int:
        """ROS time (simulated where use_sim_time is set) [ns]."""
        return int(self.get_clock().now().nanoseconds)

    # Lifecycle ---------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Configure: build everything; a problem is logged with its cure and leaves the node unconfigured."""
        return self._attempt(self.setup, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Activate: start with nothing remembered."""
        if self.is_alone:
            spare_what_lasts()
        return self._attempt(self._forget_all, super().on_activate, state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate: stop answering."""
        return self._attempt(self._forget_all, super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Clean up: destroy what configure made."""
        return self._attempt(self._tear_down, super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Shut down from any state."""
        return self._attempt(self._tear_down, super().on_shutdown, state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an error: tear down, so that the node can be configured again."""
        return self._attempt(self._tear_down, super().on_error, state)

    def _attempt(
        self, work: Callable[[], None], then: Callable[[LifecycleState], TransitionCallbackReturn], state: LifecycleState
    ) -> TransitionCallbackReturn:
        try:
            work()
        except InputError as err:
            self.get_logger().error(str(err))
            self._tear_down()
            return TransitionCallbackReturn.FAILURE
        except Exception:  # rclpy would swallow it
            self.get_logger().error(f'from state {state.label}:\n{traceback.format_exc()}')
            return TransitionCallbackReturn.ERROR
        return then(state)

    def _tear_down(self) -> None:
        self._subscriptions_made.destroy()
        for timer in self._timers_made:
            self.destroy_timer(timer)
        for publisher in self._publishers_made:
            self.destroy_lifecycle_publisher(publisher)
        self._timers_made, self._publishers_made = [], []
        self.inputs.clear()

    def _forget_all(self) -> None:
        for guard in self._stamp_guards.values():
            guard.last_ns = None
        self.forget()

    def _autostart(self) -> None:
        self._autostart_timer.cancel()
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def _count_dropped(self, _message: Any, _receive_ns: int) -> None:
        self.counters['dropped_by_policy'] += 1

    # Guards ------------------------------------------------------------------------------------------------------------

    def _defended(self, what: str, work: Callable[[], None]) -> None:
        """What leaves a callback ends the process. Memory that may be half changed is forgotten: a driven vehicle brakes."""
        try:
            work()
        except InputError as err:
            self.reject(what, str(err))
        except Exception as err:
            if not self.context.ok():  # told to stop in the middle of the callback
                raise
            self.counters['failures'] += 1
            self.reject(what, f'{type(err).__name__}: {err}; everything from before is forgotten; report this as a bug')
            if self._said.is_due(f'{what}\n{type(err).__name__}', time.monotonic()):
                self.get_logger().error(traceback.format_exc())
            self._forget_all()

    def _stamp_accepted(self, guard: StampGuard, message: Any, topic: str, silence_s: float) -> bool:
        stamp, now_ns, last_ns = message.header.stamp, self.now_ns(), guard.last_ns
        stamp_ns = stamp_to_ns(stamp)
        fact = ''
        if stamp_ns <= 0 or stamp.nanosec >= 1_000_000_000:
            fact = f'stamp {stamp.sec} s {stamp.nanosec} ns is no time; fill in the header'
        elif now_ns and stamp_ns > now_ns + FORWARD_S * 1e9:
            fact = f'stamp lies {(stamp_ns - now_ns) / 1e9:.3f} s in the future; message dropped; check the clocks'
        if fact:
            self.reject(topic, fact)
            return False
        verdict = guard.check(stamp_ns, round(silence_s * 1e9))
        if verdict is Stamp.REPEATED:
            self.reject(topic, f'stamp {stamp_ns / 1e9:.3f} s is not after {(last_ns or 0) / 1e9:.3f} s; message dropped')
            return False
        if verdict is not Stamp.NEXT:
            self.warn_slowly(f'{topic}: time jumped {verdict.value} from {(last_ns or 0) / 1e9:.3f} to {stamp_ns / 1e9:.3f} s')
            self._forget_all()
            guard.last_ns = stamp_ns
        return True

    def _on_clock_jump(self, jump: TimeJump) -> None:
        self.warn_slowly(f'/clock: time jumped back by {-jump.delta.nanoseconds / 1e9:.3f} s')
        if self.is_active:
            self._forget_all()

    def _accept_params(self, params: P) -> None:
        before, self.params = self.params, params
        try:
            self.params_changed()
        except ValueError:
            self.params = before
            raise

    # Heartbeat and diagnostics -----------------------------------------------------------------------------------------

    def _send_heartbeat(self) -> None:
        self._subscriptions_made.renew()
        self._heartbeat.publish(Heartbeat(node=self.get_fully_qualified_name(), pid=os.getpid(), state=self.state_id))

    def _send_diagnostics(self) -> None:
        for health in self.inputs.values():
            health.num_publishers = self.count_publishers(health.topic)
        facts = (
            [fact for health in self.inputs.values() if (fact := health.problem(time.monotonic()))] if self.is_active else []
        )
        for fact in facts:
            self.warn_slowly(fact)
        values = {**self.counters, **self.extra_diagnostics()}
        state = self._state_machine.current_state[1]
        status = diagnostic_status(self.get_fully_qualified_name(), state, facts, list(self.inputs.values()), values)
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)


def run_while(needed: bool, timer: Timer) -> None:
    """Let a timer of `StackNode.every` run while something waits for it; a wake-up in vain costs as much as another."""
    if needed == timer.is_canceled():
        (timer.reset if needed else timer.cancel)()


def stamp_to_ns(stamp: Any) -> int:
    """builtin_interfaces/Time to nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def run(make_node: Callable[[], Any]) -> None:
    """Spin one node in this process until it is told to stop: the body of every ``main``.

    SIGINT and SIGTERM end it between two callbacks. rclpy's own handlers would close every publisher at once, also in
    the middle of a callback, and leave no time for a last word.
    """
    keep_freed_memory()
    remove_abandoned_segments()
    told_to_stop: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: told_to_stop.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = make_node()
    except InputError as err:
        print(f'error: {err}', file=sys.stderr)  # noqa: T201
        rclpy.try_shutdown()
        raise SystemExit(2) from err
    if isinstance(node, StackNode):
        node.is_alone = True
    executor = LeanExecutor()
    executor.add_node(node)
    try:
        while not told_to_stop:
            executor.spin_once()  # every node has a steady timer that ends the wait within 0.2 s
    finally:
        if isinstance(node, StackNode):
            node.last_word()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
