"""Light and weather: what they do to cameras and LiDAR.

Training sees all conditions but NIGHT_RAIN, which is kept for the test split.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.se3 import Array


@dataclass(frozen=True)
class Condition:
    """Light and weather at one place and time.

    Attributes:
        name: one of CONDITIONS.
        sun_azimuth_rad: from map's x axis, to the left.
        sun_elevation_rad: above the horizon; it gives the shadows' direction at night too (the moon).
        sunlight, skylight: strength of direct and diffuse light, 1 at a clear noon.
        sky_rgb, horizon_rgb: colours of the sky above and at the horizon, 0..255.
        visibility_m: distance at which half the light comes from haze, rain or fog.
        rain_mm_per_h: wets the ground, adds streaks, takes LiDAR points and adds false ones near the sensor.
        headlights: whether vehicles shine; street lamps with them.
        exposure_s: of the cameras, for motion blur.
        noise: standard deviation of the image noise [0..255].
    """

    name: str = 'day'
    sun_azimuth_rad: float = 2.2
    sun_elevation_rad: float = 0.75
    sunlight: float = 1.0
    skylight: float = 1.0
    sky_rgb: tuple[float, float, float] = (102.0, 152.0, 224.0)
    horizon_rgb: tuple[float, float, float] = (214.0, 226.0, 236.0)
    visibility_m: float = 260.0
    rain_mm_per_h: float = 0.0
    headlights: bool = False
    exposure_s: float = 0.004
    noise: float = 2.0

    @property
    def sun_direction_3(self) -> Array:
        """Unit vector towards the sun, in map."""
        horizontal = np.cos(self.sun_elevation_rad)
        return np.array(
            [
                horizontal * np.cos(self.sun_azimuth_rad),
                horizontal * np.sin(self.sun_azimuth_rad),
                np.sin(self.sun_elevation_rad),
            ]
        )


CONDITIONS = ('day', 'low_sun', 'night', 'rain', 'fog', 'night_rain')
HELD_OUT_CONDITION = 'night_rain'


def draw_condition(name: str, rng: np.random.Generator) -> Condition:
    """A condition of this name, its details drawn.

    Raises:
        ValueError: no such condition.
    """
    azimuth = float(rng.uniform(0.0, 2 * np.pi))
    if name == 'day':
        return Condition(name, azimuth, float(rng.uniform(0.5, 1.1)))
    if name == 'low_sun':
        return Condition(
            name,
            azimuth,
            float(rng.uniform(0.12, 0.25)),
            sunlight=0.9,
            skylight=0.7,
            sky_rgb=(120.0, 140.0, 190.0),
            horizon_rgb=(250.0, 214.0, 160.0),
            visibility_m=220.0,
        )
    if name in ('night', 'night_rain'):
        wet = float(rng.uniform(4.0, 12.0)) if name == 'night_rain' else 0.0
        return Condition(
            name,
            azimuth,
            0.8,
            sunlight=0.03,
            skylight=float(rng.uniform(0.10, 0.2)),
            sky_rgb=(8.0, 10.0, 20.0),
            horizon_rgb=(26.0, 26.0, 34.0),
            visibility_m=90.0 if wet else 300.0,
            rain_mm_per_h=wet,
            headlights=True,
            exposure_s=0.012,
            noise=6.0,
        )
    if name == 'rain':
        return Condition(
            name,
            azimuth,
            0.8,
            sunlight=0.1,
            skylight=0.8,
            sky_rgb=(128.0, 134.0, 142.0),
            horizon_rgb=(168.0, 172.0, 176.0),
            visibility_m=float(rng.uniform(90.0, 160.0)),
            rain_mm_per_h=float(rng.uniform(4.0, 20.0)),
            headlights=True,
            exposure_s=0.008,
            noise=3.0,
        )
    if name == 'fog':
        return Condition(
            name,
            azimuth,
            0.8,
            sunlight=0.15,
            skylight=0.85,
            sky_rgb=(196.0, 198.0, 200.0),
            horizon_rgb=(196.0, 198.0, 200.0),
            visibility_m=float(rng.uniform(25.0, 60.0)),
            headlights=True,
            exposure_s=0.006,
            noise=3.0,
        )
    raise ValueError(f'no condition {name!r}; there are {", ".join(CONDITIONS)}')
