"""Speed by the Intelligent Driver Model, rolled out over the horizon.

Treiber, Hennecke, Helbing, "Congested traffic states in empirical observations and microscopic simulations", Phys. Rev. E 62
(2000): one formula for free driving, following and stopping, smooth by construction and free of collisions while the lead
brakes no harder than the follower can. Standing obstacles, red lights and people about to cross are leads of speed 0.
Two additions: the speed cap ahead (limits, curves, the route's end) is kept by construction, and a vehicle that stands behind
something stays until a real gap opens, so that noise in the boxes does not make it creep.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from moe_bev_ros.core.se3 import Array

STANDING_MPS = 0.2
LEAST_GAP_M = 0.3
CAP_SPACING_M = 0.5


@dataclass(frozen=True)
class IdmParams:
    """The model's parameters, in Treiber's names where he has them.

    Attributes:
        acceleration_mps2: a, on a free road.
        deceleration_mps2: b, comfortable.
        headway_s: T, behind a moving lead.
        max_deceleration_mps2: never braked harder in a plan.
        restart_gap_m: a standing vehicle starts again when the gap exceeds what is to be kept by this much.
    """

    acceleration_mps2: float = 2.0
    deceleration_mps2: float = 2.0
    headway_s: float = 1.5
    max_deceleration_mps2: float = 5.0
    restart_gap_m: float = 2.0


@dataclass(frozen=True)
class Lead:
    """Something ahead that must not be reached.

    Attributes:
        gap_m: from the front bumper to its nearest point, along the path.
        speed_mps: along the path, >= 0.
        keep_m: gap to be kept at rest.
        what: for the reason, as ``car``, ``crossing pedestrian``, ``red light``.
        certain: seen inside the corridor, or about to be there; it may call for emergency braking.
        is_new: seen in too few frames to be sure that it is there.
        entering: track id of what is foreseen to enter the corridor, but is still outside; None: inside.
    """

    gap_m: float
    speed_mps: float
    keep_m: float
    what: str
    certain: bool = False
    is_new: bool = False
    entering: int | None = None


@dataclass(frozen=True)
class Situation:
    """All that the choice of speed depends on.

    Attributes:
        speed_mps: now.
        cap_n: (N,) allowed speed every CAP_SPACING_M from here on [m/s].
        leads: in any order.
        stop: brake to a standstill, comfortably at least.
    """

    speed_mps: float
    cap_n: Array
    leads: tuple[Lead, ...] = ()
    stop: bool = False


@dataclass(frozen=True)
class IdmSpeed:
    """Chooses speeds over the horizon: a callable from Situation to (T, 3) distance, speed, acceleration.

    Attributes:
        num_steps: T - 1.
        step_s: between two rows.
    """

    params: IdmParams
    num_steps: int = 50
    step_s: float = 0.1

    def __call__(self, situation: Situation) -> Array:
        """Roll the model out; the first row is now, leads go on at constant speed."""
        if self.waits(situation):
            return np.zeros((self.num_steps + 1, 3))
        travel, speed, dt, rows = 0.0, max(situation.speed_mps, 0.0), self.step_s, []
        energy = (np.asarray(situation.cap_n, float) ** 2).tolist()
        for k in range(self.num_steps):
            wanted = self._acceleration(situation, _cap_at(energy, travel), travel, speed, k * dt)
            next_speed = self._next_speed(_cap_at(energy, travel + speed * dt), speed, wanted)
            rows.append((travel, speed, (next_speed - speed) / dt))
            travel += 0.5 * (speed + next_speed) * dt
            speed = next_speed
        rows.append((travel, speed, rows[-1][2] if speed > 0.0 else 0.0))
        return np.array(rows)

    def waits(self, situation: Situation) -> bool:
        """Whether the vehicle stands and has reason to go on standing."""
        if situation.speed_mps > STANDING_MPS:
            return False
        near = self.params.restart_gap_m
        return situation.stop or any(
            lead.speed_mps < STANDING_MPS and lead.gap_m < lead.keep_m + near for lead in situation.leads
        )

    def interaction_mps2(self, lead: Lead, speed: float, gap: float) -> float:
        """The braking that a lead asks for at a speed and gap (<= 0)."""
        if gap <= LEAST_GAP_M:
            return -self.params.max_deceleration_mps2
        p = self.params
        braking = speed * (speed - lead.speed_mps) / (2.0 * sqrt(p.acceleration_mps2 * p.deceleration_mps2))
        wanted_gap = lead.keep_m + max(0.0, speed * p.headway_s + braking)
        return -p.acceleration_mps2 * (wanted_gap / gap) ** 2

    def _acceleration(self, situation: Situation, cap: float, travel: float, speed: float, time_s: float) -> float:
        p = self.params
        wanted = free = p.acceleration_mps2 * (1.0 - (speed / cap) ** 4) if speed < cap else 0.0
        for lead in situation.leads:
            gap = lead.gap_m + lead.speed_mps * time_s - travel
            wanted = min(wanted, free + self.interaction_mps2(lead, speed, gap))
        if situation.stop:
            wanted = min(wanted, -p.deceleration_mps2)
        return max(wanted, -p.max_deceleration_mps2)

    def _next_speed(self, cap: float, speed: float, wanted: float) -> float:
        dt = self.step_s
        return min(max(0.0, speed + wanted * dt), max(cap, speed - self.params.deceleration_mps2 * dt))


def required_deceleration_mps2(lead: Lead, speed_mps: float, margin_m: float = 1.0) -> float:
    """Constant braking that keeps the front bumper ``margin_m`` away from a lead that drives on at its speed."""
    closing = speed_mps - lead.speed_mps
    return 0.0 if closing <= 0.0 else closing**2 / (2.0 * max(lead.gap_m - margin_m, 0.1))


def speed_cap(limit_n: Array, curvature_n: Array, spacing_m: float, *, lateral_mps2: float, braking_mps2: float) -> Array:
    """Highest speed at every sample from which all later limits can be kept with ``braking_mps2`` (N,) [m/s].

    Args:
        limit_n: (N,) limit at each sample [m/s]; 0 where one must stand.
        curvature_n: (N,) [1/m].
    """
    in_curve = np.sqrt(lateral_mps2 / np.maximum(np.abs(curvature_n), 1e-6))
    distance_n = spacing_m * np.arange(len(limit_n))
    energy_n = np.minimum(limit_n, in_curve) ** 2 + 2.0 * braking_mps2 * distance_n
    reachable_n = np.minimum.accumulate(energy_n[::-1])[::-1] - 2.0 * braking_mps2 * distance_n
    return np.asarray(np.sqrt(np.maximum(reachable_n, 0.0)), float)


def _cap_at(energy: list[float], travel_m: float) -> float:
    """Speed cap from its squares every CAP_SPACING_M: under constant braking the square falls linearly."""
    position = travel_m / CAP_SPACING_M
    index = int(position)
    if index >= len(energy) - 1:
        return max(sqrt(energy[-1]), 1e-3)
    share = position - index
    return max(sqrt((1.0 - share) * energy[index] + share * energy[index + 1]), 1e-3)
