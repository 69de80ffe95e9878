"""Share of the true traffic lights whose state is reported right.

Definition (our own): a light is reported by one of the same Lanelet2 id, or, where an id is missing, by the nearest one whose
stop position is within MATCH_M. A light that is not reported, or as UNKNOWN, is wrong. Lights whose true state is UNKNOWN are
not asked for; lights that nothing shows are.

``light_accuracy`` asks for all lights, also for those that shine for others. Where it is known how they hang, ``light_facing``
asks for those alone that shine towards the vehicle, hidden or not, and for each state beside; ``light_precision`` is the share
that is right among those facing it that were told at all: what is wrong there is worse than what is not told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.se3 import inverse, transform_points
from moe_bev_ros.core.traffic_light import LightPlace, LightState, TrafficLight
from moe_bev_ros.evaluation.perception.perceived import SeenKeyframe, SeenScene
from moe_bev_ros.evaluation.tally import Tally, counted, distance_bins

MATCH_M = 5.0
FACING = 0.4  # cosine between the lamps' direction and the way to the vehicle


def lights_tally(scene: SeenScene) -> Tally:
    """The metrics of the module, by the distance of the stop position; empty where the engine does not report lights."""
    tally: Tally = {}
    for keyframe in scene.keyframes:
        asked = [light for light in keyframe.lights if light.state is not LightState.UNKNOWN]
        if keyframe.predicted_lights is None or not asked:
            continue
        told = [reported_state(light, keyframe.predicted_lights) for light in asked]
        right_n = np.array([state is light.state for state, light in zip(told, asked)])
        stops_n3 = np.array([(*light.stop_xy_m, keyframe.map_se3_base_link[2, 3]) for light in asked])
        bins_n = distance_bins(transform_points(inverse(keyframe.map_se3_base_link), stops_n3)[:, :2])
        counted(tally, 'light_accuracy', right_n, bins_n)
        facing_n = np.array([faces(light, keyframe) for light in asked])
        known_n = np.array([state is not LightState.UNKNOWN for state in told])
        _count(tally, 'light_facing', right_n, bins_n, facing_n)
        _count(tally, 'light_precision', right_n, bins_n, facing_n & known_n)
        for state in (LightState.RED, LightState.AMBER, LightState.GREEN):
            of_state_n = np.array([light.state is state for light in asked])
            _count(tally, f'light_facing_{state.name.lower()}', right_n, bins_n, facing_n & of_state_n)
    return tally


def faces(light: TrafficLight, keyframe: SeenKeyframe) -> bool:
    """Whether a housing of the light shines towards the vehicle."""
    return any(_shines_at(place, keyframe) for place in keyframe.light_places if place.element_id == light.element_id)


def _shines_at(place: LightPlace, keyframe: SeenKeyframe) -> bool:
    towards_2 = keyframe.map_se3_base_link[:2, 3] - np.array(place.centre_xyz_m[:2])
    along = float(np.cos(place.yaw_rad) * towards_2[0] + np.sin(place.yaw_rad) * towards_2[1])
    return along > FACING * float(np.hypot(*towards_2))


def _count(tally: Tally, name: str, right_n: NDArray[np.bool_], bins_n: NDArray[np.int64], chosen_n: NDArray[np.bool_]) -> None:
    if chosen_n.any():
        counted(tally, name, right_n[chosen_n], bins_n[chosen_n])


def reported_state(light: TrafficLight, reported: Sequence[TrafficLight]) -> LightState:
    """The state that is reported for a true light; UNKNOWN where none is."""
    for item in reported:
        if item.element_id and item.element_id == light.element_id:
            return item.state
    nameless = [item for item in reported if not (item.element_id and light.element_id)]
    gaps_m = [float(np.hypot(*np.subtract(item.stop_xy_m, light.stop_xy_m))) for item in nameless]
    nearest = min(zip(gaps_m, range(len(gaps_m))), default=(np.inf, 0))
    return nameless[nearest[1]].state if nearest[0] < MATCH_M else LightState.UNKNOWN
