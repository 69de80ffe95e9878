"""Takes turns among processes that each hold an engine: one computes, the others wait at their pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.evaluation.bench.foreign_load import cpu_times, foreign_share
from moe_bev_ros.evaluation.bench.rounds import Round
from moe_bev_ros.evaluation.bench.worker import Variant
from moe_bev_ros.runtime.threads import thread_variables

MAX_FOREIGN = 0.1  # share of the processors that others may use beside a round
TRIES = 3  # rounds that are begun for each one that is wanted


class Worker:
    """One process; use it as a context manager. An engine that is not there, or that dies, leaves its words in ``error``."""

    def __init__(self, variant: Variant, environment: Mapping[str, str]) -> None:
        self.variant, self.error = variant, ''
        self._errors = tempfile.TemporaryFile('w+')  # noqa: SIM115 (closed with the worker)
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'moe_bev_ros.evaluation.bench.worker', json.dumps(asdict(variant))],
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C ends this process, which ends the others
        )
        self._hear()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, command: str) -> Any:
        """Its answer; None once it has an error."""
        if self.error:
            return None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(command + '\n')
            self._process.stdin.flush()
        except BrokenPipeError:
            self.error = self._last_words()
            return None
        return self._hear()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.error = self._last_words()
            return None
        answer = json.loads(line)
        if isinstance(answer, dict) and 'error' in answer:
            self.error = str(answer['error'])
            return None
        return answer

    def _last_words(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        return ' '.join(lines[-2:]) or f'ended with code {self._process.returncode}'


class Turns:
    """All processes of a benchmark; use it as a context manager: at its end none is left.

    Attributes:
        thrown: of each round that was thrown away, the share of the processors that others used.
    """

    def __init__(self, variants: Sequence[Variant], num_threads: int) -> None:
        self._variants, self._environment = variants, worker_environment(os.environ, num_threads)
        self.thrown: list[float] = []
        self.workers: list[Worker] = []

    def __enter__(self) -> Turns:
        with ExitStack() as stack:
            for variant in self._variants:
                self.workers.append(stack.enter_context(Worker(variant, self._environment)))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def rounds(self, wanted: int, max_foreign: float, say: Callable[[str], None]) -> list[Round]:
        """As many rounds as wanted beside which others were quiet.

        Raises:
            InputError: others were never quiet enough, or no engine is there.
        """
        kept: list[Round] = []
        for number in range(TRIES * wanted):
            one = self._round(backwards=bool(number % 2))
            if not one.steps:
                raise InputError(f'no engine ran; {self.workers[0].error}')
            if one.foreign > max_foreign:
                self.thrown.append(one.foreign)
                say(f'round thrown away: others used {one.foreign:.0%} of the processors')
            else:
                kept.append(one)
                say(f'round {len(kept)} of {wanted}')
            if len(kept) == wanted:
                return kept
        raise InputError(
            f'others used more than {max_foreign:.0%} of the processors beside {len(self.thrown)} of {TRIES * wanted} rounds; '
            'stop them, then the same command'
        )

    def _round(self, *, backwards: bool) -> Round:
        """Forwards and backwards in turn: what drifts within a round then hits both ends alike."""
        pids = [os.getpid(), *(worker.pid for worker in self.workers)]
        before = cpu_times(pids)
        answers = {worker.variant.name: worker.ask('run') for worker in (self.workers[::-1] if backwards else self.workers)}
        steps = {name: answer for name, answer in answers.items() if answer}
        return Round(steps, foreign_share(before, cpu_times(pids)))


def worker_environment(base: Mapping[str, str], num_threads: int) -> dict[str, str]:
    """Threads of every library are counted, and sleep while they wait."""
    return {**base, 'KMP_BLOCKTIME': '0', **thread_variables(num_threads)}
