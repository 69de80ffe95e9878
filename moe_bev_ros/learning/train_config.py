"""How a network is trained: one frozen value, read from a YAML file."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.model.config import FRAME_EXPERTS


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term of the loss; those of the boxes multiply errors in the units of their channel.

    Attributes:
        heat, attribute, hidden_class, road, forecast: of the heads; hidden_class tells the class of what is out of sight.
        offset, height, size, heading, velocity: of the channels of the box map [1/cell, 1/m, 1, 1, 1/(m/s)].
        sigma: of the likelihood of the stated deviations.
        forecast_mode: of telling which mode comes true.
        depth, dynamic, token_velocity, importance: of what the inner parts are told.
        router: of telling which patches hold objects.
    """

    heat: float = 1.0
    offset: float = 1.2
    height: float = 1.2
    size: float = 0.6
    heading: float = 0.8
    velocity: float = 1.0
    sigma: float = 0.05
    attribute: float = 0.3
    hidden_class: float = 0.1
    road: float = 1.0
    forecast: float = 0.2
    forecast_mode: float = 0.1
    depth: float = 0.2
    dynamic: float = 0.2
    token_velocity: float = 0.1
    importance: float = 1.0
    router: float = 0.2


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast, and with what taken away.

    Attributes:
        num_frames: presented in all; fixed, so that schedules can be followed and a run be repeated.
        batch: drives side by side (of each process under torchrun).
        chunk: frames between two steps; gradients flow within, memory flows on.
        clip: largest norm of the gradient.
        ema_decay: of the averaged weights, a step.
        threads, workers: of the network, and processes that make frames; they do not change what is learnt.
        expert_shares: of steps, by frame expert, or by two of them joined with a plus.
        lidar_dropout, camera_dropout: of drives in steps of fused experts, without LiDAR or without any camera.
        one_camera_dropout: of drives in steps with cameras, without one of them.
        dense_share, first_sparsity, full_sparsity_share: see `schedules.sparsity_at`.
        specialise_share: of the run, after which poor_sight goes on from a copy of fused; before, fused takes its steps.
        router_noise, router_dropout: standard deviation added to the router's logits, and share of pairs it may not choose.
    """

    num_frames: int
    batch: int = 4
    chunk: int = 4
    rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up_share: float = 0.03
    decay_share: float = 0.25
    clip: float = 5.0
    ema_decay: float = 0.998
    seed: int = 0
    threads: int = 1
    workers: int = 1
    expert_shares: dict[str, float] = field(default_factory=lambda: {'fused': 1.0})
    lidar_dropout: float = 0.0
    camera_dropout: float = 0.0
    one_camera_dropout: float = 0.0
    dense_share: float = 0.05
    first_sparsity: float = 0.3
    full_sparsity_share: float = 0.6
    specialise_share: float = 0.3
    router_noise: float = 0.0
    router_dropout: float = 0.0
    losses: LossWeights = field(default_factory=LossWeights)

    def __post_init__(self) -> None:
        if min(self.batch, self.chunk) < 1 or self.num_frames < self.batch * self.chunk:
            raise InputError(f'num_frames must fill one step of {self.batch} drives x {self.chunk}, got {self.num_frames}')
        if not 0.0 < self.warm_up_share + self.decay_share <= 1.0:
            raise InputError(
                f'warm_up_share and decay_share must fit into the run, got {self.warm_up_share}, {self.decay_share}'
            )
        unknown = {part for name in self.expert_shares for part in name.split('+')} - set(FRAME_EXPERTS)
        if unknown or not sum(self.expert_shares.values()) > 0.0:
            raise InputError(f'expert_shares: {self.expert_shares}; give shares of {", ".join(FRAME_EXPERTS)}')

    def num_steps(self, processes: int) -> int:
        """Steps of a run on so many processes."""
        return max(1, self.num_frames // (self.batch * self.chunk * processes))


def load_train_config(path: Path, **changes: Any) -> TrainConfig:
    """Read a training's YAML file; ``changes`` replace its values.

    Raises:
        InputError: names the file, and what is wrong in it.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as err:
        raise InputError(f'{path}: {err.strerror}; give a file as those in config/training') from err
    except yaml.YAMLError as err:
        raise InputError(f'{path}: not YAML ({err}); mend it') from err
    if not isinstance(document, dict):
        raise InputError(f'{path}: must hold keys and values; see config/training/tiny.yaml')
    values = {**document, **changes}
    losses = _known(LossWeights, values.pop('losses', None) or {}, path, 'losses: ')
    return TrainConfig(**_known(TrainConfig, values, path, ''), losses=LossWeights(**losses))


def _known(kind: type[Any], values: dict[str, Any], path: Path, prefix: str) -> dict[str, Any]:
    names = [item.name for item in dataclasses.fields(kind)]
    if unknown := sorted(set(values) - set(names)):
        raise InputError(f'{path}: {prefix}no key {", ".join(unknown)}; there are {", ".join(names)}')
    return values
