"""The fixed suites of closed-loop runs. All kinds take turns, so that the first N runs of a suite hold every kind alike."""

from __future__ import annotations

from dataclasses import dataclass

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.world.scenario_kinds import KINDS
from moe_bev_ros.world.splits import kind_of, seeds_of


@dataclass(frozen=True)
class DriveCase:
    """One run: a world, driven through for some time."""

    seed: int
    kind: str
    duration_s: float


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
        seeds = seeds_of(self.split, self.runs_per_kind * len(KINDS))
        return tuple(DriveCase(seed, kind_of(seed), self.duration_s) for seed in seeds)


SUITES = {
    'test': Suite('test', 44, 15.0, 'all kinds of the test split, meant for true objects'),
    'engine_test': Suite('test', 15, 15.0, 'the same, fewer, meant for an engine that sees the rendered LiDAR'),
    'quick': Suite('val', 1, 15.0, 'one run of each kind, of the validation split, for trials'),
}


def suite_cases(name: str, runs: int | None = None) -> tuple[DriveCase, ...]:
    """The runs of a suite, or its first ones.

    Raises:
        InputError: no such suite, or it has not so many runs.
    """
    if name not in SUITES:
        raise InputError(f'no suite {name!r}; choose one of {", ".join(SUITES)}')
    cases = SUITES[name].cases()
    if runs is not None and not 1 <= runs <= len(cases):
        raise InputError(f'suite {name} has 1 to {len(cases)} runs, not {runs}; choose another number of runs')
    return cases[:runs]
