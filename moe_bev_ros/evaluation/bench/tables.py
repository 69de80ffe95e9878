"""What ``moe-bev bench`` shows: tables, Markdown for RESULTS.md and pictures, from the dicts that it also writes as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moe_bev_ros.evaluation.bench import graph as bench_graph
from moe_bev_ros.evaluation.bench.network import GOALS, LIMIT_GOAL, MOST
from moe_bev_ros.evaluation.bench.rounds import AFTER, BEFORE
from moe_bev_ros.evaluation.report import Picture, Table, new_figure, number, picture_of

Results = Mapping[str, Any]
SUMS = {'network': 'network', 'convolution': 'of it convolutions', 'pre_post': 'before and after it', 'step': 'all'}
GROUPS = {'pre_post': 'before and after', 'convolution': 'convolutions', 'other': 'the rest of the network'}


def network_tables(results: Results) -> list[Table]:
    """Sums by engine, their stages, ratios with their goals, and rates."""
    return [_sums(results), _stages(results), _ratios(results), _rates(results)]


def network_note(results: Results) -> str:
    """How it was measured."""
    machine = results['machine']
    versions = ', '.join(f'{name} {machine[name]}' for name in ('torch', 'onnxruntime', 'openvino') if machine[name])
    thrown = results['thrown_away']
    said = (
        f'{len(thrown)} thrown away (others used up to {max(thrown):.0%} of the processors)' if thrown else 'none thrown away'
    )
    where = f'{results["threads"]} threads of {machine["cores"]} cores ({machine["processor"]}), {versions}'
    return (
        f'Profile {results["profile"]}, {where}. {results["rounds"]} rounds, {said}; beside the median round others used '
        f'{results["foreign"]:.0%}. Frame expert: {" + ".join(results["frame_experts"])}. Median ms, least in parentheses.'
    )


def network_markdown(files: Results) -> str:
    """The block of RESULTS.md."""
    return '\n\n'.join(
        f'{network_note(results)}\n\n' + '\n\n'.join(table.markdown() for table in network_tables(results))
        for results in files.values()
    )


def network_picture(results: Results) -> Picture:
    """Stacked bars: where each engine's time goes."""
    rows = [row for row in results['rows'] if row['ms']][::-1]
    figure = new_figure(8.0, 1.2 + 0.34 * len(rows))
    axes = figure.subplots()
    left = [0.0] * len(rows)
    for key, title in GROUPS.items():
        widths = [_group(row['ms'], key) for row in rows]
        axes.barh([row['name'] for row in rows], widths, left=left, label=title)
        left = [start + width for start, width in zip(left, widths)]
    for index, end in enumerate(left):
        axes.text(end, index, f' {end:.0f}', va='center', fontsize=8)
    axes.set_xlabel('median ms a frame')
    axes.margins(x=0.08)
    axes.legend(loc='lower right')
    title = f'{results["profile"]}, {results["threads"]} threads, {results["machine"]["processor"]}'
    axes.set_title(title, fontsize=9)
    return picture_of(figure, title, 120)


def cost_tables(results: Results) -> list[Table]:
    """One a sweep, and one of the slopes."""
    return [_slopes(results), *(_sweep(sweep) for sweep in results['sweeps'].values())]


def cost_markdown(files: Results) -> str:
    """The block of RESULTS.md."""
    results = files['bench_cost']
    how = f'{results["engine"]}, {results["threads"]} threads, {results["rounds"]} rounds'
    about = f'Around {results["profile"]}, {how}; median ms.'
    return '\n\n'.join([about, *(table.markdown() for table in cost_tables(results))])


def cost_picture(results: Results) -> Picture:
    """A plot a sweep, with its line and its bend."""
    sweeps = results['sweeps']
    figure = new_figure(3.2 * len(sweeps), 3.0)
    for axes, sweep in zip(figure.subplots(1, len(sweeps), squeeze=False)[0], sweeps.values()):
        counts = [row['count'] for row in sweep['rows']]
        for key, title in (('step_ms', 'frame'), ('network_ms', 'network')):
            axes.plot(counts, [row[key] for row in sweep['rows']], 'o-', label=title, markersize=4)
        line = [sweep['offset_ms'] + sweep['slope_ms'] * count / sweep['per'] for count in counts]
        axes.plot(counts, line, ':', color='grey', label='one line')
        if sweep['bend'] is not None:
            axes.axvline(sweep['bend']['at'], color='grey', linewidth=0.7)
        axes.set_xlabel(sweep['axis'])
        axes.set_ylim(bottom=0.0)
    figure.axes[0].set_ylabel('median ms')
    figure.axes[0].legend(fontsize=7)
    return picture_of(figure, f'{results["profile"]}, {results["engine"]}, {results["threads"]} threads', 110)


def graph_tables(results: Results) -> list[Table]:
    """The rows, and where the time of a frame went in each."""
    return [_graph_rows(results), _graph_stages(results)]


def graph_markdown(files: Results) -> str:
    """The block of RESULTS.md: a file a set of engines."""
    return '\n\n'.join(
        f'Engine {results["engine"]}, precision {results["precision"]}, {results["machine"]["processor"]}:\n\n'
        + '\n\n'.join(table.markdown() for table in graph_tables(results))
        for results in files.values()
    )


def graph_line(one: Results) -> str:
    """A row in words."""
    p50, p99 = (number(bench_graph.total_ms(one, key), 1) for key in ('p50', 'p99'))
    return (
        f'p50 {p50}, p99 {p99} ms; frames in {one["frames_in"]}, out {one["frames_out"]}, '
        f'dropped by policy {one["dropped_by_policy"]}, lost {one["frames_lost"]}; others used {one["foreign"]:.0%}'
    )


def _graph_rows(results: Results) -> Table:
    columns = ('row', 'p50 ms', 'p99 ms', 'max ms', 'frames in / out / dropped / lost', 'frame experts', 'others used')
    rows = []
    for one in results['rows']:
        times = (number(bench_graph.total_ms(one, key), 1) for key in ('p50', 'p99', 'max'))
        frames = ' / '.join(str(one[key]) for key in bench_graph.COUNTED[:4])
        experts = ', '.join(f'{name} {share:.0%}' for name, share in one['experts'].items())
        ratio = number(results['dense_over'].get(one['name']), 2)
        rows.append((one['name'], *times, frames, experts, f'{one["foreign"]:.0%}', ratio, bench_graph.verdict(one)))
    return Table('Graph', (*columns, 'dense over it', 'goal'), tuple(rows))


def _graph_stages(results: Results) -> Table:
    rows = results['rows']
    stages = list(dict.fromkeys(stage for one in rows for stage in one['latency_ms']))
    cells = []
    for stage in stages:
        times = (one['latency_ms'].get(stage) for one in rows)
        cells.append((stage, *('-' if ms is None else f'{ms["p50"]:.1f} / {ms["p99"]:.1f}' for ms in times)))
    return Table('Stages', ('stage, p50 / p99 ms', *(one['name'] for one in rows)), tuple(cells))


def _slopes(results: Results) -> Table:
    rows = []
    for name, sweep in results['sweeps'].items():
        found = sweep['bend']
        text = 'nowhere' if found is None else f'at {found["at"]:g}: {found["before"]:.2f} before, {found["after"]:.2f} after'
        rows.append(
            (name, f'{sweep["slope_ms"]:.2f} per {sweep["per"]:g} {sweep["axis"]}', number(sweep['offset_ms'], 1), text)
        )
    return Table('Slopes', ('sweep', 'slope [ms]', 'at 0 [ms]', 'bends'), tuple(rows))


def _sweep(sweep: Results) -> Table:
    keys = ('step_ms', 'least_ms', 'network_ms', 'pre_post_ms')
    rows = [(f'{row["count"]:,}', *(number(float(row[key]), 1) for key in keys)) for row in sweep['rows']]
    return Table(sweep['axis'], (sweep['axis'], 'frame', 'least', 'network', 'before and after it'), tuple(rows))


def _group(ms: Results, key: str) -> float:
    if key == 'other':
        return float(ms['network']['median'] - ms['convolution']['median'])
    return float(ms[key]['median'])


def _sums(results: Results) -> Table:
    rows = [(row['name'], *(_times(row, key) for key in SUMS), row['error']) for row in results['rows']]
    return Table('Engines', ('engine', *SUMS.values(), ''), tuple(rows))


def _stages(results: Results) -> Table:
    rows = [row for row in results['rows'] if row['ms']]
    stages = list(dict.fromkeys(stage for row in rows for stage in row['ms'] if stage not in SUMS))
    ordered = [name for name in stages if name in BEFORE] + [name for name in stages if name not in (*BEFORE, *AFTER)]
    ordered += [name for name in stages if name in AFTER]
    cells = tuple((row['name'], *(_times(row, stage) for stage in ordered)) for row in rows)
    return Table('Stages', ('engine', *ordered), cells)


def _times(row: Results, key: str) -> str:
    times = row['ms'].get(key)
    return '-' if times is None else f'{times["median"]:.1f} ({times["min"]:.1f})'


def _ratios(results: Results) -> Table:
    rows = [_ratio_row(name, one) for name, one in results['ratio_details'].items()]
    share = results['share_of_int8_limit']
    if share is not None:
        verdict = _verdict(share >= LIMIT_GOAL)
        rows.append(('share of the INT8 limit', results['fastest_int8'], number(share, 3), '', '', f'>= {LIMIT_GOAL}', verdict))
    for name, outside in results['share_outside_int8'].items():
        rows.append(('share of time outside INT8 (traced)', name, number(outside, 3), '', '', '', ''))
    return Table('Ratios', ('ratio', 'of', 'median', 'least round', 'of least times', 'goal', ''), tuple(rows))


def _ratio_row(name: str, one: Results) -> tuple[str, ...]:
    values = tuple(number(one[key], 2) for key in ('median', 'minimum', 'of_minima'))
    flag = '' if one['agrees'] else '; DISAGREE by more than 15 %'
    if name in MOST:
        return name, one['of'], *values, f'<= {MOST[name]}', _verdict(one['median'] <= MOST[name]) + flag
    return name, one['of'], *values, f'>= {GOALS[name]}', _verdict(one['median'] >= GOALS[name]) + flag


def _verdict(met: bool) -> str:
    return 'met' if met else 'missed'


def _rates(results: Results) -> Table:
    rows = [(name, number(rate, 0)) for name, rate in results['rates_gops'].items()]
    if results['share_of_int8_limit'] is not None:
        rows.append((f'the whole network, {results["fastest_int8"]}', number(results['int8_gops'], 0)))
    return Table('Rates', ('what this machine computed in the same run', '10^9 operations/s'), tuple(rows))
