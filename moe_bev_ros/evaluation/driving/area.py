"""Where one may drive, as the judge of a run asks it: lanes as polygons, and the painted ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.network import RoadNetwork, Surface

DRIVABLE = (Surface.ASPHALT, Surface.PARKING)
DIRECTIONS_82 = np.array([(np.cos(angle), np.sin(angle)) for angle in np.linspace(0.0, 2 * np.pi, 8, endpoint=False)])


@dataclass(frozen=True)
class Polygon:
    """A closed outline that answers which points lie inside."""

    outline_n2: Array

    def contains(self, points_p2: Array) -> NDArray[np.bool_]:
        """(P,) by the number of edges that a ray along x crosses."""
        low_2, high_2 = self.outline_n2.min(axis=0), self.outline_n2.max(axis=0)
        inside_p = ((points_p2 >= low_2) & (points_p2 <= high_2)).all(axis=1)
        x_q, y_q = points_p2[inside_p].T[:, :, None]
        x_n, y_n = self.outline_n2.T
        next_x_n, next_y_n = np.roll(x_n, -1), np.roll(y_n, -1)
        spans_qn = (y_n > y_q) != (next_y_n > y_q)
        rise_n = np.where(next_y_n == y_n, 1.0, next_y_n - y_n)
        crosses_qn = spans_qn & (x_q < x_n + (y_q - y_n) / rise_n * (next_x_n - x_n))
        inside_p[inside_p] = crosses_qn.sum(axis=1) % 2 == 1
        return inside_p


class DriveArea:
    """Questions to a network; lanes are rows in the order of ``lane_ids``."""

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        self.lane_ids = [lane_id for lane_id in network.graph.lanes if lane_id in network.borders]
        self._lanes = [self._lane_polygon(lane_id) for lane_id in self.lane_ids]
        self._areas = [(area.surface, Polygon(np.asarray(area.outline_n2, float))) for area in network.areas]

    def lanes_at(self, points_p2: Array) -> NDArray[np.bool_]:
        """(L, P) which lanes cover which points."""
        if not self._lanes:
            return np.zeros((0, len(points_p2)), np.bool_)
        return np.stack([lane.contains(points_p2) for lane in self._lanes])

    def off_road(self, points_p2: Array, tolerance_m: float) -> NDArray[np.bool_]:
        """(P,) whether a point is farther than the tolerance from all that is drivable; tested in eight directions."""
        off_p = ~self._drivable(points_p2)
        around_p82 = points_p2[off_p, None] + tolerance_m * DIRECTIONS_82
        off_p[off_p] = ~self._drivable(around_p82.reshape(-1, 2)).reshape(-1, 8).any(axis=1)
        return off_p

    def in_one_lane(self, corners_t42: Array) -> NDArray[np.bool_]:
        """(T,) whether all corners lie in one lane or its predecessors and successors."""
        covers_ltc = self.lanes_at(corners_t42.reshape(-1, 2)).reshape(-1, *corners_t42.shape[:2])
        with_neighbours_ltc = np.einsum('kl,ltc->ktc', self._connected.astype(np.int64), covers_ltc) > 0
        return np.asarray(with_neighbours_ltc.all(axis=2).any(axis=0))

    def at_crossing_lanes(self, points_p2: Array) -> NDArray[np.bool_]:
        """(P,) whether a point lies in two lanes that are not connected."""
        covers_lp = self.lanes_at(points_p2).astype(np.int64)
        apart_lp = (~self._connected).astype(np.int64) @ covers_lp
        return np.asarray(((covers_lp > 0) & (apart_lp > 0)).any(axis=0))

    def along_lanes(self, poses_t3: Array, steps_t2: Array) -> Array:
        """(T,) part of each step along the direction of the lane there [m]; of several lanes the best; 0 off the lanes."""
        covers_lt = self.lanes_at(poses_t3[:, :2])
        along_lt = np.full(covers_lt.shape, -np.inf)
        for row, lane_id in enumerate(self.lane_ids):
            centre_m2 = self.network.graph.lanes[lane_id].centre_m3[:, :2]
            for sample in np.flatnonzero(covers_lt[row]):
                along_lt[row, sample] = _direction_at(centre_m2, poses_t3[sample, :2]) @ steps_t2[sample]
        return np.where(covers_lt.any(axis=0), along_lt.max(axis=0, initial=-np.inf), 0.0)

    def speed_limits(self, points_p2: Array) -> Array:
        """(P,) highest limit of the lanes there [m/s]; infinite off the lanes."""
        covers_lp = self.lanes_at(points_p2)
        limits_l1 = np.array([self.network.graph.lanes[lane_id].speed_limit_mps for lane_id in self.lane_ids])[:, None]
        highest_p = np.where(covers_lp, limits_l1, 0.0).max(axis=0, initial=0.0)
        return np.where(covers_lp.any(axis=0), highest_p, np.inf)

    @cached_property
    def _connected(self) -> NDArray[np.bool_]:
        """(L, L) the lane itself, its predecessors and its successors."""
        rows = {lane_id: row for row, lane_id in enumerate(self.lane_ids)}
        result = np.eye(len(rows), dtype=np.bool_)
        for lane_id, row in rows.items():
            for follower in self.network.graph.lanes[lane_id].successors:
                if follower in rows:
                    result[row, rows[follower]] = result[rows[follower], row] = True
        return result

    def _lane_polygon(self, lane_id: int) -> Polygon:
        left_k2, right_k2 = self.network.borders[lane_id]
        return Polygon(np.vstack([np.asarray(left_k2, float)[:, :2], np.asarray(right_k2, float)[::-1, :2]]))

    def _drivable(self, points_p2: Array) -> NDArray[np.bool_]:
        """(P,) in a lane, or on top of the painted ground lies what one may drive on."""
        top_p = np.full(len(points_p2), -1)
        for surface, polygon in self._areas:
            top_p[polygon.contains(points_p2)] = surface
        return np.isin(top_p, DRIVABLE) | self.lanes_at(points_p2).any(axis=0)


def _direction_at(line_m2: Array, point_2: Array) -> Array:
    """Unit vector of the piece of a line that is nearest to a point."""
    middles_m2, pieces_m2 = 0.5 * (line_m2[1:] + line_m2[:-1]), np.diff(line_m2, axis=0)
    nearest_2 = pieces_m2[int(np.argmin(np.hypot(*(middles_m2 - point_2).T)))]
    return np.asarray(nearest_2 / np.hypot(*nearest_2), float)
