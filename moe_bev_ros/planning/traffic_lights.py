"""Remembers traffic lights and decides which of them to stop at.

A state older than STALE_S, or UNKNOWN, is replaced by what was last known, on the safe side: red or amber stays red, green
becomes amber (stop where that is still possible; full braking at a light that was green a second ago helps nobody). A light of
which nothing was ever known is UNKNOWN: what that means, the planner decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import dist

from moe_bev_ros.core.traffic_light import LightState, TrafficLight

STALE_S = 1.0
SAME_LIGHT_M = 3.0


@dataclass(frozen=True)
class StateToObey:
    """What to act on.

    Attributes:
        is_fresh: it was reported within STALE_S; else it is assumed.
    """

    state: LightState
    is_fresh: bool


@dataclass
class _Known:
    light: TrafficLight
    known: LightState  # last state other than UNKNOWN
    known_s: float


class TrafficLightMemory:
    """What is known of every light seen so far."""

    def __init__(self) -> None:
        self._entries: list[_Known] = []

    def observe(self, lights: tuple[TrafficLight, ...], now_s: float) -> None:
        """Take over a message's lights."""
        for light in lights:
            entry = next((entry for entry in self._entries if _same(entry.light, light)), None)
            if entry is None:
                self._entries.append(_Known(light, light.state, now_s))
            else:
                entry.light = light
                if light.state is not LightState.UNKNOWN:
                    entry.known, entry.known_s = light.state, now_s

    def by_id(self, element_id: int, now_s: float) -> StateToObey:
        """The state of a light of the map."""
        entry = next((entry for entry in self._entries if entry.light.element_id == element_id), None)
        return _to_obey(entry, now_s) if entry is not None else StateToObey(LightState.UNKNOWN, False)

    def by_position(self, now_s: float) -> list[tuple[TrafficLight, StateToObey]]:
        """The lights without an id."""
        return [(entry.light, _to_obey(entry, now_s)) for entry in self._entries if not entry.light.element_id]

    @property
    def ids(self) -> tuple[int, ...]:
        """Of the lights that have one."""
        return tuple(entry.light.element_id for entry in self._entries if entry.light.element_id)

    def keep(self, is_wanted: Callable[[TrafficLight], bool]) -> None:
        """Drop the other lights."""
        self._entries = [entry for entry in self._entries if is_wanted(entry.light)]

    def forget(self) -> None:
        """Time jumped."""
        self._entries.clear()


def _same(one: TrafficLight, other: TrafficLight) -> bool:
    if one.element_id or other.element_id:
        return one.element_id == other.element_id
    return dist(one.stop_xy_m, other.stop_xy_m) < SAME_LIGHT_M


def _to_obey(entry: _Known, now_s: float) -> StateToObey:
    fresh = entry.light.state is not LightState.UNKNOWN and abs(now_s - entry.known_s) <= STALE_S
    if fresh or entry.known is LightState.UNKNOWN:
        return StateToObey(entry.known, fresh)
    return StateToObey(LightState.AMBER if entry.known is LightState.GREEN else LightState.RED, False)
