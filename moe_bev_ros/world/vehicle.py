"""The ego vehicle: pedals to acceleration, steering to curvature (kinematic bicycle about the rear axle)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.control.pedal_map import Pedals
from moe_bev_ros.core.command import Command, Gear, Vehicle

FULL_BRAKE = Command(0.0, 1.0, 0.0, -9.0, 0.0, hold=True, reason='no command')
ACTUATION_LAG_S = 0.08


@dataclass(frozen=True)
class VehicleState:
    """Pose of base_link in map [m, rad] and motion.

    Attributes:
        speed_mps: of the rear axle along the heading; never below 0.
        steering_rad: angle of the virtual front wheel now, left positive.
    """

    x: float = 0.0
    y: float = 0.0
    yaw_rad: float = 0.0
    speed_mps: float = 0.0
    acceleration_mps2: float = 0.0
    steering_rad: float = 0.0


@dataclass(frozen=True)
class BicycleModel:
    """How the vehicle answers a command.

    The acceleration follows the pedals with a first-order lag of ACTUATION_LAG_S, the steering with a limited rate. The vehicle
    brakes to rest and never rolls backwards; it takes throttle in DRIVE only.
    """

    vehicle: Vehicle
    pedals: Pedals

    def step(self, state: VehicleState, command: Command, dt_s: float) -> VehicleState:
        """Move on by ``dt_s``, which is meant to be some 0.02 s."""
        acceleration = self._acceleration(state, command, dt_s)
        limit = self.vehicle.max_steering_rate_radps * dt_s
        wanted = float(np.clip(command.steering_angle_rad, -self.vehicle.max_steering_rad, self.vehicle.max_steering_rad))
        steering = state.steering_rad + float(np.clip(wanted - state.steering_rad, -limit, limit))
        speed = max(0.0, state.speed_mps + acceleration * dt_s)
        step_m = 0.5 * (state.speed_mps + speed) * dt_s
        turn = step_m * float(np.tan(steering)) / self.vehicle.wheelbase_m
        heading = state.yaw_rad + 0.5 * turn
        return VehicleState(
            x=state.x + step_m * float(np.cos(heading)),
            y=state.y + step_m * float(np.sin(heading)),
            yaw_rad=float((state.yaw_rad + turn + np.pi) % (2 * np.pi) - np.pi),
            speed_mps=speed,
            acceleration_mps2=acceleration if speed > 0.0 else max(0.0, acceleration),
            steering_rad=steering,
        )

    def yaw_rate_radps(self, state: VehicleState) -> float:
        """Left positive."""
        return state.speed_mps * float(np.tan(state.steering_rad)) / self.vehicle.wheelbase_m

    def _acceleration(self, state: VehicleState, command: Command, dt_s: float) -> float:
        throttle = command.throttle if command.gear is Gear.DRIVE and not command.hold else 0.0
        brake = max(command.brake, 0.4) if command.hold else command.brake
        target = self.pedals.acceleration_mps2(throttle, brake, state.speed_mps)
        share = 1.0 - float(np.exp(-dt_s / ACTUATION_LAG_S))
        return state.acceleration_mps2 + share * (target - state.acceleration_mps2)
