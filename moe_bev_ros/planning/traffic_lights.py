"""Remembers traffic lights and decides which of them to stop at.

A state older than STALE_S, or UNKNOWN, is replaced by what was last known, on the safe side: red or amber stays red, green
becomes amber (stop where that is comfortable), and a light of which nothing was ever known is passed with a warning.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from moe_bev_ros.core.se3 import Array

STALE_S = 1.0
SAME_LIGHT_M = 3.0


class LightState(IntEnum):
    """Numbers of TrafficLight.msg."""

    UNKNOWN = 0
    RED = 1
    AMBER = 2
    GREEN = 3


@dataclass(frozen=True)
class TrafficLight:
    """One light as it was reported.

    Attributes:
        element_id: Lanelet2 id of the regulatory element; 0: the position counts.
        stop_xy_2: where to stop, in the odometry's fixed frame [m].
    """

    element_id: int
    stop_xy_2: Array
    state: LightState


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

    def states(self, now_s: float) -> list[TrafficLight]:
        """Every light with the state to act on; UNKNOWN only for lights of which nothing was ever known."""
        return [TrafficLight(e.light.element_id, e.light.stop_xy_2, _to_act_on(e, now_s)) for e in self._entries]

    def forget(self) -> None:
        """Time jumped."""
        self._entries.clear()


def _same(one: TrafficLight, other: TrafficLight) -> bool:
    if one.element_id or other.element_id:
        return one.element_id == other.element_id
    return float(np.hypot(*(one.stop_xy_2 - other.stop_xy_2))) < SAME_LIGHT_M


def _to_act_on(entry: _Known, now_s: float) -> LightState:
    fresh = entry.light.state is not LightState.UNKNOWN and abs(now_s - entry.known_s) <= STALE_S
    if fresh or entry.known is LightState.UNKNOWN:
        return entry.known
    return LightState.AMBER if entry.known is LightState.GREEN else LightState.RED
