"""Runs a suite in several processes. Every finished run is one line of JSON in a folder, and is not driven again.

A file belongs to one row (engine, planner, controller, latency), one set of cases and one state of the code that drives and
judges; after any change a new file begins. The reference runs that progress is compared with are a row like any other:
REFERENCE, the stack's own planner with true objects and their default latency.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import moe_bev_ros
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.worker_processes import check_stopped, run_jobs
from moe_bev_ros.evaluation.driving.closed_loop import RunRecord, run_case, warm_up
from moe_bev_ros.evaluation.driving.suites import DriveCase, DriveRow

REFERENCE = DriveRow()
CODE = ('core', 'perception', 'engine', 'planning', 'control', 'world')  # and these files of evaluation/driving
JUDGE = ('closed_loop.py', 'area.py', 'scores.py')


@dataclass(frozen=True)
class DrivenSuite:
    """All runs of a row, in the order of the cases, and how far the reference came in each."""

    runs: tuple[RunRecord, ...]
    reference_m: tuple[float, ...]


class RunFile:
    """Finished runs of one row, a line each. What a crash left of a last line is cut off.

    Raises:
        InputError: the folder cannot be written, or another line than the last is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.records = path, dict[tuple[int, str, float], RunRecord]()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            content = path.read_bytes() if path.exists() else b''
            whole = content[: content.rfind(b'\n') + 1]
            if whole != content:
                os.truncate(path, len(whole))
        except OSError as err:
            raise InputError(f'{path}: cannot be used ({err.strerror}); give another --out') from err
        for number, line in enumerate(whole.splitlines(), start=1):
            case, record = _read_line(line, f'{path}:{number}')
            self.records[case] = record

    def add(self, case: DriveCase, record: RunRecord) -> None:
        """Keep a run; a full disk leaves the file as it was.

        Raises:
            InputError: it cannot be written.
        """
        line = json.dumps({'case': _key(case), 'run': record.to_json()}) + '\n'
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open('ab') as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as err:
            os.truncate(self.path, size)
            raise InputError(f'{self.path}: cannot be written ({err.strerror}); make room, and the same command again') from err
        self.records[_key(case)] = record


def drive_suite(
    cases: tuple[DriveCase, ...],
    row: DriveRow,
    out_dir: Path,
    workers: int,
    progress: Callable[[int, int], object],
) -> DrivenSuite:
    """Drive what is not driven yet.

    Args:
        out_dir: where the runs are kept.
        progress: told how many runs are finished, of how many, those of the reference included.
    """
    files = {each: RunFile(out_dir / f'{file_name(each)}.jsonl') for each in (row, REFERENCE)}
    jobs = [(case, each) for case in cases for each, file in files.items() if _key(case) not in file.records]
    total, done = len(cases) * len(files), len(cases) * len(files) - len(jobs)
    progress(done, total)
    for case, each, record in _driven(jobs, workers):
        files[each].add(case, record)
        done += 1
        progress(done, total)
    reference_m = tuple(files[REFERENCE].records[_key(case)].progress_m for case in cases)
    return DrivenSuite(tuple(files[row].records[_key(case)] for case in cases), reference_m)


def file_name(row: DriveRow) -> str:
    """Of a row's runs under the present code."""
    latency = 'measured' if row.latency_ms is None else f'{row.latency_ms:g}ms'
    return f'{row.engine}-{row.planner}-{row.controller}-{latency}-{code_digest()}'


@cache
def code_digest() -> str:
    """Short hash of all sources that a run depends on."""
    root, digest = Path(moe_bev_ros.__file__).parent, hashlib.sha256()
    paths = [path for room in CODE for path in (root / room).glob('**/*.py')] + [
        root / 'evaluation' / 'driving' / name for name in JUDGE
    ]
    for path in sorted(paths):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _driven(jobs: list[tuple[DriveCase, DriveRow]], workers: int) -> Iterator[tuple[DriveCase, DriveRow, RunRecord]]:
    if workers > 1:
        yield from run_jobs(_work, jobs, workers)
    else:
        yield from map(_work, jobs)


def _work(job: tuple[DriveCase, DriveRow]) -> tuple[DriveCase, DriveRow, RunRecord]:
    check_stopped()
    case, row = job
    if row.latency_ms is None:
        _warm(row)
    return case, row, run_case(case, row)


@cache
def _warm(row: DriveRow) -> None:
    warm_up(row)


def _read_line(line: bytes, place: str) -> tuple[tuple[int, str, float], RunRecord]:
    try:
        values = json.loads(line)
        return tuple(values['case']), RunRecord.from_json(values['run'])
    except (ValueError, KeyError, TypeError) as err:
        fact = f'{place}: not a run ({type(err).__name__}: {err})'
        raise InputError(f'{fact}; remove this line, and the same command drives that run again') from err


def _key(case: DriveCase) -> tuple[int, str, float]:
    return case.seed, case.kind, case.duration_s
