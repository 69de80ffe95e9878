"""Every operation of a module that costs time on a GPU: its multiply-adds, and the elements that it reads and writes.

Counted on torch's meta device, as `description` does. What a run-time of inference folds or fuses is free: batch norms, views,
constants, and elementwise operations, which ride on what comes before them but still read their other operands. A gather reads
what it gives, not the whole table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.sub_engines import sub_engines

_FREE = {'native_batch_norm', '_unsafe_view', 'reshape', 'lift_fresh', 'lift_fresh_copy', 'detach'}
_GATHERS = {'index_select', 'gather', 'index', 'embedding', 'grid_sampler_2d', 'upsample_nearest2d'}


@dataclass(frozen=True)
class Operation:
    """One call.

    Attributes:
        macs: multiply-adds of a convolution or a matrix product; 0 of anything else.
        values: floating-point elements that are read and written, weights among them.
        indices: integer elements that are read and written.
    """

    name: str
    macs: int
    values: int
    indices: int


def stage_operations(config: ModelConfig) -> dict[str, tuple[Operation, ...]]:
    """Of every sub-engine, in the order in which they run."""
    with torch.device('meta'):
        model = BevModel(config).eval()
    return {name: operations_of(engine.module, engine.inputs) for name, engine in sub_engines(model).items()}


def operations_of(module: Callable[..., Any], inputs: Sequence[Tensor]) -> tuple[Operation, ...]:
    """What one call of the module runs, in order; the inputs may be on the meta device."""
    listener = _Listener()
    with torch.no_grad(), listener:
        module(*inputs)
    return tuple(listener.operations)


class _Listener(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run it, and write it down."""
        outputs = func(*args, **(kwargs or {}))
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        name = func.overloadpacket.__name__
        if given and name not in _FREE and not _is_view(func):
            counter = flop_registry.get(func.overloadpacket)
            macs = 0 if counter is None else counter(*args, **(kwargs or {}), out_val=outputs) // 2
            moved = _moved(name, func, given, [leaf for leaf in tree_leaves(outputs) if isinstance(leaf, Tensor)])
            self.operations.append(Operation(name, macs, _count(moved, True), _count(moved, False)))
        return outputs


def _is_view(func: Any) -> bool:
    """Whether its result shares the memory of what it was given."""
    aliases = [result.alias_info for result in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _moved(name: str, func: Any, given: list[Tensor], made: list[Tensor]) -> list[Tensor]:
    """The tensors that an operation reads and writes."""
    if torch.Tag.pointwise in func.tags:
        return sorted(given, key=Tensor.numel)[:-1]
    if name in _GATHERS:
        return [*made, *made, *(tensor for tensor in given if not tensor.is_floating_point())]
    if name.startswith('index_add'):  # adds rows to a table of zeros
        return [*given[1:], given[-1]]
    return [*given, *made]


def _count(tensors: Sequence[Tensor], floating: bool) -> int:
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point() == floating)
