"""ONNX graphs whose constants are computed and whose shapes are all known: what TensorRT sees, and what a table can judge.

A traced graph is full of arithmetic on shapes, which are fixed here. TensorRT folds it by itself; folded beforehand, every
operator that is left computes on tensors, and has a type and a shape to be checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

FOLDS = 8  # a fold makes shapes known, which can then be folded: no graph needs more rounds
MAX_FOLDED = 1 << 26  # values; a constant that would grow beyond stays computed
NOT_FOLDED = {'DequantizeLinear'}  # an INT8 weight stays one

Constants = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TensorType:
    """What is known of a tensor.

    Attributes:
        element: of onnx.TensorProto.DataType.
        shape: None where it is not fixed.
    """

    element: int
    shape: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """As TensorRT's tables call the type, such as FP16."""
        return TYPE_NAMES.get(self.element, onnx.TensorProto.DataType.Name(self.element))


TYPE_NAMES = {
    onnx.TensorProto.FLOAT: 'FP32',
    onnx.TensorProto.FLOAT16: 'FP16',
    onnx.TensorProto.BFLOAT16: 'BF16',
    onnx.TensorProto.DOUBLE: 'FP64',
}


def folded(model: Any) -> Any:
    """A copy in which what depends on constants and on shapes alone is a constant."""
    model = _plain(model)
    for _ in range(FOLDS):
        before = len(model.graph.node)
        model = shape_inference.infer_shapes(model, data_prop=True)
        _fold_once(model)
        if len(model.graph.node) == before:
            break
    return model


def tensor_types(model: Any) -> dict[str, TensorType]:
    """By the name of the tensor, constants included."""
    inferred = shape_inference.infer_shapes(model, data_prop=True).graph
    types = {value.name: _type_of(value) for value in (*inferred.value_info, *inferred.input, *inferred.output)}
    return types | {value.name: TensorType(value.data_type, tuple(value.dims)) for value in inferred.initializer}


def constants_of(model: Any) -> Constants:
    """Values of the initialisers, by name."""
    return {value.name: numpy_helper.to_array(value) for value in model.graph.initializer}


def opset_of(model: Any) -> int:
    """The version of ONNX's own operators that the graph is written in."""
    return next(entry.version for entry in model.opset_import if entry.domain in ('', 'ai.onnx'))


def _plain(model: Any) -> Any:
    """A copy without what inference left, which another inference would hold against it."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    return copy


def _fold_once(model: Any) -> None:
    constants, types = constants_of(model), tensor_types(model)
    opset, outputs = opset_of(model), {value.name for value in model.graph.output}
    kept: list[Any] = []
    computed: Constants = {}
    for node in model.graph.node:
        leaves = node.op_type == 'Identity' and node.output[0] in outputs
        values = None if leaves else _value_of(node, {**constants, **computed}, types, opset)
        if values is None:
            kept.append(node)
        else:
            computed |= values
    for name in sorted(outputs & set(computed)):  # a constant leaves the graph through a node
        computed[f'{name}/value'] = computed.pop(name)
        kept.append(helper.make_node('Identity', [f'{name}/value'], [name], f'{name}/identity'))
    _replace_nodes(model, kept)
    used = {name for node in kept for name in node.input}
    held = [value for value in model.graph.initializer if value.name in used]
    del model.graph.initializer[:], model.graph.value_info[:]
    model.graph.initializer.extend(held)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in computed.items() if name in used
    )


def _replace_nodes(model: Any, nodes: list[Any]) -> None:
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _value_of(
    node: Any, constants: Mapping[str, NDArray[Any]], types: Mapping[str, TensorType], opset: int
) -> Constants | None:
    """What a node gives, where that is fixed."""
    if node.op_type == 'Shape':
        known = types.get(node.input[0])
        return _shape_of(node, known.shape) if known is not None and known.shape is not None else None
    names = [name for name in node.input if name]
    if node.op_type in NOT_FOLDED or any(name not in constants for name in names):
        return None
    sizes = [types[name].shape for name in node.output if name in types]
    if any(shape is not None and np.prod(shape) > MAX_FOLDED for shape in sizes):
        return None
    single = helper.make_graph([node], 'one', [], [helper.make_value_info(name, onnx.TypeProto()) for name in node.output])
    evaluator = ReferenceEvaluator(helper.make_model(single, opset_imports=[helper.make_opsetid('', opset)]))
    return dict(zip(node.output, evaluator.run(list(node.output), {name: constants[name] for name in names})))


def _shape_of(node: Any, shape: tuple[int, ...]) -> Constants:
    span = {attribute.name: attribute.i for attribute in node.attribute}
    return {node.output[0]: np.array(shape[span.get('start', 0) : span.get('end', len(shape))], np.int64)}


def _type_of(value: Any) -> TensorType:
    tensor = value.type.tensor_type
    if not tensor.HasField('shape') or not all(dim.HasField('dim_value') for dim in tensor.shape.dim):
        return TensorType(tensor.elem_type, None)
    return TensorType(tensor.elem_type, tuple(dim.dim_value for dim in tensor.shape.dim))
