"""Message definitions for reading and writing bags without ROS' own libraries (rosbags' type store, plus what is installed)."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from moe_bev_ros.core.errors import InputError

OWN_PACKAGE = 'moe_bev_ros'


@functools.cache
def type_store() -> Any:
    """rosbags' type store with ROS 2's common messages; other types are added by `ensure_type` as they are needed."""
    return get_typestore(Stores.ROS2_KILTED)


def ensure_type(type_name: str) -> None:
    """Make ``package/msg/Type`` and everything it refers to known to the type store.

    Raises:
        InputError: no installed package defines the type, or its definition cannot be read.
    """
    store = type_store()
    if type_name in store.fielddefs:
        return
    path = _definition(type_name)
    try:
        types = get_types_from_msg(path.read_text(), type_name)
    except TypesysError as err:
        raise InputError(f'{path}: {err}') from err
    for name in _references(types):
        ensure_type(name)
    store.register(types)


def prefixes() -> list[Path]:
    """Install prefixes that may hold ``share/<package>/msg``, the first one wins."""
    return [Path(prefix) for prefix in (*os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep), sys.prefix) if prefix]


def _definition(type_name: str) -> Path:
    package, _, name = type_name.partition('/msg/')
    for prefix in prefixes():
        path = prefix / 'share' / package / 'msg' / f'{name}.msg'
        if path.is_file():
            return path
    raise InputError(f'{type_name}: no installed package defines it; source the workspace that does')


def _references(types: dict[str, Any]) -> set[str]:
    """Names of the messages that these definitions hold; a field is (name, (kind, detail)) and may be an array of a field."""
    names: set[str] = set()
    for _, fields in types.values():
        pending = [field[1] for field in fields]
        while pending:
            _, detail = pending.pop()
            if isinstance(detail, str):
                names.add(detail)
            elif isinstance(detail[0], tuple):
                pending.append(detail[0])
    return {name for name in names if '/' in name and name not in types}
