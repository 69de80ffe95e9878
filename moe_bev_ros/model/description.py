"""What a network costs: multiply-adds, parameters and bytes, of each sub-engine and of each expert in it.

Nothing is computed: the network runs on torch's meta device, where tensors have shapes alone.

Multiply-adds (MACs) are those of convolutions and matrix products, which `torch.utils.flop_counter` counts, and of two
products that are written elementwise and are counted by formula: the scores and sums of the sparse attention, and the lift's
weighting. Norms, activations, gates and additions are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.config import FRAME_EXPERTS, ModelConfig
from moe_bev_ros.model.sub_engines import SubEngine, sub_engines

STACKED_FRAMES = 30  # what the memory's horizon would take as a stack of maps
DLA_RULE = '2D convolution, batch norm, ReLU, nearest upsampling, addition and concatenation; no other operation'
_DLA_OPS = {'convolution', 'native_batch_norm', 'relu', 'relu_', 'upsample_nearest2d', 'add', 'cat'}
_LAYOUT_OPS = {'view', '_unsafe_view', 'reshape', 'detach', 'alias', 'unsqueeze', 'empty'}  # of shape alone, or of bookkeeping
_PARTS = {
    'camera_attention': ('key_points.scorer', 'attention', 'lift'),
    'patch_experts': ('patch_experts.convolution', 'patch_experts.attention', 'patch_experts.temporal'),
}


@dataclass(frozen=True)
class Cost:
    """Of a sub-engine, or of a part of one.

    Attributes:
        part_of: the sub-engine that holds it and counts it as well; empty for a sub-engine.
        macs: multiply-adds of one frame.
        parameters: that it uses.
        bytes_in, bytes_out: of its activations, in FP32 (indices in INT64).
        not_on_dla: operations that keep it from a DLA, see DLA_RULE; none: a DLA could take it.
    """

    name: str
    part_of: str
    macs: int
    parameters: int
    bytes_in: int
    bytes_out: int
    not_on_dla: tuple[str, ...]

    @property
    def bytes_fp32(self) -> int:
        """Of its weights."""
        return 4 * self.parameters

    @property
    def bytes_int8(self) -> int:
        """Of its weights, without the scales."""
        return self.parameters


@dataclass(frozen=True)
class Description:
    """Of a network.

    Attributes:
        costs: sub-engines in the order in which they run, each followed by its parts.
        active_macs: of a frame with this one frame expert, and with the encoders that it needs.
        memory_bytes: of the state between frames (FP32).
        stack_bytes: of the inner maps of STACKED_FRAMES frames in FP16.
    """

    profile: str
    costs: tuple[Cost, ...]
    active_macs: dict[str, int]
    parameters: int
    memory_bytes: int
    stack_bytes: int

    def values(self) -> dict[str, Any]:
        """For JSON."""
        costs = [
            {**asdict(cost), 'bytes_fp32': cost.bytes_fp32, 'bytes_int8': cost.bytes_int8, 'dla': not cost.not_on_dla}
            for cost in self.costs
        ]
        return {**asdict(self), 'costs': costs, 'dla_rule': DLA_RULE}

    def text(self) -> str:
        """A table."""
        header = f'{self.profile:28}{"MMAC":>10}{"weights":>12}{"FP32 kB":>10}{"INT8 kB":>10}{"in kB":>10}{"out kB":>10}  DLA'
        lines = [header, *(_line(cost) for cost in self.costs)]
        lines += [f'with {name + ":":23}{macs / 1e6:10.1f}' for name, macs in self.active_macs.items()]
        weights = f'{self.parameters:12,}{4 * self.parameters / 1e3:10.1f}{self.parameters / 1e3:10.1f}'
        lines.append(f'{"all weights":38}{weights}')
        share = self.memory_bytes / self.stack_bytes
        lines.append(
            f'memory: {self.memory_bytes / 1e3:.1f} kB, {100 * share:.1f} % of {STACKED_FRAMES} stacked maps in FP16 '
            f'({self.stack_bytes / 1e3:.1f} kB)'
        )
        return '\n'.join([*lines, f'DLA: {DLA_RULE}'])


def describe(config: ModelConfig) -> Description:
    """Count without computing."""
    with torch.device('meta'):
        model = BevModel(config).eval()
    engines = sub_engines(model)
    costs = [cost for engine in engines.values() for cost in _costs(engine, model)]
    stage_macs = {cost.name: cost.macs for cost in costs if not cost.part_of}
    memory = model.empty_memory(1).values()
    return Description(
        config.name,
        tuple(costs),
        {name: _active_macs(name, engines, stage_macs) for name in FRAME_EXPERTS},
        sum(parameter.numel() for parameter in model.parameters()),
        sum(value.numel() * value.element_size() for value in memory),
        STACKED_FRAMES * config.channels * config.num_cells**2 * 2,
    )


def _active_macs(expert: str, engines: dict[str, SubEngine], stage_macs: dict[str, int]) -> int:
    needed = engines[f'expert_{expert}'].input_names
    idle = {f'expert_{name}' for name in FRAME_EXPERTS if name != expert}
    idle |= set() if 'camera_map' in needed else {'camera_encoder', 'camera_attention'}
    idle |= set() if 'lidar_map' in needed else {'lidar_encoder'}
    return sum(macs for name, macs in stage_macs.items() if name not in idle)


def _costs(engine: SubEngine, model: BevModel) -> list[Cost]:
    """Of a sub-engine and of its parts, which are measured alone with what they were given in it."""
    given: list[tuple[str, nn.Module, tuple[Any, ...]]] = []
    hooks = [
        module.register_forward_pre_hook(lambda module, inputs, name=name: given.append((name, module, inputs)))
        for name, module in _parts(model, _PARTS.get(engine.name, ()))
    ]
    whole = _cost(engine.name, '', engine.module, engine.inputs)
    for hook in hooks:
        hook.remove()
    parts = [_cost(name, engine.name, module, inputs) for name, module, inputs in given]
    products = _elementwise_products(model)
    parts = [_with_macs(part, products.get(part.name, 0)) for part in parts]
    return [_with_macs(whole, sum(products.get(part.name, 0) for part in parts)), *parts]


def _parts(model: BevModel, names: Iterable[str]) -> list[tuple[str, nn.Module]]:
    """Modules by name, lists taken apart."""
    found = [(name, model.get_submodule(name)) for name in names]
    return [
        (name if inner is module else f'{name}.{inner_name}', inner)
        for name, module in found
        for inner_name, inner in (module.named_children() if isinstance(module, nn.ModuleList) else [('', module)])
    ]


def _cost(name: str, part_of: str, module: Callable[..., Any], inputs: tuple[Any, ...]) -> Cost:
    operations, counter = _Operations(), FlopCounterMode(display=False)
    with torch.no_grad(), counter, operations:
        outputs = module(*inputs)
    return Cost(
        name,
        part_of,
        counter.get_total_flops() // 2,
        sum(parameter.numel() for parameter in operations.used.values()),
        _bytes(inputs),
        _bytes(outputs),
        tuple(sorted(operations.names - _DLA_OPS - _LAYOUT_OPS)),
    )


def _elementwise_products(model: BevModel) -> dict[str, int]:
    """Multiply-adds that the flop counter does not see, by part."""
    config = model.config
    return {'lift': len(config.lift_heights_m) * config.num_cells**2 * config.channels}


def _with_macs(cost: Cost, more: int) -> Cost:
    return replace(cost, macs=cost.macs + more)


def _bytes(values: Any) -> int:
    return sum(value.numel() * value.element_size() for value in tree_leaves(values) if isinstance(value, Tensor))


def _line(cost: Cost) -> str:
    name = f'  {cost.name.removeprefix(cost.part_of + ".")}' if cost.part_of else cost.name
    sizes = (cost.bytes_fp32, cost.bytes_int8, cost.bytes_in, cost.bytes_out)
    dla = 'no' if cost.not_on_dla else 'yes'
    return f'{name:28}{cost.macs / 1e6:10.1f}{cost.parameters:12,}{"".join(f"{size / 1e3:10.1f}" for size in sizes)}  {dla}'


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Hears which operations run, and on which parameters."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()
        self.used: dict[int, nn.Parameter] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run it, and write it down."""
        name = func.overloadpacket.__name__
        is_volume = name == 'convolution' and args[1].dim() != 4
        self.names.add('convolution of volumes' if is_volume else name)
        self.used |= {id(leaf): leaf for leaf in tree_leaves(args) if isinstance(leaf, nn.Parameter)}
        return func(*args, **(kwargs or {}))
