"""Bring-up as a state machine, against simulated nodes that obey, refuse, die or hang."""

from dataclasses import dataclass, field

import pytest

from moe_bev_ros.runtime.bringup import RESULT, Bringup, Command, Limits, NodeState, Request, Transition

NAMES = ('/a', '/b', '/c')
TICK_S = 0.05


@dataclass
class Simulated:
    """Nodes that beat at 5 Hz and answer at once, unless told otherwise."""

    bringup: Bringup
    states: dict[str, int]
    pids: dict[str, int]
    dead: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    now_s: float = 100.0

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.now_s += TICK_S
            for name in set(self.states) - self.dead:
                self.bringup.heard(name, self.pids[name], self.states[name], self.now_s)
            requests, findings = self.bringup.update(self.now_s)
            self.said += [f'{finding.node}: {finding.text}' for finding in findings]
            for request in requests:
                self.obey(request)

    def obey(self, request: Request) -> None:
        self.asked.append((request.node, request.transition.name))
        if request.node in self.dead | self.deaf:
            return
        ok = request.node not in self.refusing
        if ok:
            self.states[request.node] = RESULT[request.transition]
        self.bringup.answered(request, ok, self.now_s)

    def respawn(self, name: str) -> None:
        self.dead.discard(name)
        self.pids[name] += 1000
        self.states[name] = NodeState.UNCONFIGURED


def simulated(state: int = NodeState.UNCONFIGURED, limits: Limits | None = None) -> Simulated:
    bringup = Bringup(NAMES, limits or Limits())
    return Simulated(bringup, dict.fromkeys(NAMES, state), {name: 10 + index for index, name in enumerate(NAMES)})


def started() -> Simulated:
    sim = simulated()
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.run(3.0)
    assert sim.bringup.is_active
    sim.asked.clear()
    sim.said.clear()
    return sim


def test_startup_configures_all_in_order_then_activates_all_in_order():
    sim = simulated()
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.run(3.0)
    assert sim.asked == [(name, step) for step in ('CONFIGURE', 'ACTIVATE') for name in NAMES]
    assert sim.bringup.succeeded
    assert sim.bringup.is_active


def test_shutdown_is_the_reverse():
    sim = started()
    sim.bringup.command(Command.SHUTDOWN, sim.now_s)
    sim.run(3.0)
    steps = ('DEACTIVATE', 'CLEANUP', 'UNCONFIGURED_SHUTDOWN')
    assert sim.asked == [(name, step) for step in steps for name in reversed(NAMES)]
    assert not sim.bringup.is_active


@pytest.mark.parametrize(
    ('before', 'command', 'after'),
    [
        (NodeState.ACTIVE, Command.PAUSE, NodeState.INACTIVE),
        (NodeState.INACTIVE, Command.RESUME, NodeState.ACTIVE),
        (NodeState.ACTIVE, Command.RESET, NodeState.UNCONFIGURED),
        (NodeState.INACTIVE, Command.RESET, NodeState.UNCONFIGURED),
        (NodeState.UNCONFIGURED, Command.CONFIGURE, NodeState.INACTIVE),
        (NodeState.INACTIVE, Command.CLEANUP, NodeState.UNCONFIGURED),
        (NodeState.INACTIVE, Command.STARTUP, NodeState.ACTIVE),
    ],
)
def test_commands_lead_where_those_of_nav2_lead(before, command, after):
    sim = simulated(before)
    sim.run(0.2)
    assert sim.bringup.command(command, sim.now_s)
    sim.run(3.0)
    assert sim.bringup.succeeded
    assert set(sim.states.values()) == {after}


@pytest.mark.parametrize(
    ('before', 'command'),
    [
        (NodeState.UNCONFIGURED, Command.PAUSE),
        (NodeState.UNCONFIGURED, Command.RESUME),
        (NodeState.ACTIVE, Command.CONFIGURE),
        (NodeState.ACTIVE, Command.CLEANUP),
        (NodeState.FINALIZED, Command.STARTUP),
    ],
)
def test_commands_that_do_not_fit_the_states_are_refused(before, command):
    sim = simulated(before)
    sim.run(0.2)
    assert not sim.bringup.command(command, sim.now_s)
    sim.run(1.0)
    assert sim.asked == []
    assert 'refused' in sim.said[0]


def test_a_fresh_manager_adopts_active_nodes_without_a_transition():
    sim = simulated(NodeState.ACTIVE)
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.run(1.0)
    assert sim.asked == []
    assert sim.bringup.is_active


def test_a_dead_node_is_said_within_a_second_and_brought_back_alone():
    sim = started()
    sim.dead.add('/b')
    sim.run(0.9)
    assert any(text.startswith('/b: pid 11 died or hangs') for text in sim.said)
    assert not sim.bringup.is_active
    assert sim.asked == []
    sim.respawn('/b')
    sim.run(0.5)
    assert sim.asked == [('/b', 'CONFIGURE'), ('/b', 'ACTIVATE')]
    assert sim.bringup.is_active
    assert [node.restarts for node in sim.bringup.nodes.values()] == [0, 1, 0]


def test_two_dead_nodes_do_not_wait_for_each_other():
    sim = started()
    sim.dead |= {'/a', '/b'}
    sim.run(1.0)
    sim.respawn('/b')
    sim.run(0.5)
    assert sim.states['/b'] == NodeState.ACTIVE


def test_a_node_that_fell_out_of_active_is_brought_back():
    sim = started()
    sim.states['/c'] = NodeState.INACTIVE
    sim.run(0.5)
    assert sim.asked == [('/c', 'ACTIVATE')]


def test_a_node_that_dies_while_it_configures_is_configured_again():
    sim = started()
    sim.respawn('/a')
    sim.deaf.add('/a')
    sim.run(0.2)
    sim.dead.add('/a')
    sim.run(1.0)
    sim.deaf.clear()
    sim.respawn('/a')
    sim.run(0.5)
    assert sim.bringup.is_active


def test_silence_during_a_transition_is_no_death_before_the_deadline():
    sim = simulated(limits=Limits(transition_deadline_s=15.0))
    sim.run(0.2)
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.dead.add('/a')  # its executor is blocked: no heartbeat, no answer
    sim.run(10.0)
    assert sim.said == []
    sim.dead.clear()
    sim.states['/a'] = NodeState.INACTIVE
    sim.run(2.0)
    assert sim.bringup.is_active


def test_a_transition_that_never_ends_has_failed_after_the_deadline():
    sim = simulated(limits=Limits(transition_deadline_s=2.0))
    sim.run(0.2)
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.dead.add('/a')
    sim.run(3.0)
    assert '/a: configure not done after 2 s' in sim.said
    assert any('/a: pid 10 died or hangs' in text for text in sim.said)


def test_a_request_that_got_lost_is_sent_again():
    sim = simulated()
    sim.deaf.add('/a')
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.run(0.8)
    sim.deaf.clear()
    sim.run(3.0)
    assert sim.asked[:2] == [('/a', 'CONFIGURE')] * 2
    assert sim.bringup.is_active
    assert sim.bringup.nodes['/a'].failures == 0


def test_a_request_that_arrives_twice_is_no_failure():
    bringup = Bringup(('/a',), Limits())
    bringup.command(Command.STARTUP, 0.0)
    bringup.heard('/a', 1, NodeState.UNCONFIGURED, 0.0)
    (request,), _ = bringup.update(0.05)
    bringup.heard('/a', 1, NodeState.UNCONFIGURED, 1.1)
    assert bringup.update(1.1)[0] == [request]
    bringup.answered(request, False, 1.2)  # both arrived; the second one finds the node configured
    bringup.heard('/a', 1, NodeState.INACTIVE, 1.3)
    assert bringup.update(1.35)[0] == [Request('/a', 1, Transition.ACTIVATE)]
    assert bringup.nodes['/a'].failures == 0


def test_a_node_that_refuses_is_given_up_loudly_and_startup_fails():
    sim = simulated(limits=Limits(max_tries=3, retry_delay_s=0.2))
    sim.refusing.add('/b')
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.run(5.0)
    assert sim.asked == [('/a', 'CONFIGURE'), *[('/b', 'CONFIGURE')] * 3]
    assert sim.bringup.succeeded is False
    assert any(text.startswith('/b: given up after 3 failures') for text in sim.said)
    sim.refusing.clear()
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.run(3.0)
    assert sim.bringup.is_active


def test_a_node_that_dies_again_and_again_is_given_up_while_the_others_run():
    sim = started()
    for _ in range(5):
        sim.respawn('/b')
        sim.run(0.3)
    sim.asked.clear()
    sim.respawn('/b')
    sim.run(2.0)
    assert sim.asked == []
    assert sim.states['/a'] == sim.states['/c'] == NodeState.ACTIVE
    assert sum('given up' in text for text in sim.said) == 1


def test_a_node_that_stays_up_is_forgiven():
    sim = started()
    for _ in range(8):
        sim.respawn('/b')
        sim.run(25.0)
    assert sim.bringup.is_active


def test_startup_fails_when_a_process_is_missing_and_goes_on_when_it_comes():
    sim = simulated(limits=Limits(command_deadline_s=3.0))
    sim.dead.add('/b')
    sim.bringup.command(Command.STARTUP, sim.now_s)
    sim.run(4.0)
    assert sim.bringup.succeeded is False
    assert any('/b: has never been heard' in text for text in sim.said)
    assert sim.asked == [('/a', 'CONFIGURE')]
    sim.dead.clear()
    sim.run(2.0)
    assert sim.bringup.is_active


def test_a_late_heartbeat_does_not_undo_an_answer():
    bringup = Bringup(('/a',), Limits())
    bringup.command(Command.STARTUP, 0.0)
    bringup.heard('/a', 1, NodeState.INACTIVE, 0.0)
    (request,), _ = bringup.update(0.05)
    assert request.transition is Transition.ACTIVATE
    bringup.answered(request, True, 0.1)
    bringup.heard('/a', 1, NodeState.INACTIVE, 0.11)
    assert bringup.update(0.15)[0] == []
    assert bringup.nodes['/a'].state is NodeState.ACTIVE


def test_strangers_are_ignored():
    bringup = Bringup(('/a',), Limits())
    bringup.heard('/stranger', 1, NodeState.ACTIVE, 0.0)
    assert set(bringup.nodes) == {'/a'}
