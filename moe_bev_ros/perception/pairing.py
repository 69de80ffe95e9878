"""Pairs camera bundles and LiDAR sweeps into frames: nothing is lost silently, nothing waits for a sensor that is dead.

Time arrives as an argument. A frame has the bundle's stamp where there is a bundle, otherwise the sweep's.

- A bundle takes the sweep nearest to it. It waits while a nearer one can still come: the sweeps' own rhythm tells.
- A sweep that no bundle is near to is a frame of its own, but no more than ``max_rate_hz`` of them: a LiDAR of 20 Hz without
  cameras must not run the engine at 20 Hz. Sweeps are thinned out here and not where they are made, since only here it is known
  which of them a bundle wants.
- A sweep beside a bundle that took another one, or between two bundles that leave no room for a frame, is no frame.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, TypeVar

from moe_bev_ros.perception.rate_limit import RateLimit

B = TypeVar('B')
S = TypeVar('S')
T = TypeVar('T')

MAX_PENDING = 50
ROOM_PERIODS = 1.9  # between two bundles that are nearer there is no room for a frame at the highest rate; 2, less jitter


@dataclass(frozen=True)
class PairingConfig:
    """When two messages make a frame.

    Attributes:
        tolerance_s: largest difference of the two stamps.
        wait_s: how long one waits for the other, from the moment it came in.
        dead_after: once so many frames in a row have gone out without a sensor, it is waited for only where its own rhythm has
            it due next, until it speaks again. Frames are counted and not seconds, since a bag or a simulation may play at any
            rate.
        max_rate_hz: of frames that are made of sweeps alone.
    """

    tolerance_s: float = 0.05
    wait_s: float = 0.2
    dead_after: int = 3
    max_rate_hz: float = 10.0

    @property
    def tolerance_ns(self) -> int:
        """The tolerance in nanoseconds."""
        return round(self.tolerance_s * 1e9)

    @property
    def room_ns(self) -> int:
        """Between two bundles that are nearer to each other there is no frame of a sweep alone."""
        return round(ROOM_PERIODS * 1e9 / self.max_rate_hz)


@dataclass(frozen=True)
class Pair(Generic[B, S]):
    """What goes into the engine together; at least one of the two is there."""

    stamp_ns: int
    bundle: B | None
    sweep: S | None


@dataclass(frozen=True, eq=False)  # the contents hold arrays, which do not compare
class _Waiting(Generic[T]):
    stamp_ns: int
    content: T
    since_s: float


@dataclass
class _Stream(Generic[T]):
    """One of the two sensors."""

    waiting: list[_Waiting[T]] = field(default_factory=list)
    stamps_ns: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_PENDING))
    frames_without: int = 0

    @property
    def newest_ns(self) -> int | None:
        return self.stamps_ns[-1] if self.stamps_ns else None

    @property
    def period_ns(self) -> int:
        """The shorter of the last two intervals, so that one lost message does not hide the rate; 0: not known."""
        last = list(self.stamps_ns)[-3:]
        return min((after - before for before, after in pairwise(last)), default=0)

    def came(self, stamp_ns: int) -> None:
        self.stamps_ns.append(stamp_ns)
        self.frames_without = 0

    def remove_until(self, stamp_ns: int) -> list[_Waiting[T]]:
        older = [item for item in self.waiting if item.stamp_ns <= stamp_ns]
        self.waiting = [item for item in self.waiting if item.stamp_ns > stamp_ns]
        return older


class Pairer(Generic[B, S]):
    """Collects bundles and sweeps, and hands out the newest frame that is complete or has waited long enough.

    Attributes:
        dropped: frames given up: a newer one was ready or had gone out already, the rate was too high, or time jumped.
        late: partners that came after their frame had gone out without them.
        unused_sweeps: sweeps that went into no frame and were none, since a bundle was there for their time.
    """

    def __init__(self, config: PairingConfig | None = None) -> None:
        self.dropped = self.late = self.unused_sweeps = 0
        self._bundles: _Stream[B] = _Stream()
        self._sweeps: _Stream[S] = _Stream()
        self.configure(config or PairingConfig())

    def configure(self, config: PairingConfig) -> None:
        """Take over other limits, and begin anew."""
        self.config = config
        self._limit = RateLimit(config.max_rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget what went out and give up what is pending; the counts stay."""
        self.dropped += len(self._bundles.waiting)
        self._give_up_sweeps(self._sweeps.waiting)
        self._bundles, self._sweeps = _Stream(), _Stream()
        self._sent: Pair[None, None] | None = None
        self._sent_lacks_bundle = self._sent_lacks_sweep = False
        self._limit.reset()

    def add_bundle(self, stamp_ns: int, bundle: B, now_s: float) -> None:
        """A camera bundle came in."""
        self._bundles.came(stamp_ns)
        if self._sent is not None and self._sent_lacks_bundle and self._is_near(stamp_ns, [self._sent.stamp_ns]):
            self.late += 1
            self._sent_lacks_bundle = False
        elif self._sent is not None and stamp_ns <= self._sent.stamp_ns:
            self.dropped += 1
        else:
            self._bundles.waiting.append(_Waiting(stamp_ns, bundle, now_s))
            if len(self._bundles.waiting) > MAX_PENDING:
                self._bundles.waiting.pop(0)
                self.dropped += 1

    def add_sweep(self, stamp_ns: int, sweep: S, now_s: float) -> None:
        """A LiDAR sweep came in."""
        self._sweeps.came(stamp_ns)
        item = _Waiting(stamp_ns, sweep, now_s)
        if self._sent is not None and self._sent_lacks_sweep and self._is_near(stamp_ns, [self._sent.stamp_ns]):
            self.late += 1
            self._sent_lacks_sweep = False
        elif self._sent is not None and stamp_ns <= self._sent.stamp_ns:
            self._give_up_sweeps([item])
        else:
            self._sweeps.waiting.append(item)
            if len(self._sweeps.waiting) > MAX_PENDING:
                self._give_up_sweeps([self._sweeps.waiting.pop(0)])

    @property
    def is_waiting(self) -> bool:
        """Whether something may become a frame by waiting, so that `take` is wanted."""
        return bool(self._bundles.waiting or self._sweeps.waiting)

    def take(self, now_s: float) -> Pair[B, S] | None:
        """The newest frame that is ready; older ones are dropped and counted. None: nothing is ready."""
        ready: list[tuple[_Waiting[B] | None, _Waiting[S] | None]] = []
        for bundle in self._bundles.waiting:
            partner = self._partner(bundle)
            if self._is_ready(bundle, self._sweeps, now_s) or not self._awaits_sweep(bundle, partner):
                ready.append((bundle, partner))
        ready.extend((None, sweep) for sweep in self._sweeps_alone(now_s))
        if not ready:
            return None
        return self._send(*max(ready, key=lambda pair: _anchor(*pair).stamp_ns))

    def _send(self, bundle: _Waiting[B] | None, sweep: _Waiting[S] | None) -> Pair[B, S]:
        stamp_ns = _anchor(bundle, sweep).stamp_ns
        self.dropped += sum(item is not bundle for item in self._bundles.remove_until(stamp_ns))
        if sweep is not None:
            self._sweeps.waiting.remove(sweep)
        self._give_up_sweeps(self._sweeps.remove_until(stamp_ns))
        self._limit.use(stamp_ns)
        self._sent = Pair(stamp_ns, None, None)
        self._sent_lacks_bundle, self._sent_lacks_sweep = bundle is None, sweep is None
        self._bundles.frames_without += bundle is None
        self._sweeps.frames_without += sweep is None
        return Pair(stamp_ns, bundle.content if bundle else None, sweep.content if sweep else None)

    def _partner(self, bundle: _Waiting[B]) -> _Waiting[S] | None:
        """The nearest sweep that is nearer to no other bundle."""

        def distance_ns(sweep: _Waiting[S], other: _Waiting[B]) -> int:
            return abs(sweep.stamp_ns - other.stamp_ns)

        own = [
            sweep
            for sweep in self._sweeps.waiting
            if distance_ns(sweep, bundle)
            <= min(self.config.tolerance_ns, *(distance_ns(sweep, b) for b in self._bundles.waiting))
        ]
        return min(own, key=lambda sweep: distance_ns(sweep, bundle), default=None)

    def _is_ready(self, item: _Waiting[T], other: _Stream[B] | _Stream[S], now_s: float) -> bool:
        """Whether it need not wait any longer for the other sensor, whatever that still sends."""
        next_ns = (other.newest_ns or 0) + other.period_ns  # of a sensor that is slow, and not dead
        is_due = other.period_ns > 0 and self._is_near(item.stamp_ns, [next_ns])
        is_dead = other.frames_without >= self.config.dead_after and not is_due
        return is_dead or now_s - item.since_s >= self.config.wait_s

    def _awaits_sweep(self, bundle: _Waiting[B], partner: _Waiting[S] | None) -> bool:
        """Whether a sweep can still come that is nearer."""
        newest_ns = self._sweeps.newest_ns
        if newest_ns is None:
            return True
        if partner is None:
            return newest_ns <= bundle.stamp_ns + self.config.tolerance_ns
        return 2 * (bundle.stamp_ns - newest_ns) > self._sweeps.period_ns > 0

    def _sweeps_alone(self, now_s: float) -> list[_Waiting[S]]:
        """The sweeps that are frames of their own now; those that turn out not to be, or come too fast, are given up."""
        pending_ns = [bundle.stamp_ns for bundle in self._bundles.waiting]
        newest_ns = self._bundles.newest_ns
        alone, others = [], []
        for sweep in self._sweeps.waiting:
            is_passed_by = newest_ns is not None and newest_ns > sweep.stamp_ns + self.config.tolerance_ns
            if self._is_near(sweep.stamp_ns, pending_ns) or not (is_passed_by or self._is_ready(sweep, self._bundles, now_s)):
                continue
            if self._is_frame(sweep.stamp_ns) and not self._limit.is_early(sweep.stamp_ns):
                alone.append(sweep)
            elif is_passed_by or now_s - sweep.since_s >= self.config.wait_s:  # even a dead camera may come back and take it
                others.append(sweep)
        self._sweeps.waiting = [sweep for sweep in self._sweeps.waiting if sweep not in others]
        self._give_up_sweeps(others)
        return alone

    def _give_up_sweeps(self, sweeps: list[_Waiting[S]]) -> None:
        num_frames = sum(self._is_frame(sweep.stamp_ns) for sweep in sweeps)
        self.dropped += num_frames
        self.unused_sweeps += len(sweeps) - num_frames

    def _is_frame(self, stamp_ns: int) -> bool:
        """Whether a sweep counts as a frame: the bundles have left its time free."""
        return is_alone(stamp_ns, self._bundles.stamps_ns, self.config)

    def _is_near(self, stamp_ns: int, others_ns: Iterable[int]) -> bool:
        return any(abs(stamp_ns - other_ns) <= self.config.tolerance_ns for other_ns in others_ns)


def is_alone(sweep_ns: int, bundles_ns: Sequence[int], config: PairingConfig) -> bool:
    """Whether a sweep is a frame of its own: no bundle is near, and those around it leave room for a frame.

    Args:
        bundles_ns: stamps that rise.
    """
    at = bisect_right(bundles_ns, sweep_ns)
    before_ns = bundles_ns[at - 1] if at else None
    after_ns = bundles_ns[at] if at < len(bundles_ns) else None
    if before_ns is not None and after_ns is not None and after_ns - before_ns < config.room_ns:
        return False
    return all(other_ns is None or abs(sweep_ns - other_ns) > config.tolerance_ns for other_ns in (before_ns, after_ns))


def _anchor(bundle: _Waiting[B] | None, sweep: _Waiting[S] | None) -> _Waiting[B] | _Waiting[S]:
    anchor = bundle or sweep
    assert anchor is not None
    return anchor
