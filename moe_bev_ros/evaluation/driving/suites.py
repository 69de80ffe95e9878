"""What is driven, and who drives: fixed suites of closed-loop runs, and rows of engine, planner, controller and latency.

All kinds take turns, so that the first N runs of a suite hold every kind alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moe_bev_ros.control.controllers import controller_row
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.planning.planners import planner_row

if TYPE_CHECKING:
    from moe_bev_ros.world.scenario import Scenario

TRUTH = 'truth'
TRUTH_LATENCY_MS = 50.0
REPLAY = 'replay'


@dataclass(frozen=True)
class DriveCase:
    """One run: a world, driven through for some time.

    Attributes:
        tracks: file of a recorded drive; empty: the world of a seed and kind.
    """

    seed: int
    kind: str
    duration_s: float
    tracks: str = ''

    def scenario(self) -> Scenario:
        """The world.

        Raises:
            InputError: no such kind, or the tracks cannot be read.
        """
        from moe_bev_ros.world.recorded_tracks import read_tracks  # the world takes a second, and the command lists suites
        from moe_bev_ros.world.scenario import draw_scenario, replay_scenario

        if self.tracks:
            return replay_scenario(read_tracks(Path(self.tracks)), self.seed)
        return draw_scenario(self.seed, self.kind)


@dataclass(frozen=True)
class DriveRow:
    """Who drives.

    Attributes:
        engine: TRUTH, or a name of ENGINES.
        latency_ms: from a frame to its command; None: as measured.
    """

    engine: str = TRUTH
    planner: str = 'idm'
    controller: str = 'pure_pursuit'
    latency_ms: float | None = TRUTH_LATENCY_MS

    def __post_init__(self) -> None:
        planner_row(self.planner)
        controller_row(self.controller)
        if self.engine not in (TRUTH, *ENGINES):
            raise InputError(f'no engine {self.engine!r}; choose one of {", ".join((TRUTH, *ENGINES))}')
        if self.latency_ms is not None and not 0.0 <= self.latency_ms <= 500.0:
            raise InputError(f'the latency must lie in 0 to 500 ms, got {self.latency_ms:g}; older plans are not followed')

    @property
    def name(self) -> str:
        """For files and tables."""
        latency = 'measured' if self.latency_ms is None else f'{self.latency_ms:g} ms'
        return f'{self.engine}, {self.planner}, {self.controller}, {latency}'


@dataclass(frozen=True)
class Suite:
    """The first seeds of a split.

    Attributes:
        runs_per_kind: of each of KINDS.
        what: for the list of suites.
    """

    split: str
    runs_per_kind: int
    duration_s: float
    what: str

    def cases(self) -> tuple[DriveCase, ...]:
        """The runs, kinds taking turns."""
        from moe_bev_ros.world.scenario_kinds import KINDS  # the world takes a second to import, and the command lists suites
        from moe_bev_ros.world.splits import kind_of, seeds_of

        seeds = seeds_of(self.split, self.runs_per_kind * len(KINDS))
        return tuple(DriveCase(seed, kind_of(seed), self.duration_s) for seed in seeds)


SUITES = {
    'test': Suite('test', 44, 12.0, 'all kinds of the test split, meant for true objects'),
    'engine_test': Suite('test', 15, 12.0, 'the same, fewer, meant for an engine that sees the rendered LiDAR'),
    'quick': Suite('val', 1, 12.0, 'one run of each kind, of the validation split, for trials'),
}


def replay_cases(files: Sequence[Path]) -> tuple[DriveCase, ...]:
    """Recorded drives from their start to their end; the ego drives as it likes, the others as they did.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    from moe_bev_ros.world.recorded_tracks import read_tracks, recording_seed
    from moe_bev_ros.world.scenario import LOG_REPLAY

    if not files:
        raise InputError(f'suite {REPLAY} needs --tracks; give files of recorded drives')
    return tuple(DriveCase(recording_seed(path), LOG_REPLAY, read_tracks(path).duration_s, str(path)) for path in files)


def suite_cases(name: str, runs: int | None = None) -> tuple[DriveCase, ...]:
    """The runs of a suite, or its first ones.

    Raises:
        InputError: no such suite, or it has not so many runs.
    """
    if name not in SUITES:
        raise InputError(f'no suite {name!r}; choose one of {", ".join((*SUITES, REPLAY))}')
    cases = SUITES[name].cases()
    if runs is not None and not 1 <= runs <= len(cases):
        raise InputError(f'suite {name} has 1 to {len(cases)} runs, not {runs}; choose another number of runs')
    return cases[:runs]
