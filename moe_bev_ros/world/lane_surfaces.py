"""What lies on and beside lanes of which only the borders are known: asphalt, kerbs, pavements and the ways along them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.planning.lane_graph import LaneGraph, resample
from moe_bev_ros.world.layout_curves import beside_line
from moe_bev_ros.world.layout_parts import FOREGROUND_M, KERB_M
from moe_bev_ros.world.network import Area, Surface

PAVEMENT_M = 2.5
LANE_ROOM_M = 2.6  # from the centre of a lane to somebody who walks
MIN_WALKWAY_M = 12.0

Borders = dict[int, tuple[Array, Array]]


def surfaces_of(borders: Borders) -> tuple[Area, ...]:
    """Asphalt between the borders of lanes, with a kerb and a pavement around it."""
    layers = (
        (Surface.FOREGROUND, PAVEMENT_M + FOREGROUND_M),
        (Surface.PAVEMENT, PAVEMENT_M),
        (Surface.KERB, KERB_M),
        (Surface.ASPHALT, 0.0),
    )
    return tuple(Area(surface, _widened(*pair, by_m)) for surface, by_m in layers for pair in borders.values())


def walkways_of(borders: Borders, graph: LaneGraph) -> tuple[Array, ...]:
    """Lines in the middle of the pavements right of the lanes, where they stay off all lanes."""
    centres = np.concatenate([resample(lane.centre_m3[:, :2], 1.0) for lane in graph.lanes.values()])
    tree = cKDTree(centres)
    ways: list[Array] = []
    for _, right in borders.values():
        points = resample(beside_line(_clean(right), np.full(len(_clean(right)), -0.5 * PAVEMENT_M)), 2.0)
        ways += _runs(points, np.asarray(tree.query(points)[0] > LANE_ROOM_M))
    return tuple(way for way in ways if np.hypot(*np.diff(way, axis=0).T).sum() > MIN_WALKWAY_M)


def _runs(points_n2: Array, free_n: NDArray[np.bool_]) -> list[Array]:
    """The stretches of a line whose points are free."""
    changes = np.flatnonzero(np.diff(free_n.astype(int))) + 1
    stretches = zip(np.split(points_n2, changes), np.split(free_n, changes))
    return [points for points, free in stretches if free[0] and len(points) > 1]


def _widened(left_k2: Array, right_k2: Array, by_m: float) -> Array:
    left, right = _clean(left_k2), _clean(right_k2)
    return np.concatenate([beside_line(left, np.full(len(left), by_m)), beside_line(right, np.full(len(right), -by_m))[::-1]])


def _clean(points_k2: Array) -> Array:
    """Without points that repeat."""
    keep = np.concatenate([[True], np.hypot(*np.diff(points_k2, axis=0).T) > 1e-3])
    return points_k2[keep] if keep.sum() > 1 else points_k2[[0, -1]] + np.array([[0.0, 0.0], [1e-2, 0.0]])
