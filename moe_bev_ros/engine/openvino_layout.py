"""A sub-engine's graph with the channels of its maps innermost, from where they come in to where they go out.

OpenVINO's convolutions keep channels innermost on the CPU. Turning one map of 64 channels over takes it as long as a
convolution in INT8, and it does so wherever a map comes in or goes out as (1, C, H, W), or is read by anything else. So maps go
from one sub-engine to the next as rows, and what else reads one or makes one is moved to the side of the rows: padding,
joining, sums, and of course what turns a map into rows itself. The memory's maps are rows, too, though its reading has to turn
them over to sample them: its writing, which did that four times, gains more. With INT8 in one thread this takes the camera
attention from 3.9 ms to 2.6, reading the memory from 5.7 to 4.9, patch experts from 7.7 to 7.0, and writing the memory from 3.0
to 1.6; the answers are the same to the last bit.

What did not do: moving what quantises a map to the side of its rows saves another turn in experts and heads, but OpenVINO
2026.4 then loses its scale in memory_read and memory_write, and answers something else; it moves some of it itself. One
convolution for all that is said of a cell, of 16 and of 23 channels: taking its map apart takes as long as is saved.

`openvino_runtime` imports this, and has to be imported first: it sees to it that OpenVINO reports nothing.
"""

from __future__ import annotations

import numpy as np
import openvino
from openvino import opset13 as operations

# (N, C, H, W), as (N, H W, C). Not heat and road, which are searched map by map once they are out.
BOX_MAPS = {'attributes', 'boxes', 'forecast', 'log_sigma'}
STATE_MAPS = {'static', 'semi', 'moved_static', 'moved_semi', 'moved_static_now', 'moved_semi_now', 'next_static', 'next_semi'}
INNER_MAPS = BOX_MAPS | {
    'camera_map',
    'coarse',
    'features',
    'fine',
    'lidar_fine',
    'lidar_map',
    'merged',
    'mixed',
    'now',
    'prior',
}
INNER_MAPS |= STATE_MAPS
PER_CELL = {
    'Add': operations.add,
    'Multiply': operations.multiply,
    'Sigmoid': operations.sigmoid,
    'Subtract': operations.subtract,
}
AGAIN = '_again'  # ends the name of the second input for the same map
TO_INNER, TO_OUTER, SWAPPED = (0, 2, 3, 1), (0, 3, 1, 2), (0, 2, 1)


def with_inner_rows(model: openvino.Model) -> openvino.Model:
    """The same sub-engine, which takes and gives its INNER_MAPS (N, C, H, W) as rows (N, H W, C).

    Rows, and not (N, H, W, C): OpenVINO would move a plain transposition in among quantised layers, and turn the map over then.
    """
    kept = model.get_ops()  # an input that was found does not keep its layer alive
    for node in kept:
        if node.get_type_name() == 'Convolution' and node.input_value(0).get_node().get_type_name() == 'Concat':
            _join_rows(node)
    parameters = [parameter for port in model.inputs for parameter in _taking_rows(port)]
    results = [_giving_rows(port) for port in model.outputs]
    rewritten = openvino.Model(results, parameters, model.get_friendly_name())
    del kept
    return rewritten


def names_of(name: str) -> tuple[str, ...]:
    """Of the inputs that take this tensor, as far as there are such."""
    return name, name + AGAIN


def _taking_rows(port: openvino.Output) -> list[openvino.Node]:
    """A map that is quantised, and read as it is beside that, comes in twice: OpenVINO moves what reads its input alone."""
    if not port.names & INNER_MAPS:
        return [port.get_node()]
    number, channels, height, width = port.get_shape()
    readers = port.get_target_inputs()
    quantising = {reader for reader in readers if reader.get_node().get_type_name() == 'FakeQuantize'}
    parameters = []
    for suffix, group in (('', readers - quantising), (AGAIN, quantising)):
        if group:
            rows = operations.parameter([number, height * width, channels], np.float32)
            rows.output(0).set_names({name + suffix for name in port.names})
            _replace(group, _reshaped(rows.output(0), [number, height, width, channels]))
            parameters.append(rows)
    return parameters


def _giving_rows(port: openvino.Output) -> openvino.Node:
    source = port.get_node().input_value(0)
    if not port.names & INNER_MAPS:
        return operations.result(source)
    number, channels, height, width = port.get_shape()
    inner = _inner(source) or operations.transpose(source, TO_INNER).output(0)
    return operations.result(_reshaped(inner, [number, height * width, channels]))


def _replace(readers: set[openvino.Input], inner: openvino.Output) -> None:
    """Let what reads a map (N, C, H, W) read ``inner`` (N, H, W, C), turned over where it has to be."""
    for reader in readers:
        node = reader.get_node()
        kind = node.get_type_name() if reader.get_index() == 0 else ''
        if kind == 'Pad' and node.get_attributes()['pad_mode'] == 'constant':
            begin, end = (_in_order(node.input_value(index), TO_INNER) for index in (1, 2))
            _replace(
                node.output(0).get_target_inputs(), operations.pad(inner, begin, end, 'constant', node.input_value(3)).output(0)
            )
        elif kind == 'Reshape' and _is_swapped_by_all(node, inner):
            rows = _reshaped(inner, _row_shape(inner))
            for swapping in node.output(0).get_target_inputs():
                for row_reader in swapping.get_node().output(0).get_target_inputs():
                    row_reader.replace_source_output(rows)
        else:
            reader.replace_source_output(_turned(inner))


def _join_rows(convolution: openvino.Node) -> None:
    """Let a convolution read maps that were joined with channels innermost, where some of them were made as rows."""
    joined = convolution.input_value(0).get_node().input_values()
    inner = [_inner(outer) for outer in joined]
    if any(inner):
        rows = [value or operations.transpose(outer, TO_INNER).output(0) for value, outer in zip(inner, joined)]
        convolution.input(0).replace_source_output(_turned(operations.concat(rows, 3).output(0)))


def _inner(outer: openvino.Output) -> openvino.Output | None:
    """What was turned over to become this map (N, C, H, W), as (N, H, W, C); None: it was made as a map."""
    node = outer.get_node()
    kind = node.get_type_name()
    if kind == 'Transpose' and _order(node) == TO_OUTER:
        return node.input_value(0)
    if kind == 'Reshape' and node.input_value(0).get_node().get_type_name() == 'Transpose':
        number, channels, height, width = outer.get_shape()
        rows = node.input_value(0).get_node().input_value(0)
        if _order(node.input_value(0).get_node()) == SWAPPED and list(rows.get_shape()) == [number, height * width, channels]:
            return _reshaped(rows, [number, height, width, channels])
    if kind == 'Convert' and node.get_input_element_type(0) == node.get_output_element_type(0):
        return _inner(node.input_value(0))
    if kind == 'Slice':  # of what a convolution makes, which is turned over for nothing
        return operations.transpose(outer, TO_INNER).output(0)
    if kind in PER_CELL:
        values = [_inner(value) or (value if _is_number(value) else None) for value in node.input_values()]
        if None not in values and not all(_is_number(value) for value in node.input_values()):
            return PER_CELL[kind](*values).output(0)
    return None


def _is_number(value: openvino.Output) -> bool:
    return set(value.get_shape()) <= {1}


def _is_swapped_by_all(node: openvino.Node, inner: openvino.Output) -> bool:
    """Whether all that reads this makes rows (N, H W, C) of it."""
    number, cells, channels = _row_shape(inner)
    readers = [reader.get_node() for reader in node.output(0).get_target_inputs()]
    is_swapped = all(reader.get_type_name() == 'Transpose' and _order(reader) == SWAPPED for reader in readers)
    return is_swapped and list(node.get_output_shape(0)) == [number, channels, cells]


def _row_shape(inner: openvino.Output) -> list[int]:
    number, height, width, channels = inner.get_shape()
    return [number, height * width, channels]


def _order(transposition: openvino.Node) -> tuple[int, ...]:
    """() where it is no constant."""
    order = transposition.input_value(1).get_node()
    return tuple(order.get_data().tolist()) if order.get_type_name() == 'Constant' else ()


def _turned(inner: openvino.Output) -> openvino.Output:
    return operations.transpose(inner, TO_OUTER).output(0)


def _in_order(values: openvino.Output, order: tuple[int, ...]) -> openvino.Node:
    return operations.gather(values, np.array(order), np.array(0))


def _reshaped(value: openvino.Output, shape: list[int]) -> openvino.Output:
    return operations.reshape(value, shape, special_zero=False).output(0)
