"""A node's parameters are one frozen dataclass; this module declares, reads and checks it.

A field is made with ``param(default, 'what it is [unit]', low=…, high=…, read_only=…)``. Values come from the parameter file,
are checked against the range by rclpy, and by the dataclass' own ``__post_init__`` for what spans several fields. A change at
run time builds a new dataclass, so that a node never sees half of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from moe_bev_ros.core.errors import InputError

T = TypeVar('T')


def param(
    default: Any, description: str, *, low: float | None = None, high: float | None = None, read_only: bool = False
) -> Any:
    """Describe one parameter. ``default`` is bool, int, float, str, or a tuple of one of these (never of mixed types).

    An empty tuple needs its type: give ``('',)[:0]``-like defaults through the annotation ``tuple[str, ...]``.
    """
    metadata = {'description': description, 'low': low, 'high': high, 'read_only': read_only}
    return dataclasses.field(default=default, metadata=metadata)


def num_threads_param(what: str = 'it computes with', *, default: int = 1, high: int = 64) -> Any:
    """The parameter ``num_threads``, which every node that computes has; its ``setup`` hands it to `runtime.threads`."""
    return param(default, f'threads that {what}', low=1, high=high, read_only=True)


def declare(node: Node, params_type: type[T]) -> T:
    """Declare every field of ``params_type`` on the node and return the values that are in force.

    Raises:
        InputError: a value is out of range, of the wrong type, or refused by the dataclass.
    """
    for field in dataclasses.fields(params_type):  # type: ignore[arg-type]
        descriptor = _descriptor(field)
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        value: Any = _ARRAY_TYPES[str(field.type)] if default == [] else default
        try:
            node.declare_parameter(field.name, value, descriptor)
        except (InvalidParameterValueException, InvalidParameterTypeException) as err:
            raise InputError(f'parameter {field.name}: {err}; {_allowed(field)}') from err
    return read(node, params_type)


def read(node: Node, params_type: type[T], changed: dict[str, Any] | None = None) -> T:
    """Build the dataclass from the node's parameters, ``changed`` laid over them.

    Raises:
        InputError: the dataclass refuses the values.
    """
    values = {}
    for field in dataclasses.fields(params_type):  # type: ignore[arg-type]
        value = node.get_parameter_or(field.name, Parameter(field.name)).value
        value = (changed or {}).get(field.name, value)
        if isinstance(field.default, tuple):
            value = tuple(value) if value is not None else ()
        values[field.name] = value
    try:
        return params_type(**values)
    except ValueError as err:
        raise InputError(f'parameters: {err}') from err


def on_change(node: Node, params_type: type[T], accept: Callable[[T], None]) -> None:
    """Call ``accept`` with a new dataclass whenever parameters change; a refused change leaves the old values in force."""
    names = {field.name for field in dataclasses.fields(params_type)}  # type: ignore[arg-type]

    def check(parameters: list[Parameter[Any]]) -> SetParametersResult:
        changed = {parameter.name: parameter.value for parameter in parameters if parameter.name in names}
        if not changed:
            return SetParametersResult(successful=True)
        try:
            accept(read(node, params_type, changed))
        except ValueError as err:
            return SetParametersResult(successful=False, reason=str(err))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


_ARRAY_TYPES = {
    'tuple[str, ...]': Parameter.Type.STRING_ARRAY,
    'tuple[int, ...]': Parameter.Type.INTEGER_ARRAY,
    'tuple[float, ...]': Parameter.Type.DOUBLE_ARRAY,
    'tuple[bool, ...]': Parameter.Type.BOOL_ARRAY,
}


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    low, high = field.metadata['low'], field.metadata['high']
    descriptor = ParameterDescriptor(description=field.metadata['description'], read_only=field.metadata['read_only'])
    if low is None and high is None:
        return descriptor
    if isinstance(field.default, int):
        low = -(2**31) if low is None else low
        high = 2**31 - 1 if high is None else high
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
    elif isinstance(field.default, float):
        low = -1e9 if low is None else low
        high = 1e9 if high is None else high
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high))]
    return descriptor


def _allowed(field: dataclasses.Field[Any]) -> str:
    low, high = field.metadata['low'], field.metadata['high']
    limits = '' if low is None and high is None else f' between {low} and {high}'
    return f'wanted {field.type}{limits}: {field.metadata["description"]}'
