"""What TensorRT would take of an exported network, told from its operator tables: no TensorRT is needed for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import onnx

from moe_bev_ros.engine.onnx_folding import tensor_types
from moe_bev_ros.engine.operator_check import OperatorTable, Problem, check_operators, load_table
from moe_bev_ros.engine.tensorrt_graph import graph_for_tensorrt

# Between FP32 outside and FP16 inside, and where the images of all cameras are laid one behind the other: the GPU does it.
BORDER_OPERATORS = {'Cast', 'Reshape'}
PRODUCTS = ('Conv', 'MatMul', 'Gemm')


@dataclass(frozen=True)
class PartCheck:
    """Of one sub-engine.

    Attributes:
        num_operators: of its graph for the GPU.
        products: convolutions and matrix products in that graph, by the type that they compute in.
        problems: what the GPU does not take.
        num_dla_operators: of its graph for a DLA.
        fallen: what a DLA leaves to the GPU.
    """

    name: str
    num_operators: int
    products: Mapping[str, int]
    problems: tuple[Problem, ...]
    num_dla_operators: int
    fallen: tuple[Problem, ...]

    @property
    def fits_dla(self) -> bool:
        """Whether all of it runs there but for its border."""
        return {problem.operator for problem in self.fallen} <= BORDER_OPERATORS

    def text(self) -> str:
        """One line, and one more for each problem."""
        gpu = f'{len(self.problems)} problems' if self.problems else 'all'
        line = f'{self.name:18}{self.num_operators:10}  {_counts(self.products):22}{gpu:12}{self._dla()}'
        return '\n'.join([line, *(f'  not taken: {problem}' for problem in self.problems)])

    def _dla(self) -> str:
        if not self.fits_dla:
            return 'no'
        left = {problem.node: problem.operator for problem in self.fallen}
        fallen = _counts(Counter(left.values()))
        return f'{self.num_dla_operators - len(left)} of {self.num_dla_operators}; to the GPU: {fallen or "nothing"}'


HEADER = f'{"sub-engine":18}{"operators":>10}  {"products in":22}{"GPU takes":12}DLA takes (in FP16)'


def check_parts(paths: Iterable[Path], *, half: bool = True) -> list[PartCheck]:
    """Of the ONNX files of sub-engines.

    Args:
        half: see `graph_for_tensorrt`.
    """
    return [_check(path, half) for path in paths]


def tables() -> tuple[OperatorTable, OperatorTable]:
    """Of the GPU and of a DLA."""
    return _table('gpu'), _table('dla')


@lru_cache
def _table(device: str) -> OperatorTable:
    return load_table(f'tensorrt_{device}')


def _check(path: Path, half: bool) -> PartCheck:
    model, (gpu, dla) = onnx.load(path), tables()
    for_gpu = graph_for_tensorrt(model, path.stem, half=half)
    for_dla = graph_for_tensorrt(model, path.stem, for_dla=True)
    problems, fallen = tuple(check_operators(for_gpu, gpu)), tuple(check_operators(for_dla, dla))
    return PartCheck(path.stem, len(for_gpu.graph.node), _products(for_gpu), problems, len(for_dla.graph.node), fallen)


def _products(model: Any) -> dict[str, int]:
    types = tensor_types(model)
    dequantised = {node.output[0] for node in model.graph.node if node.op_type == 'DequantizeLinear'}
    nodes = [node for node in model.graph.node if node.op_type in PRODUCTS]
    kinds = ['INT8' if set(node.input[:2]) <= dequantised else types[node.input[0]].name for node in nodes]
    return dict(sorted(Counter(kinds).items()))


def _counts(counts: Mapping[str, int]) -> str:
    return ', '.join(f'{count} {name}' for name, count in counts.items())
