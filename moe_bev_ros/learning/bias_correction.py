"""Biases that give each quantised layer the mean output it had in float.

Most of a map is empty, and there a layer reads one value, everywhere: what rounding does to it is no noise that averages out,
but an offset of the whole map, which every layer after it sees. After Nagel et al. 2019 (Data-Free Quantization), but measured
frame by frame, so that each layer corrects what is left after those before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from moe_bev_ros.learning.batches import Batch
from moe_bev_ros.learning.calibration import EveryExpert
from moe_bev_ros.learning.quantisers import layer_of, weight_quantisers
from moe_bev_ros.model.bev_model import BevModel

Means = dict[str, list[Tensor]]  # by layer, of each of its calls in a frame


def correct_biases(model: BevModel, reference: BevModel, frames: Iterable[Batch]) -> None:
    """Change the biases of a calibrated network's quantised layers.

    Args:
        reference: the folded network that it was made from.
    """
    layers = {layer_of(name): model.get_submodule(layer_of(name)) for name in weight_quantisers(model)}
    biases = {name: layer.bias for name, layer in layers.items() if isinstance(layer.bias, nn.Parameter)}
    sums = {name: torch.zeros_like(bias) for name, bias in biases.items()}
    counts = dict.fromkeys(sums, 0)
    first = {name: bias.detach().clone() for name, bias in biases.items()}
    wanted: Means = {}

    def keep(name: str, output: Tensor) -> None:
        wanted.setdefault(name, []).append(mean_of_channels(output))

    def correct(name: str, output: Tensor) -> None:
        bias = biases[name]
        gap = wanted[name].pop(0) - (mean_of_channels(output) - bias.detach())  # the bias that this call would have needed
        sums[name] += gap - first[name]
        counts[name] += 1
        with torch.no_grad():
            bias.copy_(first[name] + sums[name] / counts[name])

    float_runner, runner = EveryExpert(reference), EveryExpert(model)
    with torch.no_grad(), hearing(reference, sums, keep), hearing(model, sums, correct):
        for frame in frames:
            wanted.clear()
            float_runner.step(frame.inputs)
            runner.step(frame.inputs)


def mean_of_channels(output: Tensor) -> Tensor:
    """(C,) of (N, C, H, W) maps or of (…, C) rows."""
    return output.mean((0, 2, 3)) if output.dim() == 4 else output.flatten(0, -2).mean(0)


@contextmanager
def hearing(model: nn.Module, names: Iterable[str], hear: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Within it ``hear`` is told the name and the output of each of these layers whenever one has run."""

    def hook(name: str) -> Callable[[Any, Any, Tensor], None]:
        return lambda _module, _inputs, output: hear(name, output)

    handles = [model.get_submodule(name).register_forward_hook(hook(name)) for name in names]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
