"""From the ONNX file of a sub-engine to the graph that TensorRT gets: operators that it takes, and a type for every tensor.

Networks are strongly typed: a layer computes in the type that its tensors have, and no flag of TensorRT 11 asks for another
(https://docs.nvidia.com/deeplearning/tensorrt/11.4.1/api/migration/tensorrt-10x-to-11x.html). So FP16 is written into the
graph, and INT8 is where it holds quantise and dequantise nodes. Inputs and outputs keep their types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, version_converter

from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.onnx_folding import constants_of, folded, opset_of, tensor_types

OPSET = 19  # the first in which quantise and dequantise nodes take FP16
FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
# Poses and offsets add up from frame to frame, and a router decides: there only convolutions leave FP32.
FLOAT32_PARTS = ('memory_read', 'memory_write', 'router')
FLOAT32_OPERATORS = ('Softmax', 'LayerNormalization', 'ScatterElements')  # sums of many
ALWAYS_HALF = ('Conv', 'QuantizeLinear', 'DequantizeLinear')
FLOAT32_INPUTS = {'Resize': (1, 2)}  # by the definition of the operator
LEAST_HALF = np.float16(2.0**-24)


def graph_for_tensorrt(model: Any, part: str, *, half: bool = True, for_dla: bool = False) -> Any:
    """The graph of a sub-engine as TensorRT gets it.

    Args:
        half: FP16 where the policy of this module lets it be; else FP32 wherever it is not INT8.
        for_dla: FP16 everywhere, without INT8: a DLA has no layers that quantise.

    Raises:
        EngineError: a range of the quantisation does not fit into FP16.
    """
    if opset_of(model) < OPSET:
        model = version_converter.convert_version(model, OPSET)
    model = folded(without_quantisation(model) if for_dla else model)
    _use_known_operators(model)
    if not half and not for_dla:
        return model
    return in_half(model, lambda node: not for_dla and stays_float32(part, node))


def stays_float32(part: str, node: Any) -> bool:
    """Whether a node of a sub-engine computes in FP32 where others compute in FP16."""
    if node.op_type in ALWAYS_HALF:
        return False
    return part in FLOAT32_PARTS or node.op_type in FLOAT32_OPERATORS


def without_quantisation(model: Any) -> Any:
    """A copy that computes with unrounded numbers: what was quantised and dequantised at once is left as it was."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    quantised = {node.output[0]: node.input[0] for node in copy.graph.node if node.op_type == 'QuantizeLinear'}
    constants = constants_of(model)
    kept: list[Any] = []
    same: dict[str, str] = {}
    for node in copy.graph.node:
        if node.op_type == 'DequantizeLinear' and node.input[0] in quantised:
            source = quantised[node.input[0]]
            same[node.output[0]] = same.get(source, source)
        elif node.op_type == 'DequantizeLinear':
            copy.graph.initializer.append(numpy_helper.from_array(_dequantised(node, constants), node.output[0]))
        elif node.op_type != 'QuantizeLinear':
            kept.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    outputs = {value.name for value in copy.graph.output}
    _rename(copy, {name: source for name, source in same.items() if name not in outputs})
    _rename(copy, {source: name for name, source in same.items() if name in outputs})
    return copy


def _rename(model: Any, names: Mapping[str, str]) -> None:
    """Tensors inside the graph, from the first name to the second."""
    for node in model.graph.node:
        for side in (node.input, node.output):
            for index, name in enumerate(side):
                side[index] = names.get(name, name)


def _dequantised(node: Any, constants: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The FP32 constant that a node makes of an INT8 one."""
    values, scale = (constants[name].astype(np.float32) for name in node.input[:2])
    axis = next((attribute.i for attribute in node.attribute if attribute.name == 'axis'), 1)
    if scale.ndim:
        scale = scale.reshape([-1 if dim == axis % values.ndim else 1 for dim in range(values.ndim)])
    return np.asarray(values * scale, np.float32)


# Operators -------------------------------------------------------------------------------------------------------------


def _use_known_operators(model: Any) -> None:
    """Say in other operators what the parser does not take; see operator_tables/."""
    types, nodes = tensor_types(model), []
    for node in model.graph.node:
        if node.op_type == 'ScatterND':
            nodes += _scatter(model, node, types[node.input[2]].shape)
        elif node.op_type == 'Clip' and types[node.input[0]].name in ('INT32', 'INT64'):
            nodes += _clip_of_integers(node)
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    _without_doubles(model)


def _scatter(model: Any, node: Any, shape: tuple[int, ...] | None) -> list[Any]:
    """Rows that are added, as ScatterElements, which a plugin of TensorRT's own does; ScatterND has no reduction there."""
    reduction = next((attribute.s for attribute in node.attribute if attribute.name == 'reduction'), b'none')
    if reduction == b'none':
        del node.attribute[:]
        return [node]
    assert shape is not None
    rows, index, values = node.input
    column, spread = f'{node.output[0]}/column', f'{node.output[0]}/index'
    column_shape = _constant(model, f'{column}/shape', np.array([shape[0], *(1 for _ in shape[1:])], np.int64))
    spread_shape = _constant(model, f'{spread}/shape', np.array(shape, np.int64))
    return [
        helper.make_node('Reshape', [index, column_shape], [column], f'{node.name}/column'),
        helper.make_node('Expand', [column, spread_shape], [spread], f'{node.name}/index'),
        helper.make_node('ScatterElements', [rows, spread, values], [node.output[0]], node.name, axis=0, reduction=reduction),
    ]


def _clip_of_integers(node: Any) -> list[Any]:
    """The same from Max and Min."""
    value, nodes = node.input[0], []
    for operator, bound in zip(('Max', 'Min'), node.input[1:]):
        if bound:
            result = f'{node.output[0]}/{operator}'
            nodes.append(helper.make_node(operator, [value, bound], [result], f'{node.name}/{operator}'))
            value = result
    nodes[-1].output[0] = node.output[0]
    return nodes


def _without_doubles(model: Any) -> None:
    """FP32 where the tracer counted in FP64, which TensorRT does not."""
    for value in model.graph.initializer:
        if value.data_type == onnx.TensorProto.DOUBLE:
            value.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(value).astype(np.float32), value.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == 'Cast' and attribute.name == 'to' and attribute.i == onnx.TensorProto.DOUBLE:
                attribute.i = FLOAT


def _constant(model: Any, name: str, values: NDArray[Any]) -> str:
    model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


# FP16 ------------------------------------------------------------------------------------------------------------------


def in_half(model: Any, stays_float: Callable[[Any], bool]) -> Any:
    """A copy in which all other nodes compute in FP16; casts stand where the two meet, and at inputs and outputs.

    Raises:
        EngineError: a range of the quantisation does not fit into FP16.
    """
    return _Halving(model, stays_float).model


class _Halving:
    """Walks the nodes in order and knows which tensors are FP16 by then."""

    def __init__(self, model: Any, stays_float: Callable[[Any], bool]) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        graph = self.model.graph
        self.types = {name: known.element for name, known in tensor_types(model).items()}
        self.constants = {value.name: value for value in graph.initializer}
        self.outputs = {value.name for value in graph.output}
        self.is_half: set[str] = set()
        self.casts: dict[tuple[str, int], str] = {}
        self.nodes: list[Any] = []
        for node in list(graph.node):
            self._take(node, HALF if not stays_float(node) else FLOAT)
        del graph.node[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        self._drop_unused_constants()

    def _take(self, node: Any, wanted: int) -> None:
        for index, name in enumerate(node.input):
            if name and self.types[name] == FLOAT and index not in FLOAT32_INPUTS.get(node.op_type, ()):
                node.input[index] = self._in_type(name, wanted, node)
        for attribute in node.attribute:
            if node.op_type == 'Cast' and attribute.name == 'to' and attribute.i == FLOAT:
                attribute.i = wanted
        self.nodes.append(node)
        for index, name in enumerate(node.output):
            if wanted == HALF and self.types[name] == FLOAT:
                self._give_half(node, index, name)

    def _give_half(self, node: Any, index: int, name: str) -> None:
        """The output in FP16, and in FP32 under its own name where it leaves the graph."""
        self.is_half.add(name)
        if name in self.outputs:
            inner = node.output[index] = f'{name}/half'
            self.nodes.append(helper.make_node('Cast', [inner], [name], f'{name}/cast', to=FLOAT))
            self.casts[name, HALF], self.casts[name, FLOAT] = inner, name

    def _in_type(self, name: str, wanted: int, node: Any) -> str:
        """The name under which a tensor has this type."""
        if (name in self.is_half) == (wanted == HALF) and name not in self.outputs:
            return name
        if (name, wanted) not in self.casts:
            self.casts[name, wanted] = self._cast(name, wanted, node)
        return self.casts[name, wanted]

    def _cast(self, name: str, wanted: int, node: Any) -> str:
        if wanted == FLOAT and name not in self.is_half:
            return name
        result = f'{name}/{"half" if wanted == HALF else "float"}'
        if name in self.constants:
            return _constant(self.model, result, _half_of(numpy_helper.to_array(self.constants[name]), node, name))
        self.nodes.append(helper.make_node('Cast', [name], [result], f'{result}/cast', to=wanted))
        return result

    def _drop_unused_constants(self) -> None:
        used = {name for node in self.nodes for name in node.input}
        kept = [value for value in self.model.graph.initializer if value.name in used]
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(kept)


def _half_of(values: NDArray[Any], node: Any, name: str) -> NDArray[np.float16]:
    """Rounded to FP16; scales of quantisation stay above zero, as TensorRT wants them."""
    with np.errstate(over='ignore'):
        half = values.astype(np.float16)
    if not np.isfinite(half).all():
        raise EngineError(f'{node.name}: {name} reaches {np.abs(values).max():.3g}, more than FP16 holds; build with float32')
    is_scale = node.op_type in ('QuantizeLinear', 'DequantizeLinear') and name == node.input[1]
    return np.maximum(half, LEAST_HALF) if is_scale else half
