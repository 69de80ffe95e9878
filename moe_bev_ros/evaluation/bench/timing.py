"""Times our code against a baseline in one run, turn by turn, so that a busy machine slows both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison. Ratios are ours over baseline: above 1, ours is slower."""

    name: str
    ours_ms_min: float
    ours_ms_median: float
    baseline_ms_min: float
    baseline_ms_median: float
    ratio_min: float
    ratio_median: float


def interleaved(name: str, ours: Callable[[], object], baseline: Callable[[], object], repeats: int) -> Row:
    """Call both in turn ``repeats`` times, after one call of each that is not counted."""
    ours(), baseline()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for call, spent in zip((ours, baseline), times):
            begin_ns = time.perf_counter_ns()
            call()
            spent.append((time.perf_counter_ns() - begin_ns) / 1e6)
    ours_min, baseline_min = (min(spent) for spent in times)
    ours_median, baseline_median = (statistics.median(spent) for spent in times)
    return Row(
        name=name,
        ours_ms_min=ours_min,
        ours_ms_median=ours_median,
        baseline_ms_min=baseline_min,
        baseline_ms_median=baseline_median,
        ratio_min=ours_min / max(baseline_min, 1e-6),
        ratio_median=ours_median / max(baseline_median, 1e-6),
    )


def format_rows(rows: Sequence[Row]) -> str:
    """A text table, one line per row."""
    width = max((len(row.name) for row in rows), default=4)
    lines = [f'{"":{width}}  {"ours [ms]":>18}  {"baseline [ms]":>18}  {"ratio":>13}']
    lines.append(f'{"":{width}}  {"min":>9}{"median":>9}  {"min":>9}{"median":>9}  {"min":>6}{"median":>7}')
    lines += [
        f'{row.name:{width}}  {row.ours_ms_min:9.3f}{row.ours_ms_median:9.3f}  '
        f'{row.baseline_ms_min:9.3f}{row.baseline_ms_median:9.3f}  {row.ratio_min:6.2f}{row.ratio_median:7.2f}'
        for row in rows
    ]
    return '\n'.join(lines)
