"""A LiDAR sweep as a map of pillars: what the network's LiDAR encoder reads.

Statistics a pillar instead of learned point features (Lang et al. 2019, PointPillars): they cost one pass over the points and
leave an input of fixed shape.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.model.config import AGE_CHANNELS, PILLAR_CHANNELS

MIN_Z_M, MAX_Z_M = -2.0, 5.0
BIN_BOTTOM_M, BIN_M, NUM_BINS = -0.5, 0.5, 8
FIRST_BIN = PILLAR_CHANNELS - NUM_BINS
METRES, LOGS = np.float32(1 / 4), np.float32(1 / 4)  # bring the channels to about 1
_LOGS_OF = LOGS * np.log1p(np.arange(256, dtype=np.float32))  # of the counts in most pillars


class PillarMap:
    """Makes one map after another in the same array; a map is valid until the next one is made.

    A pillar that is met first gets a row of its own, a cache line long, in which its points are summed. So the map itself,
    which is too large for the caches near the processor, is written once a pillar; and only what the last one held is cleared.

    Args:
        half_m, pillar_m: reach to every side and side of a pillar [m]; S pillars a side.
    """

    def __init__(self, half_m: float, pillar_m: float) -> None:
        side = round(2 * half_m / pillar_m)
        self._half_m, self._pillars_per_m = half_m, 1.0 / pillar_m
        self._map_pss = np.zeros((PILLAR_CHANNELS, side, side), np.float32)
        self._map_pc = self._map_pss.reshape(PILLAR_CHANNELS, side * side)
        self._row_c = np.zeros(side * side, np.int32)  # counted from 1; 0: none
        self._sums_vp = np.empty((side * side, PILLAR_CHANNELS), np.float32)
        self._places_v, self._num_places = np.empty(side * side, np.int32), 0

    def fill(self, points_n5: NDArray[np.float32]) -> NDArray[np.float32]:
        """(16, S, S) float32 map of the square of +-half_m around base_link; row 0 at the smallest y, column 0 at the least x.

        Channels: 0 log1p(points) / 4; 1, 2 mean offset from the pillar's centre in x, y [pillars]; 3, 4, 5 largest, smallest,
        mean z [4 m]; 6, 7 mean, largest intensity; 8..15 log1p(points) / 4 of height bins of 0.5 m from -0.5 to 3.5 m, the
        first and the last with what is below and above. All 0 where there is no point.

        Args:
            points_n5: x, y, z [m, base_link], intensity [0..1], time; points below -2 m, above 5 m or not finite are left out.
        """
        _clear(self._map_pc, self._places_v[: self._num_places])
        scale = self._half_m, self._pillars_per_m
        points_n5 = np.ascontiguousarray(points_n5, np.float32)
        self._num_places = _accumulate(points_n5, *scale, self._map_pss.shape[1], self._row_c, self._places_v, self._sums_vp)
        places_v = self._places_v[: self._num_places]
        _finish(self._sums_vp, places_v, _LOGS_OF, self._row_c, self._map_pc)
        return self._map_pss


def pillar_map(points_n5: NDArray[np.float32], half_m: float, pillar_m: float) -> NDArray[np.float32]:
    """The map of one cloud alone; see `PillarMap`."""
    return PillarMap(half_m, pillar_m).fill(points_n5)


def age_map(points_n5: NDArray[np.float32], half_m: float, pillar_m: float) -> NDArray[np.float32]:
    """(2, S, S) float32 mean age and age of the newest of the points that `pillar_map` counts in a pillar [s]; 0 where none.

    Args:
        points_n5: as there; the last column is minus the age.
    """
    side = round(2 * half_m / pillar_m)
    sums, newest = np.zeros((2, side, side), np.float32), np.full((side, side), np.inf, np.float32)
    _accumulate_ages(np.ascontiguousarray(points_n5, np.float32), half_m, 1.0 / pillar_m, sums, newest)
    held = sums[1] > 0
    out = np.zeros((AGE_CHANNELS, side, side), np.float32)
    np.divide(sums[0], sums[1], out=out[0], where=held)
    out[1][held] = newest[held]
    return out


@njit(cache=True, nogil=True, error_model='numpy')
def _is_inside(x, y, z, intensity, side):  # type: ignore[no-untyped-def]
    """Written so that NaN is not inside."""
    return (x >= 0.0) & (x < side) & (y >= 0.0) & (y < side) & (z >= MIN_Z_M) & (z <= MAX_Z_M) & np.isfinite(intensity)


@njit(cache=True, nogil=True, error_model='numpy')
def _accumulate_ages(points_n5, half_m, pillars_per_m, sums, newest):  # type: ignore[no-untyped-def]
    for i in range(points_n5.shape[0]):
        x, y = (points_n5[i, 0] + half_m) * pillars_per_m, (points_n5[i, 1] + half_m) * pillars_per_m
        if not _is_inside(x, y, points_n5[i, 2], points_n5[i, 3], newest.shape[0]):
            continue
        row, column, age = int(y), int(x), -points_n5[i, 4]
        sums[0, row, column] += age
        sums[1, row, column] += np.float32(1.0)
        newest[row, column] = min(newest[row, column], age)


@njit(cache=True, nogil=True, error_model='numpy')
def _accumulate(points_n5, half_m, pillars_per_m, side, row_c, places_v, sums_vp):  # type: ignore[no-untyped-def]
    """Counts, sums and extremes of every pillar, in the channels of their means and logarithms; how many pillars there are."""
    num = 0
    for i in range(points_n5.shape[0]):
        x, y = (points_n5[i, 0] + half_m) * pillars_per_m, (points_n5[i, 1] + half_m) * pillars_per_m
        z, intensity = points_n5[i, 2], points_n5[i, 3]
        if not _is_inside(x, y, z, intensity, side):
            continue
        row, column = int(y), int(x)
        place = row * side + column
        first = row_c[place] == 0
        if first:
            places_v[num] = place
            num += 1
            row_c[place] = num
            sums_vp[num - 1] = np.float32(0.0)
        sums = sums_vp[row_c[place] - 1]
        sums[0] += np.float32(1.0)
        sums[1] += np.float32(x - column - 0.5)
        sums[2] += np.float32(y - row - 0.5)
        sums[3] = z if first else max(z, sums[3])
        sums[4] = z if first else min(z, sums[4])
        sums[5] += z
        sums[6] += intensity
        sums[7] = intensity if first else max(intensity, sums[7])
        height = (z - BIN_BOTTOM_M) / BIN_M
        sums[FIRST_BIN + int(min(max(height, 0.0), NUM_BINS - 1.0))] += np.float32(1.0)
    return num


@njit(cache=True, nogil=True, error_model='numpy')
def _log_of(count, logs_of):  # type: ignore[no-untyped-def]
    return logs_of[int(count)] if count < logs_of.shape[0] else LOGS * np.log1p(count)


@njit(cache=True, nogil=True, error_model='numpy')
def _finish(sums_vp, places_v, logs_of, row_c, map_pc):  # type: ignore[no-untyped-def]
    """Turn sums into means and counts into logarithms, and bring them to their places."""
    for i in range(places_v.shape[0]):
        row_c[places_v[i]] = 0
        sums = sums_vp[i]
        share = np.float32(1.0) / sums[0]
        sums[0] = _log_of(sums[0], logs_of)
        sums[1] *= share
        sums[2] *= share
        sums[3] *= METRES
        sums[4] *= METRES
        sums[5] *= METRES * share
        sums[6] *= share
        for channel in range(FIRST_BIN, PILLAR_CHANNELS):
            sums[channel] = _log_of(sums[channel], logs_of)
    for channel in range(PILLAR_CHANNELS):  # one plane after the other: each fits into a near cache
        for i in range(places_v.shape[0]):
            map_pc[channel, places_v[i]] = sums_vp[i, channel]


@njit(cache=True, nogil=True)
def _clear(map_pc, places_v):  # type: ignore[no-untyped-def]
    for channel in range(map_pc.shape[0]):
        for i in range(places_v.shape[0]):
            map_pc[channel, places_v[i]] = 0.0
