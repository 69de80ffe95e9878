"""Writes a scene of a nuScenes tree as a rosbag2 with everything that the nodes listen to."""

from __future__ import annotations

from pathlib import Path

from moe_bev_ros.core.traffic_light import TrafficLight
from moe_bev_ros.datasets.frames import FrameFolder, RecordedCloud, RecordedFrame, RecordedImage
from moe_bev_ros.datasets.frames_to_bag import write_frames_bag
from moe_bev_ros.datasets.nuscenes_index import SensorRecord
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, Tick


def write_scene_bag(
    tree: NuscenesTree, scene: str, out: Path | str, *, storage: str = 'sqlite3', compressed: bool = False
) -> dict[str, int]:
    """Write all frames of a scene, 10 a second; returns the number of messages by topic.

    Traffic lights are those of the keyframe before each frame. Points carry the time 0: they are moved to their stamp already.

    Raises:
        InputError: the scene is not there, a file cannot be read, ``out`` exists, or it cannot be written.
    """
    ticks = tree.ticks(scene)
    folder = FrameFolder(tree.root, scene, tuple(_frame(tick) for tick in ticks))
    return write_frames_bag(folder, out, storage=storage, compressed=compressed, lights=_lights(tree, scene, ticks))


def _frame(tick: Tick) -> RecordedFrame:
    images = tuple(_image(record) for record in tick.images.values())
    cloud = _cloud(tick.sweep) if tick.sweep is not None else None
    return RecordedFrame(tick.stamp_ns, images, cloud, tick.map_se3_base_link, None)


def _image(record: SensorRecord) -> RecordedImage:
    assert record.intrinsics_33 is not None  # the index has seen to it
    place = (record.base_link_se3_sensor, record.map_se3_base_link)
    return RecordedImage(record.channel, record.path, record.stamp_ns, record.intrinsics_33, *place)


def _cloud(record: SensorRecord) -> RecordedCloud:
    place = (record.base_link_se3_sensor, record.map_se3_base_link)
    return RecordedCloud(record.channel, record.path, record.stamp_ns, *place, 5, 255.0, compensated=True)


def _lights(tree: NuscenesTree, scene: str, ticks: list[Tick]) -> list[tuple[int, tuple[TrafficLight, ...]]]:
    result: list[tuple[int, tuple[TrafficLight, ...]]] = []
    for tick in ticks:
        now = tree.lights(scene, tick.sample_token) if tick.sample_token else result[-1][1] if result else ()
        result.append((tick.stamp_ns, now))
    return result if any(lights for _, lights in result) else []
