"""What this machine computes per second in FP32 and INT8: the limit that a network is measured against.

Two graphs of a size that fills the caches and no more: a chain of matrix products, and one of 3 x 3 convolutions. When
quantised they have quantise and dequantise nodes around each product, as a quantised network has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.engine.manifest import Part, Tensor, part_of

LAYERS = 4
SIDE = 1024  # of the matrices
CHANNELS, PIXELS = 128, 64
PRECISIONS = ('float32', 'int8')
OPSET = 17


@dataclass(frozen=True)
class RateGraph:
    """One of the graphs, in a file.

    Attributes:
        name: such as ``matmul_int8``.
        precision: one of PRECISIONS.
        operations: of one run; a multiply-add is two.
    """

    name: str
    precision: str
    path: Path
    part: Part
    operations: int


def write_graphs(folder: Path) -> tuple[RateGraph, ...]:
    """All of them."""
    return tuple(_write(folder, kind, precision) for kind in ('matmul', 'convolution') for precision in PRECISIONS)


def _write(folder: Path, kind: str, precision: str) -> RateGraph:
    import onnx

    name = f'{kind}_{precision}'
    rng = np.random.default_rng(0)
    convolves = kind == 'convolution'
    shape = (1, CHANNELS, PIXELS, PIXELS) if convolves else (SIDE, SIDE)
    weight_shape = (CHANNELS, CHANNELS, 3, 3) if convolves else (SIDE, SIDE)
    graph = _Graph(quantised=precision == 'int8')
    value = 'x'
    for layer in range(LAYERS):
        weight = graph.weight(f'w{layer}', rng.integers(-127, 128, weight_shape).astype(np.int8))
        value = graph.product(graph.activation(value), weight, convolves=convolves)
    graph.node('Identity', [value], 'y')
    ports = [onnx.helper.make_tensor_value_info(port, onnx.TensorProto.FLOAT, shape) for port in 'xy']
    made = onnx.helper.make_graph(graph.nodes, name, ports[:1], ports[1:], graph.constants)
    opsets = [onnx.helper.make_opsetid('', OPSET)]
    path = folder / f'{name}.onnx'
    onnx.save(onnx.helper.make_model(made, opset_imports=opsets, ir_version=9), path)
    macs = LAYERS * (PIXELS**2 * CHANNELS**2 * 9 if convolves else SIDE**3)
    part = part_of(path, (Tensor('x', shape, 'float32'),), (Tensor('y', shape, 'float32'),))
    return RateGraph(name, precision, path, part, 2 * macs)


class _Graph:
    """Nodes and constants of a graph."""

    def __init__(self, *, quantised: bool) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._quantised = quantised
        if quantised:
            self.constant('scale', np.array(0.05, np.float32))
            self.constant('zero', np.array(0, np.int8))

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Add one; returns the name of its output."""
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def weight(self, name: str, values: NDArray[np.int8]) -> str:
        """Per tensor."""
        if not self._quantised:
            return self.constant(name, values.astype(np.float32) * np.float32(1e-3))
        scale, zero = (
            self.constant(f'{name}_scale', np.array(1e-3, np.float32)),
            self.constant(f'{name}_zero', np.array(0, np.int8)),
        )
        return self.node('DequantizeLinear', [self.constant(name, values), scale, zero], f'{name}_real')

    def activation(self, value: str) -> str:
        if not self._quantised:
            return value
        quantised = self.node('QuantizeLinear', [value, 'scale', 'zero'], f'{value}_q')
        return self.node('DequantizeLinear', [quantised, 'scale', 'zero'], f'{value}_dq')

    def product(self, value: str, weight: str, *, convolves: bool) -> str:
        name = f'{weight}_out'
        if convolves:
            return self.node('Conv', [value, weight], name, pads=[1, 1, 1, 1], kernel_shape=[3, 3])
        return self.node('MatMul', [value, weight], name)
