"""Finds the cameras and LiDARs of a bag by the types of its topics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_reader import BagTopic

IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
CLOUD_TYPE = 'sensor_msgs/msg/PointCloud2'
COMPRESSED = '/compressed'


@dataclass(frozen=True)
class Sensor:
    """One camera or LiDAR and the topic of its images or points."""

    name: str
    topic: str
    num_messages: int


@dataclass(frozen=True)
class SensorStreams:
    """The sensors of one bag, the anchor first."""

    cameras: tuple[Sensor, ...]
    lidars: tuple[Sensor, ...]

    def __post_init__(self) -> None:
        if not self.cameras and not self.lidars:
            raise InputError('no sensor_msgs/Image, CompressedImage or PointCloud2 topic; record the sensors, not only results')


def sensor_streams(topics: Iterable[BagTopic]) -> SensorStreams:
    """Cameras and LiDARs; of a camera recorded both raw and compressed the raw images, of the names the one with front first.

    Topics of our own outputs (``/moe_bev/…``) are no sensors.

    Raises:
        InputError: there is no sensor.
    """
    used = [topic for topic in topics if topic.num_messages and not topic.name.startswith('/moe_bev/')]
    images = {topic.name: topic for topic in used if topic.type_name in IMAGE_TYPES}
    kept = [topic for name, topic in images.items() if not (name.endswith(COMPRESSED) and _raw_name(name) in images)]
    clouds = [topic for topic in used if topic.type_name == CLOUD_TYPE]
    return SensorStreams(_sensors(kept), _sensors(clouds))


def _raw_name(topic: str) -> str:
    return topic.removesuffix(COMPRESSED)


def _sensors(topics: list[BagTopic]) -> tuple[Sensor, ...]:
    """``/sensing/camera/CAM_FRONT/image_raw`` is CAM_FRONT; the whole topic is the name where that is not unique."""
    short = [_raw_name(topic.name).strip('/').split('/')[-2:][0] for topic in topics]
    names = short if len(set(short)) == len(short) else [topic.name.strip('/').replace('/', '_') for topic in topics]
    sensors = [Sensor(name, topic.name, topic.num_messages) for name, topic in zip(names, topics)]
    return tuple(sorted(sensors, key=_anchor_rank))


def _anchor_rank(sensor: Sensor) -> tuple[bool, bool, int]:
    """Sorts the camera that looks straight ahead to the front, then the one that was recorded most."""
    words = sensor.name.lower().replace('-', '_').split('_')
    aside = bool({'left', 'right', 'side', 'narrow', 'wide'} & set(words))
    return ('front' not in words and 'top' not in words, aside, -sensor.num_messages)
