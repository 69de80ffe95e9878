"""Spoils messages: any field of a good message gets a value that its type allows and no driver should send."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message

FLOATS = (math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e-30, 1e7, 3e38, -3e38)
DOUBLES = (*FLOATS, 1e-320, 1e300)
INTEGERS = (0, 1, -1, 2, 3, 77, 255, 65536, 999_999_999, 2**31 - 1, 2**32 - 1, 2**63 - 1)
TEXTS = ('', 'x', 'map', 'base_link', 'rgb8', 'nv12', 'equidistant', 'ä' * 300)
NUM_WAYS = 12


def paths_of(message: Any) -> list[tuple[Any, ...]]:
    """Every field of a message, those of its parts and of the first part of a sequence included."""
    paths: list[tuple[Any, ...]] = []
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        paths.append((name,))
        if hasattr(value, 'get_fields_and_field_types'):
            paths += [(name, *rest) for rest in paths_of(value)]
        elif isinstance(value, list) and value and hasattr(value[0], 'get_fields_and_field_types'):
            paths += [(name, len(value) // 2, *rest) for rest in paths_of(value[len(value) // 2])]
    return paths


def spoiled(message: Any, path: tuple[Any, ...], way: int) -> Any:
    """A copy with one field changed, as it comes out of the middleware."""
    message = copy.deepcopy(message)
    owner = message
    for step in path[:-1]:
        owner = owner[step] if isinstance(step, int) else getattr(owner, step)
    kind = owner.get_fields_and_field_types()[path[-1]]
    setattr(owner, path[-1], _bad_value(getattr(owner, path[-1]), kind, way))
    return deserialize_message(serialize_message(message), type(message))


def _bad_value(value: Any, kind: str, way: int) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return _one_of(FLOATS if kind == 'float' else DOUBLES, way)
    if isinstance(value, int):
        limits = np.iinfo('uint8' if kind in ('octet', 'byte', 'char') else kind)
        return _one_of([number for number in INTEGERS if limits.min <= number <= limits.max], way)
    if isinstance(value, str):
        return _one_of(TEXTS, way)
    return _bad_sequence(value, way) if isinstance(value, (list, array, np.ndarray)) else value


def _one_of(values: Sequence[Any], way: int) -> Any:
    return values[way % len(values)]


def _bad_sequence(value: Any, way: int) -> Any:
    if isinstance(value, np.ndarray):
        result = value.copy()
        result[way % len(result)] = FLOATS[way % len(FLOATS)] if result.dtype.kind == 'f' else 0
        return result
    if way % 4 == 0:
        return value[:0]
    if way % 4 == 1:
        return value[: len(value) // 2]
    if way % 4 == 2:
        return value + value[: max(1, len(value) // 3)]
    if isinstance(value, array) and value.typecode in 'fd' and len(value):
        result = value[:]
        result[way % len(result)] = FLOATS[way % len(FLOATS)]
        return result
    return value[::-1]
