"""The compiled loops over the bytes of a point cloud: one pass to look at it, one pass to turn it into a sweep.

The kernels read each number straight from the message's bytes by offset and datatype code, so one compilation serves every
layout, alignment and byte order; LLVM turns the shifts into single loads. All kernels sit in this one file because numba's
cache of a function does not notice a change in another file. Columns are rows of ``columns_c2``: (offset, datatype code).
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

INT8, UINT8, INT16, UINT16, INT32, UINT32, FLOAT32, FLOAT64, INT64, UINT64 = range(1, 11)
ABSENT = 0
COLUMNS = ('x', 'y', 'z', 'intensity', 'time')
_U8, _U16, _U24 = np.uint32(8), np.uint32(16), np.uint32(24)
_ONE, _TWO, _THREE, _FOUR, _U32 = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4), np.uint64(32)


@njit(cache=True, forceinline=True)
def _two_bytes(data, at, big):  # type: ignore[no-untyped-def]
    a, b = np.uint32(data[at]), np.uint32(data[at + _ONE])
    return (a << _U8) | b if big else a | (b << _U8)


@njit(cache=True, forceinline=True)
def _four_bytes(data, at, big):  # type: ignore[no-untyped-def]
    a, b = np.uint32(data[at]), np.uint32(data[at + _ONE])
    c, d = np.uint32(data[at + _TWO]), np.uint32(data[at + _THREE])
    if big:
        return np.uint32((a << _U24) | (b << _U16) | (c << _U8) | d)
    return np.uint32(a | (b << _U8) | (c << _U16) | (d << _U24))


@njit(cache=True, forceinline=True)
def _eight_bytes(data, at, big):  # type: ignore[no-untyped-def]
    first, second = np.uint64(_four_bytes(data, at, big)), np.uint64(_four_bytes(data, at + _FOUR, big))
    return (first << _U32) | second if big else first | (second << _U32)


@njit(cache=True, forceinline=True)
def _load(data, at, code, big):  # type: ignore[no-untyped-def]
    """One number of the given datatype as float64; 0 for an absent column."""
    if code == FLOAT32:
        return np.float64(np.uint32(_four_bytes(data, at, big)).view(np.float32))
    if code == FLOAT64:
        return np.uint64(_eight_bytes(data, at, big)).view(np.float64)
    if code == UINT8:
        return np.float64(data[at])
    if code == UINT16:
        return np.float64(_two_bytes(data, at, big))
    if code == UINT32:
        return np.float64(_four_bytes(data, at, big))
    if code == UINT64:
        return np.float64(_eight_bytes(data, at, big))
    if code == INT8:
        return np.float64(np.uint8(data[at]).view(np.int8))
    if code == INT16:
        return np.float64(np.uint16(_two_bytes(data, at, big)).view(np.int16))
    if code == INT32:
        return np.float64(np.uint32(_four_bytes(data, at, big)).view(np.int32))
    if code == INT64:
        return np.float64(np.uint64(_eight_bytes(data, at, big)).view(np.int64))
    return 0.0


@njit(cache=True, forceinline=True)
def _load_xyz(data, at, columns_c2, big):  # type: ignore[no-untyped-def]
    x = _load(data, at + np.uint64(columns_c2[0, 0]), columns_c2[0, 1], big)
    y = _load(data, at + np.uint64(columns_c2[1, 0]), columns_c2[1, 1], big)
    z = _load(data, at + np.uint64(columns_c2[2, 0]), columns_c2[2, 1], big)
    return x, y, z


@njit(cache=True, nogil=True, error_model='numpy')
def scan(data, height, width, point_step, row_step, big, columns_c2):  # type: ignore[no-untyped-def]
    """Look at a cloud once.

    Returns:
        (number of points with NaN or infinite coordinates, number at exactly 0 0 0, smallest and largest raw time, largest raw
        intensity), the last three over the good points; the times are (inf, -inf) where there is no good point.
    """
    num_not_finite, num_no_return = 0, 0
    time_min, time_max, intensity_max = np.inf, -np.inf, 0.0
    for row in range(height):
        for column in range(width):
            at = np.uint64(row) * np.uint64(row_step) + np.uint64(column) * np.uint64(point_step)
            x, y, z = _load_xyz(data, at, columns_c2, big)
            if not np.isfinite(x + y + z):
                num_not_finite += 1
                continue
            if x == 0.0 and y == 0.0 and z == 0.0:
                num_no_return += 1
                continue
            intensity = _load(data, at + np.uint64(columns_c2[3, 0]), columns_c2[3, 1], big)
            time = _load(data, at + np.uint64(columns_c2[4, 0]), columns_c2[4, 1], big)
            intensity_max = intensity if intensity > intensity_max else intensity_max  # written so that NaN changes nothing
            time_min = time if time < time_min else time_min
            time_max = time if time > time_max else time_max
    return num_not_finite, num_no_return, time_min, time_max, intensity_max


@njit(cache=True, forceinline=True)
def _inside(box_6, x, y, z):  # type: ignore[no-untyped-def]
    # & and not `and`: one jump instead of six that are hard to foretell
    return (box_6[0] <= x) & (x <= box_6[1]) & (box_6[2] <= y) & (y <= box_6[3]) & (box_6[4] <= z) & (z <= box_6[5])


@njit(cache=True, forceinline=True)
def _move(pose_12, x, y, z):  # type: ignore[no-untyped-def]
    return (
        pose_12[0] * x + pose_12[1] * y + pose_12[2] * z + pose_12[3],
        pose_12[4] * x + pose_12[5] * y + pose_12[6] * z + pose_12[7],
        pose_12[8] * x + pose_12[9] * y + pose_12[10] * z + pose_12[11],
    )


@njit(cache=True, nogil=True, error_model='numpy')
def fuse(  # type: ignore[no-untyped-def]
    data,
    height,
    width,
    point_step,
    row_step,
    big,
    columns_c2,
    scales_3,
    mount_12,
    poses_b12,
    bins_2,
    ego_6,
    range_6,
    out_n5,
    num,
):
    """Read, de-skew, transform and crop every point of one cloud in one pass.

    Args:
        scales_3: intensity scale, time scale [s], time offset [s], so that time relative to the sweep = raw * scale + offset.
        mount_12: rows 0..2 of base_link_se3_sensor; the ego box is tested with it, since the body moves with the sensor.
        poses_b12: base_link(sweep)_se3_sensor(time bin).
        bins_2: start of the first bin [s] and bins per second.
        ego_6, range_6: x_min, x_max, y_min, y_max, z_min, z_max in base_link [m]; removed, kept.
        out_n5: filled from row ``num`` on.

    Returns:
        The number of filled rows.
    """
    last_bin = np.float64(poses_b12.shape[0] - 1)
    for row in range(height):
        for column in range(width):
            at = np.uint64(row) * np.uint64(row_step) + np.uint64(column) * np.uint64(point_step)
            x, y, z = _load_xyz(data, at, columns_c2, big)
            if not np.isfinite(x + y + z) or (x == 0.0 and y == 0.0 and z == 0.0):
                continue
            ego_x, ego_y, ego_z = _move(mount_12, x, y, z)
            if _inside(ego_6, ego_x, ego_y, ego_z):
                continue
            time = _load(data, at + np.uint64(columns_c2[4, 0]), columns_c2[4, 1], big) * scales_3[1] + scales_3[2]
            if not np.isfinite(time):
                time = scales_3[2]
            time_bin = (time - bins_2[0]) * bins_2[1]
            x, y, z = _move(poses_b12[np.uint64(min(max(time_bin, 0.0), last_bin))], x, y, z)
            if not _inside(range_6, x, y, z):
                continue
            out_n5[num, 0], out_n5[num, 1], out_n5[num, 2] = x, y, z
            intensity = _load(data, at + np.uint64(columns_c2[3, 0]), columns_c2[3, 1], big) * scales_3[0]
            out_n5[num, 3] = min(intensity, 1.0) if intensity > 0.0 else 0.0
            out_n5[num, 4] = time
            num += 1
    return num


def warm_up() -> None:
    """Compile, or load from the cache, before the first cloud comes."""
    data: NDArray[np.uint8] = np.frombuffer(bytes(16), np.uint8)
    columns = np.zeros((len(COLUMNS), 2), np.int64)
    scan(data, 1, 1, 16, 16, False, columns)
    out = np.empty((1, 5), np.float32)
    fuse(
        *(data, 1, 1, 16, 16, False, columns, np.zeros(3), np.zeros(12), np.zeros((1, 12)), np.zeros(2)),
        *(np.zeros(6), np.zeros(6), out, 0),
    )
