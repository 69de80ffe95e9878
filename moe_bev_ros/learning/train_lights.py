"""Trains the traffic light network on crops that the world gives.

Optimiser AdamW with a one-cycle rate. Making the crops takes longer than learning from them: about three seconds a scenario.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.traffic_light import LightState
from moe_bev_ros.learning.light_samples import LightSamples, joined, samples_of_seed
from moe_bev_ros.model.light_net import LightNet
from moe_bev_ros.model.weights_file import write_tensors
from moe_bev_ros.world.splits import SPLITS, seeds_of

DISTANCES_M = (0.0, 20.0, 35.0, 55.0, 70.0)
MAX_SHIFT = 2  # pixels of a crop
EVERY_STEPS = 100


@dataclass(frozen=True)
class LightTrainConfig:
    """How much and how fast.

    Attributes:
        num_scenarios, num_checked: of the splits train and val.
        batch: crops of a step.
    """

    num_scenarios: int = 120
    num_checked: int = 16
    num_steps: int = 3000
    batch: int = 128
    rate: float = 3e-3
    weight_decay: float = 0.02
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.num_scenarios, self.num_checked, self.num_steps, self.batch) < 1:
            raise InputError('scenarios, steps and batch must be at least 1; give more')


def train_lights(config: LightTrainConfig, out: Path, progress: Callable[[str], None]) -> Path:
    """Make crops, learn, and tell how many of unseen scenarios are read right; returns ``out/lights.safetensors``.

    Raises:
        InputError: the disk refuses the file.
    """
    torch.set_num_threads(config.threads)
    seeds = seeds_of('train', config.num_scenarios), seeds_of('val', config.num_checked)
    samples, checked = (_made(chosen, split, progress) for chosen, split in zip(seeds, ('train', 'val')))
    model = fit(samples, config, progress)
    for line in accuracy_lines(model, checked):
        progress(line)
    return write_tensors(model, out / 'lights.safetensors')


def fit(samples: LightSamples, config: LightTrainConfig, progress: Callable[[str], None]) -> LightNet:
    """A network that has learned from samples, in evaluation mode.

    Raises:
        InputError: there are no samples, or the loss is not finite.
    """
    if not len(samples):
        raise InputError('no scenario shows a light; train on more scenarios')
    torch.manual_seed(config.seed)
    rng = np.random.default_rng(config.seed)
    model = LightNet().train()
    optimiser = torch.optim.AdamW(model.parameters(), config.rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=config.num_steps, pct_start=0.2)
    losses: list[float] = []
    for step in range(1, config.num_steps + 1):
        chosen = rng.integers(len(samples), size=config.batch)
        crops = augmented(torch.from_numpy(samples.images_n3hw[chosen]).float())
        states = torch.from_numpy(samples.states_n[chosen])
        loss = torch.nn.functional.cross_entropy(model(crops), states, label_smoothing=0.02)
        if not torch.isfinite(loss):
            raise InputError(f'the loss is not finite at step {step}; lower the rate')
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        losses.append(float(loss.detach()))
        if step % EVERY_STEPS == 0 or step == config.num_steps:
            progress(f'step {step}/{config.num_steps}  loss {np.mean(losses[-EVERY_STEPS:]):.4f}')
    return model.eval()


def augmented(crops_l3hw: Tensor) -> Tensor:
    """Crops in other light, mirrored half of the time, and shifted by up to MAX_SHIFT pixels."""
    num, _, height, width = crops_l3hw.shape
    gain = torch.exp(0.25 * torch.randn(num, 1, 1, 1)) * torch.exp(0.05 * torch.randn(num, 3, 1, 1))
    crops = crops_l3hw * gain + 0.2 * torch.randn(num, 1, 1, 1) + 0.05 * torch.randn_like(crops_l3hw)
    mirrored = torch.rand(num) < 0.5
    crops[mirrored] = crops[mirrored].flip(3)
    padded = torch.nn.functional.pad(crops, (MAX_SHIFT,) * 4)
    top, left = (torch.randint(0, 2 * MAX_SHIFT + 1, (num, 1)) for _ in range(2))
    rows, columns = top + torch.arange(height), left + torch.arange(width)
    return padded[torch.arange(num)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def accuracy_lines(model: LightNet, samples: LightSamples) -> list[str]:
    """How many crops are read right, by distance and by state."""
    with torch.inference_mode():
        read_n = model(torch.from_numpy(samples.images_n3hw).float()).argmax(dim=1).numpy()
    right_n, lines = read_n == samples.states_n, []
    for low_m, high_m in pairwise(DISTANCES_M):
        cases_n = right_n[(samples.distance_n >= low_m) & (samples.distance_n < high_m)]
        lines.append(f'{low_m:.0f} to {high_m:.0f} m: {cases_n.sum()} of {len(cases_n)} crops are read right')
    for state in LightState:
        cases_n = right_n[samples.states_n == state]
        lines.append(f'{state.name.lower()}: {cases_n.sum()} of {len(cases_n)}')
    return lines


def _made(seeds: Sequence[int], split: str, progress: Callable[[str], None]) -> LightSamples:
    assert split in SPLITS
    made = []
    for number, seed in enumerate(seeds, start=1):
        made.append(samples_of_seed(seed, split))
        if number % 10 == 0 or number == len(seeds):
            progress(f'{split}: {number}/{len(seeds)} scenarios, {sum(map(len, made))} crops')
    return joined(made)
