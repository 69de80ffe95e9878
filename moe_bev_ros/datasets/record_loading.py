"""Images and sweeps of a nuScenes tree, from the disk to what an engine gets, by the code that the nodes use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from moe_bev_ros.core.camera import CameraModel
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import CameraImages, EgoMotion, LidarPoints
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.datasets.nuscenes_index import SensorRecord
from moe_bev_ros.perception.camera_rig import CameraRig
from moe_bev_ros.perception.images import CompressedImage
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.point_cloud import CloudLayout, PointField, read_cloud
from moe_bev_ros.perception.sweep import Crop, SensorCloud, build_sweep

CROP = Crop((-1.0, 3.8, -1.05, 1.05, -0.5, 2.2), (-80.0, 80.0, -80.0, 80.0, -5.0, 5.0))  # lidar_node's
POINT_FIELDS = tuple(PointField(name, 4 * index, 7) for index, name in enumerate(('x', 'y', 'z', 'intensity', 'ring')))
POINT_BYTES = 20
DECODERS = 2


class ImageLoader:
    """Decodes, resizes and crops the images of one scene as camera_node does.

    Images are given the fixed mounts of their cameras: what the vehicle moved between an image and the frame's stamp is not
    made good, as in the nodes.

    Args:
        channels: in the order of the result; may be empty.
        size: width and height of the result [pixels].
    """

    def __init__(self, channels: Sequence[str], size: tuple[int, int]) -> None:
        self.channels = tuple(channels)
        self._rig = CameraRig(len(channels), *size, DECODERS) if channels else None
        self._calibrated: dict[str, tuple[tuple[int, int], Array]] = {}
        self._poses: Array = np.tile(np.eye(4), (len(channels), 1, 1))

    def load(self, images: Mapping[str, SensorRecord]) -> CameraImages | None:
        """The images by channel; one that is missing is black and not valid. None without any camera.

        Raises:
            InputError: a file is missing or cut off; the text names it.
        """
        if self._rig is None:
            return None
        records = [images.get(channel) for channel in self.channels]
        for camera, record in enumerate(records):
            if record is not None:
                self._calibrate(self._rig, camera, record)
        facts = self._rig.fill([_compressed(record) if record is not None else None for record in records])
        for record, fact in zip(records, facts):
            if record is not None and fact:
                raise InputError(f'{record.path}: {fact}; copy it again')
        valid_n = np.array([record is not None for record in records])
        pixels, matrices = self._rig.images_nhw3.copy(), self._rig.intrinsics_n33.copy()
        return CameraImages(pixels, matrices, self._poses.copy(), valid_n, self.channels)

    def close(self) -> None:
        """End the threads."""
        if self._rig is not None:
            self._rig.close()

    def _calibrate(self, rig: CameraRig, camera: int, record: SensorRecord) -> None:
        matrix_33, size = record.intrinsics_33, (record.width, record.height)
        assert matrix_33 is not None  # the index has seen to it
        self._poses[camera] = record.base_link_se3_sensor
        known = self._calibrated.get(record.channel)
        if known is None or known[0] != size or not np.array_equal(known[1], matrix_33):  # its table takes 30 ms
            try:
                rig.calibrate(camera, CameraModel(*size, matrix_33))
            except InputError as err:
                raise InputError(
                    f'{record.path}: {record.channel} in calibrated_sensor.json or sample_data.json: {err}'
                ) from err
            self._calibrated[record.channel] = size, matrix_33


def load_points(sweep: SensorRecord, ego: EgoMotion) -> LidarPoints:
    """A sweep in base_link at the stamp of ``ego``, cropped as lidar_node does it.

    Raises:
        InputError: the file is missing or cut off; the text names it.
    """
    data = read_bytes(sweep.path)
    if len(data) % POINT_BYTES:
        raise InputError(f'{sweep.path}: {len(data)} bytes are no multiple of {POINT_BYTES} a point; cut off, copy it again')
    num = len(data) // POINT_BYTES
    layout = CloudLayout(POINT_FIELDS, 1, num, POINT_BYTES, len(data))
    cloud = read_cloud(layout, data, sweep.stamp_ns, intensity_max=255.0)
    odometry = OdometryBuffer()
    then = replace(ego, stamp_ns=sweep.stamp_ns, odom_se3_base_link=sweep.map_se3_base_link)
    for motion in sorted((then, ego), key=lambda motion: motion.stamp_ns):
        odometry.add(motion)
    return build_sweep(ego.stamp_ns, (SensorCloud(cloud, sweep.stamp_ns, sweep.base_link_se3_sensor),), CROP, odometry).points


def read_bytes(path: Path) -> bytes:
    """A file of the tree.

    Raises:
        InputError: it is missing.
    """
    try:
        return path.read_bytes()
    except OSError as err:
        raise InputError(f'{path}: {err.strerror}; the tree is not complete, write or copy it again') from err


def _compressed(record: SensorRecord) -> CompressedImage:
    data = np.frombuffer(read_bytes(record.path), np.uint8)
    try:
        return CompressedImage(data)
    except InputError as err:
        raise InputError(f'{record.path}: {err}; copy it again') from err
