"""Where the wall time of one frame goes, from the anchor sensor message to the command."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Trace:
    """CLOCK_MONOTONIC stamps [ns] of one frame's way through the nodes; comparable on one machine only.

    Attributes:
        receive_ns: when the anchor sensor message reached our first node; 0: not known.
        stages: names of the nodes passed.
        receive_at_ns: when each stage had all its input.
        publish_at_ns: when each stage published.
    """

    receive_ns: int = 0
    stages: tuple[str, ...] = ()
    receive_at_ns: tuple[int, ...] = ()
    publish_at_ns: tuple[int, ...] = ()

    def passed(self, stage: str, receive_at_ns: int, publish_at_ns: int) -> Trace:
        """Return this trace with one more stage at its end."""
        return Trace(
            self.receive_ns,
            (*self.stages, stage),
            (*self.receive_at_ns, receive_at_ns),
            (*self.publish_at_ns, publish_at_ns),
        )

    def stage_ms(self) -> dict[str, float]:
        """Milliseconds each stage took, and under ``<stage>_wait`` the way to it since the stage before published."""
        before = (self.receive_ns, *self.publish_at_ns[:-1])
        result: dict[str, float] = {}
        for stage, previous, received, published in zip(self.stages, before, self.receive_at_ns, self.publish_at_ns):
            result[f'{stage}_wait'] = (received - previous) / 1e6
            result[stage] = (published - received) / 1e6
        return result

    @property
    def total_ms(self) -> float:
        """Milliseconds from the anchor message to the last publication; NaN before any stage has published."""
        if not self.receive_ns or not self.publish_at_ns:
            return float(np.nan)
        return (self.publish_at_ns[-1] - self.receive_ns) / 1e6
