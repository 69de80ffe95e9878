"""lifecycle_manager as a node: its services, its diagnostics, and real lifecycle nodes beside it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from faults.small_node import SmallNode
from lifecycle_msgs.msg import State
from nav2_msgs.srv import ManageLifecycleNodes
from std_srvs.srv import Trigger

from harness import Harness, ros
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.nodes.lifecycle_manager import LifecycleManager

NAMES = ('first', 'second')
Command = ManageLifecycleNodes.Request


class Managed:
    """A manager, its nodes, and an operator."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.nodes = [harness.start(lambda name=name: SmallNode(name), activate=False) for name in NAMES]
        self.manager = harness.start(LifecycleManager, activate=False)
        self._manage = harness.peer.create_client(ManageLifecycleNodes, '/lifecycle_manager/manage_nodes')
        self._is_active = harness.peer.create_client(Trigger, '/lifecycle_manager/is_active')

    def states(self) -> list[int]:
        return [node.state_id for node in self.nodes]

    def command(self, command: int) -> bool:
        return bool(self._call(self._manage, Command(command=command)).success)

    def is_active(self) -> Any:
        return self._call(self._is_active, Trigger.Request())

    def _call(self, client: Any, request: Any) -> Any:
        self.harness.spin_until(client.service_is_ready)
        future = client.call_async(request)
        self.harness.spin_until(future.done, 20.0)
        return future.result()


@contextmanager
def managed(**parameters: Any) -> Iterator[Managed]:
    with ros({'node_names': list(NAMES), **parameters}) as harness:
        yield Managed(harness)


def test_nodes_are_up_after_autostart():
    with managed() as it:
        it.harness.spin_until(lambda: it.states() == [State.PRIMARY_STATE_ACTIVE] * 2)
        it.harness.spin_until(lambda: it.manager.bringup.is_active)
        assert it.is_active().success


def test_an_operator_can_do_what_nav2_offers():
    with managed(autostart=False) as it:
        reply = it.is_active()
        assert not reply.success
        assert '/first' in reply.message
        for command, state in (
            (Command.STARTUP, State.PRIMARY_STATE_ACTIVE),
            (Command.PAUSE, State.PRIMARY_STATE_INACTIVE),
            (Command.RESUME, State.PRIMARY_STATE_ACTIVE),
            (Command.RESET, State.PRIMARY_STATE_UNCONFIGURED),
            (Command.CONFIGURE, State.PRIMARY_STATE_INACTIVE),
            (Command.CLEANUP, State.PRIMARY_STATE_UNCONFIGURED),
        ):
            assert it.command(command)
            assert it.states() == [state] * 2
        assert not it.command(Command.RESUME)
        assert not it.command(99)
        assert it.command(Command.SHUTDOWN)
        assert it.states() == [State.PRIMARY_STATE_FINALIZED] * 2


def test_a_node_that_fell_out_of_active_is_brought_back_alone():
    with managed() as it:
        it.harness.spin_until(lambda: it.manager.bringup.is_active)
        it.nodes[0].trigger_deactivate()
        it.harness.spin_until(lambda: it.states() == [State.PRIMARY_STATE_ACTIVE] * 2)


def test_diagnostics_show_state_pid_and_restarts_of_each_node():
    with managed() as it:
        arrays = it.harness.listen(DiagnosticArray, '/diagnostics')

        def status():
            return [found for array in arrays for found in array.status if found.name == '/second lifecycle']

        it.harness.spin_until(lambda: status() and status()[-1].message == 'active')
        values = {pair.key: pair.value for pair in status()[-1].values}
        assert values['state'] == 'active'
        assert values['restarts'] == '0'
        assert int(values['pid']) > 0


def test_a_manager_without_nodes_says_what_to_do():
    with ros() as harness, pytest.raises(InputError, match='node_names is empty'):
        harness.start(LifecycleManager, activate=False)
