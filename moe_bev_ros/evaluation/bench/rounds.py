"""Ratios of engines that took turns: each round gives every engine its steps, and one ratio; noise of a minute hits both sides.

A round beside which others used the processors is thrown away (`foreign_load`). A ratio whose minimum over the rounds lies more
than AGREEMENT from its median is flagged.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

AGREEMENT = 0.15
BEFORE, AFTER = ('inputs',), ('boxes',)  # stages around the network
CONVOLUTIONS = ('camera_encoder', 'lidar_encoder', 'frame_experts', 'heads')  # and each expert_...: nothing else is in them
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Round:
    """What all engines took in one turn.

    Attributes:
        steps: of each engine that ran, the milliseconds of its steps by stage and by sum, see `figures_of`.
        foreign: share of the processors that others used.
    """

    steps: Mapping[str, Sequence[Figures]]
    foreign: float


@dataclass(frozen=True)
class Ratio:
    """Of two engines, or of two figures of one; above 1: the first took longer.

    Attributes:
        minimum, median: over the rounds, of the ratio of the medians of a round.
        of_minima: the least time of all rounds over the least time.
    """

    minimum: float
    median: float
    of_minima: float

    @property
    def agrees(self) -> bool:
        """Whether the figures tell the same."""
        return all(abs(value - self.median) <= AGREEMENT * self.median for value in (self.minimum, self.of_minima))


def figures_of(stage_ms: Figures) -> dict[str, float]:
    """A step's stages, and their sums: the network, its convolutions, what is around it, and all."""
    around = sum(stage_ms.get(name, 0.0) for name in (*BEFORE, *AFTER))
    whole = sum(stage_ms.values())
    convolution = sum(ms for name, ms in stage_ms.items() if name in CONVOLUTIONS or name.startswith('expert_'))
    return {**stage_ms, 'network': whole - around, 'convolution': convolution, 'pre_post': around, 'step': whole}


def ratio(rounds: Sequence[Round], first: tuple[str, str], second: tuple[str, str]) -> Ratio | None:
    """Of two (engine, figure) pairs; None where one of them never ran."""
    each = [_median(item, *first) / _median(item, *second) for item in rounds if _ran(item, first) and _ran(item, second)]
    if not each:
        return None
    return Ratio(min(each), statistics.median(each), least(rounds, *first) / least(rounds, *second))


def least(rounds: Iterable[Round], engine: str, figure: str) -> float:
    """The shortest of all steps [ms]."""
    return min(step[figure] for item in rounds for step in item.steps.get(engine, ()))


def median(rounds: Iterable[Round], engine: str, figure: str) -> float:
    """Over the steps of all rounds [ms]."""
    return statistics.median(step[figure] for item in rounds for step in item.steps.get(engine, ()))


def stages_of(rounds: Iterable[Round], engine: str) -> tuple[str, ...]:
    """Stages and sums that this engine told of, in order; none: it never ran."""
    return next((tuple(step) for item in rounds for step in item.steps.get(engine, ())), ())


def _median(item: Round, engine: str, figure: str) -> float:
    return statistics.median(step[figure] for step in item.steps[engine])


def _ran(item: Round, of: tuple[str, str]) -> bool:
    return bool(item.steps.get(of[0]))
