import resource

import pytest
import torch
from torch import nn

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.learning.train_pillars import TrainConfig, _save


def save(path, network, step):
    optimiser = torch.optim.AdamW(network.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-3, total_steps=10)
    _save(path, TrainConfig(), network, optimiser, schedule, step, seed=step)


def test_a_full_disk_is_told_and_leaves_the_last_checkpoint(tmp_path):
    path, limits = tmp_path / 'checkpoint.pt', resource.getrlimit(resource.RLIMIT_FSIZE)
    save(path, nn.Linear(2, 2), 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r'checkpoint\.pt: .*; make room'):
            save(path, nn.Linear(200, 200), 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.load(path, weights_only=True)['step'] == 1
    assert list(tmp_path.iterdir()) == [path]
