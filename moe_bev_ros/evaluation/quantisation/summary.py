"""The table of a quantisation: what each row scores, what it loses against the float network, overall and in each condition.

Intervals resample scenes, the same draws for both (`strata`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from moe_bev_ros.evaluation.ablation.files import RowRun
from moe_bev_ros.evaluation.perception.judge import without_nan
from moe_bev_ros.evaluation.quantisation.rows import DEPLOYED, REFERENCE, Row
from moe_bev_ros.evaluation.strata import RESAMPLES, intervals, paired_difference

NDS_LOSS, CONDITION_LOSS = 0.005, 0.01  # that is allowed: points, and a share of what the condition scores in float
PTQ = 'INT8 PTQ'


def quantisation_summary(rows: Sequence[Row], runs: Mapping[str, RowRun], resamples: int = RESAMPLES) -> dict[str, Any]:
    """What goes into results/quantisation.json.

    Args:
        runs: by name of the row; the reference must be among them.
    """
    reference = runs[REFERENCE]
    summary = {
        'scenes': reference.table.num_scenes,
        'samples': reference.figures['samples'],
        'frames': next((run.figures['plan'].get('frames') for run in runs.values() if 'frames' in run.figures['plan']), None),
        'rows': [_row(row, runs[row.name], reference, resamples) for row in rows],
    }
    if DEPLOYED.name in runs and PTQ in runs:
        summary['gains'] = {
            bits: _difference(runs[f'{bits} PTQ'], runs[f'{bits} QAT + VGD'], resamples)
            for bits in ('INT8', 'W4A6')
            if f'{bits} QAT + VGD' in runs and f'{bits} PTQ' in runs
        }
    return dict(without_nan(summary))


def _row(row: Row, run: RowRun, reference: RowRun, resamples: int) -> dict[str, Any]:
    nds, mean_ap = intervals(run.table.figures, range(run.table.num_scenes), run.table.num_scenes, resamples)
    is_reference = row.name == REFERENCE
    conditions = _conditions(run, reference)
    difference = None if is_reference else _difference(reference, run, resamples)
    losses = [-value['difference'] / value['float'] for value in conditions.values() if value['float'] > 0.0]
    met = None
    if difference is not None:
        met = difference['value'] >= -NDS_LOSS and all(loss <= CONDITION_LOSS for loss in losses)
    return {
        'name': row.name,
        'nds': nds.as_dict(),
        'mean_ap': mean_ap.as_dict(),
        'difference': difference,
        'conditions': conditions,
        'worst_condition': max(losses, default=None),
        'bytes': run.figures['bytes'],
        'met': met,
    }


def _difference(first: RowRun, second: RowRun, resamples: int) -> dict[str, float]:
    """NDS of the second above that of the first."""
    pair = first.table.figures, second.table.figures
    return paired_difference(*pair, first.table.num_scenes, resamples=resamples)[0].as_dict()


def _conditions(run: RowRun, reference: RowRun) -> dict[str, dict[str, float]]:
    """NDS in the scenes of each condition, means over the classes that are annotated there."""
    names = reference.figures['conditions']
    found = {}
    for name in sorted(set(names) - {''}):
        scenes = [index for index, condition in enumerate(names) if condition == name]
        ours, theirs = (float(one.table.only(scenes).figures(absent_count=False)[0]) for one in (run, reference))
        found[name] = {'nds': ours, 'float': theirs, 'difference': ours - theirs}
    return found
