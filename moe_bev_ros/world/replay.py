"""Log replay: actors go where recorded tracks went, whatever the ego does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.actors import make_body
from moe_bev_ros.world.drivers import AWAY_M
from moe_bev_ros.world.recorded_tracks import RecordedTracks
from moe_bev_ros.world.scene import Actor, Body


@dataclass(frozen=True)
class Replay:
    """Recorded tracks and a body for each.

    Attributes:
        stamps_s_t: (T,) from 0, rising.
        poses_nt3: x, y, yaw in map; NaN where a track was not seen.
        speeds_nt: along the heading [m/s].
    """

    name: str
    stamps_s_t: Array
    poses_nt3: Array
    speeds_nt: Array
    bodies_n: tuple[Body, ...]


def replay_of(tracks: RecordedTracks, rng: np.random.Generator, style: str) -> Replay:
    """Give every track that has a class a body of its size."""
    known = [track for track in tracks.tracks if track.label is not Label.UNKNOWN]
    num = len(tracks.stamps_s_t)
    poses = np.array([track.poses_t3 for track in known], float).reshape(-1, num, 3)
    speeds = np.array([track.speeds_t for track in known], float).reshape(-1, num)
    bodies = tuple(make_body(track.label, rng, track.size_3, style) for track in known)
    return Replay(tracks.name, tracks.stamps_s_t, poses, speeds, bodies)


class ReplayMovers:
    """Everybody on their tracks; who was not seen at a time is not there then."""

    def __init__(self, replay: Replay) -> None:
        self._replay, self._time_s = replay, 0.0
        self._states_n5 = self._states()

    @property
    def places_m2(self) -> Array:
        """(N, 2) of all; who is not there is far away."""
        return np.nan_to_num(self._states_n5[:, :2], nan=AWAY_M)

    def step(self, ego: Actor, lights: Mapping[int, LightState], time_s: float, dt_s: float) -> None:
        """Time goes on; the ego and the lights change nothing."""
        self._time_s += dt_s
        self._states_n5 = self._states()

    def actors(self) -> tuple[Actor, ...]:
        """Everybody who was seen at this time; after the recording's end, everybody as at its end, at rest."""
        rows = zip(self._states_n5.tolist(), self._replay.bodies_n, strict=True)
        return tuple(Actor(row + 1, body, *state) for row, (state, body) in enumerate(rows) if np.isfinite(state[0]))

    def _states(self) -> Array:
        """(N, 5) x, y, yaw, speed, yaw rate between the two stamps around now."""
        replay, stamps = self._replay, self._replay.stamps_s_t
        now = min(self._time_s, float(stamps[-1]))
        k = min(int(np.searchsorted(stamps, now, side='right')) - 1, len(stamps) - 2)
        period = float(stamps[k + 1] - stamps[k])
        share = (now - float(stamps[k])) / period
        first, second = replay.poses_nt3[:, k], replay.poses_nt3[:, k + 1]
        turn = (second[:, 2] - first[:, 2] + np.pi) % (2 * np.pi) - np.pi
        yaw = (first[:, 2] + share * turn + np.pi) % (2 * np.pi) - np.pi
        places = first[:, :2] + share * (second[:, :2] - first[:, :2])
        moves = float(self._time_s <= stamps[-1])
        speed = (1.0 - share) * replay.speeds_nt[:, k] + share * replay.speeds_nt[:, k + 1]
        return np.column_stack([places, yaw, moves * speed, moves * turn / period])
