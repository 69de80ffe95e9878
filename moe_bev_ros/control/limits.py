"""What the vehicle may be asked for in normal driving; Autoware's vehicle command gate has the same kinds of limits.

Pressing the brake may be quicker than everything else: a late brake is worse than a rough one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from moe_bev_ros.core.command import Vehicle

STANDING_MPS = 0.05


@dataclass(frozen=True)
class Limits:
    """Bounds of a command that follows a plan. An emergency is bound by the steering limits only."""

    max_speed_mps: float = 25.0
    max_acceleration_mps2: float = 3.0
    max_deceleration_mps2: float = 5.0
    max_jerk_mps3: float = 5.0
    max_braking_jerk_mps3: float = 10.0
    max_lateral_acceleration_mps2: float = 5.0


@dataclass(frozen=True)
class Motion:
    """What is asked for: acceleration [m/s2] and steering angle [rad]."""

    acceleration_mps2: float = 0.0
    steering_angle_rad: float = 0.0


def clipped(value: float, low: float, high: float) -> float:
    """The number itself within the bounds; NaN stays. numpy's takes longer than all that a command computes with it."""
    return min(max(value, low), high)


def limited(wanted: Motion, before: Motion, speed_mps: float, dt_s: float, limits: Limits, vehicle: Vehicle) -> Motion:
    """Bring a wish within acceleration, jerk, steering angle, steering rate and lateral acceleration."""
    acceleration = clipped(wanted.acceleration_mps2, -limits.max_deceleration_mps2, limits.max_acceleration_mps2)
    lowest = before.acceleration_mps2 - limits.max_braking_jerk_mps3 * dt_s
    released = min(before.acceleration_mps2 + limits.max_braking_jerk_mps3 * dt_s, 0.0)  # a brake may go as it came
    highest = max(before.acceleration_mps2 + limits.max_jerk_mps3 * dt_s, released)
    if speed_mps < STANDING_MPS and acceleration > 0.0:  # nobody feels how fast a standing vehicle's brake is released
        highest = max(highest, 0.0)
    acceleration = clipped(acceleration, lowest, highest)
    steering = limited_steering(wanted.steering_angle_rad, before, speed_mps, dt_s, limits, vehicle)
    return Motion(acceleration, steering)


def limited_steering(
    wanted_rad: float, before: Motion, speed_mps: float, dt_s: float, limits: Limits, vehicle: Vehicle
) -> float:
    """Bring a steering angle within the vehicle's range and rate, and within the lateral acceleration at this speed."""
    step = vehicle.max_steering_rate_radps * dt_s
    steering = clipped(wanted_rad, before.steering_angle_rad - step, before.steering_angle_rad + step)
    lateral = math.atan(limits.max_lateral_acceleration_mps2 * vehicle.wheelbase_m / max(speed_mps**2, 1e-3))
    most = min(vehicle.max_steering_rad, lateral)
    return clipped(steering, -most, most)


def curve_speed_mps(curvature: float, limits: Limits) -> float:
    """Highest speed at which a curvature [1/m] stays within the lateral acceleration, and within the speed limit [m/s]."""
    return min(limits.max_speed_mps, math.sqrt(limits.max_lateral_acceleration_mps2 / max(abs(curvature), 1e-6)))
