"""Markdown of an ablation, from the dict that `ablation_summary` makes and ``moe-bev evaluate ablation --json`` writes."""

from __future__ import annotations

from typing import Any

from moe_bev_ros.evaluation.report import Table, number, with_interval

Summary = dict[str, Any]
COLUMNS = (
    'part',
    'row',
    'NDS (95 %)',
    'difference from the reference',
    'mAP',
    'velocity error [m/s]',
    'minADE moving [m]',
    'hidden recall',
    'attention MMAC',
    'memory kB',
    'ms',
    'experts',
    'goal',
)
ROUTER_COLUMNS = {
    'load_entropy': 'load entropy',
    'max_violation': 'MaxVio',
    'filled_slots': 'filled slots',
    'served_object_patches': 'served object patches',
}


def ablation(files: dict[str, Any]) -> str:
    """The rows, what they say together, and the router by condition."""
    summary = files['ablation']
    rows = Table('Ablation', COLUMNS, tuple(_cells(row) for row in summary['rows'])).markdown()
    return f'{_about(summary)}\n\n{rows}\n\n{_figures(summary)}\n\n{_routers(summary)}'


def _about(summary: Summary) -> str:
    plan, seeds = summary['plan'], max(len(row['seeds']) for row in summary['rows'])
    return (
        f'Profile {summary["profile"]}, {summary["scenes"]} scenes. All rows begin with one dense network after '
        f'{plan["first_frames"]} frames of {plan["train_scenes"]} scenes and learn from {plan["frames"]} more; '
        f'{"one seed" if seeds == 1 else f"up to {seeds} seeds"}.'
    )


def _cells(row: Summary) -> tuple[str, ...]:
    low, high = row['interval']
    met = {True: ': met', False: ': missed', None: ''}[row['met']]
    return (
        row['part'],
        row['name'],
        with_interval({'value': row['nds'], 'low': low, 'high': high}),
        with_interval(row['difference']),
        *(number(row[name]) for name in ('map', 'velocity_error', 'min_ade', 'hidden_recall')),
        number(row['attention_macs'] / 1e6, 1),
        number(row['bytes'] / 1e3, 0),
        number(row['ms'], 1),
        number(row['mean_active_experts'], 2),
        f'{row["goal"]}{met}',
    )


def _figures(summary: Summary) -> str:
    macs = {row['name']: row['attention_macs'] for row in summary['rows']}
    share = macs['reference'] / macs['dense attention'] if 'dense attention' in macs else None
    kept = next((row['kept'] for row in summary['rows'] if row['kept']), None)
    rows = [
        ('attention MACs, share of dense', number(share)),
        ('NDS, share of that of dense attention', with_interval(kept)),
        ('share of the time that routing takes', number(summary['routing_share'], 4)),
        ('frame experts that run with the dispatcher', number(summary['mean_active_experts'], 2)),
        ('memory, share of 30 stacked maps in FP16', number(summary['memory_bytes_ratio'], 4)),
    ]
    rows += [
        (f'less {name.replace("_", " ")} than the best other memory ({gain["best"]})', with_interval(gain))
        for name, gain in summary['memory_gain'].items()
    ]
    return Table('', ('what', 'value (95 %)'), tuple(rows)).markdown()


def _routers(summary: Summary) -> str:
    rows = [
        (name or 'all', *(number(measures[key]) for key in ROUTER_COLUMNS)) for name, measures in summary['routers'].items()
    ]
    rows.append(('worst', *(number(summary[key]) for key in ROUTER_COLUMNS)))
    return Table('', ('router by condition', *ROUTER_COLUMNS.values()), tuple(rows)).markdown()
