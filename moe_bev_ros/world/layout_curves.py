"""Lines that roads follow: clothoids, arcs and straight pieces as dense samples, and smooth bends between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.se3 import Array

Pose = tuple[float, float, float]  # x, y, yaw in map [m, rad]

TURN_PER_POINT_RAD = 0.05
CURVE_STEP_M = 0.5
BEND_POINTS = 33


@dataclass(frozen=True)
class Curve:
    """A line whose curvature is linear in pieces.

    Attributes:
        stations_k, points_k2, yaws_k: dense samples, joined linearly.
    """

    stations_k: Array
    points_k2: Array
    yaws_k: Array

    @staticmethod
    def through(start_3: Pose, pieces: Sequence[tuple[float, float, float]]) -> Curve:
        """Pieces of length [m] with curvature at begin and end [1/m, left positive]."""
        stations, yaws = [np.zeros(1)], [np.array([start_3[2]])]
        for length, first, last in pieces:
            s = np.linspace(0.0, length, max(2, int(np.ceil(length / CURVE_STEP_M)) + 1))[1:]
            yaws.append(yaws[-1][-1] + first * s + 0.5 * (last - first) * s * s / length)
            stations.append(stations[-1][-1] + s)
        s_k, yaw_k = np.concatenate(stations), np.concatenate(yaws)
        # The chord of a short piece lies at its mean heading, and is shorter by (turn / 2)^2 / 6.
        turn, mean = np.diff(yaw_k), 0.5 * (yaw_k[1:] + yaw_k[:-1])
        chords = np.diff(s_k) * np.sinc(turn / (2 * np.pi))
        steps = np.stack([chords * np.cos(mean), chords * np.sin(mean)], axis=1)
        points = np.concatenate([[start_3[:2]], np.asarray(start_3[:2]) + np.cumsum(steps, axis=0)])
        return Curve(s_k, points, yaw_k)

    def reversed(self) -> Curve:
        """The same line, from its end to its begin."""
        return Curve(self.length_m - self.stations_k[::-1], self.points_k2[::-1], self.yaws_k[::-1] + np.pi)

    @property
    def length_m(self) -> float:
        """Of the whole curve."""
        return float(self.stations_k[-1])

    def points(self, stations_n: Array, offset_m: float) -> Array:
        """(N, 2) places in map beside the curve."""
        x, y, yaw = (np.interp(stations_n, self.stations_k, values) for values in (*self.points_k2.T, self.yaws_k))
        return np.stack([x - offset_m * np.sin(yaw), y + offset_m * np.cos(yaw)], axis=1)

    def pose(self, station_m: float, offset_m: float = 0.0, turn_rad: float = 0.0) -> Pose:
        """x, y, yaw of a place beside the curve, looking along it, or turned from that."""
        x, y = self.points(np.array([station_m]), offset_m)[0]
        return float(x), float(y), turned(float(np.interp(station_m, self.stations_k, self.yaws_k)), turn_rad)

    def samples(self, start_m: float, end_m: float) -> Array:
        """(N,) stations that are dense where the curve bends."""
        inside = (self.stations_k >= start_m) & (self.stations_k <= end_m)
        yaws, stations = self.yaws_k[inside], self.stations_k[inside]
        bend = np.abs(np.diff(yaws) / np.diff(stations)).max() if len(stations) > 1 else 0.0
        spacing = float(np.clip(TURN_PER_POINT_RAD / max(bend, 1e-9), 0.75, 5.0))
        return np.linspace(start_m, end_m, max(2, int(np.ceil((end_m - start_m) / spacing - 1e-6)) + 1))

    def strip(self, start_m: float, end_m: float, right_m: float, left_m: float) -> Array:
        """(N, 2) outline of the area between two stations and two offsets."""
        stations = self.samples(start_m, end_m)
        return np.concatenate([self.points(stations, left_m), self.points(stations[::-1], right_m)])


def bend(start_2: Array, start_direction_2: Array, end_2: Array, end_direction_2: Array) -> Array:
    """(N, 2) smooth line between two places with unit directions: a Bezier curve, near an arc where an arc is possible."""
    across = start_direction_2[0] * end_direction_2[1] - start_direction_2[1] * end_direction_2[0]
    turn = float(np.arctan2(across, start_direction_2 @ end_direction_2))
    reach = np.full(2, float(np.linalg.norm(end_2 - start_2)) / 3.0)
    if abs(turn) > 0.2:
        gap = end_2 - start_2
        to_corner = (gap[0] * end_direction_2[1] - gap[1] * end_direction_2[0]) / across
        from_corner = (start_direction_2[0] * gap[1] - start_direction_2[1] * gap[0]) / across
        if min(to_corner, from_corner) > 0.0:
            reach = np.array([to_corner, from_corner]) * 4.0 / 3.0 * np.tan(turn / 4.0) / np.tan(turn / 2.0)
    t = np.linspace(0.0, 1.0, BEND_POINTS)[:, None]
    first, second = start_2 + reach[0] * start_direction_2, end_2 - reach[1] * end_direction_2
    weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
    return np.asarray(weights[0] * start_2 + weights[1] * first + weights[2] * second + weights[3] * end_2)


def beside_line(points_n2: Array, offsets_n: Array) -> Array:
    """(N, 2) points to the left of a line's points."""
    steps = np.gradient(points_n2, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    return np.asarray(points_n2 + offsets_n[:, None] * np.stack([-steps[:, 1], steps[:, 0]], axis=1))


def pose_on(points_n2: Array, share: float = 0.5) -> Pose:
    """Place and direction at a share of a line's points."""
    index = min(int(share * (len(points_n2) - 1)), len(points_n2) - 2)
    step = points_n2[index + 1] - points_n2[index]
    return float(points_n2[index, 0]), float(points_n2[index, 1]), float(np.arctan2(step[1], step[0]))


def turned(yaw_rad: float, by_rad: float = np.pi) -> float:
    """A heading turned, in [-pi, pi)."""
    return float((yaw_rad + by_rad + np.pi) % (2 * np.pi) - np.pi)
