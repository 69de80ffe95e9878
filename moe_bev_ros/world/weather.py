"""What light and weather are to the render kernels: one row of numbers, made from a `Condition`."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.conditions import Condition

# Columns of ``air_k``: unit vector to the sun; its light by channel; light of the sky; colours of the sky above and at the
# horizon [0..255]; glow around the sun [0..255]; haze, rain and fog, per metre; wetness of the ground 0..1; whether lamps
# shine.
SUN_X, SUN_Y, SUN_Z, SUN_R, SUN_G, SUN_B, AMBIENT, ZENITH_R, ZENITH_G, ZENITH_B = range(10)
HORIZON_R, HORIZON_G, HORIZON_B, GLOW, THICKNESS, WET, LAMPS = range(10, 17)

SKY_LIGHT, SUN_LIGHT = 0.5, 0.62  # on a level surface at a clear noon, of its colour
SUN_GLOW = 60.0
WET_AT_MM_PER_H = 2.0
LOW_SUN_RAD = 0.45  # below, sunlight turns warm
WARMTH_3 = np.array([0.0, 0.22, 0.5])  # share of each channel that a sun at the horizon lacks


def air_row(condition: Condition) -> Array:
    """(K,) the numbers of a condition; see SUN_X .. LAMPS."""
    low = max(0.0, 1.0 - condition.sun_elevation_rad / LOW_SUN_RAD)
    return np.array(
        [
            *condition.sun_direction_3,
            *(SUN_LIGHT * condition.sunlight * (1.0 - WARMTH_3 * low)),
            SKY_LIGHT * condition.skylight,
            *condition.sky_rgb,
            *condition.horizon_rgb,
            SUN_GLOW * condition.sunlight * (1.0 + 3.0 * low),
            np.log(2.0) / condition.visibility_m,
            min(1.0, condition.rain_mm_per_h / WET_AT_MM_PER_H),
            float(condition.headlights),
        ]
    )


CLEAR_VISIBILITY_M = 200.0
FALSE_PER_MM_PER_H, FALSE_PER_THICKNESS = 0.0004, 0.5


def lidar_weather(condition: Condition) -> tuple[float, float]:
    """What the air does to a LiDAR: light lost per metre and way, and share of beams that meet a drop near the sensor."""
    thickness = max(0.0, float(np.log(2.0)) * (1.0 / condition.visibility_m - 1.0 / CLEAR_VISIBILITY_M))
    return thickness, FALSE_PER_MM_PER_H * condition.rain_mm_per_h + FALSE_PER_THICKNESS * thickness
