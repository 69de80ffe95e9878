"""Waits until the clouds of all LiDARs around one anchor cloud are there, and never long for one that is dead."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from moe_bev_ros.perception.sweep import SensorCloud

KEEP = 8  # clouds per sensor
DEAD_AFTER = 3  # sweeps in a row without a sensor; from then on nobody waits for it until it comes back


@dataclass(frozen=True)
class Gathered:
    """The clouds around one anchor cloud; None: the sensor has none within the tolerance."""

    anchor: SensorCloud
    clouds: tuple[SensorCloud | None, ...]


class SweepGatherer:
    """Collects the clouds of several sensors around those of the anchor sensor.

    Args:
        num_sensors: how many there are.
        anchor: index of the one whose stamps are the sweeps' stamps.
        tolerance_s: largest distance in time of another sensor's cloud.
        wait_s: how long an anchor cloud waits for the others; times are seconds of any steady clock.
    """

    def __init__(self, num_sensors: int, anchor: int, tolerance_s: float, wait_s: float) -> None:
        self.anchor = anchor
        self.tolerance_s = tolerance_s
        self.wait_s = wait_s
        self._recent: list[deque[SensorCloud]] = [deque(maxlen=KEEP) for _ in range(num_sensors)]
        self._misses = [0] * num_sensors
        self._pending: deque[tuple[float, SensorCloud]] = deque()

    def clear(self) -> None:
        """Forget every cloud: time has jumped."""
        self._pending.clear()
        for index, recent in enumerate(self._recent):
            recent.clear()
            self._misses[index] = 0

    def add(self, index: int, cloud: SensorCloud, now_s: float) -> list[Gathered]:
        """Take a sensor's cloud; returns the sweeps that are complete now, oldest first."""
        if index == self.anchor:
            self._pending.append((now_s, cloud))
        else:
            self._recent[index].append(cloud)
            self._misses[index] = 0
        return self.poll(now_s)

    def poll(self, now_s: float) -> list[Gathered]:
        """The sweeps that are complete, or have waited long enough, oldest first."""
        ready = []
        while self._pending:
            since_s, anchor = self._pending[0]
            clouds = tuple(self._nearest(index, anchor) for index in range(len(self._recent)))
            lacking = [index for index, cloud in enumerate(clouds) if cloud is None]
            waited = now_s - since_s >= self.wait_s or len(self._pending) > 1
            if not waited and any(self._misses[index] < DEAD_AFTER for index in lacking):
                break
            for index in lacking:
                self._misses[index] += 1
            self._pending.popleft()
            ready.append(Gathered(anchor, clouds))
        return ready

    def _nearest(self, index: int, anchor: SensorCloud) -> SensorCloud | None:
        if index == self.anchor:
            return anchor
        near = min(self._recent[index], key=lambda cloud: abs(cloud.stamp_ns - anchor.stamp_ns), default=None)
        if near is None or abs(near.stamp_ns - anchor.stamp_ns) > self.tolerance_s * 1e9:
            return None
        return near
