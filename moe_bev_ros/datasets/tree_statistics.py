"""How hard a data set is: numbers over its keyframes, with the class ranges of nuScenes' detection evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.objects import Label
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, TreeBoxes

# detection_cvpr_2019 of nuscenes-devkit [m]
CLASS_RANGE_M = {
    Label.CAR: 50.0,
    Label.TRUCK: 50.0,
    Label.BUS: 50.0,
    Label.TRAILER: 50.0,
    Label.CONSTRUCTION_VEHICLE: 50.0,
    Label.PEDESTRIAN: 40.0,
    Label.MOTORCYCLE: 40.0,
    Label.BICYCLE: 40.0,
    Label.TRAFFIC_CONE: 30.0,
    Label.BARRIER: 30.0,
}
_RANGES_M = np.array([CLASS_RANGE_M[Label(number)] for number in range(len(CLASS_RANGE_M))])


@dataclass(frozen=True)
class BoxFacts:
    """What counts of the boxes of one keyframe that lie in their class's range; (N,) each."""

    labels_n: NDArray[np.uint8]
    num_lidar_n: NDArray[np.int64]
    visible_shares_n: NDArray[np.float32]


def in_range(boxes: TreeBoxes) -> NDArray[np.bool_]:
    """(N,) whether the evaluation looks at a box, but for boxes without any point, which it leaves out."""
    distance_n = np.hypot(boxes.boxes_n7[:, 0], boxes.boxes_n7[:, 1])
    return np.asarray(distance_n < _RANGES_M[boxes.labels_n])


def box_facts(tree: NuscenesTree, scenes: Iterable[str]) -> Iterator[BoxFacts]:
    """One entry a keyframe."""
    for scene in scenes:
        for tick in tree.ticks(scene, keyframes_only=True):
            boxes = tree.boxes(scene, tick.sample_token, tick.map_se3_base_link)
            near = in_range(boxes)
            yield BoxFacts(boxes.labels_n[near], boxes.num_lidar_n[near], boxes.visible_shares_n[near])


def tree_statistics(tree: NuscenesTree, scenes: Sequence[str]) -> dict[str, Any]:
    """Numbers of these scenes as JSON values; shares are of the boxes in range.

    ``boxes_per_frame`` and ``boxes`` count all boxes in range; ``scored`` leaves out those without a point, as the official
    evaluation does.
    """
    frames = list(box_facts(tree, scenes))
    labels_n = np.concatenate([frame.labels_n for frame in frames])
    points_n = np.concatenate([frame.num_lidar_n for frame in frames])
    shares_n = np.concatenate([frame.visible_shares_n for frame in frames])
    worlds = [tree.world(scene) for scene in scenes]
    scored_n = points_n > 0
    return {
        'scenes': len(scenes),
        'frames': len(frames),
        'boxes_per_frame': _mean(labels_n.size, len(frames)),
        'scored_boxes_per_frame': _mean(int(scored_n.sum()), len(frames)),
        'share_at_most_5_points': _mean(int((points_n <= 5).sum()), labels_n.size),
        'share_at_most_2_points': _mean(int((points_n <= 2).sum()), labels_n.size),
        'scored_share_at_most_5_points': _mean(int((points_n[scored_n] <= 5).sum()), int(scored_n.sum())),
        'share_below_60_percent_visible': _mean(int((shares_n < 0.6).sum()), int(np.isfinite(shares_n).sum())),
        'boxes': _per_class(labels_n),
        'scored_boxes': _per_class(labels_n[scored_n]),
        **{f'scenes_per_{name}': _counts(world.get(name) for world in worlds) for name in ('kind', 'condition', 'style')},
        'seeds': [world['seed'] for world in worlds if 'seed' in world],
    }


def _mean(amount: int, number: int) -> float:
    return round(amount / number, 4) if number else 0.0


def _per_class(labels_n: NDArray[np.uint8]) -> dict[str, int]:
    return {label.name.lower(): int((labels_n == label).sum()) for label in CLASS_RANGE_M}


def _counts(names: Iterable[str | None]) -> dict[str, int]:
    return dict(sorted(Counter(name for name in names if name).items()))
