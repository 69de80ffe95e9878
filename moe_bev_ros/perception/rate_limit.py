"""Thins a stream of stamps out to a mean rate."""

from __future__ import annotations


class RateLimit:
    """Says which stamps come too early for the rate.

    Half a period of slack lets a jittering stream of the wanted rate through whole; the due time moves on by whole periods, so
    the mean rate holds. After a gap it starts anew.

    Attributes:
        period_ns: wanted time between two stamps.
    """

    def __init__(self, max_rate_hz: float) -> None:
        self.period_ns = round(1e9 / max_rate_hz)
        self._due_ns: int | None = None

    def reset(self) -> None:
        """Forget the stamps; time jumped."""
        self._due_ns = None

    def is_early(self, stamp_ns: int) -> bool:
        """Whether a stamp is to be given up."""
        return self._due_ns is not None and stamp_ns < self._due_ns - self.period_ns // 2

    def use(self, stamp_ns: int) -> None:
        """This stamp was taken, early or not; the next one is due a period later."""
        due_ns = self._due_ns
        if due_ns is None or abs(stamp_ns - due_ns) > self.period_ns // 2:
            due_ns = stamp_ns
        self._due_ns = due_ns + self.period_ns
