"""Health of a node's inputs: pure bookkeeping, so that diagnostics speak even when no message ever comes."""

from __future__ import annotations

from dataclasses import dataclass

REJECT_MEMORY_S = 3.0
LATE_PERIODS = 5.0


@dataclass
class InputHealth:
    """What came in on one topic. Times are CLOCK_MONOTONIC seconds.

    Attributes:
        required: nothing received is a problem.
        period_s: expected time between messages; 0: not periodic.
        many_publishers: several publishers are normal.
    """

    topic: str
    required: bool = True
    period_s: float = 0.0
    many_publishers: bool = False
    num_received: int = 0
    num_publishers: int = 0
    last_s: float = 0.0
    rejected_s: float = -1e9
    rejected_fact: str = ''

    def received(self, now_s: float) -> None:
        """A message came in."""
        self.num_received += 1
        self.last_s = now_s

    def rejected(self, fact: str, now_s: float) -> None:
        """A message could not be used."""
        self.rejected_s, self.rejected_fact = now_s, fact

    def problem(self, now_s: float) -> str:
        """One line that names the topic and what is wrong with it; empty when all is well."""
        if now_s - self.rejected_s < REJECT_MEMORY_S:
            return f'{self.topic}: {self.rejected_fact}'
        if self.num_publishers > 1 and not self.many_publishers:
            return f'{self.topic}: {self.num_publishers} publishers, wanted 1; stop the others or remap them'
        if not self.num_received:
            if not self.required:
                return ''
            return f'{self.topic}: ' + ('no message yet' if self.num_publishers else 'no publisher; check the topic name')
        if self.period_s and now_s - self.last_s > LATE_PERIODS * self.period_s:
            return f'{self.topic}: silent for {now_s - self.last_s:.1f} s'
        return ''
