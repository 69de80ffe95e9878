"""Groups the images of several cameras around the stamps of one of them, the anchor.

Pure bookkeeping: stamps and arrival times go in, bundles come out. Stamps are capture times, arrival times are of any steady
clock; the two are never compared, so that neither a bag at another rate nor a paused clock upsets it.

- A bundle waits at most ``wait_s`` (of the steady clock) for images that are still to come. It goes out at once when every
  camera has delivered, or has shown by a newer image that nothing more will come.
- A camera that missed ``MISSES`` bundles running is no longer waited for; one punctual image brings it back.
- An anchor that stays silent while others go on is replaced by the next camera in order, until it comes back.
- Anchors faster than ``max_rate_hz`` are given up and counted, and so are those that wait when time jumps.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from moe_bev_ros.perception.rate_limit import RateLimit

T = TypeVar('T')

MISSES = 3  # bundles, or periods of an anchor, without an image
MIN_ANCHOR_SILENCE_NS = 300_000_000
KEPT = 8  # images of a camera, and arrivals of anchors, that are remembered


@dataclass(frozen=True)
class Image(Generic[T]):
    """One image of a camera: capture time (offset applied) and whatever the caller wants back."""

    stamp_ns: int
    content: T


@dataclass(frozen=True)
class Bundle(Generic[T]):
    """The images around one anchor stamp; None where a camera has none within the tolerance."""

    stamp_ns: int
    anchor: int
    images: tuple[Image[T] | None, ...]


@dataclass
class _Camera(Generic[T]):
    waiting: deque[Image[T]] = field(default_factory=lambda: deque(maxlen=KEPT))
    newest_ns: int | None = None
    intervals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=2))
    misses: int = 0

    @property
    def period_ns(self) -> int:
        """The shorter of the last two intervals, so that one lost image does not hide the rate; 0: not known."""
        return min(self.intervals_ns, default=0)

    def take(self, image: Image[T]) -> None:
        if self.newest_ns is not None:
            self.intervals_ns.append(image.stamp_ns - self.newest_ns)
        self.newest_ns = image.stamp_ns
        self.waiting.append(image)

    def is_due(self, stamp_ns: int, tolerance_ns: int) -> bool:
        """Whether the next image should lie within the tolerance, or earlier."""
        return self.newest_ns is None or self.newest_ns + self.period_ns <= stamp_ns + tolerance_ns

    def nearest(self, stamp_ns: int, tolerance_ns: int) -> Image[T] | None:
        image = min(self.waiting, key=lambda image: abs(image.stamp_ns - stamp_ns), default=None)
        return image if image is not None and abs(image.stamp_ns - stamp_ns) <= tolerance_ns else None

    def forget_until(self, stamp_ns: int) -> None:
        while self.waiting and self.waiting[0].stamp_ns <= stamp_ns:
            self.waiting.popleft()


class Synchroniser(Generic[T]):
    """See the module's text. Feed every image to ``add`` and call ``poll`` now and then.

    Attributes:
        dropped_by_policy: anchors given up because of ``max_rate_hz``, or by ``reset``.
        anchor: index of the camera that is the anchor now.
    """

    def __init__(self, num_cameras: int, anchor: int, *, tolerance_s: float, wait_s: float, max_rate_hz: float) -> None:
        self.num_cameras = num_cameras
        self.wanted_anchor = anchor
        self.dropped_by_policy = 0
        self._pending: deque[tuple[Image[T], int, float]] = deque()  # anchor image, camera, arrival
        self.configure(tolerance_s=tolerance_s, wait_s=wait_s, max_rate_hz=max_rate_hz)
        self.reset()

    def configure(self, *, tolerance_s: float, wait_s: float, max_rate_hz: float) -> None:
        """Take over new limits."""
        self.tolerance_ns = round(tolerance_s * 1e9)
        self.wait_s = wait_s
        self._limit = RateLimit(max_rate_hz)

    def reset(self) -> None:
        """Forget all images and give up the anchors that wait; time jumped."""
        self.dropped_by_policy += len(self._pending)
        self.anchor = self.wanted_anchor
        self._cameras: list[_Camera[T]] = [_Camera() for _ in range(self.num_cameras)]
        self._pending.clear()
        self._arrivals: deque[tuple[int, float]] = deque(maxlen=KEPT)  # stamp and arrival of anchors
        self._first_ns: int | None = None
        self._limit.reset()

    def lag_s(self, camera: int) -> float | None:
        """How far the newest image of a camera is behind the newest of all [s]; None before its first."""
        newest_ns = self._cameras[camera].newest_ns
        newest_of_all_ns = max((other.newest_ns for other in self._cameras if other.newest_ns is not None), default=0)
        return None if newest_ns is None else (newest_of_all_ns - newest_ns) / 1e9

    def add(self, camera: int, stamp_ns: int, content: T, now_s: float) -> list[Bundle[T]]:
        """Take one image; the stamps of one camera must rise.

        Args:
            camera: index.
            stamp_ns: capture time.
            content: handed back in the bundle.
            now_s: time of arrival on a steady clock.
        """
        state = self._cameras[camera]
        image = Image(stamp_ns, content)
        state.take(image)
        self._first_ns = stamp_ns if self._first_ns is None else self._first_ns
        self._choose_anchor(camera, stamp_ns)
        if camera == self.anchor:
            self._take_anchor(image, now_s)
        if self._is_punctual(stamp_ns, now_s):
            state.misses = 0
        return self.poll(now_s)

    @property
    def is_waiting(self) -> bool:
        """Whether an anchor waits for other images, so that `poll` is wanted."""
        return bool(self._pending)

    def poll(self, now_s: float) -> list[Bundle[T]]:
        """The bundles that are complete, or have waited long enough, in the order of their stamps."""
        bundles = []
        while self._pending:
            anchor_image, anchor, arrival_s = self._pending[0]
            if now_s - arrival_s < self.wait_s and any(self._awaits(state, anchor_image) for state in self._cameras):
                break
            self._pending.popleft()
            bundles.append(self._close(anchor_image, anchor))
        return bundles

    def _take_anchor(self, image: Image[T], now_s: float) -> None:
        self._arrivals.append((image.stamp_ns, now_s))
        if self._limit.is_early(image.stamp_ns):
            self.dropped_by_policy += 1
            return
        self._limit.use(image.stamp_ns)
        self._pending.append((image, self.anchor, now_s))

    def _choose_anchor(self, camera: int, stamp_ns: int) -> None:
        """Give the anchor's part to a camera that lives; back to the wanted one as soon as it delivers."""
        if camera == self.wanted_anchor:
            self.anchor = camera
            return
        period_ns = self._cameras[camera].period_ns
        if not period_ns:
            return
        limit_ns = max(MIN_ANCHOR_SILENCE_NS, MISSES * max(period_ns, self._cameras[self.anchor].period_ns))

        def is_alive(index: int) -> bool:
            newest_ns = self._cameras[index].newest_ns
            return stamp_ns - (self._first_ns or 0 if newest_ns is None else newest_ns) <= limit_ns

        if is_alive(self.anchor):
            return
        order = [(self.wanted_anchor + step) % self.num_cameras for step in range(self.num_cameras)]
        self.anchor = next(index for index in order if self._cameras[index].newest_ns is not None and is_alive(index))

    def _is_punctual(self, stamp_ns: int, now_s: float) -> bool:
        """Whether an image came within ``wait_s`` of the anchor nearest to it, or before that anchor."""
        if not self._arrivals or stamp_ns > self._arrivals[-1][0] + self.tolerance_ns:
            return True
        anchor_ns, arrival_s = min(self._arrivals, key=lambda arrival: abs(arrival[0] - stamp_ns))
        return abs(anchor_ns - stamp_ns) <= self.tolerance_ns and now_s - arrival_s <= self.wait_s

    def _awaits(self, state: _Camera[T], anchor_image: Image[T]) -> bool:
        """Whether a better image of this camera can still be expected."""
        if state.misses >= MISSES:
            return False
        stamp_ns, newest_ns = anchor_image.stamp_ns, state.newest_ns
        if newest_ns is None:
            return True
        if newest_ns >= stamp_ns:
            return False
        if state.nearest(stamp_ns, self.tolerance_ns) is None:
            return state.is_due(stamp_ns, self.tolerance_ns)
        return 2 * (stamp_ns - newest_ns) > state.period_ns > 0  # only then will the next one be nearer

    def _close(self, anchor_image: Image[T], anchor: int) -> Bundle[T]:
        images: list[Image[T] | None] = []
        for index, state in enumerate(self._cameras):
            image = anchor_image if index == anchor else state.nearest(anchor_image.stamp_ns, self.tolerance_ns)
            if image is not None:
                state.misses = 0
            elif state.is_due(anchor_image.stamp_ns, self.tolerance_ns):
                state.misses += 1
            state.forget_until(image.stamp_ns if image is not None else anchor_image.stamp_ns - self.tolerance_ns)
            images.append(image)
        return Bundle(anchor_image.stamp_ns, anchor, tuple(images))
