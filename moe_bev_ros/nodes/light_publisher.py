"""Reads the traffic lights of a Lanelet2 map in the frames of bev_node, and publishes what they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from geometry_msgs.msg import Point

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import Frame
from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.msg import TrafficLight, TrafficLights
from moe_bev_ros.nodes.base import StackNode
from moe_bev_ros.nodes.convert import header
from moe_bev_ros.planning.lanelet_map import load_light_places

MAP = 'map'
TOPIC = '~/output/traffic_lights'


class LightPublisher:
    """Owns the topic of the lights.

    Raises:
        InputError: the map cannot be read, tells of no light where it hangs, or the network cannot be loaded.
    """

    def __init__(self, node: StackNode[Any], map_path: Path, origin_lat_lon: tuple[float, float] | None) -> None:
        self._places = tuple(load_light_places(map_path, origin_lat_lon))
        if not self._places:
            raise InputError(f'{map_path}: no traffic light with a height; add the lights, or leave map_path of bev_node empty')
        try:
            from moe_bev_ros.engine.lights import LightReader

            self._reader = LightReader()
        except (ModuleNotFoundError, EngineError) as err:
            raise InputError(f'traffic lights: {err}; install moe-bev-ros[torch], or leave map_path of bev_node empty') from err
        self._publisher = node.advertise(TrafficLights, TOPIC)

    def reset(self) -> None:
        """Time jumped."""
        self._reader.reset()

    def publish(self, frame: Frame) -> None:
        """Publish the lights of a frame; nothing where the vehicle's place in the map is not known.

        Raises:
            InputError: the odometry is not in the map's frame.
        """
        if frame.ego is None:
            return
        if frame.ego.frame_id != MAP:
            raise InputError(f'odometry in frame {frame.ego.frame_id!r}, the lights are in {MAP!r}; localise in the map')
        seen = self._reader.read(frame, frame.ego.odom_se3_base_link, self._places)
        lights = [
            TrafficLight(
                regulatory_element_id=item.light.element_id,
                stop_position=Point(x=item.light.stop_xy_m[0], y=item.light.stop_xy_m[1], z=0.0),
                state=int(item.light.state),
                score=item.score,
            )
            for item in seen
        ]
        self._publisher.publish(TrafficLights(header=header(frame.stamp_ns, MAP), lights=lights))
