"""Trains the BEV network on drives that run side by side: the memory flows from chunk to chunk, gradients within one.

Optimiser AdamW; the weights that are written are a moving average. A checkpoint every minute holds everything that a later run
needs to go on. Under torchrun every process learns from drives of its own, and gradients are averaged.
"""

from __future__ import annotations

import copy
import dataclasses
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.batches import Batch, to_batch
from moe_bev_ros.learning.checkpoints import load_checkpoint, save_checkpoint
from moe_bev_ros.learning.drives import Source
from moe_bev_ros.learning.dropped_sensors import draw_dropped, draw_experts, without
from moe_bev_ros.learning.first_weights import Weights, begin_with
from moe_bev_ros.learning.losses import Terms, importance_loss, task_losses
from moe_bev_ros.learning.processes import Processes, joined_processes
from moe_bev_ros.learning.run_log import RunLog
from moe_bev_ros.learning.schedules import rate_share, sparsity_at
from moe_bev_ros.learning.streams import Place, Streams
from moe_bev_ros.learning.train_config import LossWeights, TrainConfig
from moe_bev_ros.model.bev_model import BevModel, Seen
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.model.memory import State
from moe_bev_ros.model.weights_file import save_weights

CHECKPOINT_EVERY_S = 60.0


def chunk_loss(
    model: BevModel, chunk: Sequence[Batch], state: State, experts: tuple[str, ...], weights: LossWeights
) -> tuple[Tensor, Terms, State, list[Seen]]:
    """Mean loss of a chunk's frames, its terms, the memory afterwards, and what the scorer learns from after the gradient."""
    totals, steps, seen = [], [], []
    for frame in chunk:
        with torch.autocast(frame.inputs.images.device.type, torch.bfloat16):
            outputs, state = model(frame.inputs, state, experts)
        total, terms = task_losses(outputs, frame.targets, weights, model.config.head_cell_m)
        totals.append(total)
        steps.append(terms)
        if outputs.hints.seen is not None:
            seen.append(outputs.hints.seen)
    terms = {name: torch.stack([step[name] for step in steps]).mean() for name in steps[0]}
    return torch.stack(totals).mean(), terms, {name: value.detach() for name, value in state.items()}, seen


class Training:
    """One run in one process."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainConfig,
        source: Source,
        out: Path,
        processes: Processes,
        first_weights: Weights | None = None,
    ) -> None:
        self.config, self.out, self.processes = config, out, processes
        self.num_steps = config.num_steps(processes.num)
        self.plateau_steps = int((1.0 - config.decay_share) * self.num_steps)
        torch.manual_seed(config.seed)
        torch.set_num_threads(config.threads)
        self.model = BevModel(model_config)
        if first_weights is not None:
            begin_with(self.model, first_weights)
        self.model = self.model.to(processes.device).channels_last()
        self.average = AveragedModel(self.model, multi_avg_fn=_average(config.ema_decay), use_buffers=True)
        self.optimiser = torch.optim.AdamW(_groups(self.model, config.weight_decay), config.rate)
        self.state = self.model.empty_memory(config.batch)
        self.step, self.seconds = 0, 0.0
        self.rows: list[dict[str, float]] = []
        self.about = {
            'model': dataclasses.asdict(model_config),
            'training': dataclasses.asdict(config),
            'processes': processes.num,
        }
        places = self._resume(out / 'checkpoint.pt')
        self.streams = Streams(
            source,
            model_config,
            config.batch,
            config.chunk,
            config.seed,
            config.workers,
            processes.rank,
            processes.num,
            places,
        )

    def learn(self, chunk: list[Batch]) -> Terms:
        """One step; its terms, with the sum as ``total``.

        Raises:
            InputError: the loss is not finite; the chunk is saved, the weights are as before.
        """
        config, progress = self.config, self.step / self.num_steps
        rng = np.random.default_rng([config.seed, self.processes.rank, self.step])
        torch.manual_seed(int(rng.integers(2**62)))
        self._set_schedules(progress)
        experts = self._experts(chunk, rng)
        dropped = draw_dropped(config, experts, config.batch, self.model.config.num_cameras, rng)
        kept = [frame._replace(inputs=without(frame.inputs, dropped)) for frame in chunk]
        self.model.train()
        self.optimiser.zero_grad(set_to_none=True)
        total, terms, state, seen = chunk_loss(self.model, kept, self.state, experts, config.losses)
        self._check_finite(total, chunk, experts)
        total.backward()  # type: ignore[no-untyped-call]
        terms |= self._teach_scorer(seen)
        self.processes.average_gradients(self.model)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self._check_finite(norm, chunk, experts)
        self.optimiser.step()
        self.average.update_parameters(self.model)
        self.state, self.step = state, self.step + 1
        return {**{name: term.detach() for name, term in terms.items()}, 'total': total.detach(), 'gradient': norm}

    def _teach_scorer(self, seen: Sequence[Seen]) -> Terms:
        """Its gradient, from the one that has just gone through the features."""
        if not seen:
            return {}
        loss = torch.stack([importance_loss(one) for one in seen]).mean()
        (self.config.losses.importance * loss).backward()  # type: ignore[no-untyped-call]
        return {'importance': loss.detach()}

    @property
    def averaged(self) -> BevModel:
        """The network with its averaged weights."""
        return cast(BevModel, self.average.module)

    @property
    def settings(self) -> dict[str, float]:
        """What the schedules have set for the last step."""
        capacity = self.model.router.capacity / self.model.config.num_patches
        return {'rate': float(self.optimiser.param_groups[0]['lr']), 'sparsity': 1.0 - capacity}

    def save(self, name: str) -> None:
        """Write a checkpoint. All processes call it, because each tells where its drives are; rank 0 writes."""
        state = {name: value.cpu() for name, value in self.state.items()}
        streams = self.processes.gathered({'places': [tuple(place) for place in self.streams.state], 'state': state})
        if not self.processes.speaks:
            return
        content = {
            'config': self.about,
            'step': self.step,
            'decaying': self.step > self.plateau_steps,
            'model': self.model.state_dict(),
            'average': self.average.state_dict(),
            'optimiser': self.optimiser.state_dict(),
            'streams': streams,
            'rows': self.rows,
            'seconds': self.seconds,
        }
        save_checkpoint(self.out / name, content)

    def _resume(self, path: Path) -> list[Place] | None:
        """Where the drives of this process go on; None at the beginning."""
        saved = load_checkpoint(path, self.about, plateau_steps=self.plateau_steps)
        if saved is None:
            return None
        self.model.load_state_dict(saved['model'])
        self.average.load_state_dict(saved['average'])
        self.optimiser.load_state_dict(saved['optimiser'])
        self.step, self.rows, self.seconds = saved['step'], saved['rows'], saved['seconds']
        own = saved['streams'][self.processes.rank]
        self.state = {name: value.to(self.processes.device) for name, value in own['state'].items()}
        return [Place(*place) for place in own['places']]

    def _set_schedules(self, progress: float) -> None:
        config, router = self.config, self.model.router
        for group in self.optimiser.param_groups:
            group['lr'] = config.rate * rate_share(progress, config.warm_up_share, config.decay_share)
        last = self.model.config.sparsity
        sparsity = sparsity_at(progress, config.dense_share, config.first_sparsity, config.full_sparsity_share, last)
        router.capacity = max(1, round((1.0 - sparsity) * self.model.config.num_patches))
        router.noise, router.dropout = config.router_noise, config.router_dropout
        if self.step == round(config.specialise_share * self.num_steps):
            self.model.poor_sight.load_state_dict(copy.deepcopy(self.model.fused.state_dict()))

    def _experts(self, chunk: list[Batch], rng: np.random.Generator) -> tuple[str, ...]:
        experts = draw_experts(self.config, chunk[0].conditions, rng)
        if self.step < round(self.config.specialise_share * self.num_steps):
            return tuple(dict.fromkeys('fused' if name == 'poor_sight' else name for name in experts))
        return experts

    def _check_finite(self, value: Tensor, chunk: list[Batch], experts: Sequence[str]) -> None:
        mine = not bool(torch.isfinite(value))
        (bad,) = self.processes.any(mine)
        if not bad:
            return
        path = self.out / ('bad_batch.pt' if self.processes.speaks else f'bad_batch_{self.processes.rank}.pt')
        if mine:
            content = {'inputs': [tuple(f.inputs) for f in chunk], 'targets': [tuple(f.targets) for f in chunk]}
            save_checkpoint(path, {**content, 'experts': list(experts), 'step': self.step})
        where = f'its batch is in {path}' if mine else 'another process saved its batch'
        raise InputError(
            f'step {self.step}: the loss is not finite; {where}. The last checkpoint is intact: mend the data or lower the '
            'rate, then the same command goes on from there'
        )


def train(
    model_config: ModelConfig,
    config: TrainConfig,
    source: Source,
    out: Path,
    say: Callable[[str], None],
    first_weights: Weights | None = None,
) -> Path | None:
    """Train, or go on where ``out/checkpoint.pt`` stopped; returns ``out/<profile>.safetensors``, None if it was interrupted.

    Args:
        first_weights: to begin with, see `begin_with`; None: at random.

    Raises:
        InputError: the checkpoint belongs to another config or is truncated, or the loss was not finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    with joined_processes() as processes, _interrupts() as interrupted, _no_denormals():
        quiet: Callable[[str], None] = say if processes.speaks else lambda _: None
        training = Training(model_config, config, source, out, processes, first_weights)
        if training.step:
            quiet(f'goes on at step {training.step} of {training.num_steps}')
        finished = finish(training, quiet, interrupted)
        if not finished or not processes.speaks:
            return None
        return save_weights(training.averaged, model_config, out / f'{model_config.name}.safetensors')


def finish(training: Training, say: Callable[[str], None], interrupted: Callable[[], bool]) -> bool:
    """Step until the end; False where somebody asked it to stop."""
    config, processes = training.config, training.processes
    frames = config.batch * config.chunk * processes.num
    log = (
        RunLog(training.out, training.num_steps, frames, say, rows=training.rows, seconds=training.seconds)
        if processes.speaks
        else None
    )
    saved_s, stop = time.monotonic(), False
    with training.streams:
        while training.step < training.num_steps and not stop:
            terms = training.learn([to_batch(step, processes.device) for step in next(training.streams)])
            if log is not None:
                log.add(training.step, terms, training.settings)
                training.rows, training.seconds = log.rows, log.seconds
            stop, due = processes.any(interrupted(), time.monotonic() - saved_s > CHECKPOINT_EVERY_S)
            if training.step == training.plateau_steps:
                training.save('plateau.pt')
            if stop or due or training.step == training.num_steps:
                training.save('checkpoint.pt')
                saved_s = time.monotonic()
    if log is not None:
        log.close()
        if training.step == training.num_steps:
            log.write(training.about)
    if training.step < training.num_steps:
        say(f'interrupted at step {training.step} of {training.num_steps}; the same command with --out {training.out} goes on')
    return training.step == training.num_steps


@contextmanager
def _no_denormals() -> Iterator[None]:
    """Numbers next to zero count as zero: processors are slow with them. It holds for all of this process, so it ends again."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and a request to end wait for the end of the step; a second one does not."""
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Only matrices and kernels decay."""
    parameters = list(model.parameters())
    return [
        {'params': [p for p in parameters if p.dim() > 1], 'weight_decay': weight_decay},
        {'params': [p for p in parameters if p.dim() <= 1], 'weight_decay': 0.0},
    ]


def _average(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None]:
    """An exponential moving average that forgets its first steps sooner."""

    @torch.no_grad()
    def update(average: Sequence[Tensor], now: Sequence[Tensor], count: Tensor | int) -> None:
        present = min(decay, (1.0 + float(count)) / (10.0 + float(count)))
        if average[0].is_floating_point():
            torch._foreach_lerp_(list(average), list(now), 1.0 - present)
        else:
            torch._foreach_copy_(list(average), list(now))

    return update
