"""A training small enough for tests: ``python -m learning.training_run OUT`` runs it, also under torchrun."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from learning.drive_frames import CountedSource
from model.small_model import CONFIG

from moe_bev_ros.learning.processes import joined_processes
from moe_bev_ros.learning.train import Training, finish, train
from moe_bev_ros.learning.train_config import TrainConfig

MODEL = replace(CONFIG, channels=8, num_experts=4, head_channels=4, camera_channels=(4, 4, 8, 8), attention_heads=1)
SHORT = TrainConfig(
    num_frames=48,
    batch=2,
    chunk=2,
    rate=5e-3,
    workers=0,
    expert_shares={'fused': 0.5, 'lidar': 0.2, 'camera': 0.2, 'fused+poor_sight': 0.1},
    lidar_dropout=0.1,
    camera_dropout=0.1,
    one_camera_dropout=0.2,
    router_noise=0.3,
    router_dropout=0.1,
)


def run(out, config=SHORT, say=lambda _: None, source=None, model=MODEL):
    return train(model, config, source or CountedSource((3, 5, 4, 6)), Path(out), say)


def weights_of(path):
    return torch.load(path, weights_only=True)['model']


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def main(out):
    """Leaves ``rank<n>.pt`` of each process."""
    with joined_processes() as processes:
        config = replace(SHORT, num_frames=16)
        training = Training(MODEL, config, CountedSource((3, 5, 4, 6)), out, processes)
        finish(training, lambda _: None, lambda: False)
        torch.save(dict(training.model.named_parameters()), out / f'rank{processes.rank}.pt')


if __name__ == '__main__':
    main(Path(sys.argv[1]))
