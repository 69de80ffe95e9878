"""Who is ahead on a path, and for whom one waits at a crossing of paths: the loops over pairs.

Boxes are rows ``x, y, cos, sin, half length, half width, speed``; a path's points lie every STEP metres in one long table.
"""

from __future__ import annotations

import numba
import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.lane_paths import PATH_STEP_M

X, Y, COS, SIN, HALF_LENGTH, HALF_WIDTH, SPEED = range(7)
STEP = PATH_STEP_M
STRIDE = 2  # samples of a path between two looks
SLACK_M = 0.3  # boxes are taken this much larger, so that none falls between two looks
YIELD_LOOK_M = 45.0
ARRIVE_LOOK_M = 90.0
CLEARANCE_S = 1.5
WAIT_WEIGHT = 0.7
PULL_AWAY_MPS2 = 1.2
BOX_BRAKING_MPS2 = 4.5


@numba.njit(cache=True, nogil=True)
def _slab(along: float, step: float, half: float) -> tuple[float, float]:
    """Shares of a segment's length at which it enters and leaves a slab; empty: (1, 0)."""
    if abs(step) < 1e-9:
        return (0.0, 1.0) if abs(along) <= half else (1.0, 0.0)
    first, second = (-half - along) / step, (half - along) / step
    return (first, second) if first < second else (second, first)


@numba.njit(cache=True, nogil=True)
def _cuts(box: Array, x: float, y: float, normal_x: float, normal_y: float, half_width: float) -> bool:
    """Whether the cross-section of a corridor at a point meets a box."""
    dx, dy = x - normal_x * half_width - box[X], y - normal_y * half_width - box[Y]
    along, aside = dx * box[COS] + dy * box[SIN], dy * box[COS] - dx * box[SIN]
    step_x, step_y = 2 * half_width * normal_x, 2 * half_width * normal_y
    step_along, step_aside = step_x * box[COS] + step_y * box[SIN], step_y * box[COS] - step_x * box[SIN]
    in_a, out_a = _slab(along, step_along, box[HALF_LENGTH] + SLACK_M)
    in_b, out_b = _slab(aside, step_aside, box[HALF_WIDTH])
    return max(in_a, in_b, 0.0) <= min(out_a, out_b, 1.0)


@numba.njit(cache=True, nogil=True)
def _nearest_corner(box: Array, x: float, y: float, tangent_x: float, tangent_y: float) -> float:
    """How far the box begins before (< 0) or after a point, along a direction [m]."""
    middle = (box[X] - x) * tangent_x + (box[Y] - y) * tangent_y
    reach_a = box[HALF_LENGTH] * abs(box[COS] * tangent_x + box[SIN] * tangent_y)
    reach_b = box[HALF_WIDTH] * abs(box[COS] * tangent_y - box[SIN] * tangent_x)
    return middle - reach_a - reach_b


@numba.njit(cache=True, nogil=True)
def find_leaders(
    queries_q8: Array, bases_p: Array, sizes_p: Array, points_k2: Array, yaws_k: Array, boxes_m7: Array, leaders_q3: Array
) -> None:
    """Nearest box in the corridor ahead of each query.

    Args:
        queries_q8: path, distance along it of the middle [m], half length, half width with margin, offset to the left [m],
            share of that offset that is given up per metre, how far to look [m], own row in ``boxes_m7`` or -1.
        bases_p, sizes_p: first sample and number of samples of each path.
        leaders_q3: gap from the front [m] (inf: none), the leader's speed along the path, its row; written.
    """
    for q in range(len(queries_q8)):
        path, s, half_length, half_width, offset, share, look, own = queries_q8[q]
        base, size = bases_p[int(path)], sizes_p[int(path)]
        first = int((s + half_length) / STEP)
        last = min(size - 1, int((s + half_length + look) / STEP) + 1)
        leaders_q3[q, 0], leaders_q3[q, 1], leaders_q3[q, 2] = np.inf, 0.0, -1.0
        here = base + min(max(int(s / STEP), 0), size - 1)
        for m in range(len(boxes_m7)):
            box = boxes_m7[m]
            reach = look + half_length + box[HALF_LENGTH] + box[HALF_WIDTH] + abs(offset) + 2.0
            away_x, away_y = box[X] - points_k2[here, 0], box[Y] - points_k2[here, 1]
            if m == int(own) or away_x * away_x + away_y * away_y > reach * reach:
                continue
            radius = box[HALF_LENGTH] + box[HALF_WIDTH] + half_width + SLACK_M
            k = first
            while k <= last and k * STEP - s - half_length < leaders_q3[q, 0] + 2.0:
                left = offset * max(0.0, 1.0 - share * max(0.0, k * STEP - s))
                cos, sin = np.cos(yaws_k[base + k]), np.sin(yaws_k[base + k])
                x, y = points_k2[base + k, 0] - left * sin, points_k2[base + k, 1] + left * cos
                away = np.hypot(x - box[X], y - box[Y])
                if away < radius and _cuts(box, x, y, -sin, cos, half_width):
                    corner = min(max(_nearest_corner(box, x, y, cos, sin), -2.0), 1.0)
                    gap = max(k * STEP + corner - s - half_length, 0.0)
                    if gap < leaders_q3[q, 0]:
                        leaders_q3[q, 0], leaders_q3[q, 2] = gap, m
                        leaders_q3[q, 1] = box[SPEED] * (box[COS] * cos + box[SIN] * sin)
                    break
                # Points lie STEP apart, so that those nearer than the box cannot be reached sooner.
                k += max(STRIDE, int((away - radius) / STEP))


@numba.njit(cache=True, nogil=True)
def _arrival_s(distance: float, speed: float, desired: float) -> float:
    if distance <= 0.0:
        return 0.0
    later = min(np.sqrt(speed * speed + 2 * PULL_AWAY_MPS2 * distance), max(desired, speed, 0.5))
    return distance / (0.5 * (speed + later))


@numba.njit(cache=True, nogil=True)
def find_yields(movers_n7: Array, first_zone_p: Array, zones_z8: Array, stops_n2: Array) -> None:
    """For whom each mover waits where paths cross or merge.

    The order is by time of arrival, less a bias for the one with priority, less what somebody has waited already.

    Args:
        movers_n7: path (-1: on none), distance along it of the middle, half length, speed, desired speed, time waited [s],
            where it is held along its path by a light or by somebody who stands [m].
        first_zone_p: (P + 1,) rows of ``zones_z8`` of each path.
        zones_z8: own path, other path, own start and end, other start and end [m], 1 for a merge, bias of the other [s].
        stops_n2: gap from the front at which to stop or follow (inf: none), and the speed there; written.
    """
    num = len(movers_n7)
    for i in range(num):
        stops_n2[i, 0], stops_n2[i, 1] = np.inf, 0.0
        path_i, s_i, half_i, speed_i, desired_i, waited_i, _held_i = movers_n7[i]
        if path_i < 0:
            continue
        for z in range(first_zone_p[int(path_i)], first_zone_p[int(path_i) + 1]):
            _, other, start, end, other_start, other_end, merge, bias = zones_z8[z]
            to_zone = start - s_i - half_i
            if to_zone > YIELD_LOOK_M or to_zone < 0.0:
                continue
            enters_i = _arrival_s(to_zone, speed_i, desired_i)
            leaves_i = _arrival_s(end - s_i + half_i, speed_i, desired_i)
            can_stop = speed_i * speed_i < 2 * BOX_BRAKING_MPS2 * max(to_zone - 0.5, 0.01)
            for j in range(num):
                path_j, s_j, half_j, speed_j, desired_j, waited_j, held_j = movers_n7[j]
                to_other = other_start - s_j - half_j
                if j == i or path_j != other or s_j - half_j > other_end or to_other > ARRIVE_LOOK_M:
                    continue
                inside = to_other <= 0.0
                if not inside and held_j < other_start:
                    continue
                if merge > 0.5 and (inside or not (to_other > YIELD_LOOK_M)):
                    rest_i, rest_j = end - s_i, other_end - s_j
                    ahead = rest_j - 4.0 * bias < rest_i or (inside and rest_j < rest_i)
                    if ahead and (can_stop or inside):
                        gap = rest_i - rest_j - half_i - half_j
                        limit, speed = (gap, speed_j) if gap > to_zone else (to_zone, 0.0)
                        if limit < stops_n2[i, 0]:
                            stops_n2[i, 0], stops_n2[i, 1] = limit, speed
                    continue
                enters_j = _arrival_s(to_other, speed_j, desired_j)
                leaves_j = _arrival_s(other_end - s_j + half_j, speed_j, desired_j)
                key_i, key_j = enters_i - WAIT_WEIGHT * waited_i, enters_j - WAIT_WEIGHT * waited_j - bias
                first = key_j < key_i or (key_j == key_i and j < i)
                meets = enters_j < leaves_i + CLEARANCE_S and leaves_j + CLEARANCE_S > enters_i
                if (inside or (first and can_stop)) and meets and to_zone < stops_n2[i, 0]:
                    stops_n2[i, 0], stops_n2[i, 1] = to_zone, 0.0
