"""Writes the sensor data of a rosbag2 as a nuScenes tree of one scene, without boxes.

Images become pinhole JPEGs (those that are both already are not touched), points are moved to their stamp. Every sweep of the
LiDAR is kept; a keyframe is the first one, and then one every half second.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.camera import CameraModel, camera_model
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.se3 import Array, se3_from_quaternion
from moe_bev_ros.core.transforms import TransformTree
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.datasets.bag_streams import Sensor, SensorStreams, sensor_streams
from moe_bev_ros.datasets.compensation import compensated
from moe_bev_ros.datasets.frames_to_bag import pose_at
from moe_bev_ros.datasets.frames_to_tree import blank_map
from moe_bev_ros.datasets.nuscenes_tables import CAMERAS, LIDAR, SceneRows
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter, whole_or_nothing
from moe_bev_ros.datasets.ros_types import ensure_type, type_store
from moe_bev_ros.perception.images import CompressedImage, RawImage
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.point_cloud import RING_NAMES, CloudLayout, PointCloud, PointField, read_cloud
from moe_bev_ros.perception.rectify import make_rectifier

VERSION = 'v1.0-bag'
SPLIT = 'bag'
ODOMETRY_TYPE, TF_TYPE, INFO_TYPE = 'nav_msgs/msg/Odometry', 'tf2_msgs/msg/TFMessage', 'sensor_msgs/msg/CameraInfo'
KEYFRAME_NS = 490_000_000
PAIR_NS = 60_000_000
JPEG_QUALITY = 95


@dataclass
class _Fixed:
    """What holds for the whole bag."""

    poses: list[tuple[int, Array]] = field(default_factory=list)
    transforms: TransformTree = field(default_factory=TransformTree)
    infos: dict[str, CameraModel] = field(default_factory=dict)


@dataclass(frozen=True)
class _Item:
    """An image or sweep that has been written."""

    channel: str
    stamp_ns: int
    keyframe: bool
    size: tuple[int, int] = (0, 0)


def write_bag_tree(path: Path, out: Path, name: str = '') -> str:
    """Write a bag as a tree; returns the scene's name, which is the bag's by default.

    Raises:
        InputError: the bag cannot be read, lacks the LiDAR, odometry, /tf_static or a CameraInfo, or has cameras that are not
            named as nuScenes'; a file cannot be written; another run writes to the tree.
    """
    name = name or path.stem
    with BagReader(path) as bag:
        streams = _streams(bag, path)
        fixed = _read_fixed(bag, path)
        writer = TreeWriter(out, {'source': 'bag'}, VERSION)
        with writer.alone():
            with whole_or_nothing(writer, name):
                map_file = f'maps/{name}.png'
                writer.write_data(map_file, blank_map())
                scene = SceneRows(name, f'from the bag {path.name}', 'recorded', map_file)
                _write_scene(bag, streams, fixed, scene, writer)
                writer.finish_scene(name, SPLIT, scene.rows(), {})
            writer.merge()
    return name


def _streams(bag: BagReader, path: Path) -> SensorStreams:
    streams = sensor_streams(bag.topics.values())
    strange = [camera.topic for camera in streams.cameras if camera.name.upper() not in CAMERAS]
    if strange:
        raise InputError(f"{path}: {strange[0]} is none of nuScenes' cameras; record it as /sensing/camera/CAM_FRONT/image_raw")
    if len(streams.lidars) != 1:
        raise InputError(f'{path}: {len(streams.lidars)} LiDARs; a nuScenes tree has one, record that alone')
    return streams


def _read_fixed(bag: BagReader, path: Path) -> _Fixed:
    """Poses, transforms and calibrations."""
    fixed = _Fixed()
    for topic, message in _messages(bag, (ODOMETRY_TYPE, TF_TYPE, INFO_TYPE)):
        if bag.topics[topic].type_name == ODOMETRY_TYPE:
            fixed.poses.append((_stamp_ns(message), _pose(message.pose.pose.position, message.pose.pose.orientation)))
        elif bag.topics[topic].type_name == INFO_TYPE:
            size_k = (message.width, message.height, message.k)
            fixed.infos.setdefault(topic, camera_model(*size_k, message.distortion_model, message.d))
        elif topic == '/tf_static':
            for item in message.transforms:
                pose = _pose(item.transform.translation, item.transform.rotation)
                fixed.transforms.add(item.header.frame_id, item.child_frame_id, pose)
    if not fixed.poses:
        raise InputError(f'{path}: no odometry; record nav_msgs/Odometry, a nuScenes tree needs the poses')
    fixed.poses.sort(key=lambda item: item[0])
    return fixed


def _write_scene(bag: BagReader, streams: SensorStreams, fixed: _Fixed, scene: SceneRows, writer: TreeWriter) -> None:
    (lidar,) = streams.lidars
    cameras = {camera.topic: camera for camera in streams.cameras}
    keyframes = _keyframes(bag, lidar)
    images = _key_images(bag, cameras, keyframes)
    items: list[_Item] = []
    for topic, message in _messages(bag, (), (*cameras, lidar.topic)):
        stamp_ns = _stamp_ns(message)
        if topic == lidar.topic:
            item, data = _Item(LIDAR, stamp_ns, stamp_ns in keyframes), _points(message, fixed)
            mount, matrix = fixed.transforms.lookup('base_link', message.header.frame_id), None
        else:
            channel, model = cameras[topic].name.upper(), _model(fixed, cameras[topic])
            data, matrix = _jpeg(message, model)
            item = _Item(channel, stamp_ns, (channel, stamp_ns) in images, (model.width, model.height))
            mount = fixed.transforms.lookup('base_link', message.header.frame_id)
        if item.channel not in {other.channel for other in items}:
            scene.add_sensor(item.channel, mount, matrix)
        items.append(item)
        writer.write_data(writer.data_file(scene.name, item.channel, stamp_ns // 1000, keyframe=item.keyframe), data)
    samples = {stamp_ns: scene.add_sample(stamp_ns // 1000) for stamp_ns in keyframes}
    for item in sorted(items, key=lambda item: item.stamp_ns):
        sample = ''
        if item.keyframe:
            sample = samples[min(keyframes, key=lambda stamp_ns: abs(stamp_ns - item.stamp_ns))]
        file = writer.data_file(scene.name, item.channel, item.stamp_ns // 1000, keyframe=item.keyframe)
        scene.add_data(item.channel, item.stamp_ns // 1000, file, pose_at(fixed.poses, item.stamp_ns), sample, item.size)


def _keyframes(bag: BagReader, lidar: Sensor) -> list[int]:
    keyframes: list[int] = []
    for _, message in _messages(bag, (), (lidar.topic,)):
        stamp_ns = _stamp_ns(message)
        if not keyframes or stamp_ns - keyframes[-1] >= KEYFRAME_NS:
            keyframes.append(stamp_ns)
    return keyframes


def _key_images(bag: BagReader, cameras: dict[str, Sensor], keyframes: list[int]) -> set[tuple[str, int]]:
    """Channel and stamp of the image next to each keyframe, per camera."""
    nearest: dict[tuple[str, int], int] = {}
    for topic, message in _messages(bag, (), tuple(cameras)):
        stamp_ns = _stamp_ns(message)
        keyframe = min(keyframes, key=lambda other: abs(other - stamp_ns))
        key = (cameras[topic].name.upper(), keyframe)
        distance = abs(nearest.get(key, keyframe + PAIR_NS) - keyframe)
        if abs(stamp_ns - keyframe) < distance:
            nearest[key] = stamp_ns
    return {(channel, stamp_ns) for (channel, _), stamp_ns in nearest.items()}


def _model(fixed: _Fixed, camera: Sensor) -> CameraModel:
    topic = f'{camera.topic.removesuffix("/compressed").rsplit("/", 1)[0]}/camera_info'
    if topic not in fixed.infos:
        raise InputError(f'{camera.topic}: no {topic} in the bag; record it too')
    return fixed.infos[topic]


def _jpeg(message: Any, model: CameraModel) -> tuple[bytes, Array]:
    """The image without distortion, and its pinhole matrix."""
    image: CompressedImage | RawImage
    if hasattr(message, 'format'):
        image = CompressedImage(np.asarray(message.data, np.uint8), message.format)
        if image.is_jpeg and not model.is_distorted:
            return image.data.tobytes(), model.matrix_33
    else:
        image = RawImage(message.encoding, message.width, message.height, message.step, np.asarray(message.data, np.uint8))
    pixels, matrix_33 = image.rgb(), model.matrix_33
    if model.is_distorted:
        rectifier = make_rectifier(model, model.width, model.height)
        pixels, matrix_33 = np.zeros((model.height, model.width, 3), np.uint8), rectifier.intrinsics_33.astype(float)
        rectifier.rectify(image, pixels)
    encoded = cv2.imencode('.jpg', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return bytes(encoded.tobytes()), matrix_33


def _points(message: Any, fixed: _Fixed) -> bytes:
    """x, y, z [m, LiDAR frame at the stamp], intensity [0..255], ring; points without a return are left out."""
    stamp_ns = _stamp_ns(message)
    fields = tuple(PointField(item.name, item.offset, item.datatype, item.count) for item in message.fields)
    steps = (message.height, message.width, message.point_step, message.row_step, message.is_bigendian)
    cloud = read_cloud(CloudLayout(fields, *steps), np.asarray(message.data, np.uint8), stamp_ns)
    columns = [_column(cloud, name) for name in ('x', 'y', 'z', 'intensity')] + [_column(cloud, *RING_NAMES)]
    points_n5 = np.stack(columns, axis=1).astype(np.float32)
    points_n5[:, 3] *= 255.0 * cloud.intensity_scale
    usable_n = np.isfinite(points_n5[:, :3]).all(axis=1) & points_n5[:, :3].any(axis=1)
    if cloud.time_range_s is not None and cloud.time_range_s != (0.0, 0.0):
        times_n = _times(cloud)
        odometry = _odometry(
            fixed.poses, stamp_ns + int(1e9 * cloud.time_range_s[0]), stamp_ns + int(1e9 * cloud.time_range_s[1])
        )
        mount = fixed.transforms.lookup('base_link', message.header.frame_id)
        points_n5[usable_n, :3] = compensated(points_n5[usable_n, :3], times_n[usable_n], stamp_ns, odometry, mount)
    return points_n5[usable_n].tobytes()


def _column(cloud: PointCloud, *names: str) -> NDArray[np.float64]:
    values = cloud.column(*names)
    return np.zeros(cloud.num_points) if values is None else np.asarray(values, float).ravel()


def _times(cloud: PointCloud) -> NDArray[np.float32]:
    offset, kind = cloud.columns_52[4]
    name = next(item.name for item in cloud.layout.fields if item.offset == offset and item.code == kind)
    return (_column(cloud, name) * cloud.time_scale_s + cloud.time_offset_s).astype(np.float32)


def _odometry(poses: list[tuple[int, Array]], first_ns: int, last_ns: int) -> OdometryBuffer:
    """The poses around a sweep, 10 ms apart."""
    buffer = OdometryBuffer()
    for stamp_ns in range(first_ns - 10_000_000, last_ns + 20_000_000, 10_000_000):
        buffer.add(EgoMotion(stamp_ns, pose_at(poses, stamp_ns), 0.0, 0.0, 'map'))
    return buffer


def _messages(bag: BagReader, types: tuple[str, ...], topics: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """(topic, message) of these types or topics."""
    wanted = topics or tuple(topic.name for topic in bag.topics.values() if topic.type_name in types)
    if not wanted:
        return
    for name in wanted:
        ensure_type(bag.topics[name].type_name)
    for message in bag.messages(wanted):
        yield message.topic, type_store().deserialize_cdr(message.data, bag.topics[message.topic].type_name)


def _stamp_ns(message: Any) -> int:
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def _pose(position: Any, orientation: Any) -> Array:
    xyzw = (orientation.x, orientation.y, orientation.z, orientation.w)
    return se3_from_quaternion((position.x, position.y, position.z), xyzw)
