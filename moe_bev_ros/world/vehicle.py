"""The ego vehicle: pedals to acceleration, steering to curvature (kinematic bicycle about the rear axle), within its grip."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from moe_bev_ros.control.pedal_map import Pedals
from moe_bev_ros.core.command import Command, Gear, Vehicle

FULL_BRAKE = Command(0.0, 1.0, 0.0, -9.0, 0.0, hold=True, reason='no command')
ACTUATION_LAG_S = 0.08
GRAVITY_MPS2 = 9.81
DRY, WET = 0.9, 0.6  # friction of the road


@dataclass(frozen=True)
class VehicleState:
    """Pose of base_link in map [m, rad] and motion.

    Attributes:
        speed_mps: of the rear axle along the heading; never below 0.
        steering_rad: angle of the virtual front wheel now, left positive.
        curvature_per_m: of the path driven now, left positive; less than the steering asks for where the tyres slip.
    """

    x: float = 0.0
    y: float = 0.0
    yaw_rad: float = 0.0
    speed_mps: float = 0.0
    acceleration_mps2: float = 0.0
    steering_rad: float = 0.0
    curvature_per_m: float = 0.0


@dataclass(frozen=True)
class BicycleModel:
    """How the vehicle answers a command.

    The acceleration follows the pedals with a first-order lag of ACTUATION_LAG_S, the steering with a limited rate. The vehicle
    brakes to rest and never rolls backwards; it takes throttle in DRIVE only. Acceleration along and across together stay
    within the friction circle: across counts first, and beyond it the vehicle understeers.

    Attributes:
        friction: of tyres and road.
    """

    vehicle: Vehicle
    pedals: Pedals
    friction: float = DRY

    def step(self, state: VehicleState, command: Command, dt_s: float) -> VehicleState:
        """Move on by ``dt_s``, which is meant to be some 0.02 s."""
        limit = self.vehicle.max_steering_rate_radps * dt_s
        wanted = float(np.clip(command.steering_angle_rad, -self.vehicle.max_steering_rad, self.vehicle.max_steering_rad))
        steering = state.steering_rad + float(np.clip(wanted - state.steering_rad, -limit, limit))
        curvature, along = self._grip(state.speed_mps, float(np.tan(steering)) / self.vehicle.wheelbase_m)
        acceleration = float(np.clip(self._acceleration(state, command, dt_s), -along, along))
        speed = max(0.0, state.speed_mps + acceleration * dt_s)
        step_m = 0.5 * (state.speed_mps + speed) * dt_s
        turn = step_m * curvature
        heading = state.yaw_rad + 0.5 * turn
        return VehicleState(
            x=state.x + step_m * float(np.cos(heading)),
            y=state.y + step_m * float(np.sin(heading)),
            yaw_rad=float((state.yaw_rad + turn + np.pi) % (2 * np.pi) - np.pi),
            speed_mps=speed,
            acceleration_mps2=acceleration if speed > 0.0 else max(0.0, acceleration),
            steering_rad=steering,
            curvature_per_m=curvature,
        )

    def yaw_rate_radps(self, state: VehicleState) -> float:
        """Left positive."""
        return state.speed_mps * state.curvature_per_m

    def _grip(self, speed_mps: float, wanted_per_m: float) -> tuple[float, float]:
        """Curvature that the tyres hold, and the acceleration along that is left [m/s2]."""
        most = self.friction * GRAVITY_MPS2
        across = float(np.clip(wanted_per_m * speed_mps**2, -most, most))
        curvature = across / speed_mps**2 if abs(across) == most else wanted_per_m
        return curvature, float(np.sqrt(max(most**2 - across**2, (0.1 * most) ** 2)))

    def _acceleration(self, state: VehicleState, command: Command, dt_s: float) -> float:
        throttle = command.throttle if command.gear is Gear.DRIVE and not command.hold else 0.0
        brake = max(command.brake, 0.4) if command.hold else command.brake
        target = self.pedals.acceleration_mps2(throttle, brake, state.speed_mps)
        share = 1.0 - float(np.exp(-dt_s / ACTUATION_LAG_S))
        return state.acceleration_mps2 + share * (target - state.acceleration_mps2)


class DeadTime:
    """Commands reach the actuators some whole steps after they were given; before the first, the vehicle brakes.

    Args:
        steps: 0 passes commands on at once.
    """

    def __init__(self, steps: int) -> None:
        self._waiting: deque[Command] = deque([FULL_BRAKE] * steps)

    def __call__(self, command: Command) -> Command:
        """The command that takes effect in this step."""
        self._waiting.append(command)
        return self._waiting.popleft()
