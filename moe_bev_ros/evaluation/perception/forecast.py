"""How well the published forecasts foretell where road users go within 6 s.

Definitions: those of nuScenes' prediction task (nuscenes.eval.prediction.metrics): over the K most probable modes, the least
mean distance (minADE), the least distance at the end (minFDE), and the share of road users for which every one of these modes
is somewhere 2 m or more from the truth (MissRateTopK_2). Truth is 12 future keyframes at 2 Hz; who is annotated in fewer is not
asked. A published object forecasts for the road user whose centre is within MATCH_M, one to one, nearest pairs first; how many
road users have one is the recall of the other metrics. A constant velocity, that of the tracker, is judged beside.

``moving`` are those that come MOVING_M or farther.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, transform_points
from moe_bev_ros.evaluation.perception.matching import nearest_pairs
from moe_bev_ros.evaluation.perception.perceived import FUTURE_STEP_S, NUM_FUTURE_STEPS, SeenKeyframe, SeenScene, is_road_user
from moe_bev_ros.evaluation.tally import Tally, counted, distance_bins

MODES = (1, 5)
MISS_M = 2.0
MATCH_M = 2.0
MOVING_M = 2.0
STATIC = (Label.TRAFFIC_CONE, Label.BARRIER)
KEYFRAME_TOLERANCE_S = 0.1


def forecast_errors(modes_nkt2: Array, probabilities_nk: Array, truth_nt2: Array, top: int) -> tuple[Array, Array, Array]:
    """(N,) minADE [m], minFDE [m] and miss (0 or 1) over the ``top`` most probable modes; a probability below 0: no mode."""
    distances_nkt = np.linalg.norm(modes_nkt2 - truth_nt2[:, None], axis=-1)
    distances_nkt[probabilities_nk < 0] = np.inf
    order_nk = np.argsort(-probabilities_nk, axis=1, kind='stable')[:, :top]
    best_nkt = np.take_along_axis(distances_nkt, order_nk[:, :, None], axis=1)
    misses_n = (best_nkt.max(axis=2) >= MISS_M).all(axis=1)
    return best_nkt.mean(axis=2).min(axis=1), best_nkt[:, :, -1].min(axis=1), misses_n.astype(float)


def forecast_tally(scene: SeenScene) -> Tally:
    """minADE, minFDE and miss rate by K, for all and for the moving, of the engine and of a constant velocity."""
    tally: Tally = {}
    futures = _true_futures(scene)
    for index, keyframe in enumerate(scene.keyframes):
        _add_keyframe(tally, keyframe, futures[index])
    return tally


def _add_keyframe(tally: Tally, keyframe: SeenKeyframe, futures: dict[str, Array]) -> None:
    truth, tracks, pose = keyframe.truth, keyframe.tracks, keyframe.map_se3_base_link
    asked = np.array([i for i, name in enumerate(truth.instances) if name in futures], np.int64)
    if not len(asked):
        return
    future_nt2 = np.array([futures[truth.instances[i]] for i in asked])
    now_n2 = _in_map(truth.boxes_n7[asked, :3], pose)
    is_moving_n = np.linalg.norm(future_nt2 - now_n2[:, None], axis=-1).max(axis=1) >= MOVING_M
    candidates = np.flatnonzero(is_road_user(tracks.labels_n))
    rows, columns = nearest_pairs(truth.boxes_n7[asked, :2], tracks.boxes_n7[candidates, :2], MATCH_M)
    bins_n = distance_bins(truth.boxes_n7[asked, :2])
    found_n = np.isin(np.arange(len(asked)), rows)
    counted(tally, 'forecast_recall', found_n, bins_n)
    counted(tally, 'forecast_recall_moving', found_n[is_moving_n], bins_n[is_moving_n])
    chosen = candidates[columns]
    times_t1 = FUTURE_STEP_S * np.arange(1, NUM_FUTURE_STEPS + 1)[:, None]
    straight = tracks.boxes_n7[chosen, None, None, :2] + times_t1 * tracks.velocities_n2[chosen, None, None]
    one = np.ones((len(chosen), 1))
    for prefix, modes, probabilities, tops in (
        ('', tracks.futures_nkt2[chosen], tracks.probabilities_nk[chosen], MODES),
        ('constant_velocity_', straight, one, MODES[:1]),
    ):
        in_map = _in_map(modes, pose)
        for top in tops:
            errors = forecast_errors(in_map, probabilities, future_nt2[rows], top)
            for name, values in zip(('min_ade', 'min_fde', 'miss_rate'), errors):
                counted(tally, f'{prefix}{name}_{top}', values, bins_n[rows])
                is_moving = is_moving_n[rows]
                counted(tally, f'{prefix}{name}_{top}_moving', values[is_moving], bins_n[rows][is_moving])


def _true_futures(scene: SeenScene) -> list[dict[str, Array]]:
    """(T, 2) in map by instance, for each keyframe."""
    places: list[dict[str, Array]] = []
    for keyframe in scene.keyframes:
        xy_n2, labels_n = _in_map(keyframe.truth.boxes_n7[:, :3], keyframe.map_se3_base_link), keyframe.truth.labels_n
        names = keyframe.truth.instances
        places.append({name: xy_n2[i] for i, name in enumerate(names) if labels_n[i] not in STATIC})
    stamps = np.array([keyframe.stamp_ns for keyframe in scene.keyframes]) * 1e-9
    futures: list[dict[str, Array]] = []
    for index in range(len(places)):
        later, result = places[index + 1 : index + 1 + NUM_FUTURE_STEPS], {}
        steps_s = stamps[index + 1 : index + 1 + NUM_FUTURE_STEPS] - stamps[index]
        expected_s = FUTURE_STEP_S * np.arange(1, len(later) + 1)
        if len(later) == NUM_FUTURE_STEPS and np.abs(steps_s - expected_s).max() < KEYFRAME_TOLERANCE_S * NUM_FUTURE_STEPS:
            lasting = set(places[index]).intersection(*later)
            result = {name: np.array([frame[name] for frame in later]) for name in lasting}
        futures.append(result)
    return futures


def _in_map(positions: NDArray[Any], map_se3_base_link: Array) -> Array:
    """(..., 2) of positions (..., 2 or 3) in base_link."""
    flat = np.asarray(positions, float).reshape(-1, positions.shape[-1])
    xyz = np.column_stack([flat[:, :2], flat[:, 2] if flat.shape[1] > 2 else np.zeros(len(flat))])
    return np.asarray(transform_points(map_se3_base_link, xyz)[:, :2].reshape(*positions.shape[:-1], 2))
