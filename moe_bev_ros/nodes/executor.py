"""An executor that costs little: it keeps what it waits with, and calls timers and subscriptions itself.

rclpy's makes a wait set of all entities for each callback, asks each timer's callback for its signature, and wakes itself up
after each callback to do it all again: about a millisecond of a processor, and a node of ours is woken some hundred times a
second. rclpy's EventsExecutor, as of 9.1.2, fails where a callback asks when its message came.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor, TimeoutException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.subscription import Subscription

from moe_bev_ros.nodes.subscriptions import CALLBACKS_TAKE_INFO

Call = Callable[[], Any]
TASK_PERIOD_NS = 10_000_000
EVENTS_PERIOD_S = 0.2  # a dozen of them a node: asking each at every wake-up is a quarter of what a wake-up costs
CLOCK_TOPIC = '/clock'
implementation: Any = rclpy_implementation  # its stubs lack what a wait set is made of


class LeanExecutor(SingleThreadedExecutor):
    """Calls all that is ready in turn, in the thread that spins; entities are destroyed in that thread alone.

    Callbacks of timers and subscriptions are plain functions, those of timers without arguments. Tasks, services, clients and
    events of the middleware are left to rclpy; events wait for the first wake-up after EVENTS_PERIOD_S.

    Patient subscriptions wake nobody: all that came on them is taken, /clock first, when something else ends the wait, and
    before anything else is called back. /clock is patient, since no timer of ours runs on it, and so is a subscription on
    which somebody has set ``is_patient``.
    """

    def __init__(self, *, context: Context | None = None) -> None:
        super().__init__(context=context)
        self._awaited: tuple[tuple[Any, ...], ...] = ()
        self._wait_set: Any = None
        self._events_at_s = 0.0
        self._patient: list[Any] = []
        self._waking: list[Any] = []

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Wait until something is ready, and call back what is.

        Raises:
            ExternalShutdownException: ROS was shut down.
        """
        timeout_ns = -1 if timeout_sec is None else round(timeout_sec * 1e9)
        if self._tasks:  # new ones end the wait by themselves; those that wait for something are asked whether it is there
            timeout_ns = TASK_PERIOD_NS if timeout_ns < 0 else min(timeout_ns, TASK_PERIOD_NS)
        others_are_ready = self._call_back(timeout_ns)
        if others_are_ready or self._tasks:
            with suppress(TimeoutException):  # that is how it says that it has been through all of them
                for task, _, _ in self._wait_for_ready_callbacks(timeout_sec=0):
                    task()
                    if (error := task.exception()) is not None:
                        raise error

    def _call_back(self, timeout_ns: int) -> bool:
        """Wait, and call what is ready; returns whether something is that rclpy is to call."""
        self._renew()
        _, guards, timers, clients, services, waitables = self._awaited
        if time.monotonic() < self._events_at_s:
            waitables = ()
        else:
            self._events_at_s = time.monotonic() + EVENTS_PERIOD_S
        wait_set = self._wait_set
        wait_set.clear_entities()
        for add, entities in (
            (wait_set.add_subscription, self._waking),
            (wait_set.add_guard_condition, guards),
            (wait_set.add_timer, timers),
            (wait_set.add_client, clients),
            (wait_set.add_service, services),
        ):
            for entity in entities:
                add(entity.handle)
        for waitable in waitables:
            waitable.add_to_wait_set(wait_set)
        wait_set.wait(timeout_ns)
        self._check_ros()
        others_are_ready = any(waitable.is_ready(wait_set) for waitable in waitables)
        others_are_ready |= bool(wait_set.get_ready_entities('client') or wait_set.get_ready_entities('service'))
        ready = {kind: wait_set.get_ready_entities(kind) for kind in ('guard_condition', 'timer', 'subscription')}
        for subscription in self._patient:
            while _call(_taken_message, subscription):
                pass
        for take, entities, pointers in (
            (_taken_guard, guards, ready['guard_condition']),
            (_taken_timer, timers, ready['timer']),
            (_taken_message, self._waking, ready['subscription']),
        ):
            for entity in entities if pointers else ():
                _call(take, entity, pointers)
        return others_are_ready

    def _check_ros(self) -> None:
        if self._is_shutdown or not self._context.ok():
            raise ExternalShutdownException

    def _renew(self) -> None:
        """Make a new wait set where entities came or went."""
        self._check_ros()
        nodes = self.get_nodes()
        awaited = (
            tuple(entity for node in nodes for entity in node.subscriptions),
            (self._guard, *(entity for node in nodes for entity in node.guards)),
            tuple(entity for node in nodes for entity in node.timers),
            tuple(entity for node in nodes for entity in node.clients),
            tuple(entity for node in nodes for entity in node.services),
            tuple(entity for node in nodes for entity in node.waitables),
        )
        if awaited != self._awaited:
            *handles, waitables = awaited
            numbers = [len(entities) for entities in handles]
            num_events = sum(waitable.get_num_entities().num_events for waitable in waitables)
            self._wait_set = implementation.WaitSet(*numbers, num_events, self._context.handle)
            self._awaited = awaited
            subscriptions = sorted(awaited[0], key=lambda item: item.topic_name != CLOCK_TOPIC)
            self._patient = [item for item in subscriptions if _is_patient(item)]
            self._waking = [item for item in subscriptions if not _is_patient(item)]


def _is_patient(subscription: Any) -> bool:
    return subscription.topic_name == CLOCK_TOPIC or getattr(subscription, 'is_patient', False)


def _call(take: Callable[[Any], Call | None], entity: Any, pointers: Collection[int] | None = None) -> bool:
    """Call back for one entity, of ``pointers`` if they are given; whether there was something to take."""
    call: Call | None = None
    with suppress(implementation.InvalidHandle):  # an earlier callback may have destroyed it
        call = take(entity) if pointers is None or entity.handle.pointer in pointers else None
    if call is not None:
        call()
    return call is not None


def _taken_guard(guard: Any) -> Call | None:
    callback: Call | None = guard.callback
    return callback


def _taken_timer(timer: Any) -> Call | None:
    if not timer.handle.is_timer_ready():  # cancelled
        return None
    timer.handle.call_timer()
    callback: Call = timer.callback
    return callback


def _taken_message(subscription: Any) -> Call | None:
    taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
    if taken is None:
        return None
    message, info = taken
    wants_info = CALLBACKS_TAKE_INFO and subscription._callback_type is Subscription.CallbackType.WithMessageInfo
    return lambda: subscription.callback(message, info) if wants_info else subscription.callback(message)
