"""Tables of the results of a perception evaluation, for the HTML report and for RESULTS.md.

Each function reads the dict that `perception_judge` makes and `moe-bev evaluate perception --json` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moe_bev_ros.evaluation.perception.detection import ERRORS
from moe_bev_ros.evaluation.report import Table, number, with_interval

Results = dict[str, Any]
ERROR_NAMES = {'trans_err': 'mATE', 'scale_err': 'mASE', 'orient_err': 'mAOE', 'vel_err': 'mAVE', 'attr_err': 'mAAE'}
# Metrics with a title each, as far as they are in the file.
METRICS = {
    'min_ade_1_moving': 'minADE, 1 mode, moving [m]',
    'min_fde_1_moving': 'minFDE, 1 mode, moving [m]',
    'miss_rate_1_moving': 'miss rate, 1 mode, moving',
    'min_ade_5_moving': 'minADE, 5 modes, moving [m]',
    'miss_rate_5_moving': 'miss rate, 5 modes, moving',
    'constant_velocity_min_ade_1_moving': 'minADE of constant velocity, moving [m]',
    'constant_velocity_miss_rate_1_moving': 'miss rate of constant velocity, moving',
    'forecast_recall_moving': 'moving road users with a forecast',
    'hidden_recall': 'recall, hidden for 1-3 s',
    'light_accuracy': 'traffic lights with the right state',
    'light_facing': 'the same, of those that face the vehicle',
    'light_facing_red': 'the same, red',
    'light_facing_amber': 'the same, amber',
    'light_facing_green': 'the same, green',
    'light_precision': 'right, of those facing whose state is told',
    'iou_vehicles': 'IoU vehicles',
    'iou_drivable': 'IoU drivable',
    'iou_divider': 'IoU divider',
    'iou_crossing': 'IoU crossing',
    'iou_stop_line': 'IoU stop line',
}
STRATUM_COLUMNS = {'nds': 'NDS', 'mean_ap': 'mAP', 'published_nds': 'published NDS', 'published_mean_ap': 'published mAP'}
STRATUM_METRICS = {'min_ade_1_moving': 'minADE moving [m]', 'hidden_recall': 'hidden recall', 'iou_vehicles': 'IoU vehicles'}


def overview(rows: Sequence[Results]) -> Table:
    """One row an engine."""
    columns = ('engine', 'frames', 'scenes', 'what', 'NDS', 'mAP', *ERROR_NAMES.values(), 'AMOTA', 'AMOTP')
    cells = []
    for results in rows:
        rate = f'{results["rate_hz"]:g} Hz'
        for what, part in (('detections', results if 'nds' in results else None), ('published', results['published'])):
            if part is not None:
                tracking = results['tracking'] if what == 'published' and results['tracking'] else {}
                figures = [_ranged(part, name) for name in ('nds', 'mean_ap')] + [number(part[name]) for name in ERRORS]
                figures += [number(tracking.get(name)) for name in ('amota', 'amotp')]
                cells.append((results['engine'], rate, str(results['scenes']), what, *figures))
    return Table('Detection and tracking', columns, tuple(cells))


def by_class(results: Results) -> Table:
    """Detections and published objects of each class."""
    parts = [('', results)] if 'nds' in results else []
    parts.append(('published ', results['published']))
    columns = ['class']
    for prefix, _ in parts:
        columns += [f'{prefix}AP', *(f'{prefix}{name[1:]}' for name in ERROR_NAMES.values())]
    rows = []
    for name in results['published']['classes']:
        figures = [part['classes'][name] for _, part in parts]
        rows.append((name, *(number(row[key]) for row in figures for key in ('ap', *ERRORS))))
    return Table('By class', tuple(columns), tuple(rows))


def own_metrics(results: Results) -> Table:
    """Forecasts, maps, lights and hidden objects."""
    metrics = results['metrics']
    rows = [
        (title, with_interval(metrics[name]), str(metrics[name]['cases'])) for name, title in METRICS.items() if name in metrics
    ]
    groups = {'segmentation': 'maps', 'lights': 'traffic lights'}
    rows += [(title, 'not given', '0') for name, title in groups.items() if name in metrics and metrics[name] is None]
    return Table('Forecasts, maps, lights, memory', ('metric', 'value (95 %)', 'cases'), tuple(rows))


def strata(results: Results) -> Table:
    """One row a condition, kind, style and distance; NDS and mAP over the classes that are annotated there."""
    rows = results['strata']
    every = [row for group in rows.values() for row in group.values()]
    names = {**STRATUM_COLUMNS, **STRATUM_METRICS}
    shown = {name: title for name, title in names.items() if any(name in row for row in every)}
    cells = [
        (f'{group}: {value}', str(row['scenes']), *(with_interval(row.get(name)) for name in shown))
        for group, values in rows.items()
        for value, row in values.items()
    ]
    return Table('By condition, kind and distance', ('part', 'scenes', *shown.values()), tuple(cells))


def _ranged(part: Results, name: str) -> str:
    low, high = part['intervals'][name]
    return with_interval({'value': part[name], 'low': low, 'high': high})
