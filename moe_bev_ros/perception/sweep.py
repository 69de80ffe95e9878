"""Turns the clouds around one stamp into a single sweep in base_link: read, de-skew, transform and crop in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import LidarPoints
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.point_cloud import PointCloud
from moe_bev_ros.perception.point_kernels import fuse

BIN_S = 0.0005  # at 30 m/s a point moves 7.5 mm in half a bin
MAX_BINS = 512


@dataclass(frozen=True)
class SensorCloud:
    """One sensor's cloud.

    Attributes:
        stamp_ns: the cloud's stamp with the sensor's time offset applied; its point times are relative to it.
        base_link_se3_sensor: (4, 4) where the sensor sits.
        receive_ns: CLOCK_MONOTONIC when the message came [ns].
    """

    cloud: PointCloud
    stamp_ns: int
    base_link_se3_sensor: Array
    receive_ns: int = 0


@dataclass(frozen=True)
class Crop:
    """Which points stay; each box is x_min, x_max, y_min, y_max, z_min, z_max in base_link [m].

    Attributes:
        ego_box: points inside are the vehicle itself; tested where the point was seen, before de-skewing.
        range_m: points outside are dropped; tested after de-skewing.
    """

    ego_box: tuple[float, ...]
    range_m: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, box in (('ego_box', self.ego_box), ('range_m', self.range_m)):
            if len(box) != 6 or any(not low <= high for low, high in zip(box[::2], box[1::2])):
                raise ValueError(f'{name} must be x_min, x_max, y_min, y_max, z_min, z_max with min <= max, got {list(box)}')


@dataclass(frozen=True)
class Sweep:
    """All points around ``stamp_ns``.

    Attributes:
        valid: per sensor, whether its cloud is in.
        motion_compensated: every point was moved to where it is seen from at ``stamp_ns``.
        reason: why not; empty where it was, and where there is nothing to say.
    """

    points: LidarPoints
    stamp_ns: int
    valid: tuple[bool, ...]
    motion_compensated: bool
    reason: str = ''


def build_sweep(
    stamp_ns: int, clouds: tuple[SensorCloud | None, ...], crop: Crop, odometry: OdometryBuffer | None = None
) -> Sweep:
    """Merge clouds into one sweep.

    Args:
        stamp_ns: the stamp to compensate to, that of the anchor cloud.
        clouds: one entry per sensor; None: it has no cloud for this stamp.
        odometry: None: motion compensation is not wanted.
    """
    present = [cloud for cloud in clouds if cloud is not None and cloud.cloud.num_points]
    reason = _why_motion_unknown(stamp_ns, present, odometry)
    if reason:
        odometry = None
    elif any(item.cloud.time_range_s is None for item in present):
        reason = 'no time per point'
    out = np.empty((sum(item.cloud.num_points for item in present), 5), np.float32)
    boxes = np.array(crop.ego_box, float), np.array(crop.range_m, float)
    num = 0
    for item in present:
        num = _add(item, stamp_ns, odometry, boxes, out, num)
    valid = tuple(cloud is not None for cloud in clouds)
    return Sweep(LidarPoints(out[:num]), stamp_ns, valid, not reason, reason)


def _time_range(item: SensorCloud, stamp_ns: int) -> tuple[float, float]:
    """First and last time of a cloud relative to the sweep's stamp [s]."""
    delay_s = (item.stamp_ns - stamp_ns) * 1e-9
    first_s, last_s = item.cloud.time_range_s or (0.0, 0.0)
    return first_s + delay_s, last_s + delay_s


def _why_motion_unknown(stamp_ns: int, present: list[SensorCloud], odometry: OdometryBuffer | None) -> str:
    if odometry is None:
        return 'switched off'
    times_s = [0.0, *(time_s for item in present for time_s in _time_range(item, stamp_ns))]
    return odometry.gap(stamp_ns + int(min(times_s) * 1e9), stamp_ns + int(max(times_s) * 1e9))


def _add(
    item: SensorCloud,
    stamp_ns: int,
    odometry: OdometryBuffer | None,
    boxes: tuple[Array, Array],
    out: NDArray[np.float32],
    num: int,
) -> int:
    """Append one sensor's points to ``out``; returns the number of filled rows."""
    first_s, last_s = _time_range(item, stamp_ns)
    num_bins = min(max(math.ceil((last_s - first_s) / BIN_S), 1), MAX_BINS) if odometry is not None else 1
    bin_s = max(last_s - first_s, 1e-9) / num_bins
    poses = item.base_link_se3_sensor[None]
    if odometry is not None:
        poses = odometry.poses(stamp_ns, first_s + bin_s * (np.arange(num_bins) + 0.5)) @ poses
    cloud, layout = item.cloud, item.cloud.layout
    time_offset_s = cloud.time_offset_s + (item.stamp_ns - stamp_ns) * 1e-9
    filled: int = fuse(
        *(cloud.data, layout.height, layout.width, layout.point_step, layout.row_step, layout.is_bigendian, cloud.columns_52),
        np.array([cloud.intensity_scale, cloud.time_scale_s, time_offset_s]),
        item.base_link_se3_sensor[:3].ravel(),
        np.ascontiguousarray(poses[:, :3].reshape(num_bins, 12)),
        np.array([first_s, 1.0 / bin_s]),
        *(*boxes, out, num),
    )
    return filled
