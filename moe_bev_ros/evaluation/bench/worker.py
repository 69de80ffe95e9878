"""One engine in a process of its own: it computes when it is told to, and waits at a pipe otherwise.

Started as ``python -m moe_bev_ros.evaluation.bench.worker`` with a `Variant` as JSON. It first answers ``{}``, or
``{"error": …}`` where the engine is not there. Then each line that it reads is a command, ``run`` or ``trace``, answered by
one line of JSON. At the end of its input it ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.bev_engine import BevEngine
from moe_bev_ros.engine.chain import SubEngineChain
from moe_bev_ros.engine.dispatcher import FixedExperts
from moe_bev_ros.engine.manifest import load_manifest
from moe_bev_ros.engine.session import RunTime
from moe_bev_ros.evaluation.bench.frames import load_frames, run_frames
from moe_bev_ros.evaluation.bench.rounds import figures_of

EXPERTS = ('fused',)  # the same in every frame of every engine
WARM_FRAMES = 2  # of each turn: caches belonged to another process before
RATE, NETWORK = 'rate', 'network'
RATE_RUNS = 5


@dataclass(frozen=True)
class Variant:
    """What one process measures.

    Attributes:
        kind: NETWORK, or RATE: what the machine computes per second with the run-time of ``engine``.
        engine: torch, onnxruntime, openvino.
        source: weights of torch, or folder of the exported network; of a RATE, a folder to write to.
        frames: file of `save_frames`.
        channels_first: torch's own layout of images, in which research code runs; else the one that processors like.
    """

    name: str
    engine: str
    precision: str
    source: str
    frames: str = ''
    num_threads: int = 2
    channels_first: bool = False
    kind: str = NETWORK


class NetworkWork:
    """An engine on the same frames again and again.

    Raises:
        EngineError: the engine is not there, or cannot take its network.
    """

    def __init__(self, variant: Variant) -> None:
        self._variant, self._frames = variant, load_frames(Path(variant.frames))
        self._engine = _torch_engine(variant) if variant.engine == 'torch' else _chain_engine(variant, _run_time(variant))

    def run(self) -> list[dict[str, float]]:
        """Stages and sums [ms] of each frame but the first ones."""
        return [figures_of(stage_ms) for stage_ms in run_frames(self._engine, self._frames)[WARM_FRAMES:]]

    def trace(self) -> dict[str, float]:
        """Milliseconds of a frame by kernel, from the run-time's own trace; none where it keeps none."""
        if self._variant.engine == 'torch':
            return {}
        from moe_bev_ros.evaluation.bench.trace import TracedRunTime

        with TracedRunTime(self._variant.engine, _settings(self._variant)) as run_time:
            run_frames(_chain_engine(self._variant, run_time), self._frames)
            return run_time.kernels()


class RateWork:
    """Matrix products and convolutions of a good size.

    Raises:
        EngineError: the run-time is not there.
    """

    def __init__(self, variant: Variant) -> None:
        from moe_bev_ros.evaluation.bench.rate import write_graphs

        self._graphs = []
        folder = Path(variant.source) / variant.engine  # the other run-time writes the same, at the same time
        folder.mkdir(parents=True, exist_ok=True)
        for graph in write_graphs(folder):
            session = _run_time(variant, graph.precision).open(graph.part, graph.path)
            given = {'x': np.random.default_rng(0).random(graph.part.inputs[0].shape, np.float32)}
            session.run(given)
            self._graphs.append((graph, session, given))

    def run(self) -> list[dict[str, float]]:
        """Milliseconds per 10^12 operations, by graph: times, as all figures of a turn are."""
        return [
            {graph.name: _milliseconds(session.run, given) * 1e12 / graph.operations for graph, session, given in self._graphs}
            for _ in range(RATE_RUNS)
        ]

    def trace(self) -> dict[str, float]:
        """Nothing."""
        return {}


WORK: Mapping[str, Callable[[Variant], NetworkWork | RateWork]] = {NETWORK: NetworkWork, RATE: RateWork}


def _settings(variant: Variant, precision: str = '') -> EngineSettings:
    return EngineSettings(num_threads=variant.num_threads, precision=precision or variant.precision)


def _run_time(variant: Variant, precision: str = '') -> RunTime:
    settings = _settings(variant, precision)
    if variant.engine == 'openvino':
        from moe_bev_ros.engine.openvino_runtime import OpenVino

        return OpenVino(settings)
    from moe_bev_ros.engine.onnxruntime_runtime import OnnxRuntime

    return OnnxRuntime(settings)


def _chain_engine(variant: Variant, run_time: RunTime) -> BevEngine[SubEngineChain]:
    folder = Path(variant.source)
    return _with_fixed_experts(BevEngine(SubEngineChain(load_manifest(folder), folder, run_time)))


def _torch_engine(variant: Variant) -> BevEngine[Any]:
    import torch

    from moe_bev_ros.engine.torch_network import TorchNetwork

    network = TorchNetwork(_settings(variant), Path(variant.source))
    if variant.channels_first:
        network.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return _with_fixed_experts(BevEngine(network))


def _with_fixed_experts(engine: BevEngine[Any]) -> BevEngine[Any]:
    engine.dispatcher = FixedExperts(EXPERTS)
    return engine


def _milliseconds(call: Callable[[Any], object], given: Any) -> float:
    begin_ns = time.perf_counter_ns()
    call(given)
    return (time.perf_counter_ns() - begin_ns) / 1e6


def main() -> None:
    """Answer commands until there are no more; what libraries print goes to the other channel."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    variant = Variant(**json.loads(sys.argv[1]))
    try:
        work = WORK[variant.kind](variant)
    except (EngineError, InputError, ImportError) as err:
        _answer(answers, {'error': str(err)})
        return
    _answer(answers, {})
    for line in sys.stdin:
        _answer(answers, work.run() if line.strip() == 'run' else work.trace())


def _answer(answers: TextIO, content: Any) -> None:
    answers.write(json.dumps(content) + '\n')
    answers.flush()


if __name__ == '__main__':
    main()
