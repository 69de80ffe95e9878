"""Reads a PointCloud2 of any field layout, without copying it.

The layout is checked once and understood once: which bytes are x, y, z, intensity and time, what the intensity's full scale is
and what the time counts. ``sweep.py`` then turns the bytes into points in one pass.

Time, under any of TIME_NAMES, relative to the header stamp after reading:

- absolute seconds or nanoseconds: within NEAR_STAMP_S of the header stamp (Hesai, RoboSense, Livox);
- relative seconds: a floating type of at most MAX_SPAN_S (Velodyne);
- relative nanoseconds: an integer, or a floating type above that, of at most MAX_SPAN_S (Ouster, Autoware's XYZIRCAEDT).
  Relative times are laid so that the header stamp is the time of the last point (``stamp_at_end``) or of the first one.

Relative is tried first: a clock that reads less than 2 s (a simulation's first moments) cannot tell the two apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.perception import point_kernels as k

TIME_NAMES = ('t', 'time', 'timestamp', 'time_stamp', 'offset_time', 'offset_ns')
INTENSITY_NAMES = ('intensity', 'i', 'intensities', 'reflectivity')
RING_NAMES = ('ring', 'channel', 'line', 'laser_number')
MAX_SPAN_S = 1.0
NEAR_STAMP_S = 10.0

_TYPES = dict(enumerate(('i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'f4', 'f8', 'i8', 'u8'), start=k.INT8))
_FLOATS = (k.FLOAT32, k.FLOAT64)


@dataclass(frozen=True)
class PointField:
    """One sensor_msgs/PointField: its datatype is one of the codes in ``point_kernels``."""

    name: str
    offset: int
    datatype: int
    count: int = 1

    @property
    def code(self) -> int:
        """The datatype, with a uint32[2], as 64-bit stamps are often sent, read as one uint64."""
        return k.UINT64 if (self.datatype, self.count) == (k.UINT32, 2) else self.datatype

    @property
    def end(self) -> int:
        """First byte behind the field."""
        return self.offset + np.dtype(_TYPES[self.datatype]).itemsize * max(self.count, 1)


@dataclass(frozen=True)
class CloudLayout:
    """The fields of a PointCloud2 besides its header and data; steps in bytes."""

    fields: tuple[PointField, ...]
    height: int
    width: int
    point_step: int
    row_step: int
    is_bigendian: bool = False

    def find(self, names: Sequence[str]) -> PointField | None:
        """The first field that has one of these names; names in order of preference, case ignored."""
        by_name = {field.name.lower(): field for field in reversed(self.fields)}
        return next((by_name[name] for name in names if name in by_name), None)


@dataclass(frozen=True)
class PointCloud:
    """A cloud whose layout has been checked and understood; the data stay where they are.

    Attributes:
        data: the message's bytes as uint8; not copied.
        columns_52: (5, 2) int64, offset and datatype of x, y, z, intensity, time; datatype 0: absent.
        intensity_scale: raw intensity to [0, 1].
        time_scale_s, time_offset_s: time of a point relative to the stamp = raw * scale + offset.
        time_range_s: first and last of these; None: no usable time per point.
        num_not_finite: points with NaN or infinite coordinates.
        num_no_return: points at exactly 0 0 0, which is how drivers mark a beam without an echo.
        warnings: findings to be logged.
    """

    stamp_ns: int
    layout: CloudLayout
    data: NDArray[np.uint8]
    columns_52: NDArray[np.int64]
    intensity_scale: float = 1.0
    time_scale_s: float = 0.0
    time_offset_s: float = 0.0
    time_range_s: tuple[float, float] | None = None
    num_not_finite: int = 0
    num_no_return: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def num_points(self) -> int:
        """Number of points in the message, good or not."""
        return self.layout.height * self.layout.width

    def column(self, *names: str) -> NDArray[Any] | None:
        """(height, width) view of the first field with one of these names, in its own type; None where there is none."""
        field = self.layout.find(names)
        if field is None or not self.num_points:
            return None
        dtype = np.dtype(_TYPES[field.code]).newbyteorder('>' if self.layout.is_bigendian else '<')
        layout = self.layout
        strides = (_row_step(layout), layout.point_step)
        return np.ndarray((layout.height, layout.width), dtype, self.data, field.offset, strides)


def read_cloud(
    layout: CloudLayout, data: Any, stamp_ns: int, *, intensity_max: float = 0.0, stamp_at_end: bool = True
) -> PointCloud:
    """Check and understand a PointCloud2.

    Args:
        data: any buffer of bytes; kept, not copied.
        stamp_ns: the header's stamp, in the clock of the points' absolute times.
        intensity_max: raw intensity that becomes 1; 0: 255 or 65535 for 8 or 16 bits; else 1 if no point exceeds 1, else 255.
        stamp_at_end: the header stamp is the time of the last point; else of the first one.

    Raises:
        InputError: no x, y, z; fields outside of a point or overlapping; sizes that do not fit each other.
    """
    raw = np.frombuffer(data, np.uint8)
    raw.flags.writeable = False  # whatever the buffer is, the kernels are compiled once
    if not layout.width * layout.height:
        if raw.size:
            raise InputError(f'{layout.width} x {layout.height} points but {raw.size} bytes of data; the driver is at fault')
        return PointCloud(stamp_ns, layout, raw, np.zeros((5, 2), np.int64), warnings=('cloud with no points',))
    columns = _columns(layout)
    _check_size(layout, raw.size)
    found = k.scan(raw, layout.height, layout.width, layout.point_step, _row_step(layout), layout.is_bigendian, columns)
    num_not_finite, num_no_return, time_min, time_max, intensity_seen = found
    warnings = []
    if num_not_finite:
        warnings.append('NaN or infinite coordinates; those points are dropped')
    if num_not_finite + num_no_return == layout.width * layout.height:
        warnings.append('cloud with no valid point')
    scale, warning = _intensity_scale(int(columns[3, 1]), intensity_seen, intensity_max)
    warnings.append(warning)
    time_scale, time_offset, time_range, warning = _time(int(columns[4, 1]), time_min, time_max, stamp_ns, stamp_at_end)
    return PointCloud(
        stamp_ns,
        layout,
        raw,
        columns,
        scale,
        time_scale,
        time_offset,
        time_range,
        num_not_finite,
        num_no_return,
        tuple(text for text in (*warnings, warning) if text),
    )


def _row_step(layout: CloudLayout) -> int:
    """Bytes from row to row; that of a single row says nothing and is often left 0."""
    return layout.row_step if layout.height > 1 else layout.width * layout.point_step


def _columns(layout: CloudLayout) -> NDArray[np.int64]:
    present = ', '.join(field.name for field in layout.fields) or 'none'
    columns = np.zeros((5, 2), np.int64)
    used = []
    for index, names in enumerate((('x',), ('y',), ('z',), INTENSITY_NAMES, TIME_NAMES)):
        field = layout.find(names)
        if field is None and index < 3:
            raise InputError(f'field {names[0]} is missing (fields: {present}); send x, y and z')
        if field is None:
            continue
        _check_field(field, layout.point_step)
        if index < 3 and field.datatype not in _FLOATS:
            raise InputError(f'field {field.name} has datatype {field.datatype}; send FLOAT32 (7) or FLOAT64 (8)')
        columns[index] = field.offset, field.code
        used.append(field)
    used.sort(key=lambda field: field.offset)
    for before, after in itertools.pairwise(used):
        if after.offset < before.end:
            raise InputError(f'fields {before.name} and {after.name} overlap at byte {after.offset}; correct their offsets')
    return columns


def _check_field(field: PointField, point_step: int) -> None:
    if field.datatype not in _TYPES:
        raise InputError(f'field {field.name} has the unknown datatype {field.datatype}; known are 1 to 10')
    if field.count > 1 and field.code != k.UINT64:
        raise InputError(f'field {field.name} has {field.count} values; wanted 1')
    if field.offset < 0 or field.end > point_step:
        raise InputError(f'field {field.name} ends at byte {field.end} of a point of {point_step} bytes; correct point_step')


def _check_size(layout: CloudLayout, num_bytes: int) -> None:
    needed = layout.width * layout.point_step
    if layout.height > 1 and layout.row_step < needed:
        raise InputError(f'row_step {layout.row_step} is less than {layout.width} points of {layout.point_step} bytes')
    size = f'{layout.width} x {layout.height} points of {layout.point_step} bytes'
    needed += (layout.height - 1) * _row_step(layout)
    if num_bytes < needed:
        raise InputError(f'truncated: {size} need {needed} bytes, got {num_bytes}')
    if num_bytes > max(layout.height * max(layout.row_step, _row_step(layout)), needed):
        raise InputError(f'{size} need {needed} bytes, got {num_bytes}; width and height do not fit the data')


def _intensity_scale(datatype: int, seen: float, intensity_max: float) -> tuple[float, str]:
    if datatype == k.ABSENT:
        return 0.0, 'no intensity; it is taken as 0'
    if intensity_max > 0.0:
        return 1.0 / intensity_max, ''
    if datatype == k.UINT16:
        return 1.0 / 65535.0, ''
    if datatype in _FLOATS and seen <= 1.0:
        return 1.0, ''
    too_bright = 'intensity above 255 is taken as 1; set the parameter intensity_max'
    return 1.0 / 255.0, too_bright if seen > 255.0 else ''


def _time(
    datatype: int, first: float, last: float, stamp_ns: int, stamp_at_end: bool
) -> tuple[float, float, tuple[float, float] | None, str]:
    """Scale and offset to seconds relative to the stamp, the range, and a warning."""
    if datatype == k.ABSENT or first > last:
        return 0.0, 0.0, None, ''
    scale = _relative_scale(datatype, first, last)
    if scale:
        offset = -max(last * scale, 0.0) if stamp_at_end else -min(first * scale, 0.0)
    else:
        scale = next((unit for unit in (1.0, 1e-9) if abs(last * unit - stamp_ns * 1e-9) <= NEAR_STAMP_S), 0.0)
        offset = -stamp_ns * 1e-9
    if not scale or not (last - first) * scale <= MAX_SPAN_S:
        return 0.0, 0.0, None, 'times per point fit neither the header stamp nor a sweep; they are not used'
    return scale, offset, (first * scale + offset, last * scale + offset), ''


def _relative_scale(datatype: int, first: float, last: float) -> float:
    largest = max(abs(first), abs(last))
    if datatype in _FLOATS and largest <= MAX_SPAN_S:
        return 1.0
    is_ns = datatype not in _FLOATS or largest >= 1e-3 * 1e9
    return 1e-9 if is_ns and largest <= MAX_SPAN_S * 1e9 else 0.0
