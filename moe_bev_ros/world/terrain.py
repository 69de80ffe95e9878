"""How high the ground is: a grid of heights, flat unless a scenario draws hills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array

FLAT_SHARE = 0.4
NUM_WAVES = 6
WAVELENGTHS_M = (80.0, 200.0)


@dataclass(frozen=True)
class Terrain:
    """Heights at the corners of square cells; bilinear between them, constant beyond the border.

    Attributes:
        heights_hw: (H, W) float32 [m]; rows run along y, columns along x.
        origin_xy_m: place of height (0, 0) in map.
        cell_m: distance between two heights.
    """

    heights_hw: NDArray[np.float32]
    origin_xy_m: tuple[float, float] = (0.0, 0.0)
    cell_m: float = 4.0

    @staticmethod
    def flat() -> Terrain:
        """Height 0 everywhere."""
        return Terrain(np.zeros((2, 2), np.float32))

    @property
    def is_flat(self) -> bool:
        """Whether it is 0 everywhere."""
        return not self.heights_hw.any()

    def height(self, xy_n2: Array) -> Array:
        """(N,) height of the ground at places in map [m]."""
        rows, columns = self.heights_hw.shape
        x = np.clip((xy_n2[:, 0] - self.origin_xy_m[0]) / self.cell_m, 0.0, columns - 1.000001)
        y = np.clip((xy_n2[:, 1] - self.origin_xy_m[1]) / self.cell_m, 0.0, rows - 1.000001)
        j, i = x.astype(int), y.astype(int)
        fx, fy = x - j, y - i
        h = self.heights_hw.astype(float)
        low = h[i, j] * (1.0 - fx) + h[i, j + 1] * fx
        high = h[i + 1, j] * (1.0 - fx) + h[i + 1, j + 1] * fx
        return np.asarray(low * (1.0 - fy) + high * fy)

    def pose(self, x: float, y: float, yaw_rad: float) -> Array:
        """(4, 4) pose in map of a frame that stands on the ground there, its z axis along the ground's normal."""
        step = 1.5
        around = np.array([(x, y), (x + step, y), (x - step, y), (x, y + step), (x, y - step)])
        here, east, west, north, south = self.height(around)
        up = np.array([(west - east) / (2 * step), (south - north) / (2 * step), 1.0])
        up /= np.linalg.norm(up)
        ahead = np.array([np.cos(yaw_rad), np.sin(yaw_rad), 0.0])
        ahead -= up * (ahead @ up)
        ahead /= np.linalg.norm(ahead)
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1], pose[:3, 2] = ahead, np.cross(up, ahead), up
        pose[:3, 3] = x, y, here
        return pose


def rolling_terrain(rng: np.random.Generator, box: tuple[float, float, float, float], max_grade: float = 0.05) -> Terrain:
    """Smooth hills: plane waves that run in all directions; flat for a share of the draws.

    Args:
        box: x0, y0, x1, y1 in map [m], as `RoadNetwork.box`.
        max_grade: bound of the steepest slope; hills are between a quarter as steep and as steep.
    """
    if rng.uniform() < FLAT_SHARE:
        return Terrain.flat()
    x0, y0, x1, y1 = box
    cell = 4.0
    x = x0 + cell * np.arange(int(np.ceil((x1 - x0) / cell)) + 1)
    y = y0 + cell * np.arange(int(np.ceil((y1 - y0) / cell)) + 1)
    wavelengths, angles = rng.uniform(*WAVELENGTHS_M, NUM_WAVES), rng.uniform(0.0, 2 * np.pi, NUM_WAVES)
    phases, steepness = rng.uniform(0.0, 2 * np.pi, NUM_WAVES), rng.uniform(0.4, 1.0, NUM_WAVES)
    heights = np.zeros((len(y), len(x)))
    for length, angle, phase, steep in zip(wavelengths, angles, phases, steepness):
        along = np.cos(angle) * x[None, :] + np.sin(angle) * y[:, None]
        heights += steep * length * np.sin(2 * np.pi * along / length + phase)
    steps_y, steps_x = np.diff(heights, axis=0)[:, :-1] / cell, np.diff(heights, axis=1)[:-1] / cell
    heights *= max_grade * rng.uniform(0.25, 1.0) / float(np.hypot(steps_x, steps_y).max())
    return Terrain((heights - np.median(heights)).astype(np.float32), (x0, y0), cell)
