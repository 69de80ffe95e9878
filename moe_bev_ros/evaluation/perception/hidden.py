"""Recall of road users that are out of sight for 1 to 3 s after having been seen.

Definition (our own, after the question that a memory has to answer): a road user is hidden at a keyframe if no point of the
sweep is in its box and less than HIDDEN_SHARE of it is visible in the images (where the tree says so). It is asked for if the
last keyframe at which it was not hidden lies HIDDEN_S back, and recalled if a published object with a class is within RECALL_M.
Objects published for what is in sight do not count: those nearest to the road users that are seen, within SEEN_M, are taken
away first, one to one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.objects import Label
from moe_bev_ros.datasets.nuscenes_tree import TreeBoxes
from moe_bev_ros.evaluation.perception.matching import nearest_pairs
from moe_bev_ros.evaluation.perception.perceived import SeenKeyframe, SeenScene, is_road_user
from moe_bev_ros.evaluation.tally import Tally, counted, distance_bins

HIDDEN_SHARE = 0.2
HIDDEN_S = (1.0, 3.0)
RECALL_M = 4.0
SEEN_M = 2.0
STATIC = (Label.TRAFFIC_CONE, Label.BARRIER)
STAMP_TOLERANCE_S = 0.05


def hidden_tally(scene: SeenScene) -> Tally:
    """``hidden_recall`` of a scene."""
    tally: Tally = {}
    last_seen_ns: dict[str, int] = {}
    for keyframe in scene.keyframes:
        hidden_n = is_hidden(keyframe.truth)
        asked_n = hidden_n & _hidden_for_a_while(keyframe, last_seen_ns)
        if asked_n.any():
            recalled_n = _recalled(keyframe, hidden_n, asked_n)
            counted(tally, 'hidden_recall', recalled_n, distance_bins(keyframe.truth.boxes_n7[asked_n, :2]))
        for name, hidden in zip(keyframe.truth.instances, hidden_n):
            if not hidden:
                last_seen_ns[name] = keyframe.stamp_ns
    return tally


def is_hidden(truth: TreeBoxes) -> NDArray[np.bool_]:
    """(N,) neither the LiDAR nor a camera sees it."""
    shares_n = np.nan_to_num(truth.visible_shares_n, nan=0.0)
    return np.asarray((truth.num_lidar_n == 0) & (shares_n < HIDDEN_SHARE))


def _hidden_for_a_while(keyframe: SeenKeyframe, last_seen_ns: dict[str, int]) -> NDArray[np.bool_]:
    low_s, high_s = HIDDEN_S[0] - STAMP_TOLERANCE_S, HIDDEN_S[1] + STAMP_TOLERANCE_S
    gone_s = [(keyframe.stamp_ns - last_seen_ns.get(name, 0)) * 1e-9 for name in keyframe.truth.instances]
    return np.array([low_s <= seconds <= high_s for seconds in gone_s], bool) & ~np.isin(keyframe.truth.labels_n, STATIC)


def _recalled(keyframe: SeenKeyframe, hidden_n: NDArray[np.bool_], asked_n: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(A,) of those asked for."""
    truth_n2 = keyframe.truth.boxes_n7[:, :2]
    objects_m2 = keyframe.tracks.boxes_n7[is_road_user(keyframe.tracks.labels_n), :2]
    _, for_seen = nearest_pairs(truth_n2[~hidden_n], objects_m2, SEEN_M)
    left_m2 = np.delete(objects_m2, for_seen, axis=0)
    rows, _ = nearest_pairs(truth_n2[asked_n], left_m2, RECALL_M)
    return np.isin(np.arange(int(asked_n.sum())), rows)
