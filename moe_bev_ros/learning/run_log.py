"""What a training tells while it runs: lines, TensorBoard curves, and a log at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from moe_bev_ros.core.files import write_json

LINE_EVERY_S = 15.0
NUM_ROWS = 200  # of the log of a whole run


class RunLog:
    """Collects the terms of the steps of one process.

    Args:
        rows: what an earlier part of the run had logged.
        seconds: that it took.
    """

    def __init__(
        self,
        out: Path,
        num_steps: int,
        frames_per_step: int,
        say: Callable[[str], None],
        *,
        rows: list[dict[str, float]],
        seconds: float,
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.rows = rows
        self._out, self._say, self._num_steps, self._frames = out, say, num_steps, frames_per_step
        self._earlier_s, self._begun_s, self._first_step = seconds, time.monotonic(), -1
        self._said_s = self._begun_s
        self._writer: Any = SummaryWriter(str(out / 'tensorboard'))
        self._recent: list[dict[str, Tensor]] = []

    @property
    def seconds(self) -> float:
        """Of the whole run so far."""
        return self._earlier_s + time.monotonic() - self._begun_s

    def add(self, step: int, terms: Mapping[str, Tensor], settings: Mapping[str, float]) -> None:
        """Take in step number ``step`` (from 1 on), with what was set for it."""
        if self._first_step < 0:
            self._first_step = step - 1
        self._recent.append(dict(terms))
        every = max(1, self._num_steps // NUM_ROWS)
        if step % every == 0 or step == self._num_steps:
            row = {'frames': float(step * self._frames), **settings, **self._means()}
            self.rows.append(row)
            for name, value in row.items():
                self._writer.add_scalar(name, value, step * self._frames)
            self._recent.clear()
        if time.monotonic() - self._said_s > LINE_EVERY_S or step == self._num_steps:
            self._said_s = time.monotonic()
            self._say(self._line(step))

    def write(self, about: Mapping[str, Any]) -> None:
        """Write ``log.json`` of the whole run."""
        frames = self.rows[-1]['frames'] if self.rows else 0.0
        figures = {'seconds': round(self.seconds, 1), 'frames_per_s': round(frames / max(self.seconds, 1e-9), 2)}
        write_json(self._out / 'log.json', {**about, **figures, 'rows': self.rows})

    def close(self) -> None:
        """Close the curves."""
        self._writer.close()

    def _means(self) -> dict[str, float]:
        names = sorted({name for terms in self._recent for name in terms})
        return {name: float(torch.stack([terms[name] for terms in self._recent if name in terms]).mean()) for name in names}

    def _line(self, step: int) -> str:
        means = self._means() or self.rows[-1]
        speed = (step - self._first_step) * self._frames / max(time.monotonic() - self._begun_s, 1e-9)
        left_min = (self._num_steps - step) * self._frames / max(speed, 1e-9) / 60.0
        shown = '  '.join(
            f'{name} {means[name]:.3f}' for name in ('total', 'heat', 'offset', 'velocity', 'road') if name in means
        )
        return f'step {step}/{self._num_steps}  {speed:.1f} frames/s  {left_min:.0f} min left  {shown}'
