"""Reads LiDAR sweeps of an Argoverse 2 log with their boxes, as plain values in base_link.

Its egovehicle frame lies in the rear axle, ours below it on the ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, se3_from_quaternion, yaw_of
from moe_bev_ros.datasets.frames import RecordedBox

LABELS = MappingProxyType(
    {
        'REGULAR_VEHICLE': Label.CAR,
        'PEDESTRIAN': Label.PEDESTRIAN,
        'BICYCLE': Label.BICYCLE,
        'MOTORCYCLE': Label.MOTORCYCLE,
        'BUS': Label.BUS,
        'ARTICULATED_BUS': Label.BUS,
        'SCHOOL_BUS': Label.BUS,
        'BOX_TRUCK': Label.TRUCK,
        'TRUCK': Label.TRUCK,
        'TRUCK_CAB': Label.TRUCK,
        'LARGE_VEHICLE': Label.TRUCK,
        'VEHICULAR_TRAILER': Label.TRAILER,
        'CONSTRUCTION_CONE': Label.TRAFFIC_CONE,
        'CONSTRUCTION_BARREL': Label.TRAFFIC_CONE,
    }
)
LIDARS = ('up_lidar', 'down_lidar')
LASERS_PER_LIDAR = 32
AXLE_M = 0.33  # height of the rear axle above the ground


@dataclass(frozen=True)
class ArgoverseSweep:
    """Both LiDARs' points of a tenth of a second, put to its stamp by the ego's motion.

    Attributes:
        points_n4: float32 x, y, z [m, base_link], intensity [0..1].
        lasers_n: number of the beam, 0..63; the first 32 are those of the first LiDAR.
        base_link_se3_lidars: poses of the upper and the lower LiDAR; the lower one hangs upside down.
    """

    stamp_ns: int
    points_n4: NDArray[np.float32]
    lasers_n: NDArray[np.int64]
    base_link_se3_lidars: tuple[Array, ...]
    boxes: tuple[RecordedBox, ...]


def read_argoverse_sweeps(folder: Path) -> tuple[ArgoverseSweep, ...]:
    """All sweeps in ``folder/sensors/lidar``, in rising stamps.

    Raises:
        InputError: a file is missing or no feather file of that data set, or pyarrow is not installed.
    """
    calibration = {row['sensor_name']: row for row in _rows(folder / 'calibration/egovehicle_SE3_sensor.feather')}
    missing = [name for name in LIDARS if name not in calibration]
    if missing:
        raise InputError(f'{folder}/calibration: no pose of {missing[0]}; the log is not complete')
    poses = tuple(_pose(calibration[name]) for name in LIDARS)
    annotations = _rows(folder / 'annotations.feather')
    files = sorted((folder / 'sensors/lidar').glob('*.feather'))
    if not files:
        raise InputError(f'{folder}/sensors/lidar: no sweep; the log is not complete')
    return tuple(_sweep(file, poses, annotations) for file in files)


def _table(path: Path) -> Any:
    try:
        from pyarrow import ArrowInvalid, feather
    except ImportError as err:
        raise InputError(f'{path}: reading it needs pyarrow; pip install "moe-bev-ros[evaluation]"') from err
    try:
        return feather.read_table(path)
    except (OSError, ArrowInvalid) as err:
        raise InputError(f'{path}: {err}; the log is not complete') from err


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _table(path).to_pylist()
    return rows


def _pose(row: dict[str, Any]) -> Array:
    """Pose in base_link."""
    xyz = (row['tx_m'], row['ty_m'], row['tz_m'] + AXLE_M)
    return se3_from_quaternion(xyz, (row['qx'], row['qy'], row['qz'], row['qw']))


def _sweep(path: Path, poses: tuple[Array, ...], annotations: list[dict[str, Any]]) -> ArgoverseSweep:
    table = _table(path)
    try:
        columns = [table[name].to_numpy().astype(np.float32) for name in ('x', 'y', 'z', 'intensity')]
        lasers_n = table['laser_number'].to_numpy().astype(np.int64)
        stamp_ns = int(path.stem)
        boxes = tuple(_box(row) for row in annotations if row['timestamp_ns'] == stamp_ns)
    except (KeyError, ValueError) as err:
        raise InputError(f'{path}: {type(err).__name__}: {err}; no sweep of Argoverse 2?') from err
    columns[2] += AXLE_M
    columns[3] /= 255.0
    return ArgoverseSweep(stamp_ns, np.stack(columns, axis=1), lasers_n, poses, boxes)


def _box(row: dict[str, Any]) -> RecordedBox:
    pose = _pose(row)
    size = (row['length_m'], row['width_m'], row['height_m'])
    return RecordedBox(
        label=LABELS.get(row['category'], Label.UNKNOWN),
        category=row['category'].lower(),
        box_7=np.array([*pose[:3, 3], *size, yaw_of(pose)], np.float32),
        velocity_2=np.full(2, np.nan, np.float32),
        num_lidar_points=int(row['num_interior_pts']),
    )
