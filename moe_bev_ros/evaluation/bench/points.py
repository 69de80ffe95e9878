"""Milliseconds per 100,000 LiDAR points on their way from the message's bytes to a sweep in base_link.

The baseline is bare ``np.frombuffer`` with the layout's dtype and its columns put into one (N, 5) float32 array: what a node
would do that checks nothing, and neither de-skews, moves nor crops. One more row compares with numpy doing these as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.se3 import se3_from_xy_yaw, se3_from_xyz_rpy
from moe_bev_ros.evaluation.bench.timing import Row, interleaved
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.point_cloud import CloudLayout, PointField, read_cloud
from moe_bev_ros.perception.sweep import Crop, SensorCloud, build_sweep

NUM_POINTS = 100_000
NUM_RINGS = 32
STAMP_NS = 1_700_000_000_000_000_000
MOUNT = se3_from_xyz_rpy(0.94, 0.0, 1.84, 0.0, 0.01, -1.57)
CROP = Crop((-1.0, 3.8, -1.05, 1.05, -0.5, 2.2), (-80.0, 80.0, -80.0, 80.0, -5.0, 5.0))
CODES = {'u1': 2, 'u2': 4, 'u4': 6, 'f4': 7, 'f8': 8}
LAYOUTS = {
    'float32 x y z i t, 20 bytes': {'x': 'f4', 'y': 'f4', 'z': 'f4', 'intensity': 'f4', 't': 'f4'},
    'uint8 i, uint32 ns, 19 bytes': {'x': 'f4', 'y': 'f4', 'z': 'f4', 'intensity': 'u1', 'ring': 'u2', 't': 'u4'},
    'uint16 ring, float64 s, 26 bytes': {'x': 'f4', 'y': 'f4', 'z': 'f4', 'intensity': 'f4', 'ring': 'u2', 't': 'f8'},
}


def run(repeats: int) -> list[Row]:
    """Measure reading alone and the whole way, for three layouts."""
    odometry = _odometry()
    rows = []
    for name, columns in LAYOUTS.items():
        dtype = np.dtype([(column, '<' + kind) for column, kind in columns.items()])
        data = _scan(dtype).tobytes()
        layout = _layout(dtype)
        read, whole = _ours(layout, data, odometry)
        rows.append(interleaved(f'read, check ({name})', read, _stacked(dtype, data), repeats))
        rows.append(interleaved(f'bytes to sweep ({name})', whole, _stacked(dtype, data), repeats))
    rows.append(interleaved('bytes to sweep, numpy doing the same', whole, _numpy_sweep(dtype, data), repeats))
    return rows


def _ours(layout: CloudLayout, data: bytes, odometry: OdometryBuffer) -> tuple[Callable[[], object], Callable[[], object]]:
    def read() -> object:
        return read_cloud(layout, data, STAMP_NS)

    def whole() -> object:
        cloud = SensorCloud(read_cloud(layout, data, STAMP_NS), STAMP_NS, MOUNT)
        return build_sweep(STAMP_NS, (cloud,), CROP, odometry)

    return read, whole


def _stacked(dtype: np.dtype[Any], data: bytes) -> Callable[[], NDArray[np.float32]]:
    def call() -> NDArray[np.float32]:
        records = np.frombuffer(data, dtype)
        points_n5 = np.empty((len(records), 5), np.float32)
        for index, name in enumerate(('x', 'y', 'z', 'intensity', 't')):
            points_n5[:, index] = records[name]
        return points_n5

    return call


def _numpy_sweep(dtype: np.dtype[Any], data: bytes) -> Callable[[], object]:
    """Filter, de-skew with 200 poses, crop, as one would write it with numpy (the poses are free)."""
    poses = np.tile(MOUNT[:3].astype(np.float32), (200, 1, 1))
    ego, kept = (np.array(box, np.float32).reshape(3, 2).T for box in (CROP.ego_box, CROP.range_m))

    def call() -> object:
        records = np.frombuffer(data, dtype)
        xyz = np.stack([records['x'], records['y'], records['z']], axis=1)
        good = np.isfinite(xyz).all(axis=1) & xyz.any(axis=1)
        xyz, time_s = xyz[good], records['t'][good] - STAMP_NS * 1e-9
        pose = poses[np.clip((time_s + 0.1) * 2000.0, 0, 199).astype(int)]
        moved = np.einsum('nij,nj->ni', pose[:, :, :3], xyz) + pose[:, :, 3]
        inside = ((moved >= kept[0]) & (moved <= kept[1])).all(axis=1) & ~((moved >= ego[0]) & (moved <= ego[1])).all(axis=1)
        return np.column_stack([moved, records['intensity'][good] / np.float32(255.0), time_s]).astype(np.float32)[inside]

    return call


def _scan(dtype: np.dtype[Any]) -> NDArray[Any]:
    """A spinning LiDAR's firings, in order: the ground, and walls and things at random distances."""
    rng = np.random.default_rng(0)
    index = np.arange(NUM_POINTS)
    ring, turn = index % NUM_RINGS, index / NUM_POINTS
    elevation = np.radians(-30.0 + 40.0 * ring / NUM_RINGS)
    walls_m = np.interp(turn, np.linspace(0, 1, 60), rng.uniform(5.0, 60.0, 60))
    ground_m = np.where(elevation < -0.01, 1.84 / np.maximum(np.sin(-elevation), 0.01), 200.0)
    distance = np.minimum(walls_m, ground_m)
    records = np.zeros(NUM_POINTS, dtype)
    records['x'] = distance * np.cos(elevation) * np.cos(2 * np.pi * turn)
    records['y'] = distance * np.cos(elevation) * np.sin(-2 * np.pi * turn)
    records['z'] = distance * np.sin(elevation)
    records['intensity'] = rng.integers(0, 256, NUM_POINTS)
    time_s = 0.1 * (turn - 1.0)
    kinds = {'f4': time_s, 'u4': 1e9 * (time_s + 0.1), 'f8': time_s + STAMP_NS * 1e-9}
    records['t'] = kinds[dtype['t'].str[1:]]
    return records


def _layout(dtype: np.dtype[Any]) -> CloudLayout:
    assert dtype.fields is not None
    fields = [PointField(name, int(column[1]), CODES[column[0].str[1:]]) for name, column in dtype.fields.items()]
    return CloudLayout(tuple(fields), 1, NUM_POINTS, dtype.itemsize, dtype.itemsize * NUM_POINTS)


def _odometry() -> OdometryBuffer:
    """50 Hz, 15 m/s, a gentle curve."""
    odometry = OdometryBuffer()
    for index in range(-10, 1):
        time_s = 0.02 * index
        pose = se3_from_xy_yaw(15.0 * time_s, 0.0, 0.1 * time_s)
        odometry.add(EgoMotion(STAMP_NS + round(time_s * 1e9), pose, 15.0, 0.1, 'map'))
    return odometry
