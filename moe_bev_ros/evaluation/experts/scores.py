"""What choices of frame experts are worth: the capability matrix, the dispatcher that uses it, and what a lost sensor costs.

All scores are nuScenes' by its own evaluator; those of a part, such as a scenario kind, are means over the classes that are
annotated there. Intervals resample scenes, see `strata`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from moe_bev_ros.core.objects import Detections
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.evaluation.perception.detection import detection_rows, devkit_view, official_evaluation, open_devkit
from moe_bev_ros.evaluation.perception.detection_table import DetectionTable, detection_table
from moe_bev_ros.evaluation.strata import Interval, groups, intervals, paired_difference

FIGURES = ('nds', 'mean_ap')
COLUMNS = ('condition', 'kind')  # traits by which the matrix has its columns


@dataclass(frozen=True)
class FoundKeyframe:
    """What was detected at one keyframe, in base_link."""

    sample_token: str
    stamp_ns: int
    map_se3_base_link: Array
    detections: Detections


@dataclass(frozen=True)
class ChosenScene:
    """What came of one way to choose experts in one scene.

    Attributes:
        choices: of every frame, one expert or two joined by ``+``; empty where none ran.
    """

    keyframes: tuple[FoundKeyframe, ...]
    choices: tuple[str, ...]


Runs = Mapping[str, Sequence[ChosenScene]]  # by name of who chose, in the order of the scenes
IsJudged = Callable[[int, FoundKeyframe], bool]  # of a scene's index and one of its keyframes


def judge_runs(
    tree: NuscenesTree, scenes: Sequence[str], runs: Runs, is_judged: IsJudged = lambda _, __: True
) -> dict[str, DetectionTable]:
    """The matches of each run with the truth.

    Args:
        is_judged: of a scene and a keyframe; what is found or annotated in others does not count.

    Raises:
        InputError: the devkit cannot read the tree, or nothing is annotated.
    """
    with devkit_view(tree, scenes) as view:
        nusc = open_devkit(view, tree.version)
        return {name: _judge(nusc, found, is_judged) for name, found in runs.items()}


def capability_results(
    tables: Mapping[str, DetectionTable], traits: Sequence[dict[str, str]], times_ms: Mapping[str, float], resamples: int
) -> dict[str, Any]:
    """The matrix in the form that `engine.capability` loads, with its intervals beside.

    Args:
        tables: of each choice.
        times_ms: of the network with each choice.
    """
    columns = {value: scenes for trait in COLUMNS for value, scenes in groups(traits).get(trait, {}).items()}
    cells = {
        choice: {column: _part(table, scenes, resamples) for column, scenes in columns.items()}
        for choice, table in tables.items()
    }
    known = {choice: {column: cell for column, cell in row.items() if np.isfinite(cell.value)} for choice, row in cells.items()}
    return {
        'scores': {choice: {column: cell.value for column, cell in row.items()} for choice, row in known.items()},
        'costs': {choice: times_ms[choice] / times_ms['fused'] for choice in tables},
        'intervals': {choice: {column: [cell.low, cell.high] for column, cell in row.items()} for choice, row in known.items()},
        'whole': {choice: _whole(table, resamples) for choice, table in tables.items()},
        'scenes_of': {column: len(scenes) for column, scenes in columns.items()},
        'network_ms': dict(times_ms),
    }


def dispatch_results(
    tables: Mapping[str, DetectionTable], runs: Runs, costs: Mapping[str, float], resamples: int
) -> list[dict[str, Any]]:
    """A row each, the dispatcher's first: score, mean cost and experts, and by how much the dispatcher is above it."""
    rows = []
    first = next(iter(tables.values()))
    for name, table in tables.items():
        choices = [choice for scene in runs[name] for choice in scene.choices if choice]
        row = {'name': name, **_whole(table, resamples), **usage(choices, costs)}
        if table is not first:
            gains = paired_difference(table.figures, first.figures, table.num_scenes, first.num_scenes, resamples)
            row['dispatcher_above'] = gains[0].as_dict()
        rows.append(row)
    return rows


def usage(choices: Sequence[str], costs: Mapping[str, float]) -> dict[str, Any]:
    """How often which choice was made, and what that cost on average, as a share of what ``fused`` costs."""
    counts = Counter(choices)
    num = max(len(choices), 1)
    return {
        'mean_active_experts': sum(count * (1 + choice.count('+')) for choice, count in counts.items()) / num,
        'mean_cost': sum(count * costs[choice] for choice, count in counts.items()) / num,
        'shares': {choice: count / num for choice, count in counts.most_common()},
    }


def loss_results(tables: Mapping[str, DetectionTable], resamples: int) -> dict[str, Any]:
    """Scores after the loss, and by how much the engine that lost the sensor is above the others."""
    lost = tables['lost']
    differences = {
        f'lost_above_{name}': paired_difference(table.figures, lost.figures, lost.num_scenes, resamples=resamples)[0].as_dict()
        for name, table in tables.items()
        if table is not lost
    }
    return {**{name: _whole(table, resamples) for name, table in tables.items()}, **differences}


def _judge(nusc: Any, found: Sequence[ChosenScene], is_judged: IsJudged) -> DetectionTable:
    keyframes = [(index, keyframe) for index, scene in enumerate(found) for keyframe in scene.keyframes]
    rows = {k.sample_token: detection_rows(k.sample_token, k.detections, k.map_se3_base_link) for _, k in keyframes}
    with TemporaryDirectory(prefix='moe_bev_judge_') as work:
        evaluation = official_evaluation(nusc, rows, Path(work))
    judged = {keyframe.sample_token for index, keyframe in keyframes if is_judged(index, keyframe)}
    for boxes in (evaluation.gt_boxes, evaluation.pred_boxes):
        for token in set(boxes.boxes) - judged:
            boxes.boxes[token] = []
    return detection_table(evaluation, {k.sample_token: index for index, k in keyframes}, len(found))


def _part(table: DetectionTable, scenes: Sequence[int], resamples: int) -> Interval:
    chosen = partial(table.only(scenes).figures, absent_count=False)
    return intervals(chosen, range(len(scenes)), len(scenes), resamples)[0]


def _whole(table: DetectionTable, resamples: int) -> dict[str, dict[str, float]]:
    found = intervals(table.figures, range(table.num_scenes), table.num_scenes, resamples)
    return {name: interval.as_dict() for name, interval in zip(FIGURES, found)}
