"""A network's sub-engines as ONNX files in fixed shapes, with the manifest that makes a folder of them an engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch.jit._trace import TracerWarning
from torch.onnx.symbolic_helper import parse_args
from torch.onnx.utils import register_custom_op_symbolic, unregister_custom_op_symbolic

from moe_bev_ros.core.files import disk_error, whole_folder
from moe_bev_ros.engine.manifest import MANIFEST, Manifest, Tensor, part_of, write_manifest
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.folding import folded
from moe_bev_ros.model.sub_engines import SubEngine, sub_engines

OPSET = 17
ONNX_TYPES = {onnx.TensorProto.FLOAT: 'float32', onnx.TensorProto.INT64: 'int64'}
EXPECTED_WARNINGS = (  # of torch's exporter; the new one would need one more package
    'You are using the legacy',
    'The feature will be removed',
    'Constant folding',
)


def export_engine(model: BevModel, weights_sha256: str, folder: Path, *, replaces: bool = True) -> Manifest:
    """Write the sub-engines, as they are deployed, and their manifest: the whole folder, or nothing of it.

    Args:
        replaces: False: where another process was first, its folder stays.

    Raises:
        InputError: the folder holds something else, or cannot be written; what was there stays.
    """
    with whole_folder(folder, MANIFEST, replaces=replaces) as temporary:
        parts = {path.stem: part_of(path, *tensors_of(path)) for path in export_onnx(folded(model), temporary)}
        manifest = Manifest(model.config, 'float32', OPSET, weights_sha256, parts)
        write_manifest(temporary, manifest)
    return manifest


def tensors_of(path: Path) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """What goes into the graph of an ONNX file, and what comes out."""
    graph = onnx.load(path).graph
    return tuple(map(_tensor, graph.input)), tuple(map(_tensor, graph.output))


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    kind = value.type.tensor_type
    shape = tuple(size.dim_value for size in kind.shape.dim)
    if not all(shape):
        raise ValueError(f'{value.name}: its shape is not fixed: {shape}')
    return Tensor(value.name, shape, ONNX_TYPES[kind.elem_type])


def export_onnx(model: BevModel, folder: Path) -> list[Path]:
    """Write ``<sub-engine>.onnx`` into the folder, batch 1, in the order in which they run.

    The network goes to evaluation mode.

    Raises:
        InputError: a file cannot be written.
    """
    return [_write(engine, folder / f'{engine.name}.onnx') for engine in sub_engines(model).values()]


def _write(engine: SubEngine, path: Path) -> Path:
    temporary = path.with_name(f'.{path.name}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _export(engine, temporary)
        return temporary.replace(path)
    except OSError as err:
        raise disk_error(err, path) from err


def _export(engine: SubEngine, path: Path) -> None:
    with warnings.catch_warnings(), _rows_as_scatter_nd():
        for expected in EXPECTED_WARNINGS:
            warnings.filterwarnings('ignore', expected)
        warnings.simplefilter('ignore', category=TracerWarning)  # shapes are meant to be fixed
        torch.onnx.export(
            engine.module,
            engine.inputs,
            path,
            input_names=list(engine.input_names),
            output_names=list(engine.output_names),
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(path, full_check=True)


@contextmanager
def _rows_as_scatter_nd() -> Iterator[None]:
    """Export index_add and index_copy of rows as ScatterND.

    Torch's own export of index_add loses rows whose index occurs twice; elements one by one are slow besides.
    """
    symbolics: dict[str, Callable[..., Any]] = {'aten::index_add': _index_add, 'aten::index_copy': _index_copy}
    for name, symbolic in symbolics.items():
        register_custom_op_symbolic(name, symbolic, OPSET)
    try:
        yield
    finally:
        for name in symbolics:
            unregister_custom_op_symbolic(name, OPSET)


@parse_args('v', 'i', 'v', 'v', 'f')
def _index_add(g: Any, rows: Any, dim: int, index: Any, values: Any, alpha: float) -> Any:
    if alpha != 1.0:
        raise ValueError(f'alpha must be 1, got {alpha}; multiply the rows first')
    return _scatter_rows(g, rows, dim, index, values, 'add')


@parse_args('v', 'i', 'v', 'v')
def _index_copy(g: Any, rows: Any, dim: int, index: Any, values: Any) -> Any:
    return _scatter_rows(g, rows, dim, index, values, 'none')


def _scatter_rows(g: Any, rows: Any, dim: int, index: Any, values: Any, reduction: str) -> Any:
    if dim != 0:
        raise ValueError(f'only rows along dimension 0 are exported, not {dim}; transpose first')
    column = g.op('Unsqueeze', index, g.op('Constant', value_t=torch.tensor([1])))
    return g.op('ScatterND', rows, column, values, reduction_s=reduction)
