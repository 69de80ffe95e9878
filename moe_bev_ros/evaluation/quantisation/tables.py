"""Markdown of a quantisation, from the dict that `quantisation_summary` makes and ``moe-bev quantise --json`` writes."""

from __future__ import annotations

from typing import Any

from moe_bev_ros.evaluation.report import Table, number, with_interval

Summary = dict[str, Any]
COLUMNS = ('network', 'NDS (95 %)', 'mAP', 'difference from FP32', 'loss in the worst condition', 'kB of weights', 'goal')
NUM_LAYERS = 12


def quantisation(files: dict[str, Any]) -> str:
    """The rows, each condition, what training gains, and the layers that round worst."""
    summary = files['quantisation']
    rows = Table('Quantisation', COLUMNS, tuple(_cells(row) for row in summary['rows'])).markdown()
    parts = [_about(summary), rows, _conditions(summary), _gains(summary), _layers(summary)]
    return '\n\n'.join(part for part in parts if part)


def _about(summary: Summary) -> str:
    found = ', '.join(f'{count} {name}' for name, count in summary['calibration'].items())
    missing = summary['missing_conditions']
    trained = f' Trained rows learn from {summary["frames"]} frames, the same for all.' if summary['frames'] else ''
    lacking = f' None of {", ".join(missing)}.' if missing else ''
    size = f' The exported engine takes {summary["engine_bytes"] / 1e6:.2f} MB.' if summary['engine_bytes'] else ''
    return f'{summary["scenes"]} scenes judged. Calibration frames: {found}.{lacking}{trained}{size}'


def _cells(row: Summary) -> tuple[str, ...]:
    met = {True: 'met', False: 'missed', None: ''}[row['met']]
    worst = '' if row['worst_condition'] is None or row['difference'] is None else f'{100 * row["worst_condition"]:.1f} %'
    return (
        row['name'],
        with_interval(row['nds']),
        number(row['mean_ap']['value']),
        with_interval(row['difference']),
        worst,
        number(row['bytes'] / 1e3, 0),
        met,
    )


def _conditions(summary: Summary) -> str:
    names = list(summary['rows'][0]['conditions'])
    if not names:
        return ''
    rows = tuple((row['name'], *(number(row['conditions'][name]['nds']) for name in names)) for row in summary['rows'])
    return Table('', ('NDS by condition', *names), rows).markdown()


def _gains(summary: Summary) -> str:
    gains = summary.get('gains', {})
    rows = tuple((f'{bits}: QAT + VGD above PTQ, NDS', with_interval(gain)) for bits, gain in gains.items())
    return Table('', ('what', 'value (95 %)'), rows).markdown() if rows else ''


def _layers(summary: Summary) -> str:
    worst = sorted(summary['layers'].items(), key=lambda item: min(item[1].values()))[:NUM_LAYERS]
    rows = tuple((name, ', '.join(f'{side} {value:.1f}' for side, value in sides.items())) for name, sides in worst)
    return Table('', ('layers that round worst', 'signal to error [dB]'), rows).markdown() if rows else ''
