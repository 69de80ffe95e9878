"""What the vehicle shall do, and the vehicle it is for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum


class Gear(IntEnum):
    """Numbers of VehicleCommand.msg."""

    PARK = 0
    DRIVE = 1
    REVERSE = 2


@dataclass(frozen=True)
class Command:
    """Pedals and steering. Throttle and brake are never both above 0.

    Attributes:
        throttle: [0, 1].
        brake: [0, 1].
        steering_angle_rad: of the virtual front wheel, left positive.
        acceleration_mps2: wanted, before the pedal maps.
        speed_mps: wanted.
        hold: keep the vehicle at rest.
        reason: why it brakes; empty when it follows the plan.
    """

    throttle: float
    brake: float
    steering_angle_rad: float
    acceleration_mps2: float
    speed_mps: float
    gear: Gear = Gear.DRIVE
    hold: bool = False
    engaged: bool = False
    emergency: bool = False
    reason: str = ''

    def __post_init__(self) -> None:
        if not (0.0 <= self.throttle <= 1.0 and 0.0 <= self.brake <= 1.0):
            raise ValueError(f'pedals must lie in [0, 1], got throttle {self.throttle}, brake {self.brake}')
        wanted = (self.steering_angle_rad, self.acceleration_mps2, self.speed_mps)
        if not all(math.isfinite(value) for value in wanted):
            raise ValueError(f'steering angle, acceleration and speed must be finite, got {wanted}')
        if self.throttle > 0.0 and self.brake > 0.0:
            raise ValueError(f'throttle {self.throttle} and brake {self.brake} must not both be above 0')


@dataclass(frozen=True)
class Vehicle:
    """Size of the vehicle; base_link is the centre of the rear axle, on the ground [m]."""

    wheelbase_m: float = 2.8
    length_m: float = 4.6
    width_m: float = 1.9
    height_m: float = 1.7
    rear_overhang_m: float = 0.9
    max_steering_rad: float = 0.6
    max_steering_rate_radps: float = 0.8

    @property
    def front_m(self) -> float:
        """Distance from base_link to the front bumper."""
        return self.length_m - self.rear_overhang_m
