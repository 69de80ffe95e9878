"""Files and folders that are whole or not there: written beside their place, then moved to it."""

from __future__ import annotations

import errno
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from moe_bev_ros.core.errors import InputError


def write_json(path: Path, content: Any) -> None:
    """Write a value as JSON; see `write_text`."""
    write_text(path, json.dumps(content, indent=2) + '\n')


def write_text(path: Path, text: str) -> None:
    """Write a file, and its folder where there is none; a reader never sees half of it.

    Raises:
        InputError: it cannot be written; what was there stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise disk_error(err, path) from err
    write_texts({path: text})


def write_texts(texts: Mapping[Path, str]) -> None:
    """Write several files; where the disk is too small for all of them, none is changed.

    Raises:
        InputError: a file cannot be written.
    """
    temporary = {path: path.with_name(f'{path.name}.tmp') for path in texts}
    path = Path()
    try:
        for path, text in texts.items():
            temporary[path].write_text(text)
        for path in texts:
            temporary[path].replace(path)
    except OSError as err:
        for other in temporary.values():
            with suppress(OSError):
                other.unlink(missing_ok=True)
        raise disk_error(err, path) from err


@contextmanager
def whole_folder(folder: Path, marker: str, *, replaces: bool = True) -> Iterator[Path]:
    """A new folder to be filled, which takes the place of ``folder`` when the block ends well.

    Args:
        marker: a file that every such folder holds; another folder, unless it is empty, is not touched.
        replaces: False: where another process was first, its folder stays.

    Raises:
        InputError: there is another folder, or it cannot be written; what was there stays.
    """
    if folder.exists() and not (folder / marker).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(f'{folder}: is there, and lacks {marker}; give a new folder')
    temporary = folder.with_name(f'.{folder.name}.{uuid.uuid4().hex}')
    try:
        temporary.mkdir(parents=True)
        yield temporary
        _take_place(temporary, folder, replaces=replaces)
    except OSError as err:
        raise disk_error(err, folder) from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_place(temporary: Path, folder: Path, *, replaces: bool) -> None:
    before = folder.with_name(f'{temporary.name}.before')
    if replaces and folder.exists():
        folder.rename(before)
    try:
        temporary.rename(folder)
    except OSError as err:
        if before.exists():
            before.rename(folder)
        if replaces or err.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    shutil.rmtree(before, ignore_errors=True)


def disk_error(err: OSError, path: Path) -> InputError:
    """What a full or missing disk says of a file that was to be written."""
    return InputError(f'{path}: {err.strerror or err}; make room or give another place, then the same command')
