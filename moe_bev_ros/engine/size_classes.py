"""What a cluster is, judged by its size alone, and how large the road user behind the visible points is.

The limits are usual sizes of road users, widened by what a laser misses at the edges. Their order
and some margins were settled while looking at the few recorded frames at hand, so recall measured there is optimistic.
Letters: k clusters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.objects import Label

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class SizeRule:
    """Visible length, width and height above ground [m], each from .. to, and the score of a match with many points."""

    label: Label
    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    score: float


# The first rule that fits decides.
SIZE_RULES = (
    SizeRule(Label.TRAFFIC_CONE, (0.1, 0.55), (0.0, 0.5), (0.3, 0.9), 0.4),
    SizeRule(Label.PEDESTRIAN, (0.1, 1.1), (0.0, 0.9), (0.9, 2.1), 0.6),
    SizeRule(Label.CAR, (1.5, 2.3), (0.0, 1.6), (1.25, 2.0), 0.45),  # front or rear seen; before two-wheelers, which are rarer
    SizeRule(Label.BICYCLE, (1.1, 2.2), (0.0, 0.9), (1.2, 2.0), 0.4),
    SizeRule(Label.CAR, (2.6, 5.6), (0.9, 2.4), (0.9, 2.2), 0.8),  # two sides seen
    SizeRule(Label.CAR, (3.0, 5.6), (0.0, 0.9), (1.1, 2.0), 0.5),  # one side seen
    SizeRule(Label.BARRIER, (0.6, 3.5), (0.0, 0.8), (0.5, 1.25), 0.35),
    SizeRule(Label.BUS, (8.0, 13.5), (1.5, 3.3), (2.6, 4.4), 0.5),
    SizeRule(Label.TRUCK, (4.0, 9.0), (1.4, 3.4), (1.9, 4.4), 0.5),
    SizeRule(Label.TRUCK, (9.0, 18.0), (2.0, 3.4), (2.3, 4.4), 0.45),
)
UNKNOWN_SCORE = 0.2
# Least length and width of what is only partly seen: the box grows to it, away from the sensor.
TYPICAL_SIZE_M = {
    Label.CAR: (4.4, 1.85),
    Label.TRUCK: (6.5, 2.4),
    Label.BUS: (11.0, 2.9),
    Label.PEDESTRIAN: (0.6, 0.6),
    Label.BICYCLE: (1.7, 0.6),
    Label.BARRIER: (0.6, 0.4),
    Label.TRAFFIC_CONE: (0.35, 0.35),
}
VEHICLES = (Label.CAR, Label.TRUCK, Label.BUS)
REAR_VIEW_LENGTH_M = 2.4
# A row of road barriers: thin, low and longer than one of them.
ROW_WIDTH_M = 0.8
ROW_HEIGHT_M = (0.6, 1.25)
ROW_LENGTH_M = 3.5
BARRIER_LENGTH_M = 2.0


def classify(
    length_k: Floats, width_k: Floats, height_k: Floats, num_points_k: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], Floats]:
    """Label and score in [0, 1] of each cluster; UNKNOWN with a low score where no rule fits."""
    label_k = np.full(len(length_k), Label.UNKNOWN, np.uint8)
    score_k = np.full(len(length_k), UNKNOWN_SCORE, np.float32)
    for rule in reversed(SIZE_RULES):
        fits_k = (length_k >= rule.length[0]) & (length_k <= rule.length[1])
        fits_k &= (width_k >= rule.width[0]) & (width_k <= rule.width[1])
        fits_k &= (height_k >= rule.height[0]) & (height_k <= rule.height[1])
        label_k[fits_k], score_k[fits_k] = rule.label, rule.score
    return label_k, (score_k * num_points_k / (num_points_k + 4.0)).astype(np.float32)


def complete(rectangles_k5: Floats, label_k: NDArray[np.uint8]) -> Floats:
    """Grow the rectangles of partly seen road users to their usual size, away from base_link.

    The near edges were measured and stay. A car of which only the front or rear is seen gets its length across the seen side.
    """
    x, y, length, width, yaw = (rectangles_k5[:, i].copy() for i in range(5))
    is_rear_view = (label_k == Label.CAR) & (length < REAR_VIEW_LENGTH_M)
    yaw = np.where(is_rear_view, yaw + np.pi / 2, yaw)
    length, width = np.where(is_rear_view, width, length), np.where(is_rear_view, length, width)
    for label, (typical_length_m, typical_width_m) in TYPICAL_SIZE_M.items():
        is_it = label_k == label
        more_length = np.where(is_it, np.maximum(typical_length_m - length, 0), 0)
        more_width = np.where(is_it, np.maximum(typical_width_m - width, 0), 0)
        ahead = np.sign(x * np.cos(yaw) + y * np.sin(yaw)) * more_length / 2
        aside = np.sign(y * np.cos(yaw) - x * np.sin(yaw)) * more_width / 2
        x, y = x + ahead * np.cos(yaw) - aside * np.sin(yaw), y + ahead * np.sin(yaw) + aside * np.cos(yaw)
        length, width = length + more_length, width + more_width
    yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2
    return np.column_stack([x, y, length, width, yaw]).astype(np.float32)


def pieces_of_rows(rectangles_k5: Floats, height_k: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Cut rows of barriers into pieces as long as one.

    Returns:
        (P, 5) rectangles, and for each the index of the rectangle that it was a part of.
    """
    length_k = rectangles_k5[:, 2]
    is_row_k = (length_k > ROW_LENGTH_M) & (rectangles_k5[:, 3] < ROW_WIDTH_M)
    is_row_k &= (height_k > ROW_HEIGHT_M[0]) & (height_k < ROW_HEIGHT_M[1])
    num_k = np.where(is_row_k, np.round(length_k / BARRIER_LENGTH_M), 1).astype(np.int64)
    origin_p = np.repeat(np.arange(len(num_k)), num_k)
    number_p = np.arange(len(origin_p)) - np.repeat(np.cumsum(num_k) - num_k, num_k)
    pieces_p5 = rectangles_k5[origin_p]
    pieces_p5[:, 2] /= num_k[origin_p]
    along_p = (number_p - (num_k[origin_p] - 1) / 2) * pieces_p5[:, 2]
    pieces_p5[:, 0] += along_p * np.cos(pieces_p5[:, 4])
    pieces_p5[:, 1] += along_p * np.sin(pieces_p5[:, 4])
    return pieces_p5, origin_p


def inside_a_vehicle(rectangles_k5: Floats, label_k: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which rectangles have their centre within that of a larger vehicle: its mirrors, or what is seen through its windows."""
    vehicle_v = np.flatnonzero(np.isin(label_k, VEHICLES))
    offset_kv2 = rectangles_k5[:, None, :2] - rectangles_k5[None, vehicle_v, :2]
    cosine_v, sine_v = np.cos(rectangles_k5[vehicle_v, 4]), np.sin(rectangles_k5[vehicle_v, 4])
    along_kv = np.abs(offset_kv2[..., 0] * cosine_v + offset_kv2[..., 1] * sine_v)
    across_kv = np.abs(offset_kv2[..., 1] * cosine_v - offset_kv2[..., 0] * sine_v)
    is_inside_kv = (along_kv < rectangles_k5[vehicle_v, 2] / 2) & (across_kv < rectangles_k5[vehicle_v, 3] / 2)
    area_k = rectangles_k5[:, 2] * rectangles_k5[:, 3]
    return np.asarray((is_inside_kv & (area_k[:, None] < area_k[vehicle_v])).any(axis=1))
