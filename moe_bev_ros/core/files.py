"""Text files that are whole or not there: written beside their place, then moved to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
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


def disk_error(err: OSError, path: Path) -> InputError:
    """What a full or missing disk says of a file that was to be written."""
    return InputError(f'{path}: {err.strerror or err}; make room or give another place, then the same command')
