"""Writes recorded frames as a rosbag2 with the messages that a vehicle would have published."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array, interpolate, inverse, quaternion_xyzw_of, yaw_of
from moe_bev_ros.core.traffic_light import TrafficLight
from moe_bev_ros.datasets.bag_writer import BagWriter, TopicQos
from moe_bev_ros.datasets.frames import FrameFolder, RecordedCloud, RecordedImage
from moe_bev_ros.datasets.ros_types import type_store

ODOMETRY_TOPIC = '/localization/kinematic_state'
ODOMETRY_PERIOD_NS = 20_000_000
ODOMETRY_MARGIN_NS = 200_000_000
SHORTEST_STEP_NS = 20_000_000  # two poses closer than this say nothing about the speed
FLOAT32, UINT16 = 7, 4  # sensor_msgs/PointField
POINT_FIELDS = (('x', '<f4'), ('y', '<f4'), ('z', '<f4'), ('intensity', '<f4'))
RING_FIELD, TIME_FIELD = ('ring', '<u2'), ('time', '<f4')
LIGHTS_TOPIC = '/moe_bev/traffic_lights'
_DATATYPES = {'<f4': FLOAT32, '<u2': UINT16}

LightStates = Sequence[tuple[int, tuple[TrafficLight, ...]]]


def write_frames_bag(
    folder: FrameFolder, out: Path | str, *, storage: str = 'sqlite3', compressed: bool = False, lights: LightStates = ()
) -> dict[str, int]:
    """Write a bag; returns the number of messages by topic.

    Images go to ``/sensing/camera/<name>/image_raw`` (raw bgr8) or ``…/image_raw/compressed`` (JPEG as recorded), clouds to
    ``/sensing/lidar/<name>/points``; points that were moved to the stamp have the time 0 each. Odometry at 50 Hz is
    interpolated between the recorded poses, and extrapolated 0.2 s before the first and after the last sensor message; there
    is none where no pose was recorded. The bag stands under its name once it is whole.

    Args:
        lights: states of traffic lights by rising stamps [ns], for ``/moe_bev/traffic_lights``.

    Raises:
        InputError: a file of the folder cannot be read, ``out`` exists, or it cannot be written.
    """
    out = Path(out)
    if out.exists():
        raise InputError(f'{out}: exists already; give a new name')
    unfinished = out.parent / f'.{out.name}.unfinished'
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        counts = _write_bag(folder, unfinished / out.name, storage, lights, compressed=compressed)
        (unfinished / out.name).replace(out)
    except (OSError, apsw.Error) as err:
        raise InputError(f'{out}: {err}; make room, or give another place') from err
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return counts


def _write_bag(folder: FrameFolder, path: Path, storage: str, lights: LightStates, *, compressed: bool) -> dict[str, int]:
    with BagWriter(path, storage) as bag:
        bag.add_topic('/tf_static', 'tf2_msgs/msg/TFMessage', TopicQos(transient_local=True, depth=100))
        for name in folder.camera_names:
            _, image_topic, info_topic = _camera_topics(name, compressed=compressed)
            bag.add_topic(image_topic, f'sensor_msgs/msg/{"CompressedImage" if compressed else "Image"}')
            bag.add_topic(info_topic, 'sensor_msgs/msg/CameraInfo')
        for name in _lidar_names(folder):
            bag.add_topic(_lidar_topic(name), 'sensor_msgs/msg/PointCloud2')
        if folder.has_odometry:
            bag.add_topic(ODOMETRY_TOPIC, 'nav_msgs/msg/Odometry')
        if lights:
            bag.add_topic(LIGHTS_TOPIC, 'moe_bev_ros/msg/TrafficLights')
        start_ns = _sensor_stamps(folder)[0] - ODOMETRY_MARGIN_NS
        bag.write('/tf_static', start_ns, _static_transforms(folder, start_ns))
        for topic, stamp_ns, message in _in_order(folder, lights, compressed=compressed):
            bag.write(topic, stamp_ns, message)
        return bag.counts


def odometry_samples(folder: FrameFolder) -> list[tuple[int, Array]]:
    """Recorded (stamp_ns, ``map_SE3_base_link``), in rising stamps at least 20 ms apart."""
    poses = [
        (item.stamp_ns, item.map_se3_base_link) for frame in folder.frames for item in (*frame.images, frame.cloud) if item
    ]
    poses += [(frame.stamp_ns, frame.map_se3_base_link) for frame in folder.frames]
    kept: list[tuple[int, Array]] = []
    for stamp_ns, pose in sorted(((s, p) for s, p in poses if p is not None), key=lambda sample: sample[0]):
        if not kept or stamp_ns - kept[-1][0] >= SHORTEST_STEP_NS:
            kept.append((stamp_ns, pose))
    return kept


def pose_at(samples: list[tuple[int, Array]], stamp_ns: int) -> Array:
    """Pose at a stamp, between the two samples around it, or beyond the last two at constant velocity."""
    if len(samples) == 1:
        return samples[0][1]
    stamps = [stamp for stamp, _ in samples]
    index = int(np.clip(np.searchsorted(stamps, stamp_ns), 1, len(samples) - 1))
    (before_ns, before), (after_ns, after) = samples[index - 1], samples[index]
    return interpolate(before, after, (stamp_ns - before_ns) / (after_ns - before_ns))


def _in_order(folder: FrameFolder, lights: LightStates, *, compressed: bool) -> Iterator[tuple[str, int, Any]]:
    """All messages but /tf_static, by stamp; pixels and points are loaded one at a time."""
    images = [image for frame in folder.frames for image in frame.images]
    clouds = [frame.cloud for frame in folder.frames if frame.cloud is not None]
    samples = odometry_samples(folder)
    items: list[tuple[int, int, Any]] = [(image.stamp_ns, 1, image) for image in images]
    items += [(cloud.stamp_ns, 1, cloud) for cloud in clouds]
    items += [(stamp_ns, 0, states) for stamp_ns, states in lights]
    if samples:
        stamps = _sensor_stamps(folder)
        first_ns, last_ns = stamps[0] - ODOMETRY_MARGIN_NS, stamps[-1] + ODOMETRY_MARGIN_NS
        items += [(stamp_ns, 0, None) for stamp_ns in range(first_ns, last_ns + 1, ODOMETRY_PERIOD_NS)]
    for stamp_ns, _, item in sorted(items, key=lambda entry: entry[:2]):
        if isinstance(item, RecordedImage):
            frame_id, image_topic, info_topic = _camera_topics(item.name, compressed=compressed)
            image, size = _image_message(item, frame_id, compressed=compressed)
            yield info_topic, stamp_ns, _camera_info(item, frame_id, size)
            yield image_topic, stamp_ns, image
        elif isinstance(item, RecordedCloud):
            yield _lidar_topic(item.name), stamp_ns, _cloud_message(item)
        elif item is not None:
            yield LIGHTS_TOPIC, stamp_ns, _lights(item, stamp_ns)
        else:
            yield ODOMETRY_TOPIC, stamp_ns, _odometry(samples, stamp_ns)


def _sensor_stamps(folder: FrameFolder) -> list[int]:
    return sorted(item.stamp_ns for frame in folder.frames for item in (*frame.images, frame.cloud) if item is not None)


def _lidar_names(folder: FrameFolder) -> list[str]:
    return sorted({frame.cloud.name for frame in folder.frames if frame.cloud is not None})


def _camera_topics(name: str, *, compressed: bool) -> tuple[str, str, str]:
    """(frame, image topic, info topic) of a camera."""
    base = f'/sensing/camera/{name}'
    return name, f'{base}/image_raw{"/compressed" if compressed else ""}', f'{base}/camera_info'


def _lidar_topic(name: str) -> str:
    return f'/sensing/lidar/{name.lower()}/points'


def _new(type_name: str, **fields: Any) -> Any:
    return type_store().types[type_name](**fields)


def _header(stamp_ns: int, frame_id: str) -> Any:
    stamp = _new('builtin_interfaces/msg/Time', sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
    return _new('std_msgs/msg/Header', stamp=stamp, frame_id=frame_id)


def _vector(values: Any, kind: str = 'Vector3') -> Any:
    names = 'xyzw' if kind == 'Quaternion' else 'xyz'
    return _new(f'geometry_msgs/msg/{kind}', **{name: float(value) for name, value in zip(names, values)})


def _static_transforms(folder: FrameFolder, stamp_ns: int) -> Any:
    poses: dict[str, Array] = {}
    for frame in folder.frames:
        poses.update({image.name: image.base_link_se3_camera for image in frame.images})
        if frame.cloud is not None:
            poses[frame.cloud.name.lower()] = frame.cloud.base_link_se3_lidar
    transforms = [
        _new(
            'geometry_msgs/msg/TransformStamped',
            header=_header(stamp_ns, 'base_link'),
            child_frame_id=child,
            transform=_new(
                'geometry_msgs/msg/Transform',
                translation=_vector(pose[:3, 3]),
                rotation=_vector(quaternion_xyzw_of(pose), 'Quaternion'),
            ),
        )
        for child, pose in poses.items()
    ]
    return _new('tf2_msgs/msg/TFMessage', transforms=transforms)


def _image_message(image: RecordedImage, frame_id: str, *, compressed: bool) -> tuple[Any, tuple[int, int]]:
    """The message and the (width, height) of the image."""
    header = _header(image.stamp_ns, frame_id)
    try:
        encoded = np.fromfile(image.path, np.uint8)
    except OSError as err:
        raise InputError(f'{image.path}: {err.strerror}; the recording is not complete') from err
    pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    if pixels is None:
        raise InputError(f'{image.path}: cannot be decoded as an image')
    height, width = pixels.shape[:2]
    if compressed:
        file_format = 'png' if image.path.suffix == '.png' else 'jpeg'
        return _new('sensor_msgs/msg/CompressedImage', header=header, format=file_format, data=encoded), (width, height)
    message = _new(
        'sensor_msgs/msg/Image',
        header=header,
        height=height,
        width=width,
        encoding='bgr8',
        is_bigendian=0,
        step=3 * width,
        data=pixels.reshape(-1),
    )
    return message, (width, height)


def _camera_info(image: RecordedImage, frame_id: str, size: tuple[int, int]) -> Any:
    """The recorded images are rectified: no distortion."""
    projection_34 = np.hstack([image.intrinsics_33, np.zeros((3, 1))])
    roi = _new('sensor_msgs/msg/RegionOfInterest', x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return _new(
        'sensor_msgs/msg/CameraInfo',
        header=_header(image.stamp_ns, frame_id),
        height=size[1],
        width=size[0],
        distortion_model='plumb_bob',
        d=np.zeros(5),
        k=image.intrinsics_33.reshape(-1),
        r=np.eye(3).reshape(-1),
        p=projection_34.reshape(-1),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def _cloud_message(cloud: RecordedCloud) -> Any:
    points_n5 = cloud.points_n5()
    names = [*POINT_FIELDS, *([RING_FIELD] if cloud.columns > 4 else []), *([TIME_FIELD] if cloud.compensated else [])]
    packed = np.zeros(len(points_n5), np.dtype(names))
    for column, (name, _) in enumerate(POINT_FIELDS):
        packed[name] = points_n5[:, column]
    if cloud.columns > 4:
        packed['ring'] = np.maximum(points_n5[:, 4], 0).astype(np.uint16)
    offsets = np.cumsum([0, *(np.dtype(kind).itemsize for _, kind in names)])
    fields = [
        _new('sensor_msgs/msg/PointField', name=name, offset=int(offset), datatype=_DATATYPES[kind], count=1)
        for (name, kind), offset in zip(names, offsets)
    ]
    data: NDArray[np.uint8] = packed.view(np.uint8)
    return _new(
        'sensor_msgs/msg/PointCloud2',
        header=_header(cloud.stamp_ns, cloud.name.lower()),
        height=1,
        width=len(packed),
        fields=fields,
        is_bigendian=False,
        point_step=packed.itemsize,
        row_step=data.size,
        data=data,
        is_dense=bool(np.isfinite(points_n5[:, :3]).all()),
    )


def _odometry(samples: list[tuple[int, Array]], stamp_ns: int) -> Any:
    half_ns = 25_000_000
    pose = pose_at(samples, stamp_ns)
    moved = inverse(pose_at(samples, stamp_ns - half_ns)) @ pose_at(samples, stamp_ns + half_ns)
    seconds = 2 * half_ns / 1e9
    twist = _new(
        'geometry_msgs/msg/Twist',
        linear=_vector(moved[:3, 3] / seconds),
        angular=_vector((0.0, 0.0, yaw_of(moved) / seconds)),
    )
    place = _new(
        'geometry_msgs/msg/Pose',
        position=_vector(pose[:3, 3], 'Point'),
        orientation=_vector(quaternion_xyzw_of(pose), 'Quaternion'),
    )
    unknown = np.zeros(36)
    return _new(
        'nav_msgs/msg/Odometry',
        header=_header(stamp_ns, 'map'),
        child_frame_id='base_link',
        pose=_new('geometry_msgs/msg/PoseWithCovariance', pose=place, covariance=unknown),
        twist=_new('geometry_msgs/msg/TwistWithCovariance', twist=twist, covariance=unknown),
    )


def _lights(lights: tuple[TrafficLight, ...], stamp_ns: int) -> Any:
    return _new(
        'moe_bev_ros/msg/TrafficLights',
        header=_header(stamp_ns, 'map'),
        lights=[
            _new(
                'moe_bev_ros/msg/TrafficLight',
                regulatory_element_id=light.element_id,
                stop_position=_vector((*light.stop_xy_m, 0.0), 'Point'),
                state=int(light.state),
                score=1.0,
            )
            for light in lights
        ],
    )
