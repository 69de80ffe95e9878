"""Gives back the shared memory of processes that were killed.

Fast DDS takes a segment's full size when a process starts, and removes it when the process ends properly. After a
kill the file stays, a quarter of a gigabyte each time with our profile. A living process holds a lock on the file
``<segment>_el``; where nobody does, the segment is abandoned. (``fastdds shm clean`` does the same, but is not
installed everywhere.)
"""

from __future__ import annotations

import fcntl
import re
import time
from pathlib import Path

SHARED_MEMORY = Path('/dev/shm')
LOCK_NAME = re.compile(r'fastdds_[0-9a-f]{16}_el')
MIN_AGE_S = 5.0  # younger ones may belong to a process that is about to take its lock


def abandoned_segments(folder: Path = SHARED_MEMORY, min_age_s: float = MIN_AGE_S) -> list[Path]:
    """Segments whose process is gone."""
    return [lock.with_name(lock.name.removesuffix('_el')) for lock in _locks(folder, min_age_s) if not _is_held(lock)]


def remove_abandoned_segments(folder: Path = SHARED_MEMORY, min_age_s: float = MIN_AGE_S) -> int:
    """Remove them with their locks; returns the bytes that are free again. Those of other users stay."""
    freed_bytes = 0
    for segment in abandoned_segments(folder, min_age_s):
        freed_bytes += _remove(segment) + _remove(segment.with_name(f'{segment.name}_el'))
    return freed_bytes


def _locks(folder: Path, min_age_s: float) -> list[Path]:
    if not folder.is_dir():
        return []
    oldest = time.time() - min_age_s
    return [path for path in folder.iterdir() if LOCK_NAME.fullmatch(path.name) and _changed_at(path) < oldest]


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # gone meanwhile
        return float('inf')


def _is_held(lock: Path) -> bool:
    try:
        with lock.open('r+') as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, gone, or not ours
        return True
    return False


def _remove(path: Path) -> int:
    try:
        size_bytes = path.stat().st_size
        path.unlink()
    except OSError:
        return 0
    return size_bytes
