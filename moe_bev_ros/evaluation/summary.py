"""What a run came to: every frame accounted for, and where its wall time went. Written as ``summary.json``."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from moe_bev_ros.core.command import Command
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.perception.pairing import PairingConfig, is_alone

STATES = {0: 'unknown', 1: 'unconfigured', 2: 'inactive', 3: 'active', 4: 'finalized'}
SENSOR_TO_COMMAND = 'sensor_to_command'


@dataclass
class _Counted:
    """A counter of one node that starts at 0 again when the node does."""

    before: int = 0
    last: int = 0

    def update(self, value: int) -> None:
        if value < self.last:
            self.before += self.last
        self.last = value

    @property
    def total(self) -> int:
        return self.before + self.last


@dataclass
class _NodeSeen:
    pid: int = 0
    state: int = 0
    restarts: int = 0


@dataclass
class EngineLog:
    """Accumulates what the engine says of each frame; names and shares are those of EngineStatus."""

    name: str = ''
    frames: int = 0
    memory_bytes: int = 0
    experts: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    _sparsity: dict[str, list[float]] = field(default_factory=dict)
    _stage_ms: dict[str, list[float]] = field(default_factory=dict)

    def status(
        self,
        name: str,
        *,
        experts: Iterable[str],
        sparsity: Mapping[str, float],
        stage_ms: Mapping[str, float],
        memory_bytes: int,
        warnings: Iterable[str],
    ) -> None:
        """An EngineStatus came."""
        self.name, self.frames = name, self.frames + 1
        self.memory_bytes = max(self.memory_bytes, memory_bytes)
        self.experts.update(experts)
        self.warnings.update(warnings)
        for values, kept in ((sparsity, self._sparsity), (stage_ms, self._stage_ms)):
            for key, value in values.items():
                kept.setdefault(key, []).append(value)

    def summary(self) -> dict[str, Any]:
        """Ready for JSON: in what share of the frames each expert ran, mean sparsity, and the largest memory."""
        frames = max(self.frames, 1)
        return {
            'name': self.name,
            'frames': self.frames,
            'expert_share': {name: round(count / frames, 3) for name, count in self.experts.most_common()},
            'mean_experts': round(self.experts.total() / frames, 3),
            'sparsity': {name: round(float(np.mean(values)), 3) for name, values in self._sparsity.items()},
            'memory_bytes': self.memory_bytes,
            'stage_ms': {name: percentiles(values) for name, values in self._stage_ms.items()},
            'warnings': dict(self.warnings.most_common(20)),
        }


@dataclass
class RunLog:
    """Accumulates what the scorer hears; `summary` may be asked for at any time.

    A frame is one stamp of the anchor sensor. Where a bag loops, the same stamp comes again: ``lap`` tells them apart.

    Attributes:
        end_ns: what comes from the world or answers it after this simulated time does not count; None: everything counts.
        sim_ns: the world's time.
        last_reason: of the last command.
        sees: whether perception had the sensors that it needs in the last frame.
    """

    end_ns: int | None = None
    sim_ns: int = 0
    last_reason: str = ''
    frames_in: int = 0
    sim_s: float = 0.0
    wall_s: float = 0.0
    answered: set[tuple[int, int]] = field(default_factory=set)
    num_objects: int = 0
    num_scenes: int = 0
    sees: bool = False
    engine: EngineLog = field(default_factory=EngineLog)
    num_commands: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    world: dict[str, float] | None = None
    _lap: int = 0
    _last_stamp_ns: int = 0
    _stage_ms: dict[str, list[float]] = field(default_factory=dict)
    _dropped: dict[str, _Counted] = field(default_factory=dict)
    _rejected: dict[str, _Counted] = field(default_factory=dict)
    _nodes: dict[str, _NodeSeen] = field(default_factory=dict)

    @property
    def frames_out(self) -> int:
        """Frames that a command answered."""
        return len(self.answered)

    @property
    def dropped_by_policy(self) -> int:
        """Frames that nodes gave up because a newer one was there."""
        return sum(counter.total for counter in self._dropped.values())

    @property
    def frames_lost(self) -> int:
        """Frames that nobody accounts for; read it with ``frames_overcounted``."""
        return max(0, self.frames_in - self.frames_out - self.dropped_by_policy)

    @property
    def frames_overcounted(self) -> int:
        """More frames answered and dropped than there were: the accounts do not add up, and may hide as many lost ones."""
        return max(0, self.frames_out + self.dropped_by_policy - self.frames_in)

    def command(self, stamp_ns: int, *, first_of_plan: bool, command: Command, trace: Trace) -> None:
        """A VehicleCommand came."""
        if self.end_ns is not None and stamp_ns > self.end_ns:
            return
        self.num_commands += 1
        self.last_reason = command.reason
        self.reasons[command.reason or 'following the plan'] += 1
        if not first_of_plan:
            return
        if stamp_ns < self._last_stamp_ns - 500_000_000:
            self._lap += 1
        self._last_stamp_ns = stamp_ns
        self.answered.add((self._lap, stamp_ns))
        if not math.isnan(trace.total_ms):
            for stage, milliseconds in (*trace.stage_ms().items(), (SENSOR_TO_COMMAND, trace.total_ms)):
                self._stage_ms.setdefault(stage, []).append(milliseconds)

    def scene(self, num_objects: int, *, valid: bool) -> None:
        """An Objects message came."""
        self.num_scenes += 1
        self.sees = valid
        self.num_objects += num_objects

    def counters(self, node: str, values: Mapping[str, str]) -> None:
        """A diagnostic status of a node came."""
        for key, counted in (('dropped_by_policy', self._dropped), ('rejected', self._rejected)):
            if key in values:
                counted.setdefault(node, _Counted()).update(int(values[key]))

    def heartbeat(self, node: str, pid: int, state: int) -> None:
        """A node said that it lives."""
        seen = self._nodes.setdefault(node, _NodeSeen(pid))
        if pid != seen.pid:
            seen.restarts += 1
        seen.pid, seen.state = pid, state

    def truth(self, *, frames: int, distance_m: float, collisions: int, sim_ns: int, wall_ns: int) -> None:
        """The world told where it is; ``frames`` were sent since its reset."""
        if self.end_ns is not None and sim_ns > self.end_ns:
            return
        self.sim_ns = sim_ns
        if self.world is None or sim_ns <= self.world['first_sim_ns']:  # it has not begun to move
            self.world = {'first_sim_ns': sim_ns, 'first_wall_ns': wall_ns}
        self.world.update(distance_m=distance_m, collisions=collisions)
        self.frames_in = frames
        self.sim_s = (sim_ns - self.world['first_sim_ns']) / 1e9
        self.wall_s = (wall_ns - self.world['first_wall_ns']) / 1e9

    def active_nodes(self) -> set[str]:
        """Names of the nodes whose last heartbeat said active."""
        return {name for name, seen in self._nodes.items() if seen.state == 3}

    def summary(self) -> dict[str, Any]:
        """Everything, ready for JSON; milliseconds are wall time."""
        result: dict[str, Any] = {
            'frames_in': self.frames_in,
            'frames_out': self.frames_out,
            'dropped_by_policy': self.dropped_by_policy,
            'frames_lost': self.frames_lost,
            'frames_overcounted': self.frames_overcounted,
            'objects': self.num_objects,
            'objects_messages': self.num_scenes,
            'perception_valid_at_end': self.sees,
            'engine': self.engine.summary(),
            'commands': self.num_commands,
            'command_reasons': dict(self.reasons.most_common(20)),
            'rejected_messages': sum(counter.total for counter in self._rejected.values()),
            'latency_ms': {stage: percentiles(values) for stage, values in self._stage_ms.items()},
            'real_time_factor': round(self.sim_s / self.wall_s, 3) if self.wall_s > 0 else None,
            'nodes': [
                {'name': name, 'state': STATES.get(seen.state, str(seen.state)), 'restarts': seen.restarts}
                for name, seen in sorted(self._nodes.items())
            ],
        }
        if self.world is not None:
            result['collisions'] = int(self.world['collisions'])
            result['distance_m'] = round(self.world['distance_m'], 2)
        return result


def percentiles(values: Iterable[float]) -> dict[str, float]:
    """p50, p99 and max of at least one value."""
    array = np.fromiter(values, float)
    p50, p99 = np.percentile(array, (50, 99))
    return {'p50': round(float(p50), 3), 'p99': round(float(p99), 3), 'max': round(float(array.max()), 3)}


def frame_stamps(anchor_stamps: Iterable[int], cloud_stamps: Iterable[int], pairing: PairingConfig) -> list[int]:
    """Stamps of all frames that a recording holds: each anchor image, and each cloud whose time no anchor image takes."""
    anchors = sorted(anchor_stamps)
    return sorted([*anchors, *(stamp for stamp in cloud_stamps if is_alone(stamp, anchors, pairing))])


def table(summary: Mapping[str, Any]) -> str:
    """The summary in a few lines for a terminal."""
    over = summary.get('frames_overcounted', 0)
    lines = [
        f'frames    in {summary["frames_in"]}, out {summary["frames_out"]}, dropped by policy {summary["dropped_by_policy"]}, '
        f'lost {summary["frames_lost"]}' + (f'; {over} MORE than came in: the accounts do not add up' if over else ''),
        f'objects   {summary["objects"]} in {summary["objects_messages"]} messages; commands {summary["commands"]}; '
        f'real-time factor {summary["real_time_factor"]}',
    ]
    if 'distance_m' in summary:
        lines.append(f'world     {summary["distance_m"]:.1f} m driven, {summary["collisions"]} collisions')
    for stage, row in summary['latency_ms'].items():
        lines.append(f'  {stage:<22} p50 {row["p50"]:8.2f}  p99 {row["p99"]:8.2f}  max {row["max"]:8.2f} ms')
    lines += _engine_lines(summary.get('engine') or {})
    restarted = [f'{node["name"]} ({node["restarts"]})' for node in summary['nodes'] if node['restarts']]
    states = Counter(node['state'] for node in summary['nodes'])
    lines.append(f'nodes     {", ".join(f"{count} {state}" for state, count in states.items())}')
    if restarted:
        lines.append(f'restarts  {", ".join(restarted)}')
    return '\n'.join(lines)


def _engine_lines(engine: Mapping[str, Any]) -> list[str]:
    """Nothing of an engine without experts and memory."""
    if not engine.get('expert_share'):
        return []
    shares = ', '.join(f'{name} {share:.0%}' for name, share in engine['expert_share'].items())
    left_out = ', '.join(f'{name} {share:.0%}' for name, share in engine['sparsity'].items())
    return [
        f'experts   {engine["name"]}: {shares} of {engine["frames"]} frames, {engine["mean_experts"]:.2f} a frame',
        f'left out  {left_out}; memory {engine["memory_bytes"] / 1e6:.2f} MB',
        *(f'warning   {count} x {text}' for text, count in engine['warnings'].items()),
    ]
