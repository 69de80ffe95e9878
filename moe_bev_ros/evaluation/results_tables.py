"""The blocks of RESULTS.md: Markdown from the JSON files of the commands, by file name without ``.json``.

Keys of the files: those of `perception_judge`, of `drive_summary.summary`, of `tree_statistics` and of the ``--json`` of the
other commands; a key that a block does not show may be there.
"""

from __future__ import annotations

from typing import Any

from moe_bev_ros.evaluation.perception import tables as perception_tables
from moe_bev_ros.evaluation.report import Table, number

Files = dict[str, Any]


def perception(files: Files) -> str:
    """One row an engine and rate."""
    return perception_tables.overview(list(files.values())).markdown()


def perception_classes(files: Files) -> str:
    """One table an engine."""
    return _each(files, perception_tables.by_class)


def perception_metrics(files: Files) -> str:
    """One table an engine."""
    return _each(files, perception_tables.own_metrics)


def perception_strata(files: Files) -> str:
    """One table an engine."""
    return _each(files, perception_tables.strata)


def through_ros(files: Files) -> str:
    """One row an engine that was played through the nodes."""
    columns = ('engine', 'scenes', 'NDS in one process', 'NDS through ROS', 'difference', 'frames in / out / dropped / lost')
    rows = [
        (
            str(results['engine']),
            str(ros['scenes']),
            number(ros['offline_nds'], 4),
            number(ros['nds'], 4),
            f'{ros["nds_difference"]:+.4f}',
            ' / '.join(str(ros['frames'][name]) for name in ('in', 'out', 'dropped_by_policy', 'lost')),
        )
        for results in files.values()
        if (ros := results.get('through_ros'))
    ]
    return Table('Through ROS', columns, tuple(rows)).markdown() if rows else ''


def drive(files: Files) -> str:
    """One row a suite and driver."""
    columns = ('suite', 'driver', *DRIVE_COLUMNS.values())
    rows = [(str(figures['suite']), str(figures['row']), *_drive_cells(figures)) for figures in files.values()]
    return Table('Closed loop', columns, tuple(rows)).markdown()


def drive_kinds(files: Files) -> str:
    """One table a file, a row a kind and condition."""
    parts = []
    for figures in files.values():
        rows = [(name, *_drive_cells(row)) for part in ('per_kind', 'per_condition') for name, row in figures[part].items()]
        table = Table('', ('part', *DRIVE_COLUMNS.values()), tuple(rows))
        parts.append(f'{figures["suite"]}, {figures["row"]}:\n\n{table.markdown()}')
    return '\n\n'.join(parts)


def realism(files: Files) -> str:
    """One row a class, source and distance."""
    columns = ('source', 'class', 'distance', 'boxes', 'ratio of points (95 %)', 'goal')
    rows = [
        (
            str(row['source']),
            str(row['label']),
            f'{row["low_m"]:.0f}-{row["low_m"] + 10:.0f} m',
            str(row['num_boxes']),
            f'{row["ratio"]:.2f} ({row["low"]:.2f}..{row["high"]:.2f})',
            {True: 'met', False: 'missed', None: ''}[row['goal']],
        )
        for row in files['realism']['ratios']
    ]
    return Table('Realism', columns, tuple(rows)).markdown()


def real_frames(files: Files) -> str:
    """One row a frame with cars, then the sums; found as a road user of any class, and as a car."""
    facts = files['real_frames']
    engines = facts['engines']
    columns = ('frame', 'LiDAR', 'cameras', 'cars', *(f'{name}: found / as a car' for name in engines))
    rows = []
    for index, item in enumerate(facts['frames']):
        if item['cars']:
            cells = [_found(figures['frames'][index]) for figures in engines.values()]
            rows.append((item['name'], 'yes' if item['lidar'] else 'no', str(item['cameras']), str(item['cars']), *cells))
    for part, title in (('with_lidar', 'all with LiDAR'), ('cameras_only', 'all without LiDAR')):
        judged = [figures.get(part) for figures in engines.values()]
        if any(judged):
            num = str(next(row['annotated'] for row in judged if row))
            rows.append((f'{title}: recall', '', '', num, *(_shares(row, 'recall', 'recall_as_car') for row in judged)))
            rows.append((f'{title}: precision', '', '', '', *(_shares(row, 'precision') for row in judged)))
    return Table('Real frames', columns, tuple(rows)).markdown()


def world_test(files: Files) -> str:
    """What the frozen split holds."""
    facts = files['world_test']
    rows = [(title, number(facts[name])) for name, title in WORLD_ROWS.items() if name in facts]
    for trait in ('kind', 'condition', 'style'):
        counts = facts.get(f'scenes_per_{trait}', {})
        rows += [(f'scenes by {trait}', ', '.join(f'{name} {count}' for name, count in counts.items()))] if counts else []
    whole = Table('Test split', ('fact', 'value'), tuple(rows)).markdown()
    boxes = [(name, str(count), str(facts['scored_boxes'].get(name, 0))) for name, count in facts['boxes'].items()]
    classes = Table('Boxes', ('class', 'boxes in range', 'with a point'), tuple(boxes)).markdown()
    return f'{whole}\n\n{classes}'


def bench_world(files: Files) -> str:
    """Frames, what they are compared with, and the stages of a frame; frames/s at the least time."""
    rows = []
    for report in files.values():
        whole = [report[name] for name in ('frame', 'baseline') if name in report]
        rows += [(str(row['name']), *_times(row), number(1000.0 / row['ms_min'], 1)) for row in whole]
        rows += [(f'stage {row["name"]}', *_times(row), '') for row in report.get('stages', ())]
    return Table('Speed', ('what', 'min ms', 'median ms', 'frames/s'), tuple(rows)).markdown()


DRIVE_COLUMNS = {
    'runs': 'runs',
    'score': 'score (95 %)',
    'collisions_at_fault': 'collisions at fault',
    'collisions': 'contacts',
    'off_road': 'off road',
    'ttc': 'time to collision',
    'progress': 'progress',
    'speed_limit': 'speed limit',
    'comfort': 'comfort',
    'latency_ms': 'latency ms',
}
WORLD_ROWS = {
    'scenario_hash': 'hash of all scenarios',
    'scenes': 'scenes',
    'frames': 'keyframes',
    'boxes_per_frame': 'boxes in range a frame',
    'scored_boxes_per_frame': 'of them with a point',
    'share_at_most_5_points': 'share with at most 5 points',
    'share_at_most_2_points': 'share with at most 2 points',
    'scored_share_at_most_5_points': 'share with at most 5 points, of boxes with a point',
    'share_below_60_percent_visible': 'share less than 60 % visible',
}


def _each(files: Files, table_of: Any) -> str:
    parts = [f'{results["engine"]}, {results["rate_hz"]:g} Hz:\n\n{table_of(results).markdown()}' for results in files.values()]
    return '\n\n'.join(parts)


def _drive_cells(figures: Any) -> tuple[str, ...]:
    low, high = figures['interval']
    texts = {name: number(figures.get(name)) for name in DRIVE_COLUMNS}
    return tuple({**texts, 'score': f'{figures["score"]:.3f} ({low:.3f}..{high:.3f})'}.values())


def _found(row: Any) -> str:
    return f'{row["found"]} / {row["as_car"]}' if row else '-'


def _shares(row: Any, *names: str) -> str:
    return ' / '.join(number(row[name], 2) for name in names) if row else '-'


def _times(row: Any) -> tuple[str, str]:
    return number(float(row['ms_min']), 2), number(float(row['ms_median']), 2)
