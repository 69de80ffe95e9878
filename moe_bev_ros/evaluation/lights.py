"""Share of the true traffic lights whose state is reported right.

Definition (our own): a light is reported by one of the same Lanelet2 id, or, where an id is missing, by the nearest one whose
stop position is within MATCH_M. A light that is not reported, or as UNKNOWN, is wrong. Lights whose true state is UNKNOWN are
not asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from moe_bev_ros.core.se3 import inverse, transform_points
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.evaluation.perceived import SeenScene
from moe_bev_ros.evaluation.tally import Tally, counted, distance_bins

MATCH_M = 5.0


def lights_tally(scene: SeenScene) -> Tally:
    """``light_accuracy`` by the distance of the stop position; empty where the engine does not report lights."""
    tally: Tally = {}
    for keyframe in scene.keyframes:
        asked = [light for light in keyframe.lights if light.state is not LightState.UNKNOWN]
        if keyframe.predicted_lights is None or not asked:
            continue
        right_n = np.array([reported_state(light, keyframe.predicted_lights) is light.state for light in asked])
        stops_n3 = np.array([(*light.stop_xy_m, keyframe.map_se3_base_link[2, 3]) for light in asked])
        bins_n = distance_bins(transform_points(inverse(keyframe.map_se3_base_link), stops_n3)[:, :2])
        counted(tally, 'light_accuracy', right_n, bins_n)
    return tally


def reported_state(light: TrafficLight, reported: Sequence[TrafficLight]) -> LightState:
    """The state that is reported for a true light; UNKNOWN where none is."""
    for item in reported:
        if item.element_id and item.element_id == light.element_id:
            return item.state
    nameless = [item for item in reported if not (item.element_id and light.element_id)]
    gaps_m = [float(np.hypot(*np.subtract(item.stop_xy_m, light.stop_xy_m))) for item in nameless]
    nearest = min(zip(gaps_m, range(len(gaps_m))), default=(np.inf, 0))
    return nameless[nearest[1]].state if nearest[0] < MATCH_M else LightState.UNKNOWN
