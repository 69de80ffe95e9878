"""Sees whether something stands so close ahead that only full braking is left (AEB). The planner should never let it
come to that.

The vehicle's swept path is the arc of the present steering angle. An object counts when one of a grid of points of
its box lies within that path; it counts with its own speed along the path, as if it braked as hard as we do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.objects import Scene, TrackedObject
from moe_bev_ros.core.se3 import Array

BOX_SHARES_P2 = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, 13), np.linspace(-0.5, 0.5, 5)), -1).reshape(-1, 2)
DEEPEST_OVERLAP_M = -1.0  # what lies deeper inside our own outline is a ghost of ourselves
STRAIGHT_PER_M = 1e-4  # an arc of less curvature is a line
ROUNDING_M = 1e-6


@dataclass(frozen=True)
class BrakingSettings:
    """When to brake in an emergency.

    Attributes:
        deceleration_mps2: what full braking is counted on to give.
        reaction_s: until it does.
        margin_m: left in front of the object.
        side_margin_m: added to each side of the vehicle.
        min_age_frames: a track younger than this may be a ghost.
        min_speed_mps: below, the controller's own stop is enough.
    """

    deceleration_mps2: float = 6.0
    reaction_s: float = 0.2
    margin_m: float = 0.5
    side_margin_m: float = 0.1
    min_age_frames: int = 2
    min_speed_mps: float = 0.5


def braking_distance_m(speed_mps: float, object_speed_mps: float, settings: BrakingSettings) -> float:
    """Gap that is needed to stay off an object ahead, both braking at the same rate [m]."""
    moves_away_mps = max(object_speed_mps, 0.0)
    difference_m = (speed_mps**2 - moves_away_mps**2) / (2.0 * settings.deceleration_mps2)
    return settings.margin_m + speed_mps * settings.reaction_s + max(difference_m, 0.0)


def gap_ahead_m(item: TrackedObject, vehicle: Vehicle, curvature: float, side_margin_m: float) -> float:
    """Distance along the arc from the front bumper to an object in base_link; infinite where it is beside the swept path."""
    x, y, _, length, width, _, yaw = item.box_7.tolist()
    half_m, size_m = vehicle.width_m / 2.0 + side_margin_m, math.hypot(length, width) / 2.0
    if x + size_m < 0.0 or abs(_lateral(x, y, curvature)) - size_m > half_m + ROUNDING_M:
        return math.inf  # nearly everything: behind, or beside the path
    offsets_p2 = BOX_SHARES_P2 * (length, width)
    cos, sin = math.cos(yaw), math.sin(yaw)
    points_p2 = offsets_p2 @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    along_p, lateral_p = _along_arc(points_p2, curvature)
    inside_p = (np.abs(lateral_p) < half_m) & (along_p > 0.0)
    return float(along_p[inside_p].min() - vehicle.front_m) if inside_p.any() else math.inf


def emergency_reason(
    scene: Scene, scene_age_s: float, speed_mps: float, curvature: float, vehicle: Vehicle, settings: BrakingSettings
) -> str:
    """What to brake for, or an empty text.

    Args:
        scene: objects in base_link at its stamp; the vehicle is taken to have driven on since then. They count without valid
            perception too: what is seen is there, only what is not seen then says nothing.
        curvature: of the present steering angle, left positive [1/m].
    """
    if speed_mps < settings.min_speed_mps:
        return ''
    reach_m = braking_distance_m(speed_mps, 0.0, settings) + vehicle.front_m + speed_mps * scene_age_s
    for item in scene.objects:
        x, y, _, length, width, _, _ = item.box_7.tolist()
        if item.age < settings.min_age_frames or math.hypot(x, y) - math.hypot(length, width) / 2.0 > reach_m:
            continue
        gap_m = gap_ahead_m(item, vehicle, curvature, settings.side_margin_m)
        if not DEEPEST_OVERLAP_M < gap_m < math.inf:
            continue
        bearing_rad = curvature * (gap_m + vehicle.front_m)
        vx, vy = item.velocity_2.tolist()
        away_mps = vx * math.cos(bearing_rad) + vy * math.sin(bearing_rad)
        away_mps = away_mps if math.isfinite(away_mps) else 0.0
        gap_m -= max(speed_mps - away_mps, 0.0) * scene_age_s
        if gap_m < braking_distance_m(speed_mps, away_mps, settings):
            return f'{item.label.name.lower()} {max(gap_m, 0.0):.1f} m ahead at {speed_mps:.1f} m/s'
    return ''


def _lateral(x: float, y: float, curvature: float) -> float:
    """Lateral offset of a point, see ``_along_arc``; it changes no faster than the point moves."""
    if abs(curvature) < STRAIGHT_PER_M:
        return y
    side, radius = math.copysign(1.0, curvature), 1.0 / abs(curvature)
    return side * (radius - math.hypot(x, radius - side * y))


def _along_arc(points_p2: Array, curvature: float) -> tuple[Array, Array]:
    """Arc length and lateral offset (left positive) of points in base_link, along the arc that starts at the rear axle."""
    if abs(curvature) < STRAIGHT_PER_M:
        return points_p2[:, 0], points_p2[:, 1]
    side, radius = np.sign(curvature), 1.0 / abs(curvature)
    forward_p, inward_p = points_p2[:, 0], side * points_p2[:, 1]
    along_p = radius * np.arctan2(forward_p, radius - inward_p)
    return along_p, side * (radius - np.hypot(forward_p, radius - inward_p))
