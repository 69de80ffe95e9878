"""What the road users of a scenario shall do: values that `traffic` plays. Actors without a role stand where they are."""

from __future__ import annotations

from dataclasses import dataclass

from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightState


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


@dataclass(frozen=True)
class BrakeHard:
    """Brake to rest when the ego's front has come near to the own rear, stay, and drive on.

    Attributes:
        ego_gap_m: along the ego's way.
        after_s: not before this time.
    """

    ego_gap_m: float
    after_s: float
    braking_mps2: float = 6.0
    hold_s: float = 4.0


@dataclass(frozen=True)
class CutIn:
    """Change to the ego's lane once the own rear is this far ahead of the ego's front, and go on at another speed."""

    ego_gap_m: float
    then_mps: float
    after_s: float = 0.0
    change_s: float = 2.2


@dataclass(frozen=True)
class StopAndGo:
    """Want to stand for a part of each period."""

    period_s: float
    stand_s: float
    phase_s: float = 0.0


Event = BrakeHard | CutIn | StopAndGo


@dataclass(frozen=True)
class Driver:
    """Follow lanes, and whoever is ahead on them.

    Attributes:
        lanes: ids, each a successor of the one before.
        start_m: of the footprint's centre along these lanes.
        offset_m: from the lane's centre to the left, kept.
        may_change: whether it looks for a better lane.
    """

    track_id: int
    lanes: tuple[int, ...]
    start_m: float
    desired_mps: float
    offset_m: float = 0.0
    may_change: bool = True
    event: Event | None = None


@dataclass(frozen=True)
class Walker:
    """Go along a line at a constant pace, to and fro.

    Attributes:
        line_k2: in map [m].
        start_m: along the line.
        direction: 1 or -1.
        offset_m: from the line to its left.
    """

    track_id: int
    line_k2: Array
    start_m: float
    direction: int
    pace_mps: float
    offset_m: float = 0.0


@dataclass(frozen=True)
class Crosser:
    """Wait at the beginning of a line, then go along it once.

    Attributes:
        line_k2: in map [m]; it begins where the actor stands.
        meets_ego: start so as to meet the ego in its lane if that does not slow down; else when nobody comes.
    """

    track_id: int
    line_k2: Array
    pace_mps: float
    meets_ego: bool = False


@dataclass(frozen=True)
class Traffic:
    """All roles of a scenario.

    Attributes:
        ego_lanes: the way that the ego is expected to take.
        returns: drivers who leave the network come in again elsewhere, as somebody new.
    """

    ego_lanes: tuple[int, ...]
    drivers: tuple[Driver, ...] = ()
    walkers: tuple[Walker, ...] = ()
    crossers: tuple[Crosser, ...] = ()
    returns: bool = True
