"""ONNX graphs with quantisers, as run-times like them.

What an export of a quantised network gives is correct and slow: weights are float, and quantised when it runs; a tensor that
two layers read is quantised twice; integers end before each operation that only moves values. After `tidied` weights are INT8,
equal quantisers are one, and integers pass through what moves them. The numbers stay the same.

One signed file serves OpenVINO and TensorRT. onnxruntime computes quickly on unsigned activations alone: see `unsigned`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

MOVING = {'Concat', 'Reshape', 'Transpose', 'Resize', 'Slice', 'Flatten', 'Unsqueeze', 'Squeeze', 'MaxPool'}
PAIR = ('QuantizeLinear', 'DequantizeLinear')
KEEPS_SIGN = MOVING | {*PAIR, 'Gather', 'Pad'}
SMALL = 1 << 12  # values; equal constants up to here are merged
BIG = 1 << 12  # values; zeros from here on are made when the graph is loaded

Array = NDArray[Any]


def tidied(model: Any) -> Any:
    """A copy that computes the same, see the module."""
    graph = _Graph(model)
    graph.drop_casts()
    graph.quantise_weights()
    graph.turn_weights()
    graph.merge_equals()
    graph.pass_integers_through()
    graph.merge_equals()
    graph.make_zeros()
    return graph.model()


def unsigned(model: Any) -> Any:
    """A copy whose activations are unsigned bytes: zero is 0 where a tensor is never negative, else 128.

    The steps of the grid stay. A tensor that is never negative and was cut off at 127 steps now goes up to 255.
    """
    graph = _Graph(model)
    not_negative = graph.not_negative()
    zeros: dict[str, int] = {}
    for node in graph.nodes:
        if node.op_type == 'QuantizeLinear':
            zeros[node.output[0]] = 0 if node.input[0] in not_negative else 128
    for node in graph.nodes:
        if node.op_type == 'QuantizeLinear':
            node.input[2] = graph.constant(np.array(zeros[node.output[0]], np.uint8))
    for node in graph.nodes:
        if node.op_type == 'DequantizeLinear' and (zero := graph.zero_of(node.input[0], zeros)) is not None:
            node.input[2] = graph.constant(np.array(zero, np.uint8))
    return graph.model()


class _Graph:
    """A graph whose constants are arrays by name."""

    def __init__(self, model: Any) -> None:
        self._model = onnx.ModelProto()
        self._model.CopyFrom(model)
        graph = self._model.graph
        self.constants: dict[str, Array] = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        self.nodes: list[Any] = []
        for node in graph.node:
            if node.op_type == 'Constant' and node.attribute[0].name == 'value':
                self.constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
            else:
                self.nodes.append(node)
        self._outputs = {item.name for item in graph.output}
        self._num_made = 0

    def model(self) -> Any:
        """The model, without what nothing reads."""
        graph = self._model.graph
        used = {name for node in self.nodes for name in node.input} | self._outputs
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(self.nodes)
        graph.initializer.extend(
            numpy_helper.from_array(np.asarray(value), name) for name, value in self.constants.items() if name in used
        )
        onnx.checker.check_model(self._model, full_check=True)
        return self._model

    def constant(self, value: Array) -> str:
        """Name of a constant with this value."""
        name = f'constant_{value.dtype}_{"_".join(map(str, value.flat))}'
        self.constants[name] = value
        return name

    def drop_casts(self) -> None:
        """Leave out casts to the type that a tensor has already; what an output is called goes to the node before."""
        inferred = onnx.shape_inference.infer_shapes(self._model).graph
        types = {item.name: item.type.tensor_type.elem_type for item in (*inferred.value_info, *inferred.input)}
        renamed: dict[str, str] = {}
        kept = []
        for node in self.nodes:
            if node.op_type == 'Cast' and types.get(node.input[0]) == node.attribute[0].i:
                renamed[node.output[0]] = node.input[0]
            else:
                kept.append(node)
        self.nodes = kept
        self._rename({name: source for name, source in renamed.items() if name not in self._outputs})
        for output in self._outputs & renamed.keys():
            self._rename({renamed[output]: output})

    def _rename(self, names: dict[str, str]) -> None:
        for node in self.nodes:
            for side in (node.input, node.output):
                for place, name in enumerate(side):
                    while name in names:
                        name = names[name]
                    side[place] = name

    def quantise_weights(self) -> None:
        """Where a constant is quantised, store it so."""
        kept = []
        for node in self.nodes:
            if node.op_type == 'QuantizeLinear' and node.input[0] in self.constants:
                value, scale, zero = (self.constants[name] for name in node.input)
                steps = np.round(value / _along(scale, _axis(node), value.ndim)) + _along(zero, _axis(node), value.ndim)
                limits = np.iinfo(zero.dtype)
                self.constants[node.output[0]] = np.clip(steps, limits.min, limits.max).astype(zero.dtype)
            else:
                kept.append(node)
        self.nodes = kept

    def turn_weights(self) -> None:
        """Store a quantised matrix as it is multiplied, so that nothing stands between it and the product."""
        of_output = self._makers()
        kept = []
        for node in self.nodes:
            maker = of_output.get(node.input[0]) if node.op_type == 'Transpose' else None
            if maker is None or maker.op_type != 'DequantizeLinear' or maker.input[0] not in self.constants:
                kept.append(node)
                continue
            order = list(node.attribute[0].ints)
            name = f'{maker.input[0]}_turned'
            self.constants[name] = np.ascontiguousarray(self.constants[maker.input[0]].transpose(order))
            turned = helper.make_node(
                'DequantizeLinear',
                [name, *maker.input[1:]],
                node.output,
                f'{maker.name}_turned',
                axis=order.index(_axis(maker)),
            )
            kept.append(turned)
        read = {name for node in kept for name in node.input} | self._outputs
        self.nodes = [node for node in kept if node.op_type != 'DequantizeLinear' or node.output[0] in read]

    def merge_equals(self) -> None:
        """Let two nodes that compute the same from the same be one."""
        known: dict[Any, Any] = {}
        renamed: dict[str, str] = {}
        kept = []
        for node in self.nodes:
            for place, name in enumerate(node.input):
                node.input[place] = renamed.get(name, name)
            key = (node.op_type, tuple(map(self._value_key, node.input)), tuple(a.SerializeToString() for a in node.attribute))
            same = known.get(key)
            if same is None or any(name in self._outputs for name in node.output):
                known[key] = node
                kept.append(node)
            else:
                renamed |= zip(node.output, same.output)
        self.nodes = kept

    def pass_integers_through(self) -> None:
        """Quantise before what only moves values, too, where all that reads its result quantises it alike."""
        changed = True
        while changed:
            readers, makers = self._readers(), self._makers()
            kept: list[Any] = []
            changed = False
            for node in self.nodes:
                after = readers.get(node.output[0], []) if node.op_type in MOVING and _is_plain(node) else []
                alone = len(after) == 1 and after[0].op_type == 'QuantizeLinear' and node.output[0] not in self._outputs
                for place in range(_num_moved(node)) if alone else ():
                    maker = makers.get(node.input[place])
                    if maker is not None and maker.op_type == 'DequantizeLinear' and maker.input[1:] == after[0].input[1:]:
                        continue
                    pair = self._pair(node.input[place], after[0])
                    node.input[place] = pair[1].output[0]
                    kept += pair
                    changed = True
                kept.append(node)
            self.nodes = kept

    def make_zeros(self) -> None:
        """Large constants that hold zeros need not be in the file."""
        made = []
        for name, value in list(self.constants.items()):
            if value.size >= BIG and value.dtype == np.float32 and not value.any():
                del self.constants[name]
                self.constants[f'{name}_shape'] = np.array(value.shape, np.int64)
                made.append(helper.make_node('ConstantOfShape', [f'{name}_shape'], [name], f'{name}_zeros'))
        self.nodes = made + self.nodes

    def not_negative(self) -> set[str]:
        """Tensors that cannot be below zero."""
        found: set[str] = set()
        for node in self.nodes:
            moved = node.input[: _num_moved(node)]
            if node.op_type in ('Relu', 'Sigmoid', 'Softmax') or (
                node.op_type in {*KEEPS_SIGN, 'Add', 'Mul'} and all(name in found for name in moved)
            ):
                found |= set(node.output)
        return found

    def zero_of(self, name: str, zeros: dict[str, int]) -> int | None:
        """The zero point of an integer tensor; None: it is no activation."""
        makers = self._makers()
        while name not in zeros and name in makers and makers[name].op_type in MOVING:
            name = makers[name].input[0]
        return zeros.get(name)

    def _pair(self, name: str, like: Any) -> list[Any]:
        """The nodes that quantise a tensor as ``like`` does, and bring it back."""
        self._num_made += 1
        integers, floats = f'{name}_integers_{self._num_made}', f'{name}_on_grid_{self._num_made}'
        quantise = helper.make_node(PAIR[0], [name, *like.input[1:]], [integers], f'{integers}_{PAIR[0]}')
        return [quantise, helper.make_node(PAIR[1], [integers, *like.input[1:]], [floats], f'{floats}_{PAIR[1]}')]

    def _value_key(self, name: str) -> Any:
        value = self.constants.get(name)
        return name if value is None or value.size > SMALL else (value.dtype.str, value.shape, value.tobytes())

    def _makers(self) -> dict[str, Any]:
        return {name: node for node in self.nodes for name in node.output}

    def _readers(self) -> dict[str, list[Any]]:
        readers: dict[str, list[Any]] = {}
        for node in self.nodes:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        return readers


def _num_moved(node: Any) -> int:
    """How many inputs hold values, not shapes or indices."""
    return len(node.input) if node.op_type in ('Concat', 'Add', 'Mul') else 1


def _is_plain(node: Any) -> bool:
    """Whether it moves values and makes no new ones: an interpolation is one of nearest neighbours."""
    return node.op_type != 'Resize' or any(a.name == 'mode' and a.s == b'nearest' for a in node.attribute)


def _axis(node: Any) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == 'axis'), 0)


def _along(values: Array, axis: int, num_dims: int) -> Array:
    """Values of one axis, to be spread over an array of so many."""
    return values if values.ndim == 0 else values.reshape([-1 if place == axis else 1 for place in range(num_dims)])


def quantised_names(model: Any) -> Iterable[str]:
    """Names of the INT8 weights."""
    return [item.name for item in model.graph.initializer if item.data_type == onnx.TensorProto.INT8 and len(item.dims) > 1]
