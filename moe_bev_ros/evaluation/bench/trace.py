"""Where a run-time spends its time, kernel by kernel, by its own trace. Traced runs are slower: only their shares count."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from moe_bev_ros.engine.base import EngineSettings
from moe_bev_ros.engine.manifest import Part
from moe_bev_ros.engine.session import Arrays, RunTime, Session


class TracedRunTime:
    """A run-time whose sessions are remembered; use it as a context manager, and ask for the kernels at its end."""

    def __init__(self, engine: str, settings: EngineSettings) -> None:
        self.name, self._engine = engine, engine
        self._folder = tempfile.TemporaryDirectory(prefix='moe_bev_trace_')
        self._run_time = self._made(settings)
        self._sessions: list[_CountedSession] = []

    def __enter__(self) -> TracedRunTime:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._folder.cleanup()

    def open(self, part: Part, path: Path, outputs: Arrays | None = None) -> Session:
        """See `RunTime`."""
        session = _CountedSession(self._run_time.open(part, path, outputs))
        self._sessions.append(session)
        return session

    def kernels(self) -> dict[str, float]:
        """Milliseconds of a frame by kernel, the longest first; it ends the traces."""
        total: Counter[str] = Counter()
        read: Callable[[Any], Counter[str]] = _of_openvino if self._engine == 'openvino' else _of_onnxruntime
        for session in self._sessions:
            if session.runs:
                total.update(read(session))
        return {name: round(ms, 4) for name, ms in total.most_common()}

    def _made(self, settings: EngineSettings) -> RunTime:
        if self._engine == 'openvino':
            from moe_bev_ros.engine.openvino_runtime import OpenVino

            return OpenVino(settings, traces=True)
        from moe_bev_ros.engine.onnxruntime_runtime import OnnxRuntime

        return OnnxRuntime(settings, Path(self._folder.name))


class _CountedSession:
    def __init__(self, session: Any) -> None:
        self.session, self.runs = session, 0

    def run(self, inputs: Arrays) -> Arrays:
        """See `Session`."""
        self.runs += 1
        return self.session.run(inputs)


def _of_openvino(counted: _CountedSession) -> Counter[str]:
    """Of the last run."""
    total: Counter[str] = Counter()
    for layer in counted.session.layers():
        total[f'{layer.kind} {layer.precision}'] += layer.wall_ms
    return total


def _of_onnxruntime(counted: _CountedSession) -> Counter[str]:
    """The mean of all runs."""
    events = json.loads(counted.session.end_trace().read_text())
    return Counter({name: ms / counted.runs for name, ms in kernel_events(events).items()})


def kernel_events(events: Iterable[Any]) -> Counter[str]:
    """Milliseconds by operator, from the events of an onnxruntime trace."""
    total: Counter[str] = Counter()
    for event in events:
        if event.get('cat') == 'Node' and event['name'].endswith('_kernel_time'):
            total[event['args']['op_name']] += event['dur'] / 1e3
    return total
