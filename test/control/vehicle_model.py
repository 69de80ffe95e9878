"""A kinematic bicycle that obeys pedals, to close the loop around the controller."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.control.controller import Controller, ControllerSettings
from moe_bev_ros.control.pedal_map import Pedals, load_pedals
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.runtime.environment import config_dir

VEHICLE = Vehicle()


def shipped_pedals() -> Pedals:
    folder = config_dir() / 'pedals'
    return load_pedals(folder / 'accel_map.csv', folder / 'brake_map.csv', max_throttle=0.6, max_brake=0.8)


def controller(settings: ControllerSettings | None = None) -> Controller:
    return Controller(VEHICLE, shipped_pedals(), settings or ControllerSettings())


class Bicycle:
    """Position of the rear axle, heading, speed; pedals act with a lag, the steering at its greatest rate."""

    def __init__(self, speed_mps: float = 0.0, y: float = 0.0, yaw: float = 0.0) -> None:
        self.x, self.y, self.yaw, self.speed_mps = 0.0, y, yaw, speed_mps
        self.acceleration_mps2 = self.steering_rad = 0.0
        self.pedals = shipped_pedals()

    def step(self, command: Command, dt_s: float) -> None:
        wanted = self.pedals.acceleration_mps2(command.throttle, command.brake, self.speed_mps)
        self.acceleration_mps2 += (wanted - self.acceleration_mps2) * min(1.0, dt_s / 0.1)
        turn = VEHICLE.max_steering_rate_radps * dt_s
        self.steering_rad += float(np.clip(command.steering_angle_rad - self.steering_rad, -turn, turn))
        self.speed_mps = max(0.0, self.speed_mps + self.acceleration_mps2 * dt_s)
        self.x += self.speed_mps * np.cos(self.yaw) * dt_s
        self.y += self.speed_mps * np.sin(self.yaw) * dt_s
        self.yaw += self.yaw_rate_radps * dt_s

    @property
    def yaw_rate_radps(self) -> float:
        return float(self.speed_mps * np.tan(self.steering_rad) / VEHICLE.wheelbase_m)

    def ego(self, now_s: float, frame_id: str = 'map') -> EgoMotion:
        pose = se3_from_xy_yaw(self.x, self.y, self.yaw)
        return EgoMotion(round(now_s * 1e9), pose, self.speed_mps, self.yaw_rate_radps, frame_id)


def plan_along(
    distances_t, speeds_t, accelerations_t, *, dt_s: float, stamp_s: float = 0.0, curvature: float = 0.0, stop: bool = False
) -> Plan:
    """A trajectory on a straight line or a circle that starts at the origin along x."""
    distances_t = np.asarray(distances_t, float)
    yaws_t = curvature * distances_t
    if curvature:
        xs_t, ys_t = np.sin(yaws_t) / curvature, (1.0 - np.cos(yaws_t)) / curvature
    else:
        xs_t, ys_t = distances_t, np.zeros_like(distances_t)
    columns = (np.arange(len(xs_t)) * dt_s, xs_t, ys_t, yaws_t, speeds_t, accelerations_t, np.full_like(xs_t, curvature))
    return Plan(round(stamp_s * 1e9), 'map', np.stack(columns, axis=1), stop=stop)


def cruise(speed_mps: float, duration_s: float, *, curvature: float = 0.0, stamp_s: float = 0.0) -> Plan:
    """Constant speed."""
    times_t = np.arange(0.0, duration_s + 0.1, 0.1)
    zeros_t = np.zeros_like(times_t)
    return plan_along(times_t * speed_mps, zeros_t + speed_mps, zeros_t, dt_s=0.1, stamp_s=stamp_s, curvature=curvature)


def profile(accelerations_t, *, speed_mps: float = 0.0, dt_s: float = 0.1, stop: bool = False, curvature: float = 0.0) -> Plan:
    """A speed profile from its accelerations; the speed stays at 0 once it gets there."""
    speeds, distances = [speed_mps], [0.0]
    for acceleration in accelerations_t[:-1]:
        speeds.append(max(0.0, speeds[-1] + acceleration * dt_s))
        distances.append(distances[-1] + 0.5 * (speeds[-1] + speeds[-2]) * dt_s)
    accelerations = [a if (v > 0.0 or a > 0.0) else 0.0 for a, v in zip(accelerations_t, speeds)]
    return plan_along(distances, speeds, accelerations, dt_s=dt_s, stop=stop, curvature=curvature)
