"""Boxes from the maps of a centre-based detector (CenterPoint, Yin, Zhou, Kraehenbuehl 2021): peaks, then circle suppression.

Legend: C maps of classes, H W cells (row 0 at the smallest y, column 0 at the smallest x), G cells a side of the coarser map of
forecasts, N boxes, M modes of a forecast, T future steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.attributes import ATTRIBUTES, ATTRIBUTES_OF, NO_ATTRIBUTE
from moe_bev_ros.core.objects import FORECAST_STEP_S, Detections, Label

F32 = NDArray[np.float32]
Ints = NDArray[np.int64]
# Two boxes of one class nearer than this are one [m].
CIRCLE_M = {
    Label.CAR: 1.6,
    Label.TRUCK: 2.5,
    Label.BUS: 3.0,
    Label.TRAILER: 3.0,
    Label.CONSTRUCTION_VEHICLE: 2.5,
    Label.PEDESTRIAN: 0.4,
    Label.MOTORCYCLE: 0.7,
    Label.BICYCLE: 0.7,
    Label.TRAFFIC_CONE: 0.3,
    Label.BARRIER: 0.7,
}
HIDDEN = len(CIRCLE_M)  # the map after those of the classes
HIDDEN_CIRCLE_M = 2.0
_CIRCLES_M = np.array([*CIRCLE_M.values(), HIDDEN_CIRCLE_M])
HIDDEN_BELIEF = 0.5  # the score of what is out of sight, as a share of what its map says
NUM_MODES, NUM_STEPS = 6, 12
LOG_SIGMA_RANGE = (-5.0, 3.0)
_MAY_HAVE = np.array([[index in ATTRIBUTES_OF[label] for index in range(len(ATTRIBUTES))] for label in CIRCLE_M])


class CentreMaps(NamedTuple):
    """What a network says of one frame.

    Attributes:
        heat_chw: (11, H, W) logits of the ten classes in the order of Label, then of 'there, but out of sight'.
        boxes_bhw: (10, H, W), see `decode_centres`.
        log_sigma_shw: (5, H, W) log of the deviation of x, y [m], yaw [rad], vx, vy [m/s].
        attributes_ahw: (8, H, W) logits in the order of ATTRIBUTES.
        forecast_fgg: (M * (1 + 2 T), G, G): a logit for each mode, then the displacement x, y [m] from constant velocity at
            each FORECAST_STEP_S.
    """

    heat_chw: F32
    boxes_bhw: F32
    log_sigma_shw: F32
    attributes_ahw: F32
    forecast_fgg: F32

    def is_finite(self) -> bool:
        """Whether all of it is numbers."""
        return not any(_num_not_finite(values.ravel(order='K')) for values in self)


class _Peaks(NamedTuple):
    """Best first; ``value`` is that of the map."""

    label: Ints
    row: Ints
    column: Ints
    value: F32

    def take(self, chosen: Ints) -> _Peaks:
        return _Peaks(self.label[chosen], self.row[chosen], self.column[chosen], self.value[chosen])


def decode_centres(
    scores_khw: F32, boxes_bhw: F32, cell_m: float, half_m: float, *, min_score: float = 0.05, max_boxes: int = 300
) -> Detections:
    """Peaks of the score maps as boxes in base_link.

    Args:
        scores_khw: (10, H, W) scores 0..1, in the order of Label.
        boxes_bhw: (10, H, W): offset of the centre from the cell's corner in x and y [cells], z of the centre [m], log of
            length, width and height [m], sine and cosine of yaw, velocity in x and y [m/s].
        cell_m: side of a cell; the map's corner lies at (-half_m, -half_m).
    """
    peaks = _peaks_apart(scores_khw, boxes_bhw, cell_m, half_m, min_score, max_boxes)
    return _detections(peaks, peaks.value, boxes_bhw, cell_m, half_m)


def decode_maps(maps: CentreMaps, cell_m: float, half_m: float, *, min_score: float = 0.05, max_boxes: int = 300) -> Detections:
    """The same with all that a network says of each box, and with what is out of sight.

    An object out of sight gets the likeliest class of its cell, and HIDDEN_BELIEF of its score. Only attributes that the class
    may have are chosen from.
    """
    floor = float(np.log(min_score / (1.0 - min_score)))
    peaks = _peaks_apart(maps.heat_chw, maps.boxes_bhw, cell_m, half_m, floor, max_boxes)
    is_hidden_n = peaks.label == HIDDEN
    likeliest_n = maps.heat_chw[:HIDDEN, peaks.row, peaks.column].argmax(axis=0)
    peaks = peaks._replace(label=np.where(is_hidden_n, likeliest_n, peaks.label))
    score_n = np.where(is_hidden_n, HIDDEN_BELIEF, 1.0) / (1.0 + np.exp(-peaks.value))
    found = _detections(peaks, score_n, maps.boxes_bhw, cell_m, half_m)
    futures, probabilities = _forecasts(maps, peaks, found)
    return replace(
        found,
        attributes_n=_attributes(maps, peaks),
        covariances_n44=_covariances(maps, peaks),
        hidden_n=is_hidden_n,
        futures_nmt2=futures,
        probabilities_nm=probabilities,
    )


def _peaks_apart(maps_chw: F32, boxes_bhw: F32, cell_m: float, half_m: float, floor: float, max_boxes: int) -> _Peaks:
    """The best peaks above ``floor``, without those that a better one of their class is too near to."""
    label, row, column = _find_peaks(np.ascontiguousarray(maps_chw, np.float32), floor)
    value = maps_chw[label, row, column]
    order = np.argsort(-value, kind='stable')[: 2 * max_boxes]
    peaks = _Peaks(label, row, column, value).take(order)
    x, y = _centres(peaks, boxes_bhw, cell_m, half_m)
    return peaks.take(np.flatnonzero(_apart(x, y, peaks.label, _CIRCLES_M))[:max_boxes])


def _centres(peaks: _Peaks, boxes_bhw: F32, cell_m: float, half_m: float) -> tuple[F32, F32]:
    offset_2n = boxes_bhw[:2, peaks.row, peaks.column]
    return (peaks.column + offset_2n[0]) * cell_m - half_m, (peaks.row + offset_2n[1]) * cell_m - half_m


def _detections(peaks: _Peaks, score_n: F32, boxes_bhw: F32, cell_m: float, half_m: float) -> Detections:
    x, y = _centres(peaks, boxes_bhw, cell_m, half_m)
    values = boxes_bhw[:, peaks.row, peaks.column]
    size = np.exp(np.clip(values[3:6], -3.0, 3.5))
    yaw = np.arctan2(values[6], values[7])
    return Detections(
        np.stack([x, y, values[2], *size, yaw], axis=1).astype(np.float32),
        peaks.label.astype(np.uint8),
        score_n.astype(np.float32),
        values[8:10].T.astype(np.float32),
    )


def _attributes(maps: CentreMaps, peaks: _Peaks) -> NDArray[np.uint8]:
    may_have_na = _MAY_HAVE[peaks.label]
    logits_na = np.where(may_have_na, maps.attributes_ahw[:, peaks.row, peaks.column].T, -np.inf)
    return np.where(may_have_na.any(axis=1), logits_na.argmax(axis=1), NO_ATTRIBUTE).astype(np.uint8)


def _covariances(maps: CentreMaps, peaks: _Peaks) -> F32:
    log_sigma_4n = maps.log_sigma_shw[:, peaks.row, peaks.column][[0, 1, 3, 4]]
    covariances = np.zeros((len(peaks.label), 4, 4), np.float32)
    covariances[:, range(4), range(4)] = np.exp(2.0 * np.clip(log_sigma_4n, *LOG_SIGMA_RANGE)).T
    return covariances


def _forecasts(maps: CentreMaps, peaks: _Peaks, found: Detections) -> tuple[F32, F32]:
    """Positions (N, M, T, 2) in base_link and probabilities (N, M)."""
    ratio = maps.heat_chw.shape[1] // maps.forecast_fgg.shape[1]
    ahead_s = FORECAST_STEP_S * np.arange(1, NUM_STEPS + 1, dtype=np.float32)
    places = peaks.row // ratio, peaks.column // ratio
    futures, logits_nm = _futures(maps.forecast_fgg, *places, found.boxes_n7, found.velocities_n2, ahead_s)
    likely_nm = np.exp(logits_nm - logits_nm.max(axis=1, keepdims=True))
    return futures, likely_nm / likely_nm.sum(axis=1, keepdims=True)


@njit(cache=True, nogil=True)
def _find_peaks(maps_chw, floor):  # type: ignore[no-untyped-def]
    """Map, row and column of the cells above ``floor`` that none of their eight neighbours exceeds."""
    num_maps, height, width = maps_chw.shape
    found = np.empty((3, maps_chw.size), np.int64)
    count = 0
    for label in range(num_maps):
        for row in range(height):
            num_above = 0
            for column in range(width):  # most rows end here; many cells at once, as it has no branch
                num_above += maps_chw[label, row, column] > floor
            if num_above == 0:
                continue
            for column in range(width):
                value = maps_chw[label, row, column]
                if value > floor and _is_peak(maps_chw[label], row, column):
                    found[0, count], found[1, count], found[2, count] = label, row, column
                    count += 1
    return found[0, :count].copy(), found[1, :count].copy(), found[2, :count].copy()


@njit(cache=True, nogil=True)
def _is_peak(map_hw, row, column):  # type: ignore[no-untyped-def]
    value = map_hw[row, column]
    for near_row in range(max(row - 1, 0), min(row + 2, map_hw.shape[0])):
        for near_column in range(max(column - 1, 0), min(column + 2, map_hw.shape[1])):
            if not map_hw[near_row, near_column] <= value:  # NaN too
                return False
    return True


@njit(cache=True, nogil=True)
def _futures(forecast_fgg, row_n, column_n, boxes_n7, velocities_n2, ahead_s):  # type: ignore[no-untyped-def]
    """Positions (N, M, T, 2) and logits (N, M), one plane of the map after the other."""
    num = row_n.shape[0]
    futures = np.empty((num, NUM_MODES, NUM_STEPS, 2), np.float32)
    logits = np.empty((num, NUM_MODES), np.float32)
    for mode in range(NUM_MODES):
        first = mode * (1 + 2 * NUM_STEPS)
        for i in range(num):
            logits[i, mode] = forecast_fgg[first, row_n[i], column_n[i]]
        for step in range(NUM_STEPS):
            for axis in range(2):
                for i in range(num):
                    steady = boxes_n7[i, axis] + ahead_s[step] * velocities_n2[i, axis]
                    displacement = forecast_fgg[first + 1 + 2 * step + axis, row_n[i], column_n[i]]
                    futures[i, mode, step, axis] = steady + displacement
    return futures, logits


@njit(cache=True, nogil=True)
def _num_not_finite(values):  # type: ignore[no-untyped-def]
    num = 0
    for i in range(values.shape[0]):
        num += not abs(values[i]) < np.inf  # NaN too; without a branch, so many at once
    return num


@njit(cache=True, nogil=True)
def _apart(x_n, y_n, label_n, circles_m):  # type: ignore[no-untyped-def]
    """(N,) bool of boxes, best first: no better one of the same map that was kept is too near."""
    kept = np.ones(len(label_n), np.bool_)
    for index in range(len(label_n)):
        radius_m = circles_m[label_n[index]]
        for better in range(index):
            gap_m2 = (x_n[better] - x_n[index]) ** 2 + (y_n[better] - y_n[index]) ** 2
            if kept[better] and label_n[better] == label_n[index] and gap_m2 < radius_m**2:
                kept[index] = False
                break
    return kept
