"""Tables and the picture of what `moe-bev evaluate experts --json` writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from moe_bev_ros.evaluation.report import Picture, Table, new_figure, number, picture_of, with_interval

Results = dict[str, Any]


def experts(files: dict[str, Results]) -> str:
    """For RESULTS.md: the matrix, then the dispatcher."""
    parts = []
    for results in files.values():
        table = dispatch_table(results) if 'rows' in results else capability_table(results)
        parts.append(f'{table.title}, {results["split"]}, {results["scenes"]} scenes:\n\n{table.markdown()}')
    return '\n\n'.join(parts)


def sensor_loss(files: dict[str, Results]) -> str:
    """For RESULTS.md."""
    return loss_table(list(files.values())).markdown()


def capability_table(results: Results) -> Table:
    """A row a condition and kind, a column a choice of experts; the best of a row is bold."""
    choices = list(results['scores'])
    rows = [
        ('time of the network', '', *(f'{results["costs"][choice]:.2f}' for choice in choices)),
        ('all', str(results['scenes']), *(with_interval(results['whole'][choice]['nds']) for choice in choices)),
    ]
    for column, num_scenes in results['scenes_of'].items():
        scores = {choice: results['scores'][choice].get(column, -1.0) for choice in choices}
        cells = [_cell(results, choice, column, is_best=scores[choice] == max(scores.values())) for choice in choices]
        rows.append((column, str(num_scenes), *cells))
    return Table('Capability of the frame experts', ('NDS', 'scenes', *choices), tuple(rows))


def dispatch_table(results: Results) -> Table:
    """A row each way to choose."""
    columns = ('chosen by', 'NDS', 'mAP', 'mean experts', 'mean cost', 'dispatcher above it by', 'choices')
    rows = [
        (
            str(row['name']),
            with_interval(row['nds']),
            with_interval(row['mean_ap']),
            number(row['mean_active_experts'], 2),
            number(row['mean_cost'], 2),
            with_interval(row.get('dispatcher_above')),
            ', '.join(f'{choice} {100 * share:.0f} %' for choice, share in row['shares'].items()),
        )
        for row in results['rows']
    ]
    return Table('The dispatcher', columns, tuple(rows))


def loss_table(files: Sequence[Results]) -> Table:
    """A row each sensor that was lost."""
    before = ('lost', 'after', 'scenes', 'keyframes', 'NDS')
    columns = (*before, 'without it from the start', 'above that by', 'not lost', 'late by at most', 'valid')
    rows = [
        (
            str(results['sensor']),
            f'{results["after_s"]:g} s',
            str(results['scenes']),
            str(results['keyframes']),
            with_interval(results['lost']['nds']),
            with_interval(results['without']['nds']),
            with_interval(results['lost_above_without']),
            with_interval(results['intact']['nds']),
            f'{results["frames_late"]} frames',
            f'{100 * results["valid_share"]:.0f} %',
        )
        for results in files
    ]
    return Table('A lost sensor', columns, tuple(rows))


def capability_picture(results: Results) -> Picture:
    """The matrix as a heat map, each row coloured by itself: kinds differ more than choices do.

    Raises:
        InputError: matplotlib is not installed.
    """
    choices, columns = list(results['scores']), list(results['scenes_of'])
    scores_rc = np.array([[results['scores'][choice].get(column, np.nan) for choice in choices] for column in columns])
    figure = new_figure(2.6 + 1.1 * len(choices), 1.4 + 0.32 * len(columns))
    axes = figure.add_subplot()
    best_r1 = np.nanmax(np.where(np.isfinite(scores_rc), scores_rc, -1.0), axis=1, keepdims=True)
    image = axes.imshow(scores_rc - best_r1, aspect='auto', cmap='viridis', vmin=-0.3, vmax=0.0)
    axes.set_xticks(range(len(choices)), [f'{choice}\n{results["costs"][choice]:.2f}' for choice in choices], fontsize=8)
    axes.set_yticks(range(len(columns)), [f'{column} ({results["scenes_of"][column]})' for column in columns], fontsize=8)
    for row, column in np.argwhere(np.isfinite(scores_rc)):
        weight = 'bold' if scores_rc[row, column] == best_r1[row, 0] else 'normal'
        colour = 'black' if scores_rc[row, column] - best_r1[row, 0] > -0.15 else 'white'
        axes.text(
            column, row, f'{scores_rc[row, column]:.3f}', ha='center', va='center', color=colour, weight=weight, fontsize=8
        )
    axes.set_title('NDS by condition and scenario kind; below each choice its cost', fontsize=9)
    figure.colorbar(image, label='below the best of the row')
    return picture_of(figure, 'capability of the frame experts', 120)


def _cell(results: Results, choice: str, column: str, *, is_best: bool) -> str:
    value = results['scores'][choice].get(column)
    if value is None:
        return '-'
    low, high = results['intervals'][choice][column]
    text = with_interval({'value': value, 'low': low, 'high': high})
    return f'**{text}**' if is_best else text
