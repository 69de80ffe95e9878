"""The line that the vehicle follows: smooth, evenly sampled, with heading, curvature and speed limit at every sample.

Positions along it are ``s`` [m] from its start; lateral offsets ``d`` [m] are positive to the left. Lane borders give centre
lines with corners, so the points are smoothed with a Gaussian before heading and curvature are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import resample

SPACING_M = 0.5
SMOOTHING_M = 1.5  # standard deviation; moves a curve of radius R inwards by about SMOOTHING_M^2 / 2 R


@dataclass(frozen=True)
class LightOnRoute:
    """Where to stop for a traffic light of the map."""

    element_id: int
    s_m: float


@dataclass(frozen=True)
class ReferenceLine:
    """An evenly sampled line in the odometry's fixed frame.

    Attributes:
        s_n: (N,) distance from the start of the whole route [m]; rising.
        xy_n2: (N, 2) [m].
        yaw_n: (N,) direction, continuous (not wrapped) [rad].
        curvature_n: (N,) left positive [1/m].
        speed_limit_n: (N,) [m/s].
        lights: of the map, on this route.
        end: why one stops at its last point, for the driver to read.
        warnings: findings while it was made.
    """

    s_n: Array
    xy_n2: Array
    yaw_n: Array
    curvature_n: Array
    speed_limit_n: Array
    lights: tuple[LightOnRoute, ...] = ()
    end: str = 'end of the route'
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        num = len(self.s_n)
        shapes = (self.xy_n2.shape, self.yaw_n.shape, self.curvature_n.shape, self.speed_limit_n.shape)
        if num < 2 or shapes != ((num, 2), (num,), (num,), (num,)):
            raise ValueError(f'a reference line needs N >= 2 samples in every field, got {num} and {shapes}')

    def window(self, start_s_m: float, end_s_m: float) -> ReferenceLine:
        """The part between two positions; ``s`` stays that of the whole route."""
        first = max(0, min(int(np.searchsorted(self.s_n, start_s_m, 'right')) - 1, len(self.s_n) - 2))
        last = max(int(np.searchsorted(self.s_n, end_s_m)) + 1, first + 2)
        part = slice(first, last)
        return ReferenceLine(
            self.s_n[part],
            self.xy_n2[part],
            self.yaw_n[part],
            self.curvature_n[part],
            self.speed_limit_n[part],
            self.lights,
            self.end,
            self.warnings,
        )

    def project(self, xy_p2: Array) -> tuple[Array, Array]:
        """Position along the line and offset to it, (P,) each, of points (P, 2); beyond its ends it goes on straight."""
        _, index = self._tree.query(xy_p2)
        delta_p2 = xy_p2 - self.xy_n2[index]
        cos, sin = np.cos(self.yaw_n[index]), np.sin(self.yaw_n[index])
        return (
            self.s_n[index] + delta_p2[:, 0] * cos + delta_p2[:, 1] * sin,
            delta_p2[:, 1] * cos - delta_p2[:, 0] * sin,
        )

    def distance(self, xy_p2: Array) -> Array:
        """(P,) distance of points (P, 2) to the nearest sample [m]."""
        away_p, _ = self._tree.query(xy_p2)
        return np.asarray(away_p, float)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.xy_n2)

    def at(self, s_t: Array) -> tuple[Array, Array, Array]:
        """Positions (T, 2), headings (T,) and curvatures (T,) at ``s_t``; held at the ends."""
        xy_t2 = np.column_stack([np.interp(s_t, self.s_n, column) for column in self.xy_n2.T])
        return xy_t2, np.interp(s_t, self.s_n, self.yaw_n), np.interp(s_t, self.s_n, self.curvature_n)


def smooth_line(
    points_k2: Array,
    speed_limit_k: Array,
    lights_xy: tuple[tuple[int, Array], ...] = (),
    end: str = 'end of the route',
) -> ReferenceLine:
    """Make a reference line from a polyline.

    Args:
        points_k2: (K, 2) [m].
        speed_limit_k: (K,) limit from each point on [m/s].
        lights_xy: id and stop position of each traffic light on it.

    Raises:
        InputError: fewer than two different points, or values that are not finite.
    """
    if not (np.all(np.isfinite(points_k2)) and np.all(np.isfinite(speed_limit_k))):
        raise InputError('the points of a route must be finite')
    rows_n3 = resample(np.column_stack([points_k2, speed_limit_k]), SPACING_M)
    xy_n2 = _smooth(rows_n3[:, :2])
    s_n = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(xy_n2, axis=0), axis=1))])
    steps = np.gradient(xy_n2, s_n, axis=0)
    yaw_n = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    line = ReferenceLine(s_n, xy_n2, yaw_n, np.gradient(yaw_n, s_n), rows_n3[:, 2], (), end)
    if not lights_xy:
        return line
    s_l, _ = line.project(np.array([xy for _, xy in lights_xy]))
    lights = tuple(LightOnRoute(element_id, float(s)) for (element_id, _), s in zip(lights_xy, s_l))
    return ReferenceLine(s_n, xy_n2, yaw_n, line.curvature_n, line.speed_limit_n, lights, end)


def straight_line(xy_2: Array, yaw_rad: float, length_m: float, end: str) -> ReferenceLine:
    """A line from a point along a heading, without a speed limit of its own."""
    s_n = np.arange(0.0, length_m + SPACING_M, SPACING_M)
    xy_n2 = xy_2 + s_n[:, None] * np.array([np.cos(yaw_rad), np.sin(yaw_rad)])
    return ReferenceLine(s_n, xy_n2, np.full_like(s_n, yaw_rad), np.zeros_like(s_n), np.full_like(s_n, 1e3), end=end)


def _smooth(xy_n2: Array) -> Array:
    """Gaussian along the line; both ends are mirrored through themselves, so that they stay where they are."""
    sigma = SMOOTHING_M / SPACING_M
    pad = min(int(4 * sigma), len(xy_n2) - 1)
    padded = np.pad(xy_n2, ((pad, pad), (0, 0)), mode='reflect', reflect_type='odd')
    return np.asarray(gaussian_filter1d(padded, sigma, axis=0, mode='nearest', truncate=4.0)[pad : pad + len(xy_n2)], float)
