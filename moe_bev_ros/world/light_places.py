"""Where the housings of traffic lights hang, which is all that a map tells of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moe_bev_ros.core.traffic_light import LightPlace
from moe_bev_ros.world.props import HOUSING_HEIGHT_M, HOUSINGS_XYZ_M
from moe_bev_ros.world.scene import Signal
from moe_bev_ros.world.terrain import Terrain


def light_places(
    signals: Sequence[Signal], terrain: Terrain, offset_xy_m: tuple[float, float] = (0.0, 0.0)
) -> list[LightPlace]:
    """The housings of signals as `props.traffic_light_parts` draws them, lifted to the ground at their pole.

    Args:
        offset_xy_m: is added to places in map.
    """
    places = []
    for signal in signals:
        ground_m = float(terrain.height(np.array([(signal.x, signal.y)]))[0])
        cos, sin = float(np.cos(signal.yaw_rad)), float(np.sin(signal.yaw_rad))
        stop = (signal.stop_xy_m[0] + offset_xy_m[0], signal.stop_xy_m[1] + offset_xy_m[1])
        for x, y, z in HOUSINGS_XYZ_M:
            place_x = signal.x + cos * x - sin * y + offset_xy_m[0]
            place_y = signal.y + sin * x + cos * y + offset_xy_m[1]
            centre = (place_x, place_y, ground_m + z)
            places.append(LightPlace(signal.element_id, stop, centre, signal.yaw_rad, HOUSING_HEIGHT_M))
    return places
