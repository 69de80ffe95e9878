"""The objects that a bag recorded, as values, and where the vehicle was."""

from __future__ import annotations

from pathlib import Path

from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.msg import Objects
from moe_bev_ros.nodes.convert import ego_from_msg, scene_from_msg
from moe_bev_ros.perception.motion_compensation import OdometryBuffer

OBJECTS_TYPE, ODOMETRY_TYPE = 'moe_bev_ros/msg/Objects', 'nav_msgs/msg/Odometry'


def objects_of_bag(path: Path | str, topic: str = '') -> list[tuple[int, EgoMotion | None, Scene]]:
    """Stamp [ns], motion of the vehicle at that stamp (None without odometry around it), and what was seen in base_link.

    Args:
        topic: of the objects; empty: the only one of their type.

    Raises:
        InputError: the bag cannot be read, or holds no such topic.
    """
    with BagReader(path) as bag:
        objects = topic or _only_topic(bag, path)
        odometry = [item.name for item in bag.topics.values() if item.type_name == ODOMETRY_TYPE][:1]
        buffer, newest_ns = OdometryBuffer(), 0
        waiting: list[Scene] = []
        result: list[tuple[int, EgoMotion | None, Scene]] = []
        for message in bag.messages((objects, *odometry)):
            if message.topic == objects:
                waiting.append(scene_from_msg(deserialize_message(message.data, Objects)))
                continue
            ego = ego_from_msg(deserialize_message(message.data, Odometry))
            buffer.add(ego)
            newest_ns = ego.stamp_ns
            while waiting and newest_ns >= waiting[0].stamp_ns:
                scene = waiting.pop(0)
                result.append((scene.stamp_ns, buffer.at(scene.stamp_ns), scene))
        return result + [(scene.stamp_ns, buffer.at(scene.stamp_ns), scene) for scene in waiting]


def _only_topic(bag: BagReader, path: Path | str) -> str:
    found = [item.name for item in bag.topics.values() if item.type_name == OBJECTS_TYPE]
    if len(found) != 1:
        raise InputError(f'{path}: {len(found)} topics of {OBJECTS_TYPE}; record one, or say which: {", ".join(found)}')
    return found[0]
