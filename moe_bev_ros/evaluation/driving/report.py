"""The page about a suite of closed-loop runs: the worst ones from above, scores by kind, tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from moe_bev_ros.core.footprints import corners_of
from moe_bev_ros.core.objects import Label
from moe_bev_ros.evaluation.driving.closed_loop import NEAR_M
from moe_bev_ros.evaluation.driving.suites import DriveCase
from moe_bev_ros.evaluation.driving.summary import JudgedRun
from moe_bev_ros.evaluation.report import Picture, Report, Table, new_figure, number, picture_of
from moe_bev_ros.world.network import RoadNetwork, Surface

NUM_WORST = 12
NUM_LISTED = 40
NOTE = (
    "Scores after nuPlan's closed-loop metrics and weights: no collision at fault, drivable area, driving direction and "
    'making progress are factors; time to collision 5, progress 5, speed limit 4 and comfort 2 are weights. Progress is a '
    'share of that of the IDM planner with true objects and 50 ms latency, 1 where it is more, and so 1 in that row. '
    'Intervals: 95 %, bootstrap over runs. Red lights are counted and not scored.'
)
COLUMNS = (
    'score',
    '95 %',
    'runs',
    'at fault',
    'contacts',
    'off road',
    'red lights',
    'ttc',
    'progress',
    'speed limit',
    'comfort',
)
GROUND = {Surface.ASPHALT: '#d5d8de', Surface.PARKING: '#c6cbd3', Surface.PAVEMENT: '#eceef1'}


def drive_report(title: str, judged: list[JudgedRun], figures: dict[str, Any]) -> Report:
    """The page.

    Args:
        judged: the worst first.
        figures: of `drive_summary.summary`.
    """
    headline = tuple(zip(('score', '95 %', 'runs', 'at fault', 'contacts', 'off road'), _cells(figures)))
    return Report(
        title=title,
        note=NOTE,
        headline=(*headline, ('median latency', f'{figures["latency_ms"]:.0f} ms')),
        worst=tuple(_from_above(item) for item in judged[:NUM_WORST]),
        plots=(_by_kind(figures['per_kind']),),
        tables=(
            _table('By kind', figures['per_kind'], figures),
            _table('By condition', figures['per_condition'], figures),
            _runs(judged[:NUM_LISTED]),
        ),
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    low, high = row['interval']
    counts = (str(row[name]) for name in ('runs', 'collisions_at_fault', 'collisions', 'off_road', 'red_lights'))
    means = (number(row[name]) for name in ('ttc', 'progress', 'speed_limit', 'comfort'))
    return (number(row['score']), f'{low:.3f}..{high:.3f}', *counts, *means)


def _table(title: str, rows: dict[str, dict[str, Any]], whole: dict[str, Any]) -> Table:
    lines = ((name, *_cells(row)) for name, row in (*rows.items(), ('all', whole)))
    return Table(title, ('', *COLUMNS), tuple(lines))


def _runs(judged: list[JudgedRun]) -> Table:
    rows = []
    for item in judged:
        run = item.run
        parts = (
            item.score,
            run.collision_score,
            run.drivable,
            run.direction,
            run.ttc,
            item.progress,
            run.speed_limit,
            run.comfort,
        )
        told = '; '.join((*run.collisions_at_fault, *run.uncomfortable))
        rows.append((f'{run.seed} {run.kind}', run.condition, *(number(part) for part in parts), told))
    columns = (
        'run',
        'condition',
        'score',
        'collisions',
        'drivable',
        'direction',
        'ttc',
        'progress',
        'limit',
        'comfort',
        'what',
    )
    return Table(f'The {len(rows)} worst runs', columns, tuple(rows))


def _by_kind(per_kind: dict[str, dict[str, Any]]) -> Picture:
    figure = new_figure(6.4, 0.3 * len(per_kind) + 1.2)
    axes = figure.subplots()
    scores = np.array([row['score'] for row in per_kind.values()])
    low, high = np.array([row['interval'] for row in per_kind.values()]).T
    errors = np.maximum([scores - low, high - scores], 0.0)
    axes.barh(list(per_kind), scores, xerr=errors, color='#4c78a8', ecolor='#1c2330')
    axes.set_xlim(0.0, 1.0)
    axes.set_xlabel('score, with 95 % interval')
    axes.invert_yaxis()
    return picture_of(figure, 'Score by kind of scenario')


def _from_above(item: JudgedRun) -> Picture:
    run, picture = item.run, item.run.picture
    figure = new_figure(6.4, 6.0)
    axes = figure.subplots()
    _draw_network(axes, DriveCase(run.seed, run.kind, 0.0, run.tracks).scenario().network)
    track_k3 = np.array(picture.track)
    axes.plot(track_k3[:, 0], track_k3[:, 1], color='#e45756', linewidth=1.6)
    for label, *rectangle in picture.others:
        walks = int(label) in (Label.PEDESTRIAN, Label.BICYCLE, Label.MOTORCYCLE)
        _draw_rectangle(axes, rectangle, '#f58518' if walks else '#4c78a8')
    _draw_rectangle(axes, picture.ego, '#e45756')
    x, y = picture.ego[:2]
    axes.set_xlim(x - NEAR_M, x + NEAR_M)
    axes.set_ylim(y - NEAR_M, y + NEAR_M)
    axes.set_aspect('equal')
    axes.set_xlabel('x [m]')
    axes.set_ylabel('y [m]')
    what = '; '.join(run.collisions_at_fault or run.collisions) or 'the end of the run'
    return picture_of(
        figure, f'{item.score:.3f} {run.kind}, {run.condition}, seed {run.seed}, {picture.moment_s:.1f} s: {what}'
    )


def _draw_network(axes: Any, network: RoadNetwork) -> None:
    for area in network.areas:
        outline_n2 = np.asarray(area.outline_n2)
        axes.fill(outline_n2[:, 0], outline_n2[:, 1], color=GROUND.get(area.surface, '#ffffff'))
    for lane in network.graph.lanes.values():
        axes.plot(lane.centre_m3[:, 0], lane.centre_m3[:, 1], color='#9aa3b2', linewidth=0.6, linestyle='--')


def _draw_rectangle(axes: Any, rectangle_5: Any, colour: str) -> None:
    """A footprint, with a line to its front."""
    corners_42 = corners_of(np.array(rectangle_5, float))
    axes.fill(corners_42[:, 0], corners_42[:, 1], facecolor=colour, edgecolor='#1c2330', linewidth=0.6, alpha=0.8)
    x, y = rectangle_5[:2]
    front_2 = corners_42[:2].mean(axis=0)
    axes.plot((x, front_2[0]), (y, front_2[1]), color='#1c2330', linewidth=0.8)
