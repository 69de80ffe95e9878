"""The processes of one training: alone, or as torchrun started them.

Distribution is that of torch: gloo on CPUs, NCCL on CUDA. Gradients are averaged by one call a step and not by
DistributedDataParallel: it fails where two backward passes make a step and the experts without a gradient change each time.
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
        """Over all processes; a part that one of them did not use counts as zero there; what none used keeps no gradient."""
        if self.num == 1:
            return
        parameters = list(module.parameters())
        used = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.float32, device=self.device)
        distributed.all_reduce(used, distributed.ReduceOp.MAX)
        parameters = [parameter for parameter, by_any in zip(parameters, used.tolist()) if by_any]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        averaged = torch.split(flat / self.num, [gradient.numel() for gradient in gradients])
        for parameter, gradient in zip(parameters, averaged):
            parameter.grad = gradient.view(parameter.shape)


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
