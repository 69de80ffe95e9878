"""``moe-bev evaluate drive``: closed loop over a fixed suite of worlds, scored as nuPlan does."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moe_bev_ros.control.controllers import CONTROLLERS
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.evaluation.driving.suites import (
    REPLAY,
    SUITES,
    TRUTH,
    TRUTH_LATENCY_MS,
    DriveCase,
    DriveRow,
    replay_cases,
    suite_cases,
)
from moe_bev_ros.planning.planners import PLANNERS

if TYPE_CHECKING:
    from moe_bev_ros.evaluation.driving.runs import DrivenSuite

MEASURED = 'measured'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What drives, how often, and where the runs are kept."""
    suites = '; '.join(f'{name}: {suite.what}' for name, suite in SUITES.items())
    replay = f'{REPLAY}: the recorded drives of --tracks, with the ego free to drive'
    parser.add_argument('--suite', required=True, metavar='NAME', help=f'{suites}; {replay}')
    parser.add_argument('--tracks', type=Path, nargs='+', metavar='FILE', help=f'recorded drives (.npz) for --suite {REPLAY}')
    parser.add_argument('--engine', default=TRUTH, metavar='NAME', help=f'{TRUTH} (default), {", ".join(ENGINES)}')
    parser.add_argument('--planner', default='idm', metavar='NAME', help=', '.join(PLANNERS))
    parser.add_argument('--controller', default='pure_pursuit', metavar='NAME', help=', '.join(CONTROLLERS))
    parser.add_argument('--runs', type=int, metavar='N', help='only the first N runs of the suite; kinds take turns')
    parser.add_argument(
        '--latency-ms',
        metavar='X',
        help=f'from sensing to command: a number, or {MEASURED} (wall time of engine, tracker and planner here); '
        f'default {TRUTH_LATENCY_MS:g} with {TRUTH}, else {MEASURED}',
    )
    parser.add_argument('--json', type=Path, metavar='F', help='write the figures to this file')
    parser.add_argument(
        '--out', type=Path, default=Path('out/drive'), metavar='DIR', help='finished runs and the page: %(default)s'
    )
    parser.add_argument('--workers', type=int, default=2, metavar='N', help='processes; default %(default)s')


def run(args: argparse.Namespace) -> int:
    """Drive what is not driven yet, print the figures."""
    from moe_bev_ros.evaluation.driving.report import drive_report  # with the world: a second
    from moe_bev_ros.evaluation.driving.runs import file_name
    from moe_bev_ros.evaluation.driving.summary import judge, summary, table
    from moe_bev_ros.evaluation.report import write_report

    cases = _cases(args)
    row = DriveRow(args.engine, args.planner, args.controller, _latency_ms(args.latency_ms, args.engine))
    if args.workers < 1:
        raise InputError(f'{args.workers} workers cannot drive; give 1 or more')
    judged = judge(_drive(cases, row, args))
    figures: dict[str, Any] = {'suite': args.suite, 'row': row.name, **summary(judged)}
    sys.stdout.write(f'{args.suite}: {row.name}\n{table(figures)}\n')
    for item in judged[:5]:
        faults = '; '.join(item.run.collisions_at_fault) or 'no fault'
        sys.stdout.write(f'worst: seed {item.run.seed} {item.run.kind} ({item.run.condition}) {item.score:.3f}: {faults}\n')
    page = args.out / f'{args.suite}-{file_name(row)}.html'
    write_report(page, drive_report(f'{args.suite}: {row.name}', judged, figures))
    sys.stdout.write(f'{page}\n')
    if args.json:
        write_json(args.json, figures)
    return 0


def _cases(args: argparse.Namespace) -> tuple[DriveCase, ...]:
    if args.suite == REPLAY:
        return replay_cases(args.tracks or ())[: args.runs]
    if args.tracks:
        raise InputError(f'--tracks is for --suite {REPLAY}; leave one of them out')
    return suite_cases(args.suite, args.runs)


def _latency_ms(text: str | None, engine: str) -> float | None:
    if text is None:
        return TRUTH_LATENCY_MS if engine == TRUTH else None
    if text == MEASURED:
        return None
    try:
        return float(text)
    except ValueError as err:
        raise InputError(f'--latency-ms {text!r} is neither a number nor {MEASURED}') from err


def _drive(cases: tuple[DriveCase, ...], row: DriveRow, args: argparse.Namespace) -> DrivenSuite:
    from tqdm import tqdm  # of the evaluation extra

    from moe_bev_ros.evaluation.driving.runs import drive_suite

    with tqdm(unit='run') as bar:

        def show(done: int, total: int) -> None:
            bar.total, bar.n = total, done
            bar.refresh()

        return drive_suite(cases, row, args.out, args.workers, show)
