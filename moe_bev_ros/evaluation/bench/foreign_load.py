"""How much of the processors others used meanwhile, from /proc: a time taken beside them says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path('/proc')


@dataclass(frozen=True)
class CpuTimes:
    """Clock ticks of all processors since the machine started.

    Attributes:
        total: all that passed, on every processor.
        busy: in which a processor was not idle; those that a hypervisor took away are among them.
        own: that our processes used.
    """

    total: int
    busy: int
    own: int


def cpu_times(pids: Iterable[int]) -> CpuTimes:
    """Now; ``pids`` are our processes, of which some may have ended."""
    own = sum(own_ticks(_text(PROC / str(pid) / 'stat')) for pid in pids)
    return CpuTimes(*machine_ticks((PROC / 'stat').read_text()), own)


def foreign_share(before: CpuTimes, after: CpuTimes) -> float:
    """Share of all processors, 0..1, that neither idled nor worked for us between two times."""
    passed = after.total - before.total
    foreign = (after.busy - before.busy) - (after.own - before.own)
    return min(1.0, max(0.0, foreign / passed)) if passed > 0 else 0.0


def machine_ticks(stat: str) -> tuple[int, int]:
    """(total, busy) from the text of /proc/stat: user nice system idle iowait irq softirq steal; guests are in user."""
    ticks = [int(text) for text in stat.splitlines()[0].split()[1:9]]
    return sum(ticks), sum(ticks) - ticks[3] - ticks[4]


def own_ticks(stat: str) -> int:
    """Of a process and of its children that have ended, in user and system mode, from its ``stat``; 0 of no text."""
    fields = stat.rpartition(')')[2].split()
    return sum(int(text) for text in fields[11:15])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''
