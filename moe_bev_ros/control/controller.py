"""Follows the timed trajectory: pure pursuit for the steering, feed-forward and PID for the pedals.

The reference is the trajectory's point at *now*, so that the time a plan took to compute is made good. Where the
vehicle is behind or ahead of that point, the wanted speed is a little higher or lower, which is what makes it stop at
the planned place.

Everything that is remembered belongs to a point in time. A second call with the same time starts from what was
remembered before that time, as a plan may arrive at the very time (simulated time stands still between frames) at
which the last one was repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from moe_bev_ros.control.limits import Limits, Motion, clipped, curve_speed_mps, limited, limited_steering
from moe_bev_ros.control.pedal_map import Pedals
from moe_bev_ros.control.pure_pursuit import PathFit, arc_lengths, fit, steering_angle_rad
from moe_bev_ros.control.speed_control import SpeedGains, SpeedState, speed_control
from moe_bev_ros.core.command import Command, Vehicle
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import Array, yaw_of

STANDSTILL_MPS = 0.1
RESTART_MPS = 0.3
FIRST_STEP_S = 0.02
LONGEST_STEP_S = 0.2
LONGEST_PREDICTION_S = 0.5


@dataclass(frozen=True)
class ControllerSettings:
    """Tuning of the controller.

    Attributes:
        lookahead_time_s: pure pursuit's point lies this far ahead at the current speed, within the two bounds.
        preview_s: the pedals answer this late, so the plan's acceleration is read this far ahead.
        restart_preview_s: the vehicle leaves standstill when the plan moves within this time.
        station_gain: wanted speed per metre behind the plan [1/s].
        max_station_correction_mps: bound of that correction.
        hold_deceleration_mps2: brake pressure at standstill, as the deceleration it would give.
    """

    lookahead_time_s: float = 0.8
    min_lookahead_m: float = 4.0
    max_lookahead_m: float = 20.0
    preview_s: float = 0.1
    restart_preview_s: float = 1.0
    station_gain: float = 0.5
    max_station_correction_mps: float = 0.7
    hold_deceleration_mps2: float = 1.5
    gains: SpeedGains = field(default_factory=SpeedGains)
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Memory:
    """What was true after the command of ``now_s``; ``holding``: the vehicle was held, or its motion was not known."""

    now_s: float | None = None
    motion: Motion = field(default_factory=Motion)
    speed: SpeedState = field(default_factory=SpeedState)
    holding: bool = True


@dataclass(frozen=True, eq=False)
class _Placed:
    """Where the vehicle is beside a plan at one moment."""

    plan: Plan
    ego: EgoMotion
    now_s: float
    pose_3: Array
    place: PathFit


class Controller:
    """Turns plan and motion into pedals and steering."""

    def __init__(self, vehicle: Vehicle, pedals: Pedals, settings: ControllerSettings) -> None:
        self.vehicle = vehicle
        self.pedals = pedals
        self.settings = settings
        self._before = Memory()
        self._latest = Memory()
        self._placed: _Placed | None = None

    def reset(self) -> None:
        """Forget; the vehicle counts as held."""
        self._before = self._latest = Memory()

    def update(self, plan: Plan, ego: EgoMotion, now_s: float) -> Command:
        """Follow the plan.

        Args:
            plan: at least two points, in the frame of ``ego``.
            now_s: ROS time [s].
        """
        before, dt_s = self._begin(now_s)
        time_s = max(now_s - plan.stamp_ns / 1e9, 0.0)
        holding = self._holds(plan, time_s, ego.speed_mps, before.holding)
        if holding:
            return self._hold(before, now_s, plan.reason or 'standing')
        pose_3, place = self.place(plan, ego, now_s)
        target_mps = self._target_speed(plan, time_s, place)
        wanted_mps2, speed = speed_control(
            self.settings.gains,
            before.speed,
            error_mps=target_mps - self._predicted_speed(ego, before, now_s),
            feed_forward_mps2=value_at(plan, 5, time_s + self.settings.preview_s),
            dt_s=dt_s,
            limits_mps2=(-self.settings.limits.max_deceleration_mps2, self.settings.limits.max_acceleration_mps2),
        )
        wanted = Motion(wanted_mps2, self._steering(plan, place, pose_3, ego.speed_mps))
        last = before.motion
        if before.holding and abs(ego.speed_mps) < STANDSTILL_MPS:  # a brake that holds has nothing to release gently
            last = Motion(0.0, last.steering_angle_rad)
        motion = limited(wanted, last, ego.speed_mps, dt_s, self.settings.limits, self.vehicle)
        self._latest = Memory(now_s, motion, speed, holding=False)
        throttle, brake = self.pedals.positions(motion.acceleration_mps2, ego.speed_mps)
        reason = plan.reason if motion.acceleration_mps2 < 0.0 else ''
        return Command(throttle, brake, motion.steering_angle_rad, motion.acceleration_mps2, target_mps, reason=reason)

    def brake(
        self, deceleration_mps2: float, now_s: float, *, ego: EgoMotion | None, path: Plan | None, emergency: bool = False
    ) -> Command:
        """Brake to standstill and hold, whatever the plan's speed.

        Args:
            deceleration_mps2: above 0; in an emergency the pedal is pressed fully instead.
            ego: None where the motion is not known; then the vehicle does not count as standing.
            path: steer along it while braking; None: keep the steering angle.
        """
        before, dt_s = self._begin(now_s)
        speed_mps = ego.speed_mps if ego else 0.0
        if ego and abs(speed_mps) < STANDSTILL_MPS:
            return self._hold(before, now_s, '')
        steering = before.motion.steering_angle_rad
        if ego and path:
            pose_3, place = self.place(path, ego, now_s)
            wanted = self._steering(path, place, pose_3, speed_mps)
            steering = limited_steering(wanted, before.motion, speed_mps, dt_s, self.settings.limits, self.vehicle)
        self._latest = Memory(now_s, Motion(-deceleration_mps2, steering), SpeedState(), holding=ego is None)
        pressed = 1.0 if emergency else self.pedals.positions(-deceleration_mps2, speed_mps)[1]
        return Command(0.0, pressed, steering, -deceleration_mps2, 0.0)

    def place(self, plan: Plan, ego: EgoMotion, now_s: float) -> tuple[Array, PathFit]:
        """Pose x, y, yaw (3,) of base_link at ``now_s``, and where it is beside the plan; not computed twice in a row."""
        placed = self._placed
        if placed is None or placed.plan is not plan or placed.ego is not ego or placed.now_s != now_s:
            pose_3 = predicted_pose(ego, now_s)
            placed = self._placed = _Placed(plan, ego, now_s, pose_3, fit(plan.points_t7[:, 1:4], pose_3))
        return placed.pose_3, placed.place

    @property
    def steering_angle_rad(self) -> float:
        """Steering angle of the last command."""
        return self._latest.motion.steering_angle_rad

    def _begin(self, now_s: float) -> tuple[Memory, float]:
        if now_s != self._latest.now_s:
            self._before = self._latest
        last_s = self._before.now_s
        return self._before, FIRST_STEP_S if last_s is None else clipped(now_s - last_s, 0.0, LONGEST_STEP_S)

    def _holds(self, plan: Plan, time_s: float, speed_mps: float, was_holding: bool) -> bool:
        if abs(speed_mps) >= STANDSTILL_MPS:
            return False
        times_t, speeds_t = plan.points_t7[:, 0], plan.points_t7[:, 4]
        end_s = time_s + self.settings.restart_preview_s
        inside_t = (times_t >= time_s) & (times_t <= end_s)
        soon_mps = max([value_at(plan, 4, time_s), value_at(plan, 4, end_s), *speeds_t[inside_t]])
        return bool(soon_mps < (RESTART_MPS if was_holding else STANDSTILL_MPS))

    def _hold(self, before: Memory, now_s: float, reason: str) -> Command:
        deceleration_mps2, steering = self.settings.hold_deceleration_mps2, before.motion.steering_angle_rad
        self._latest = Memory(now_s, Motion(-deceleration_mps2, steering), SpeedState(), holding=True)
        pressed = self.pedals.positions(-deceleration_mps2, 0.0)[1]
        return Command(0.0, pressed, steering, -deceleration_mps2, 0.0, hold=True, reason=reason)

    def _target_speed(self, plan: Plan, time_s: float, place: PathFit) -> float:
        settings = self.settings
        speed_mps = value_at(plan, 4, time_s)
        lengths_t = arc_lengths(plan.points_t7[:, 1:4])
        behind_m = float(np.interp(time_s, plan.points_t7[:, 0], lengths_t)) - place.along_m
        most = settings.max_station_correction_mps
        corrected_mps = speed_mps + clipped(settings.station_gain * behind_m, -most, most)
        return clipped(corrected_mps, 0.0, curve_speed_mps(value_at(plan, 6, time_s), settings.limits))

    def _predicted_speed(self, ego: EgoMotion, before: Memory, now_s: float) -> float:
        age_s = clipped(now_s - ego.stamp_ns / 1e9 - self.settings.preview_s, 0.0, LONGEST_STEP_S)
        return max(0.0, ego.speed_mps + before.motion.acceleration_mps2 * age_s)

    def _steering(self, plan: Plan, place: PathFit, pose_3: Array, speed_mps: float) -> float:
        settings = self.settings
        lookahead_m = clipped(settings.lookahead_time_s * speed_mps, settings.min_lookahead_m, settings.max_lookahead_m)
        wheelbase_m = self.vehicle.wheelbase_m
        return steering_angle_rad(
            plan.points_t7[:, 1:4], pose_3, place.along_m, lookahead_m=lookahead_m, wheelbase_m=wheelbase_m
        )


def value_at(plan: Plan, column: int, time_s: float) -> float:
    """A column of the trajectory at a time from its start; the first and the last point hold outside."""
    return float(np.interp(time_s, plan.points_t7[:, 0], plan.points_t7[:, column]))


def predicted_pose(ego: EgoMotion, now_s: float) -> Array:
    """(3,) x, y, yaw of base_link at ``now_s``, with speed and yaw rate of the last odometry going on."""
    pose, dt_s = ego.odom_se3_base_link, clipped(now_s - ego.stamp_ns / 1e9, 0.0, LONGEST_PREDICTION_S)
    yaw = yaw_of(pose)
    mean_yaw, distance_m = yaw + 0.5 * ego.yaw_rate_radps * dt_s, ego.speed_mps * dt_s
    x, y = pose[0, 3] + distance_m * math.cos(mean_yaw), pose[1, 3] + distance_m * math.sin(mean_yaw)
    return np.array([x, y, yaw + ego.yaw_rate_radps * dt_s])
