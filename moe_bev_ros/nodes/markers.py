"""Objects as markers for rviz."""

from __future__ import annotations

import math

from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from moe_bev_ros.core.objects import Label, Scene, TrackedObject
from moe_bev_ros.nodes.convert import BASE_LINK, header

VEHICLE_COLOUR = (0.95, 0.35, 0.2)
PERSON_COLOUR = (0.9, 0.2, 0.8)
TWO_WHEELER_COLOUR = (0.55, 0.3, 0.95)
STATIC_COLOUR = (0.95, 0.75, 0.1)
UNKNOWN_COLOUR = (0.55, 0.6, 0.65)
COLOURS = {
    Label.PEDESTRIAN: PERSON_COLOUR,
    Label.MOTORCYCLE: TWO_WHEELER_COLOUR,
    Label.BICYCLE: TWO_WHEELER_COLOUR,
    Label.TRAFFIC_CONE: STATIC_COLOUR,
    Label.BARRIER: STATIC_COLOUR,
    Label.UNKNOWN: UNKNOWN_COLOUR,
}
LIFETIME = Duration(seconds=1.0).to_msg()
MIN_ARROW_MPS = 0.3


class ObjectMarkers:
    """Draws a box, a caption and a velocity arrow for each object, and deletes those of objects that are gone."""

    def __init__(self) -> None:
        self._shown: set[tuple[str, int]] = set()

    def update(self, scene: Scene) -> MarkerArray:
        """The markers that turn the last scene's picture into this one's."""
        markers = [marker for item in scene.objects for marker in _markers(scene.stamp_ns, item)]
        shown = {(marker.ns, marker.id) for marker in markers}
        gone = [
            Marker(header=header(scene.stamp_ns, BASE_LINK), ns=ns, id=number, action=Marker.DELETE)
            for ns, number in sorted(self._shown - shown)
        ]
        self._shown = shown
        return MarkerArray(markers=gone + markers)


def _markers(stamp_ns: int, item: TrackedObject) -> list[Marker]:
    x, y, z, length, width, height, yaw = (float(value) for value in item.box_7)
    red, green, blue = COLOURS.get(item.label, VEHICLE_COLOUR)
    colour = ColorRGBA(r=red, g=green, b=blue, a=0.25 if item.missed else 0.6)

    def marker(ns: str, kind: int, scale: Vector3) -> Marker:
        return Marker(
            header=header(stamp_ns, BASE_LINK), ns=ns, id=item.track_id, type=kind, scale=scale, color=colour, lifetime=LIFETIME
        )

    box = marker('boxes', Marker.CUBE, Vector3(x=length, y=width, z=height))
    turn = Quaternion(z=math.sin(yaw / 2), w=math.cos(yaw / 2))
    box.pose = Pose(position=Point(x=x, y=y, z=z), orientation=turn)
    caption = marker('captions', Marker.TEXT_VIEW_FACING, Vector3(z=0.6))
    caption.pose.position = Point(x=x, y=y, z=z + height / 2 + 0.5)
    caption.text = f'{item.label.name.lower()} {item.track_id} {item.score:.2f}'
    velocity_x, velocity_y = (float(value) for value in item.velocity_2)
    if math.hypot(velocity_x, velocity_y) < MIN_ARROW_MPS:
        return [box, caption]
    arrow = marker('velocities', Marker.ARROW, Vector3(x=0.1, y=0.25, z=0.3))
    arrow.points = [Point(x=x, y=y, z=z), Point(x=x + velocity_x, y=y + velocity_y, z=z)]
    return [box, caption, arrow]
