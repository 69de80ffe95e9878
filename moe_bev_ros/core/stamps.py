"""Watches the stamps of one stream: bag loops, glitches and second publishers show in them first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

LATE_S = 0.5
FORWARD_S = 10.0


class Stamp(Enum):
    """What a new stamp means for the stream."""

    NEXT = 'next'
    REPEATED = 'repeated'  # not newer than the last one, by less than LATE_S: drop the message
    BACK = 'back'  # time jumped back (bag loop, clock reset): forget everything, then go on from here
    FORWARD = 'forward'  # time jumped far ahead: likewise


@dataclass
class StampGuard:
    """Compares each stamp of one stream with the one before."""

    last_ns: int | None = None

    def check(self, stamp_ns: int, silence_ns: int = 0) -> Stamp:
        """Classify a stamp and remember it, unless it is REPEATED.

        Args:
            silence_ns: steady time since the message before; after a long silence a stamp that went on with it is no jump.
        """
        last_ns = self.last_ns
        if last_ns is not None and last_ns - LATE_S * 1e9 < stamp_ns <= last_ns:
            return Stamp.REPEATED
        self.last_ns = stamp_ns
        if last_ns is None or last_ns < stamp_ns <= last_ns + FORWARD_S * 1e9 + silence_ns:
            return Stamp.NEXT
        return Stamp.BACK if stamp_ns < last_ns else Stamp.FORWARD
