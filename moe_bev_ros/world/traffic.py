"""How the other road users move, and how a traffic light changes. A script is a value; it looks around and moves one actor.

Drivers follow the intelligent driver model (Treiber, Hennecke, Helbing 2000).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.world.roads import Road, turned
from moe_bev_ros.world.scene import Actor

SIDE_GAP_M = 0.4
SENSE_M = 80.0


class Script(Protocol):
    """Moves one actor."""

    def step(self, actor: Actor, ego: Actor, others: Sequence[Actor], dt_s: float) -> Actor:
        """The actor ``dt_s`` later; ``others`` may hold the actor itself."""
        ...


@dataclass(frozen=True)
class IntelligentDriver:
    """Parameters of the intelligent driver model."""

    headway_s: float = 1.4
    standstill_gap_m: float = 2.5
    acceleration_mps2: float = 1.6
    braking_mps2: float = 2.5
    hardest_braking_mps2: float = 7.0

    def acceleration(self, speed_mps: float, desired_mps: float, gap_m: float, closing_mps: float) -> float:
        """Acceleration [m/s2] behind a leader; ``gap_m`` may be infinite."""
        dynamic = speed_mps * closing_mps / (2 * np.sqrt(self.acceleration_mps2 * self.braking_mps2))
        wanted_gap = self.standstill_gap_m + max(0.0, speed_mps * self.headway_s + dynamic)
        free = (speed_mps / max(desired_mps, 0.1)) ** 4
        value = self.acceleration_mps2 * (1.0 - free - (wanted_gap / max(gap_m, 0.1)) ** 2)
        return float(np.clip(value, -self.hardest_braking_mps2, self.acceleration_mps2))


@dataclass(frozen=True)
class Drive:
    """Follow a lane and whoever is ahead in it.

    Attributes:
        direction: 1 along the road, -1 against it.
    """

    road: Road
    offset_m: float
    direction: int
    desired_mps: float
    driver: IntelligentDriver = IntelligentDriver()

    def step(self, actor: Actor, ego: Actor, others: Sequence[Actor], dt_s: float) -> Actor:
        """Accelerate as the model says and move along the lane; past the road's end, stay there at rest."""
        station, _ = self.road.locate(actor.x, actor.y)
        gap, closing = self._leader(actor, station, (ego, *others))
        acceleration = self.driver.acceleration(actor.speed_mps, self.desired_mps, gap, closing)
        speed = max(0.0, actor.speed_mps + acceleration * dt_s)
        station += self.direction * 0.5 * (actor.speed_mps + speed) * dt_s
        if not self.road.start_m < station < self.road.end_m:
            return replace(actor, speed_mps=0.0)
        x, y, yaw = self.road.pose(station, self.offset_m)
        return replace(actor, x=x, y=y, yaw_rad=yaw if self.direction > 0 else turned(yaw), speed_mps=speed)

    def _leader(self, actor: Actor, station_m: float, others: Sequence[Actor]) -> tuple[float, float]:
        """Gap [m] to the nearest one ahead in the lane, and how fast it closes [m/s]."""
        best, closing = np.inf, 0.0
        for other in others:
            if other.track_id == actor.track_id or abs(other.x - actor.x) > SENSE_M:
                continue
            other_station, other_offset = self.road.locate(other.x, other.y)
            ahead = self.direction * (other_station - station_m)
            beside = abs(other_offset - self.offset_m) - 0.5 * (other.body.size_3[1] + actor.body.size_3[1])
            gap = ahead - 0.5 * (other.body.size_3[0] + actor.body.size_3[0])
            if ahead > 0.0 and beside < SIDE_GAP_M and gap < best:
                along = other.speed_mps * float(np.cos(other.yaw_rad - actor.yaw_rad))
                best, closing = gap, actor.speed_mps - along
        return best, closing


@dataclass(frozen=True)
class Walk:
    """Go along the road at a constant pace."""

    road: Road
    offset_m: float
    direction: int
    pace_mps: float

    def step(self, actor: Actor, ego: Actor, others: Sequence[Actor], dt_s: float) -> Actor:
        """Walk on."""
        station, _ = self.road.locate(actor.x, actor.y)
        x, y, yaw = self.road.pose(station + self.direction * self.pace_mps * dt_s, self.offset_m)
        return replace(actor, x=x, y=y, yaw_rad=yaw if self.direction > 0 else turned(yaw), speed_mps=self.pace_mps)


@dataclass(frozen=True)
class Cross:
    """Wait at the kerb, then cross the road so as to meet the ego vehicle in its lane if that does not slow down.

    Attributes:
        station_m: where to cross.
        end_offset_m: offset at which the pedestrian has arrived and stands again.
        pace_mps: walking speed.
    """

    road: Road
    station_m: float
    end_offset_m: float
    pace_mps: float

    def step(self, actor: Actor, ego: Actor, others: Sequence[Actor], dt_s: float) -> Actor:
        """Wait, walk, or stand on the other side."""
        _, offset = self.road.locate(actor.x, actor.y)
        side = float(np.sign(self.end_offset_m - offset))
        _, _, yaw = self.road.pose(self.station_m)
        arrived = np.cos(actor.yaw_rad - yaw - side * np.pi / 2) < 0.0 or abs(self.end_offset_m - offset) < 0.1
        if arrived or (actor.speed_mps == 0.0 and not self._starts(offset, ego)):
            return replace(actor, speed_mps=0.0)
        return replace(actor, yaw_rad=yaw + side * np.pi / 2, speed_mps=self.pace_mps).moved(dt_s)

    def _starts(self, offset_m: float, ego: Actor) -> bool:
        ego_station, ego_offset = self.road.locate(ego.x, ego.y)
        distance = self.station_m - ego_station - 0.5 * ego.body.size_3[0]
        if distance < 0.0:
            return False
        walk_s = abs(ego_offset - offset_m) / self.pace_mps
        waits_for_us = ego.speed_mps < 0.5 and distance < 25.0
        return waits_for_us or distance <= ego.speed_mps * walk_s


@dataclass(frozen=True)
class LightCycle:
    """Times of one round of a traffic light, which begins with green at ``-phase_s`` [s]."""

    green_s: float
    amber_s: float
    red_s: float
    phase_s: float = 0.0

    def state(self, time_s: float) -> LightState:
        """What shows at a time since reset."""
        since = (time_s + self.phase_s) % (self.green_s + self.amber_s + self.red_s)
        if since < self.green_s:
            return LightState.GREEN
        return LightState.AMBER if since < self.green_s + self.amber_s else LightState.RED
