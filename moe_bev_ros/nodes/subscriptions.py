"""The subscriptions of one node: they fall back to best effort, hand out what waits, and bridge the distributions of ROS.

On Humble, where this was not run, the events are imported from their older module, and since a callback there gets the message
alone, its age in the queue is not known and counts as 0.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

CALLBACKS_TAKE_INFO = hasattr(Subscription, 'CallbackType')  # not on Humble
OLDEST_NS = 10_000_000_000  # no message waits longer in a queue of a node that lives


class Subscriptions:
    """Makes, renews and destroys them; iterating gives rclpy's own subscriptions.

    Args:
        say: takes a warning.
    """

    def __init__(self, node: Node, say: Callable[[str], None]) -> None:
        self._node = node
        self._say = say
        self._made: list[Any] = []
        self._deferred: list[Callable[[], None]] = []  # work that must not be done inside a middleware event

    def __iter__(self) -> Iterator[Any]:
        return iter(self._made)

    def make(
        self,
        msg_type: type,
        topic: str,
        callback: Callable[[Any, Any], None],
        qos: QoSProfile,
        overrides: QoSOverridingOptions | None = None,
        *,
        patient: bool = False,
    ) -> None:
        """Subscribe; where a publisher offers best effort only, ``renew`` does it again that way rather than hear nothing.

        Args:
            callback: gets the message, and its info or None.
            patient: see `LeanExecutor`.
        """

        def incompatible(event: Any) -> None:
            if event.last_policy_kind == QoSPolicyKind.RELIABILITY and qos.reliability != ReliabilityPolicy.BEST_EFFORT:
                self._deferred.append(listen_best_effort)

        def listen_best_effort() -> None:
            if subscription not in self._made:
                return
            self._say(f'{topic}: its publisher offers best effort only; messages may be lost on the way')
            self._made.remove(subscription)
            self._node.destroy_subscription(subscription)
            best_effort = copy.copy(qos)
            best_effort.reliability = ReliabilityPolicy.BEST_EFFORT
            self.make(msg_type, topic, callback, best_effort, patient=patient)

        def without_info(message: Any) -> None:
            callback(message, None)

        events = SubscriptionEventCallbacks(incompatible_qos=incompatible)
        taken = callback if CALLBACKS_TAKE_INFO else without_info
        subscription: Any = self._node.create_subscription(
            msg_type, topic, taken, qos, event_callbacks=events, qos_overriding_options=overrides
        )
        subscription.is_patient = patient
        self._made.append(subscription)

    def waiting(self, topic: str, msg_type: type) -> Iterator[Any]:
        """Take the messages that wait on a topic, each with its info."""
        subscription = next((item for item in self._made if item.topic_name == topic), None)
        while subscription is not None and (waiting := subscription.handle.take_message(msg_type, False)) is not None:
            yield waiting

    def renew(self) -> None:
        """Do what the middleware's events asked for."""
        while self._deferred:
            self._deferred.pop()()

    def destroy(self) -> None:
        """Destroy them all."""
        for subscription in self._made:
            self._node.destroy_subscription(subscription)
        self._made = []


def message_age_ns(info: Any) -> int:
    """How long ago the middleware received a message, before it waited for this callback [ns]; 0 where it is not known.

    The middleware stamps with CLOCK_REALTIME. If that is set forward while a message waits, this one message looks older than
    it is, by OLDEST_NS at most; if it is set back, it looks younger, at most as if it came just now.
    """
    if info is None:
        return 0
    received_ns = info['received_timestamp'] if isinstance(info, dict) else info.received_timestamp
    return min(max(time.time_ns() - int(received_ns), 0), OLDEST_NS)
