"""What rounding does to each layer of a calibrated network, by itself and to what the network says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from moe_bev_ros.learning.batches import Batch
from moe_bev_ros.learning.calibration import EveryExpert
from moe_bev_ros.learning.losses import task_losses
from moe_bev_ros.learning.quantisers import activation_quantisers, layer_of, only, quantisers_of, weight_quantisers
from moe_bev_ros.learning.train_config import LossWeights
from moe_bev_ros.model.bev_model import BevModel, Outputs, Seen
from moe_bev_ros.model.config import FRAME_EXPERTS

Encoded = tuple[Seen, tuple[Tensor, Tensor]]
ENCODING = ('camera_encoder.', 'key_points.', 'attention.', 'lift.', 'lidar_encoder.')
MAPS = ('heat', 'boxes', 'road', 'forecast')


@dataclass(frozen=True)
class Sensitivity:
    """What happens where one layer alone is quantised.

    Attributes:
        loss: increase of the task's loss.
        error_db: signal to error of MAPS, the mean of their powers [dB].
    """

    layer: str
    loss: float
    error_db: float


def layer_errors(model: BevModel, frames: Iterable[Batch]) -> dict[str, dict[str, float]]:
    """Signal to rounding error [dB] of the inputs and of the weights of each layer, in float surroundings."""
    powers: dict[str, list[float]] = {name: [0.0, 0.0] for name in activation_quantisers(model)}

    def hear(name: str, before: Tensor, after: Tensor) -> None:
        powers[name][0] += float(before.square().sum())
        powers[name][1] += float((before - after).square().sum())

    runner = EveryExpert(model)
    with torch.no_grad(), rounding_heard(model, hear):
        for frame in frames:
            runner.step(frame.inputs)
    for name, quantiser in weight_quantisers(model).items():
        weight = model.get_submodule(layer_of(name)).get_parameter('weight').detach()
        powers[name] = [float(weight.square().sum()), float((weight - quantiser(weight)).square().sum())]
    found: dict[str, dict[str, float]] = {}
    for name, (signal, error) in powers.items():
        found.setdefault(layer_of(name), {})[name.rpartition('.')[2].removesuffix('_quantizer')] = decibel(signal, error)
    return found


def sensitivities(
    model: BevModel, frames: Sequence[Batch], weights: LossWeights, say: Callable[[str], None]
) -> list[Sensitivity]:
    """All layers, the worst first: quantised one at a time.

    Args:
        model: calibrated.
        frames: held in memory, each is run once a layer.
    """
    layers = list(dict.fromkeys(map(layer_of, quantisers_of(model))))
    plain = [_encoded(model, frame) for frame in frames]
    expected = {name: _concluded(model, frames, plain, name, frozenset()) for name in FRAME_EXPERTS}
    found = []
    for number, layer in enumerate(layers):
        expert = next((name for name in FRAME_EXPERTS if layer.startswith(f'{name}.')), 'fused')
        one = frozenset({layer})
        encoded = [_encoded(model, frame, one) for frame in frames] if layer.startswith(ENCODING) else plain
        said = _concluded(model, frames, encoded, expert, one)
        losses = [_loss(outputs, frames, weights, model) for outputs in (said, expected[expert])]
        found.append(Sensitivity(layer, losses[0] - losses[1], _error_db(said, expected[expert])))
        if (number + 1) % 10 == 0 or number + 1 == len(layers):
            say(f'{number + 1} of {len(layers)} layers')
    return sorted(found, key=lambda one: -one.loss)


@contextmanager
def rounding_heard(model: nn.Module, hear: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """Within it the network is float, and ``hear`` is told what each activation quantiser would have made of its tensor."""

    def hook(name: str) -> Callable[[Any, Any, Tensor], Tensor]:
        def tell(_module: Any, inputs: Any, output: Tensor) -> Tensor:
            hear(name, inputs[0], output)
            return inputs[0]

        return tell

    handles = [quantiser.register_forward_hook(hook(name)) for name, quantiser in activation_quantisers(model).items()]
    resting = list(weight_quantisers(model).values())
    for quantiser in resting:
        quantiser.disable_quant()
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for quantiser in resting:
            quantiser.enable_quant()


def decibel(signal: float, error: float) -> float:
    """Of the ratio; 200 where there is no error."""
    return 10.0 * math.log10(max(signal, 1e-20) / max(error, 1e-20 * max(signal, 1e-20)))


def _encoded(model: BevModel, frame: Batch, layers: frozenset[str] = frozenset()) -> Encoded:
    with torch.no_grad(), only(model, layers):
        return model.see(frame.inputs), model.lidar_encoder(frame.inputs.pillars)


def _concluded(
    model: BevModel, frames: Sequence[Batch], encoded: Sequence[Encoded], expert: str, layers: frozenset[str]
) -> list[Outputs]:
    state, found = model.empty_memory(1), []
    with torch.no_grad(), only(model, layers):
        for frame, (seen, lidar) in zip(frames, encoded):
            outputs, state = model.conclude(seen, lidar, frame.inputs, state, (expert,))
            found.append(outputs)
    return found


def _loss(outputs: Sequence[Outputs], frames: Sequence[Batch], weights: LossWeights, model: BevModel) -> float:
    cell_m = model.config.head_cell_m
    losses = [task_losses(one, frame.targets, weights, cell_m)[0] for one, frame in zip(outputs, frames)]
    return float(torch.stack(losses).mean())


def _error_db(said: Sequence[Outputs], expected: Sequence[Outputs]) -> float:
    shares = []
    for name in MAPS:
        ours, theirs = (torch.stack([getattr(one, name) for one in side]) for side in (said, expected))
        shares.append(float((ours - theirs).square().mean() / (theirs - theirs.mean()).square().mean()))
    return -decibel(sum(shares) / len(shares), 1.0)
