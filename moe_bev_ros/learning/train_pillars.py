"""Trains the pillar yardstick on sweeps that a process of its own makes from the world while the network learns.

Optimiser AdamW with a one-cycle rate. A checkpoint every minute holds everything that a later run needs to go on.
"""

from __future__ import annotations

import itertools
import multiprocessing
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.centre_targets import centre_loss, make_targets
from moe_bev_ros.learning.checkpoints import save_checkpoint
from moe_bev_ros.learning.lidar_samples import LidarSample, samples_of_seed
from moe_bev_ros.model.pillars import PillarNet, padded, pillar_features
from moe_bev_ros.model.weights_file import write_tensors

CHECKPOINT_EVERY_S = 60.0
POINTS_STEP = 65536
POOL_SAMPLES = 160  # shuffled among one another, because neighbours in time look alike


@dataclass(frozen=True)
class TrainConfig:
    """How long and how fast.

    Attributes:
        num_samples: presented in all; fixed, so that a rate schedule can be followed and a run be repeated.
        batch: samples of a step.
    """

    num_samples: int = 5600
    batch: int = 4
    rate: float = 2e-3
    weight_decay: float = 0.01
    seed: int = 0
    threads: int = 1

    def __post_init__(self) -> None:
        if self.num_samples < self.batch or self.batch < 1:
            raise InputError(f'num_samples must be at least one batch, got {self.num_samples} and a batch of {self.batch}')


def train(config: TrainConfig, out: Path, progress: Callable[[str], None]) -> Path:
    """Train, or go on where ``out/checkpoint.pt`` stopped; writes and returns ``out/pillars.safetensors``.

    Raises:
        InputError: the checkpoint belongs to another config, or the disk refuses a file.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    model = PillarNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), config.rate, weight_decay=config.weight_decay)
    num_steps = config.num_samples // config.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, config.rate, total_steps=num_steps, pct_start=0.2)
    path = out / 'checkpoint.pt'
    step, first_seed = _resume(path, config, model, optimiser, schedule)
    saved_s = time.monotonic()
    losses: list[tuple[float, float]] = []
    for samples, seed in _batches(config, first_seed, num_steps - step):
        losses.append(_step(model, optimiser, schedule, samples))
        step += 1
        if step % 50 == 0 or step == num_steps:
            heat, boxes = np.mean(losses[-50:], axis=0)
            progress(f'step {step}/{num_steps}  seed {seed}  loss heat {heat:.3f} boxes {boxes:.3f}')
        if time.monotonic() - saved_s > CHECKPOINT_EVERY_S or step == num_steps:
            _save(path, config, model, optimiser, schedule, step, seed)
            saved_s = time.monotonic()
    return write_tensors(model, out / 'pillars.safetensors')


def _step(model: PillarNet, optimiser: Any, schedule: Any, samples: list[LidarSample]) -> tuple[float, float]:
    model.train()
    grid = model.grid
    features, pillars = zip(*(pillar_features(sample.points_n5, grid) for sample in samples))
    shifted = [pillar_n + index * grid.num_pillars**2 for index, pillar_n in enumerate(pillars)]
    targets = make_targets([sample.truth for sample in samples], grid.num_cells, grid.cell_m, grid.half_m)
    features_nf, pillar_n = padded(np.concatenate(features), POINTS_STEP), padded(np.concatenate(shifted), POINTS_STEP)
    inputs = (torch.from_numpy(features_nf), torch.from_numpy(pillar_n), len(samples))
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast('cpu', torch.bfloat16):
        heat, boxes = model(*inputs)
    heat_loss, box_loss = centre_loss(heat, boxes, targets)
    total = heat_loss + box_loss
    if not torch.isfinite(total):
        raise InputError('the loss is not finite; the last checkpoint is intact, lower the rate')
    total.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    optimiser.step()
    schedule.step()
    return float(heat_loss.detach()), float(box_loss.detach())


def _resume(path: Path, config: TrainConfig, model: PillarNet, optimiser: Any, schedule: Any) -> tuple[int, int]:
    """Step and seed to go on with."""
    if not path.is_file():
        return 0, 0
    state = torch.load(path, weights_only=True)
    if state['config'] != config.__dict__:
        raise InputError(f'{path}: made with {state["config"]}, not {config.__dict__}; give another --out or remove it')
    model.load_state_dict(state['model'])
    optimiser.load_state_dict(state['optimiser'])
    schedule.load_state_dict(state['schedule'])
    return int(state['step']), int(state['seed'])


def _save(path: Path, config: TrainConfig, model: PillarNet, optimiser: Any, schedule: Any, step: int, seed: int) -> None:
    state = {'config': config.__dict__, 'step': step, 'seed': seed}
    state |= {'model': model.state_dict(), 'optimiser': optimiser.state_dict(), 'schedule': schedule.state_dict()}
    save_checkpoint(path, state)


def _batches(config: TrainConfig, first_seed: int, num: int) -> Iterator[tuple[list[LidarSample], int]]:
    """Batches from a shuffled pool that a process fills, and the next seed to go on with after each."""
    rng = np.random.default_rng(config.seed + first_seed)
    context = multiprocessing.get_context('spawn')
    samples: Any = context.Queue(maxsize=32)
    worker = context.Process(target=_produce, args=(first_seed, samples), daemon=True)
    worker.start()
    pool: list[LidarSample] = []
    seed = first_seed
    try:
        for _ in range(num):
            while len(pool) < min(POOL_SAMPLES, num * config.batch):
                sample = _next(samples, worker)
                pool.append(sample)
                seed = sample.seed
            chosen = [pool.pop(int(rng.integers(len(pool)))) for _ in range(config.batch)]
            yield [_augmented(sample, rng) for sample in chosen], seed
    finally:
        worker.terminate()
        worker.join()


def _next(samples: Any, worker: Any) -> LidarSample:
    while samples.empty() and worker.is_alive():
        time.sleep(0.02)
    try:
        sample: LidarSample = samples.get(timeout=5.0)
    except queue.Empty:
        raise RuntimeError('the process that makes samples has died; its error stands above') from None
    return sample


def _produce(first_seed: int, samples: Any) -> None:
    """Runs in the worker: one seed after the other, as long as there is somebody to learn from them."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    for seed in itertools.count(first_seed):
        for sample in samples_of_seed(seed):
            while samples.full():
                if not parent.is_alive():
                    return
                time.sleep(0.02)
            samples.put(sample)


def _augmented(sample: LidarSample, rng: np.random.Generator) -> LidarSample:
    """The same scene seen in a mirror half of the time, and turned by up to 20 degrees."""
    angle = float(rng.uniform(-0.35, 0.35))
    return sample.turned(angle, mirrored=bool(rng.uniform() < 0.5))
