"""The ground as a picture from above: asphalt, paint, pavement and grass, with what they send back to a laser.

A raster answers any road layout at one price per ray. Coarser copies of it (a mip pyramid) keep far paint from flickering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.network import Crossing, LineKind, PaintLine, RoadNetwork
from moe_bev_ros.world.styles import GroundPalette
from moe_bev_ros.world.terrain import Terrain

RESOLUTION_M = 0.1
MARGIN_M = 30.0
NUM_LEVELS = 6
SUBPIXEL_BITS = 4
DASH_M, DASH_PERIOD_M = 3.0, 6.0


@dataclass(frozen=True)
class Ground:
    """Pyramid of ground pictures, finest first, laid end to end.

    Attributes:
        texels_p4: (P, 4) uint8: red, green, blue, reflectivity.
        starts_l, heights_l, widths_l: (L,) int64: where each level begins, and its size.
        origin_xy_m: corner of texel (0, 0) in map; rows run along y, columns along x.
        resolution_m: size of a texel of level 0.
        terrain: on which the pictures lie.
    """

    texels_p4: NDArray[np.uint8]
    starts_l: NDArray[np.int64]
    heights_l: NDArray[np.int64]
    widths_l: NDArray[np.int64]
    origin_xy_m: tuple[float, float]
    resolution_m: float
    terrain: Terrain


def paint_ground(
    network: RoadNetwork, terrain: Terrain, palette: GroundPalette, rng: np.random.Generator,
    window: tuple[float, float, float, float] | None = None,
) -> Ground:  # fmt: skip
    """Paint a road network and its surroundings.

    Args:
        window: x0, y0, x1, y1 of the part to paint [m]; None: everything, with a margin.
    """
    x0, y0, x1, y1 = window or network.box(MARGIN_M)
    image_hw4 = np.empty((int(np.ceil((y1 - y0) / RESOLUTION_M)), int(np.ceil((x1 - x0) / RESOLUTION_M)), 4), np.uint8)
    image_hw4[:] = palette.grass
    canvas = _Canvas(image_hw4, (x0, y0))
    for area in network.areas:
        canvas.fill([area.outline_n2], palette.of(area.surface))
    for line in network.lines:
        canvas.fill(_pieces(line), palette.paint)
    for crossing in network.crossings:
        canvas.fill([_across(crossing, 0.0, _length(crossing))], palette.asphalt)
        starts = np.arange(0.3, _length(crossing) - 0.4, 1.0)
        canvas.fill([_across(crossing, start, start + 0.5) for start in starts], palette.paint)
    _roughen(image_hw4, rng)
    return _pyramid(image_hw4, (x0, y0), terrain)


@dataclass(frozen=True)
class _Canvas:
    """A picture of the ground whose texel (0, 0) has its corner at `origin_xy_m`."""

    image_hw4: NDArray[np.uint8]
    origin_xy_m: tuple[float, float]

    def fill(self, outlines: Sequence[Array], colour: tuple[int, ...]) -> None:
        """Fill outlines that do not overlap; what lies off the picture is left out."""
        limit = np.array(self.image_hw4.shape[1::-1])
        polygons = []
        for outline_n2 in outlines:
            texels = (outline_n2 - self.origin_xy_m) / RESOLUTION_M - 0.5
            if (texels.max(axis=0) >= 0.0).all() and (texels.min(axis=0) <= limit).all():
                polygons.append(np.round(texels * (1 << SUBPIXEL_BITS)).astype(np.int32))
        if polygons:
            cv2.fillPoly(self.image_hw4, polygons, colour, cv2.LINE_AA, SUBPIXEL_BITS)


def _pieces(line: PaintLine) -> list[Array]:
    """Outlines of the paint of a line."""
    points = line.points_n2
    if line.kind is not LineKind.DASHED:
        return [_band(points, line.width_m)]
    s_k = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    dashes = []
    for start in np.arange(0.0, s_k[-1], DASH_PERIOD_M):
        end = min(start + DASH_M, s_k[-1])
        at = np.concatenate([[start], s_k[(s_k > start + 1e-6) & (s_k < end - 1e-6)], [end]])
        if end - start > 0.1:
            dashes.append(_band(np.stack([np.interp(at, s_k, column) for column in points.T], axis=1), line.width_m))
    return dashes


def _band(points_n2: Array, width_m: float) -> Array:
    """Outline of a line with a width."""
    along = np.gradient(points_n2, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    aside = 0.5 * width_m * np.stack([-along[:, 1], along[:, 0]], axis=1)
    return np.concatenate([points_n2 + aside, (points_n2 - aside)[::-1]])


def _length(crossing: Crossing) -> float:
    return float(np.linalg.norm(crossing.end_2 - crossing.start_2))


def _across(crossing: Crossing, start_m: float, end_m: float) -> Array:
    """Outline of the part of a crossing between two distances from its start."""
    along = (crossing.end_2 - crossing.start_2) / _length(crossing)
    return _band(np.stack([crossing.start_2 + along * start_m, crossing.start_2 + along * end_m]), crossing.width_m)


def _roughen(image_hw4: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Grain of single texels and patches of some metres, so that no surface is one flat colour."""
    height, width = image_hw4.shape[:2]
    grain = rng.integers(118, 139, (height, width), np.uint8)
    for cell_m, spread in ((0.4, 6.0), (3.0, 9.0), (12.0, 8.0)):
        size = (max(2, int(width * RESOLUTION_M / cell_m)), max(2, int(height * RESOLUTION_M / cell_m)))
        coarse = np.clip(rng.normal(128.0, spread, size[::-1]), 96, 160).astype(np.uint8)
        patches = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.multiply(grain, patches, grain, 1 / 128.0)
    for channel in range(3):
        image_hw4[..., channel] = cv2.multiply(np.ascontiguousarray(image_hw4[..., channel]), grain, scale=1 / 128.0)


def _pyramid(image_hw4: NDArray[np.uint8], origin: tuple[float, float], terrain: Terrain) -> Ground:
    levels = [image_hw4]
    for _ in range(NUM_LEVELS - 1):
        height, width = levels[-1].shape[:2]
        levels.append(
            np.asarray(cv2.resize(levels[-1], (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA))
        )
    sizes = [level.shape[0] * level.shape[1] for level in levels]
    return Ground(
        texels_p4=np.concatenate([level.reshape(-1, 4) for level in levels]),
        starts_l=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64),
        heights_l=np.array([level.shape[0] for level in levels], np.int64),
        widths_l=np.array([level.shape[1] for level in levels], np.int64),
        origin_xy_m=origin,
        resolution_m=RESOLUTION_M,
        terrain=terrain,
    )
