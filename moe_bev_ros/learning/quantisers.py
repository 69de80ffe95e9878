"""Quantisers in a folded network, by nvidia-modelopt: weights by output channel, activations by tensor, all symmetric.

Every module has scales of its own, so each expert has. A tensor is quantised where it is read: two layers that read the same
have equal scales, which an export makes one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.quantisation_policy import QuantisedLayers
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.blocks import Sum

_CURE = 'pip install --no-deps "nvidia-modelopt==0.47.*", and what the extra moe-bev-ros[quantisation] lists'


@dataclass(frozen=True)
class Bits:
    """Of weights and of activations."""

    weights: int = 8
    activations: int = 8

    @property
    def name(self) -> str:
        """As INT8 or W4A6."""
        return f'INT{self.weights}' if self.weights == self.activations else f'W{self.weights}A{self.activations}'


@lru_cache(maxsize=1)
def modelopt_nn() -> Any:
    """The quantised layers of nvidia-modelopt, with those that this network adds.

    Raises:
        InputError: it is not installed.
    """
    try:
        from modelopt.torch.quantization import nn as library
    except ModuleNotFoundError as err:
        raise InputError(f'quantisation needs nvidia-modelopt: {err}; {_CURE}') from err

    class QuantSum(library.QuantModule):
        """A sum whose addends are quantised, each in its own range."""

        def _setup(self) -> None:
            for name in ('first_quantizer', 'second_quantizer'):
                self._register_temp_attribute(name, library.TensorQuantizer())

        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            """The sum of both, as the grid has them."""
            summed: Tensor = super().forward(self.first_quantizer(first), self.second_quantizer(second))
            return summed

    library.QuantModuleRegistry.register({Sum: 'Sum'})(QuantSum)
    library.QuantModuleRegistry.register({nn.ReLU: 'nn.ReLU'})(library.QuantInputBase)
    return library


def quantised(model: BevModel, layers: QuantisedLayers, bits: Bits) -> BevModel:
    """A copy of a folded network with quantisers, whose weights have their ranges and whose activations have none yet."""
    library, result = modelopt_nn(), copy.deepcopy(model)
    for name in dict.fromkeys((*layers.inputs, *layers.outputs)):
        part = library.QuantModuleRegistry.convert(result.get_submodule(name))
        reads = name in layers.inputs
        for kind, quantiser in part.named_children():
            wanted = name in layers.outputs if kind == 'output_quantizer' else reads
            quantiser.enable() if wanted else quantiser.disable()
            quantiser.num_bits = bits.weights if kind == 'weight_quantizer' else bits.activations
        if reads and not isinstance(part, Sum):
            part.weight_quantizer.amax = weight_ranges(part.weight.detach(), bits.weights)
    return result


def activation_quantisers(model: nn.Module) -> dict[str, Any]:
    """Those that are in use, by name."""
    return {name: q for name, q in quantisers_of(model).items() if not name.endswith('weight_quantizer')}


def weight_quantisers(model: nn.Module) -> dict[str, Any]:
    """Those that are in use, by name."""
    return {name: q for name, q in quantisers_of(model).items() if name.endswith('weight_quantizer')}


def quantisers_of(model: nn.Module) -> dict[str, Any]:
    """All that are in use, by name."""
    kind = modelopt_nn().TensorQuantizer
    parts = ((name, cast(Any, part)) for name, part in model.named_modules() if isinstance(part, kind))
    return {name: part for name, part in parts if part.is_enabled}


def layer_of(quantiser: str) -> str:
    """Name of the layer that a quantiser belongs to."""
    return quantiser.rpartition('.')[0]


@contextmanager
def only(model: nn.Module, layers: frozenset[str]) -> Iterator[None]:
    """Within it only the quantisers of these layers are at work."""
    resting = [quantiser for name, quantiser in quantisers_of(model).items() if layer_of(name) not in layers]
    for quantiser in resting:
        quantiser.disable_quant()
    try:
        yield
    finally:
        for quantiser in resting:
            quantiser.enable_quant()


# Weights -----------------------------------------------------------------------------------------------------------------


SHRINKS = tuple(0.4 + 0.05 * step for step in range(13))


def weight_ranges(weight: Tensor, bits: int) -> Tensor:
    """Largest magnitude of each output channel, in the weight's number of dimensions.

    With fewer than 8 bits a range that clips some weights is better: the one of SHRINKS with the least squared error.
    """
    flat = weight.flatten(1)
    largest = flat.abs().amax(1).clamp(min=1e-8)
    best = largest
    if bits < 8:
        errors = torch.stack([(on_grid(flat, (share * largest)[:, None], bits) - flat).square().sum(1) for share in SHRINKS])
        best = largest * torch.tensor(SHRINKS, device=weight.device)[errors.argmin(0)]
    return best.view(-1, *(1,) * (weight.dim() - 1))


def on_grid(values: Tensor, largest: Tensor, bits: int) -> Tensor:
    """The nearest values of a symmetric grid with so many bits, which reaches to ``largest``."""
    top = 2 ** (bits - 1) - 1
    step = largest / top
    return (values / step).round().clamp(-top - 1, top) * step


def distance_to_grid(model: nn.Module) -> Tensor:
    """Mean over the quantised layers of the squared distance of their weights to the grid [steps]; at random it is 1/12."""
    return torch.stack(
        [_to_grid(model.get_submodule(layer_of(name)), q) for name, q in weight_quantisers(model).items()]
    ).mean()


def _to_grid(layer: nn.Module, quantiser: Any) -> Tensor:
    top = 2 ** (quantiser.num_bits - 1) - 1
    steps = cast(Tensor, layer.weight) / (quantiser.amax / top)
    return (steps - steps.detach().round().clamp(-top - 1, top)).square().mean()
