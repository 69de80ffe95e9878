"""The processes of one training: alone, or as torchrun started them.

Distribution is that of torch: gloo on CPUs, NCCL on CUDA, gradients averaged by DistributedDataParallel.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn


@dataclass(frozen=True)
class Processes:
    """This process among all.

    Attributes:
        rank: the one of rank 0 writes and speaks.
        device: where its network lives.
    """

    rank: int
    num: int
    device: torch.device

    @property
    def speaks(self) -> bool:
        """Whether this one writes files and lines."""
        return self.rank == 0

    def wrapped(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over all processes, and parameters made equal."""
        if self.num == 1:
            return module
        # Experts that a step does not use have no gradient.
        return nn.parallel.DistributedDataParallel(module, find_unused_parameters=True)

    def any(self, *facts: bool) -> tuple[bool, ...]:
        """What is true in at least one process."""
        if self.num == 1:
            return facts
        flags = torch.tensor(facts, dtype=torch.float32, device=self.device)
        distributed.all_reduce(flags, distributed.ReduceOp.MAX)
        return tuple(bool(flag) for flag in flags.tolist())

    def gathered(self, value: Any) -> list[Any]:
        """What each process gave, by rank; on rank 0, and nothing elsewhere."""
        if self.num == 1:
            return [value]
        values: list[Any] = [None] * self.num if self.speaks else []
        distributed.gather_object(value, values if self.speaks else None)
        return values

    def average_gradients(self, module: nn.Module) -> None:
        """Of parameters whose gradient comes after that of the wrapped module; where there is none it is zero."""
        if self.num == 1:
            return
        for parameter in module.parameters():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self.num


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """The group that torchrun's environment describes, or this process alone."""
    rank, num = int(os.environ.get('RANK', '0')), int(os.environ.get('WORLD_SIZE', '1'))
    device = torch.device('cpu')
    if torch.cuda.is_available():
        device = torch.device('cuda', int(os.environ.get('LOCAL_RANK', '0')))
        torch.cuda.set_device(device)
    if num > 1:
        distributed.init_process_group('nccl' if device.type == 'cuda' else 'gloo')
    try:
        yield Processes(rank, num, device)
    finally:
        if num > 1:
            distributed.destroy_process_group()
