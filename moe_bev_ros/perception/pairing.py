"""Pairs camera bundles and LiDAR sweeps into frames: nothing is lost silently, nothing waits for a sensor that is dead.

Time arrives as an argument. A frame has the bundle's stamp where there is a bundle, otherwise the sweep's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

B = TypeVar('B')
S = TypeVar('S')

MAX_PENDING = 50


@dataclass(frozen=True)
class PairingConfig:
    """When two messages make a frame.

    Attributes:
        tolerance_s: largest difference of the two stamps.
        wait_s: how long one waits for the other, from the moment it came in.
        dead_after: once so many frames in a row have gone out without a sensor, it is not waited for until it speaks again.
            Frames are counted and not seconds, since a bag or a simulation may play at any rate.
    """

    tolerance_s: float = 0.05
    wait_s: float = 0.2
    dead_after: int = 3


@dataclass(frozen=True)
class Pair(Generic[B, S]):
    """What goes into the engine together; at least one of the two is there."""

    stamp_ns: int
    bundle: B | None
    sweep: S | None
    since_s: float


@dataclass
class Pairer(Generic[B, S]):
    """Collects bundles and sweeps, and hands out the newest frame that is complete or has waited long enough.

    Attributes:
        dropped: frames given up: a newer one was ready or had gone out already, or time jumped.
        late: partners that came after their frame had gone out without them.
    """

    config: PairingConfig = field(default_factory=PairingConfig)
    dropped: int = 0
    late: int = 0
    _pending: list[Pair[B, S]] = field(default_factory=list)
    _sent_ns: int | None = None
    _frames_without_bundle: int = 0
    _frames_without_sweep: int = 0

    def reset(self) -> None:
        """Forget what went out and give up what is pending; the counts stay."""
        self.dropped += len(self._pending)
        self._pending.clear()
        self._sent_ns = None
        self._frames_without_bundle = self._frames_without_sweep = 0

    def add_bundle(self, stamp_ns: int, bundle: B, now_s: float) -> None:
        """A camera bundle came in."""
        self._frames_without_bundle = 0
        best = self._closest(stamp_ns, [pair for pair in self._pending if pair.bundle is None])
        if best is None:
            self._append(Pair(stamp_ns, bundle, None, now_s))
        else:
            self._pending[self._pending.index(best)] = replace(best, stamp_ns=stamp_ns, bundle=bundle)

    def add_sweep(self, stamp_ns: int, sweep: S, now_s: float) -> None:
        """A LiDAR sweep came in."""
        self._frames_without_sweep = 0
        best = self._closest(stamp_ns, [pair for pair in self._pending if pair.sweep is None])
        if best is None:
            self._append(Pair(stamp_ns, None, sweep, now_s))
        else:
            self._pending[self._pending.index(best)] = replace(best, sweep=sweep)

    def take(self, now_s: float) -> Pair[B, S] | None:
        """The newest frame that is ready; older ones are dropped and counted. None: nothing is ready."""
        ready = [pair for pair in self._pending if self._is_ready(pair, now_s)]
        if not ready:
            return None
        newest = max(ready, key=lambda pair: pair.stamp_ns)
        older = [pair for pair in self._pending if pair.stamp_ns < newest.stamp_ns]
        self.dropped += len(older)
        self._pending = [pair for pair in self._pending if pair.stamp_ns > newest.stamp_ns]
        self._sent_ns = newest.stamp_ns
        self._frames_without_bundle += newest.bundle is None
        self._frames_without_sweep += newest.sweep is None
        return newest

    def _append(self, pair: Pair[B, S]) -> None:
        if self._sent_ns is not None and pair.stamp_ns <= self._sent_ns + self.config.tolerance_s * 1e9:
            # A newer frame is out. Its own partner is no frame of its own; anything older is one given up.
            if abs(pair.stamp_ns - self._sent_ns) <= self.config.tolerance_s * 1e9:
                self.late += 1
            else:
                self.dropped += 1
            return
        self._pending.append(pair)
        if len(self._pending) > MAX_PENDING:
            self._pending.pop(0)
            self.dropped += 1

    def _closest(self, stamp_ns: int, candidates: list[Pair[B, S]]) -> Pair[B, S] | None:
        near = [pair for pair in candidates if abs(pair.stamp_ns - stamp_ns) <= self.config.tolerance_s * 1e9]
        return min(near, key=lambda pair: abs(pair.stamp_ns - stamp_ns), default=None)

    def _is_ready(self, pair: Pair[B, S], now_s: float) -> bool:
        if pair.bundle is not None and pair.sweep is not None:
            return True
        frames_without = self._frames_without_sweep if pair.sweep is None else self._frames_without_bundle
        return frames_without >= self.config.dead_after or now_s - pair.since_s >= self.config.wait_s
