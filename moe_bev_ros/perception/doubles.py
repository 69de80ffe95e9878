"""One thing that is told of more than once: a network that looks for each class by itself calls one rider a bicycle, a
motorcycle and a person, with nearly the same box.

Of what stands nearer to a better one than the smaller of their classes' circles lets them, only the better one is followed; it
votes for the classes of all of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from moe_bev_ros.perception.centre_boxes import CIRCLE_M
from moe_bev_ros.perception.track_measurements import LABELS, Measurements

_CIRCLE_M = np.array([CIRCLE_M.get(label, 0.0) for label in LABELS])  # what has no class may be anywhere


def one_a_place(found: Measurements) -> Measurements:
    """The best of each place, best first."""
    if not len(found):
        return found
    found = found.take(np.argsort(-found.score_n, kind='stable'))
    xy_n2, place_of_n = found.box_n7[:, :2], np.arange(len(found))
    pairs_p2 = cKDTree(xy_n2).query_pairs(float(_CIRCLE_M.max()), output_type='ndarray')  # the better one first
    gap_p = np.linalg.norm(xy_n2[pairs_p2[:, 0]] - xy_n2[pairs_p2[:, 1]], axis=1)
    pairs_p2 = pairs_p2[gap_p < _CIRCLE_M[found.label_n[pairs_p2]].min(axis=1)]
    for better, worse in sorted(pairs_p2.tolist()):
        if place_of_n[better] == better and place_of_n[worse] == worse:
            place_of_n[worse] = better
    votes_nl = np.zeros_like(found.votes_nl)
    np.add.at(votes_nl, place_of_n, found.votes_nl)
    return replace(found, votes_nl=votes_nl).take(place_of_n == np.arange(len(found)))
