"""Holds every operator of an ONNX graph, with its types and shapes, against a table of what a device takes.

The tables (operator_tables/*.json) are data with addresses and versions. An entry of an operator says:

    types       of the inputs (those in ``typed``, else all)
    type        {input: types} of single inputs
    rank        of the first input
    attribute   {name: values that it may have}
    range       {name: least and largest value of a number or of each in a list}
    constant    inputs that must be constants
    zero, positive   inputs whose values must all be so
    below       {input: bound that its values must stay under}
    scales      {input: least and largest} of a resize, whole, with 1 for batch and channels
    outputs     how many may be used

and the table itself ``opsets``, ``largest_rank``, ``largest_volume``, ``largest_batch``, ``largest_side``. What has no entry is
not taken; operators whose restrictions none of these can tell are left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from moe_bev_ros.engine.onnx_folding import TensorType, constants_of, opset_of, tensor_types

TABLES = Path(__file__).parent / 'operator_tables'
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class OperatorTable:
    """What a device takes.

    Attributes:
        sources: address by version, and what was read there.
        limits: of all operators.
        operators: entry by name.
    """

    device: str
    version: str
    sources: Mapping[str, str]
    operators: Mapping[str, Entry]
    limits: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = {name for entry in self.operators.values() for name in entry} - {'types', 'typed', *RULES}
        if unknown:
            raise ValueError(f'{self.device}: no rule for {", ".join(sorted(unknown))}; add one to RULES')


@dataclass(frozen=True)
class Problem:
    """Why a node cannot run there."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        return f'{self.operator} {self.node}: {self.reason}'


def load_table(name: str) -> OperatorTable:
    """One of operator_tables/: tensorrt_gpu or tensorrt_dla."""
    content = json.loads((TABLES / f'{name}.json').read_text())
    heads = {key: content.pop(key) for key in ('device', 'version', 'sources', 'operators')}
    return OperatorTable(**heads, limits=content)


def check_operators(model: Any, table: OperatorTable) -> list[Problem]:
    """What the device does not take of a folded graph; nothing: it takes it all."""
    facts = _Facts(tensor_types(model), constants_of(model))
    least, largest = table.limits['opsets']
    opset = opset_of(model)
    problems = [] if least <= opset <= largest else [Problem('graph', 'opset', f'{opset} is not in {least}..{largest}')]
    for index, node in enumerate(model.graph.node):
        name = node.name or f'#{index}'
        problems += [Problem(name, node.op_type, reason) for reason in _reasons(node, table, facts)]
    return problems


UNKNOWN = TensorType(0, None)  # of what comes out of an operator that nobody knows


@dataclass(frozen=True)
class _Facts:
    types: Mapping[str, TensorType]
    constants: Mapping[str, NDArray[Any]]

    def of(self, name: str) -> TensorType:
        return self.types.get(name, UNKNOWN)


def _reasons(node: Any, table: OperatorTable, facts: _Facts) -> Iterator[str]:
    entry = table.operators.get(node.op_type)
    if entry is None or node.domain not in ('', 'ai.onnx'):
        yield 'not taken'
        return
    yield from _wrong_types(node, entry, facts)
    yield from _wrong_sizes(node, table.limits, facts)
    for rule, check in RULES.items():
        if rule in entry:
            yield from check(node, entry[rule], facts)


def _wrong_types(node: Any, entry: Entry, facts: _Facts) -> Iterator[str]:
    allowed = entry['types'].split()
    for index, name in enumerate(node.input):
        if name and index in entry.get('typed', range(len(node.input))) and facts.of(name).name not in allowed:
            yield f'input {index} is {facts.of(name).name}, not {" or ".join(allowed)}'


def _wrong_sizes(node: Any, limits: Mapping[str, Any], facts: _Facts) -> Iterator[str]:
    for name in (*node.input, *node.output):
        shape = facts.of(name).shape if name else ()
        if shape is None:
            yield f'{name} has no fixed shape'
            continue
        if len(shape) > limits.get('largest_rank', len(shape)):
            yield f'{name} has {len(shape)} dimensions'
        if math.prod(shape) > limits.get('largest_volume', math.inf):
            yield f'{name} has {math.prod(shape)} values'
        batch, sides = math.prod(shape[:-3]), shape[-3:]
        if batch > limits.get('largest_batch', batch) or any(side > limits.get('largest_side', side) for side in sides):
            yield f'{name} of {" x ".join(map(str, shape))} is too large'


# Rules -----------------------------------------------------------------------------------------------------------------


def _rank(node: Any, ranks: list[int], facts: _Facts) -> Iterator[str]:
    shape = facts.of(node.input[0]).shape
    if shape is not None and len(shape) not in ranks:
        yield f'input has {len(shape)} dimensions, not {" or ".join(map(str, ranks))}'


def _type(node: Any, types: Mapping[str, list[str]], facts: _Facts) -> Iterator[str]:
    for index, name in _inputs(node, types):
        if facts.of(name).name not in types[index]:
            yield f'input {index} is {facts.of(name).name}, not {" or ".join(types[index])}'


def _attribute(node: Any, allowed: Mapping[str, list[Any]], _: _Facts) -> Iterator[str]:
    for name, values in _attributes(node).items():
        if name in allowed and any(value not in allowed[name] for value in values):
            yield f'{name} is {values}, not of {allowed[name]}'


def _range(node: Any, bounds: Mapping[str, list[int]], _: _Facts) -> Iterator[str]:
    for name, values in _attributes(node).items():
        if name in bounds and not all(bounds[name][0] <= value <= bounds[name][1] for value in values):
            yield f'{name} is {values}, not in {bounds[name][0]}..{bounds[name][1]}'


def _constant(node: Any, inputs: list[int], facts: _Facts) -> Iterator[str]:
    for index, name in _inputs(node, inputs):
        if name not in facts.constants:
            yield f'input {index} is no constant'


def _zero(node: Any, inputs: list[int], facts: _Facts) -> Iterator[str]:
    yield from _values(node, inputs, facts, 'zero', lambda values, _: bool((values == 0).all()))


def _positive(node: Any, inputs: list[int], facts: _Facts) -> Iterator[str]:
    yield from _values(node, inputs, facts, 'above zero', lambda values, _: bool((values > 0).all()))


def _below(node: Any, bounds: Mapping[str, int], facts: _Facts) -> Iterator[str]:
    text = f'below {" ".join(map(str, bounds.values()))}'
    yield from _values(node, bounds, facts, text, lambda values, index: bool((values < bounds[index]).all()))


def _scales(node: Any, bounds: Mapping[str, list[int]], facts: _Facts) -> Iterator[str]:
    def fits(values: NDArray[Any], index: str) -> bool:
        least, largest = bounds[index]
        whole = bool((values == np.round(values)).all() and (values >= least).all() and (values <= largest).all())
        return values.size == 4 and whole and bool((values[:2] == 1).all())

    text = f'1, 1 and two whole numbers in {" ".join(map(str, bounds.values()))}'
    yield from _values(node, bounds, facts, text, fits)


def _outputs(node: Any, count: int, _: _Facts) -> Iterator[str]:
    if len([name for name in node.output if name]) > count:
        yield f'{len(node.output)} outputs are used, not {count}'


def _values(node: Any, inputs: Any, facts: _Facts, wanted: str, fits: Callable[[NDArray[Any], Any], bool]) -> Iterator[str]:
    for index, name in _inputs(node, inputs):
        if name not in facts.constants:
            yield f'input {index} is no constant'
        elif not fits(facts.constants[name], index):
            yield f'input {index} is not {wanted}'


RULES: Mapping[str, Callable[[Any, Any, _Facts], Iterator[str]]] = {
    'rank': _rank,
    'type': _type,
    'attribute': _attribute,
    'range': _range,
    'constant': _constant,
    'zero': _zero,
    'positive': _positive,
    'below': _below,
    'scales': _scales,
    'outputs': _outputs,
}


def _inputs(node: Any, indices: Any) -> Iterator[tuple[Any, str]]:
    """Those of these inputs that are given."""
    for index in indices:
        if int(index) < len(node.input) and node.input[int(index)]:
            yield index, node.input[int(index)]


def _attributes(node: Any) -> dict[str, list[Any]]:
    """Values by name; one value is a list of one, texts are decoded."""
    found = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        values = list(value) if isinstance(value, (list, tuple)) else [value]
        found[attribute.name] = [part.decode() if isinstance(part, bytes) else part for part in values]
    return found
