"""Training of a network with its quantisers at work, so that its weights settle where rounding costs little.

Gradients go straight through the rounding (Bengio et al. 2013), and not beyond a quantiser's range. Ranges stay as calibrated.
The stream is that of `train`; all runs of one plan see the same frames in the same order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.batches import Batch, to_batch
from moe_bev_ros.learning.checkpoints import load_checkpoint, save_checkpoint
from moe_bev_ros.learning.distillation import BevFeatures, Teacher, view_guided_loss
from moe_bev_ros.learning.drives import Source
from moe_bev_ros.learning.dropped_sensors import draw_dropped, draw_experts, without
from moe_bev_ros.learning.quantisers import distance_to_grid
from moe_bev_ros.learning.schedules import rate_share
from moe_bev_ros.learning.streams import Place, Streams
from moe_bev_ros.learning.train import chunk_loss
from moe_bev_ros.learning.train_config import TrainConfig
from moe_bev_ros.model.bev_model import BevModel

CHECKPOINT_STEPS = 50
SAY_STEPS = 25
CPU = torch.device('cpu')


@dataclass(frozen=True)
class FineTuning:
    """How it differs from a training.

    Attributes:
        training: whose stream, shares of experts, dropped sensors and weights of the loss are taken; ``rate`` is small,
            and falls from the beginning.
        grid: weight of the mean squared distance of the weights to their grid [1/steps²]; grows from nothing to this.
        distillation: weight of the view-guided loss; 0: there is no teacher.
    """

    training: TrainConfig
    grid: float = 0.0
    distillation: float = 0.0


class QuantisationTraining:
    """One run.

    Args:
        model: folded, with calibrated quantisers; it is trained in place.
        reference: the folded float network.
        checkpoint: where it goes on if it is there.

    Raises:
        InputError: the checkpoint belongs to another run, or is damaged.
    """

    def __init__(self, model: BevModel, reference: BevModel, tuning: FineTuning, source: Source, checkpoint: Path) -> None:
        config = tuning.training
        torch.set_num_threads(config.threads)
        self.model, self.tuning, self.checkpoint = model.channels_last(), tuning, checkpoint
        self.teacher = Teacher(reference.channels_last(), config.batch) if tuning.distillation else None
        self.optimiser = torch.optim.AdamW(model.parameters(), config.rate, weight_decay=0.0)
        self.state = model.empty_memory(config.batch)
        self.step, self.num_steps = 0, config.num_steps(1)
        self.about: dict[str, Any] = {'model': dataclasses.asdict(model.config), 'tuning': dataclasses.asdict(tuning)}
        places = self._resume()
        self.streams = Streams(source, model.config, config.batch, config.chunk, config.seed, config.workers, start=places)

    def learn(self, chunk: list[Batch]) -> dict[str, float]:
        """One step; its terms.

        Raises:
            InputError: the loss is not finite.
        """
        config, progress = self.tuning.training, self.step / self.num_steps
        rng = np.random.default_rng([config.seed, 0, self.step])
        experts = draw_experts(config, chunk[0].conditions, rng)
        dropped = draw_dropped(config, experts, config.batch, self.model.config.num_cameras, rng)
        kept = [frame._replace(inputs=without(frame.inputs, dropped)) for frame in chunk]
        for group in self.optimiser.param_groups:
            group['lr'] = config.rate * rate_share(progress, config.warm_up_share, config.decay_share)
        self.optimiser.zero_grad(set_to_none=True)
        terms = self._terms(kept, experts)
        weights = {'task': 1.0, 'grid': progress * self.tuning.grid, 'views': self.tuning.distillation}
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        if not bool(torch.isfinite(total)):
            raise InputError(f'step {self.step}: the loss is not finite; lower --rate, and give another --out')
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimiser.step()
        self.step += 1
        return {name: float(term.detach()) for name, term in terms.items()}

    def _terms(self, chunk: Sequence[Batch], experts: tuple[str, ...]) -> dict[str, Tensor]:
        config = self.tuning.training
        with BevFeatures(self.model) as features:
            task, _, self.state, seen = chunk_loss(self.model, chunk, self.state, experts, config.losses)
        terms = {'task': task}
        if self.tuning.grid:
            terms['grid'] = distance_to_grid(self.model)
        if self.teacher is not None:
            terms['views'] = view_guided_loss(chunk, features.maps_bcgg, seen, *self.teacher.show(chunk, experts))
        return terms

    def save(self) -> None:
        """Write the checkpoint."""
        teacher = {} if self.teacher is None else self.teacher.state
        content = {
            'config': self.about,
            'step': self.step,
            'decaying': True,
            'model': self.model.state_dict(),
            'optimiser': self.optimiser.state_dict(),
            'streams': [{'places': [tuple(place) for place in self.streams.state], 'state': self.state, 'teacher': teacher}],
        }
        save_checkpoint(self.checkpoint, content)

    def _resume(self) -> list[Place] | None:
        saved = load_checkpoint(self.checkpoint, self.about, plateau_steps=0)
        if saved is None:
            return None
        self.model.load_state_dict(saved['model'])
        self.optimiser.load_state_dict(saved['optimiser'])
        (own,) = saved['streams']
        self.step, self.state = saved['step'], own['state']
        if self.teacher is not None:
            self.teacher.state = own['teacher']
        return [Place(*place) for place in own['places']]


def fine_tuned(
    model: BevModel, reference: BevModel, tuning: FineTuning, source: Source, checkpoint: Path, say: Callable[[str], None]
) -> BevModel:
    """Train a calibrated network, or go on where the checkpoint stands; the checkpoint goes once the caller has the weights.

    Raises:
        InputError: as `QuantisationTraining`, or a file of the source cannot be read.
    """
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    run = QuantisationTraining(model, reference, tuning, source, checkpoint)
    if run.step:
        say(f'goes on at step {run.step} of {run.num_steps}')
    with run.streams:
        while run.step < run.num_steps:
            terms = run.learn([to_batch(step, CPU) for step in next(run.streams)])
            if run.step % SAY_STEPS == 0 or run.step == run.num_steps:
                say(f'step {run.step}/{run.num_steps}  ' + '  '.join(f'{name} {value:.4f}' for name, value in terms.items()))
            if run.step % CHECKPOINT_STEPS == 0:
                run.save()
    return run.model
