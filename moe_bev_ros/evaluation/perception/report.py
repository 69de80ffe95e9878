"""The HTML report of a perception evaluation: frames with most missed and false boxes, precision over recall, and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.footprints import corners_of, footprints_of
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Label
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.datasets.record_loading import load_points
from moe_bev_ros.evaluation.perception.judge import JudgedBoxes, Judgement
from moe_bev_ros.evaluation.perception.matching import nearest_pairs
from moe_bev_ros.evaluation.perception.perceived import SeenKeyframe, SeenScene, is_road_user
from moe_bev_ros.evaluation.perception.tables import by_class, overview, own_metrics, strata
from moe_bev_ros.evaluation.report import Picture, Report, new_figure, number, picture_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MATCH_M = 2.0
HALF_M = 50.0
NUM_WORST = 6
BELIEVED = 0.3  # a box of a lower score is not counted as a false one


@dataclass(frozen=True)
class FrameFaults:
    """One keyframe: which true boxes nobody found and which published boxes are wrong, by index."""

    scene: SeenScene
    keyframe: SeenKeyframe
    missed: NDArray[np.int64]
    false: NDArray[np.int64]

    @property
    def num(self) -> int:
        """All faults."""
        return len(self.missed) + len(self.false)


def perception_report(tree: NuscenesTree, seen: Sequence[SeenScene], judgement: Judgement) -> Report:
    """Everything that a person asks first."""
    results = judgement.results
    best = results if 'nds' in results else results['published']
    headline = (
        ('NDS of the detections' if 'nds' in results else 'NDS of the published objects', number(best['nds'], 4)),
        ('mAP', number(best['mean_ap'], 4)),
        ('NDS of the published objects', number(results['published']['nds'], 4)),
        ('scenes', str(results['scenes'])),
        ('keyframes', str(results['samples'])),
    )
    note = f'Engine {results["engine"]} on {results["split"]}, {results["rate_hz"]:g} frames a second, scored at the keyframes.'
    tables = (overview([results]), own_metrics(results), by_class(results), strata(results))
    plots = [_curves('published objects', judgement.published)]
    if judgement.detections is not None:
        plots.insert(0, _curves('detections', judgement.detections))
    worst = [_picture(tree, faults) for faults in worst_frames(seen)]
    return Report(f'Perception: {results["engine"]}', note, headline, tuple(worst), tuple(plots), tables)


def worst_frames(seen: Sequence[SeenScene], number_of: int = NUM_WORST) -> list[FrameFaults]:
    """The keyframes with most faults, at most two of a scene."""
    ranked = sorted((frame_faults(s, k) for s in seen for k in s.keyframes), key=lambda faults: -faults.num)
    chosen: list[FrameFaults] = []
    for faults in ranked:
        if len(chosen) < number_of and sum(item.scene is faults.scene for item in chosen) < 2:
            chosen.append(faults)
    return chosen


def frame_faults(scene: SeenScene, keyframe: SeenKeyframe) -> FrameFaults:
    """A true box that holds a point is found by a published object of its class within MATCH_M, one to one."""
    truth, tracks = keyframe.truth, keyframe.tracks
    is_asked = (truth.num_lidar_n > 0) & (np.abs(truth.boxes_n7[:, :2]).max(axis=1, initial=0.0) < HALF_M)
    is_believed = is_road_user(tracks.labels_n) & (tracks.scores_n >= BELIEVED)
    is_believed &= np.abs(tracks.boxes_n7[:, :2]).max(axis=1, initial=0.0) < HALF_M
    found, right = np.zeros(len(truth), bool), np.zeros(len(tracks), bool)
    for label in range(len(Label) - 1):
        mine, theirs = (np.flatnonzero(labels == label) for labels in (truth.labels_n, tracks.labels_n))
        rows, columns = nearest_pairs(truth.boxes_n7[mine, :2], tracks.boxes_n7[theirs, :2], MATCH_M)
        found[mine[rows]], right[theirs[columns]] = True, True
    return FrameFaults(scene, keyframe, np.flatnonzero(is_asked & ~found), np.flatnonzero(is_believed & ~right))


def _picture(tree: NuscenesTree, faults: FrameFaults) -> Picture:
    """The keyframe from above; the vehicle drives to the right."""
    keyframe = faults.keyframe
    figure = new_figure(8.0, 8.0)
    axes = figure.add_subplot()
    axes.set(
        xlim=(-HALF_M, HALF_M), ylim=(-HALF_M, HALF_M), aspect='equal', xlabel='x [m]', ylabel='y [m]', facecolor='#11151c'
    )
    points_n3 = _points(tree, faults)
    axes.scatter(points_n3[:, 0], points_n3[:, 1], s=0.3, c=np.clip(points_n3[:, 2], -0.5, 3.0), cmap='viridis', linewidths=0)
    truth, tracks = keyframe.truth, keyframe.tracks
    is_missed, is_false = np.zeros(len(truth), bool), np.zeros(len(tracks), bool)
    is_missed[faults.missed], is_false[faults.false] = True, True
    seen, right = ~is_missed & (truth.num_lidar_n > 0), ~is_false & is_road_user(tracks.labels_n)
    _outlines(axes, truth.boxes_n7[seen], '#e8edf4', 'truth, found')
    _outlines(axes, truth.boxes_n7[is_missed], '#ff4d4d', 'truth, missed')
    _outlines(axes, tracks.boxes_n7[right], '#4fa3ff', 'published')
    _outlines(axes, tracks.boxes_n7[is_false], '#ffa53c', 'published, false')
    axes.plot([0.0, 4.0], [0.0, 0.0], color='#5de08a', linewidth=3)
    axes.legend(loc='upper right', fontsize=8)
    traits = ', '.join(faults.scene.traits.values())
    what = f'{len(faults.missed)} missed (red), {len(faults.false)} false (orange)'
    return picture_of(figure, f'{faults.scene.name} {traits}: {what}; sample {keyframe.sample_token}', 90)


def _points(tree: NuscenesTree, faults: FrameFaults) -> NDArray[np.float32]:
    keyframe = faults.keyframe
    ticks = tree.ticks(faults.scene.name, keyframes_only=True)
    sweep = next((tick.sweep for tick in ticks if tick.sample_token == keyframe.sample_token), None)
    if sweep is None:
        return np.zeros((0, 3), np.float32)
    return load_points(sweep, EgoMotion(keyframe.stamp_ns, keyframe.map_se3_base_link, 0.0, 0.0, 'map')).points_n5[:, :3]


def _outlines(axes: Axes, boxes_n7: NDArray[np.float32], colour: str, label: str) -> None:
    from matplotlib.collections import PolyCollection

    corners = corners_of(footprints_of(boxes_n7))
    axes.add_collection(PolyCollection(list(corners), facecolors='none', edgecolors=colour, linewidths=1.2, label=label))


def _curves(what: str, boxes: JudgedBoxes) -> Picture:
    """Precision over recall at the distance for errors, one line a class."""
    figure = new_figure()
    axes = figure.add_subplot()
    distance_m = boxes.evaluation.cfg.dist_th_tp
    for name in boxes.table.present:
        curve = boxes.curves[(name, distance_m)]
        axes.plot(curve.recall, curve.precision, label=f'{name} {boxes.summary["classes"][name]["ap"]:.2f}')
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel='recall', ylabel='precision', title=what)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, title='class, AP')
    return picture_of(figure, f'{what}: precision over recall, matched within {distance_m:g} m')
