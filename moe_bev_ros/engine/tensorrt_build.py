"""Plans from graphs: TensorRT tries its kernels on this machine and keeps the fastest."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from threading import Lock

import tensorrt as trt

from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.engine.tensorrt_cache import Report

WORKSPACE_BYTES = 1 << 30  # the most that a kernel may borrow
PERCENT_STEP = 20


class Messages(trt.ILogger):
    """Keeps what TensorRT says of errors, for whoever has to tell them."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT, from any thread."""
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self.errors.append(msg)

    @property
    def last(self) -> str:
        """The newest one."""
        return self.errors[-1] if self.errors else 'TensorRT gave no reason'


class PlanBuilder:
    """Builds one plan after another with a common timing cache.

    Args:
        timing: folder of the timing caches; what one build measured, the next need not.
        device: that they were measured on.
    """

    def __init__(self, messages: Messages, timing: Path, device: str, report: Report) -> None:
        digest = hashlib.sha256(f'{trt.__version__} {device}'.encode()).hexdigest()[:12]
        self._messages, self._timing, self._report = messages, timing / f'timing-{digest}.cache', report

    def build(self, name: str, graph: bytes, dla_core: int | None) -> bytes:
        """The plan of a graph.

        Args:
            dla_core: that takes what it can; the rest falls back to the GPU and is named. None: the GPU alone.

        Raises:
            EngineError: TensorRT does not take the graph, or there is no such DLA.
        """
        builder = trt.Builder(self._messages)
        strongly_typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)  # ignored from 11 on, where all are
        network = builder.create_network(strongly_typed)
        parser = trt.OnnxParser(network, self._messages)  # lives until the plan is there: it holds the weights
        if not parser.parse(graph):
            raise EngineError(f'{name}: TensorRT {trt.__version__} does not take the graph: {_parser_errors(parser)}')
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
        config.progress_monitor = _Progress(name, self._report)
        if dla_core is not None:
            self._use_dla(name, builder, network, config, dla_core)
        self._read_timing(config)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(f'{name}: TensorRT {trt.__version__} cannot build it: {self._messages.last}')
        self._keep_timing(config)
        return bytes(plan)

    def _use_dla(
        self, name: str, builder: trt.Builder, network: trt.INetworkDefinition, config: trt.IBuilderConfig, core: int
    ) -> None:
        if core >= builder.num_DLA_cores:
            raise EngineError(
                f'no DLA core {core}: TensorRT {trt.__version__} finds {builder.num_DLA_cores} here; build without --dla'
            )
        config.default_device_type = trt.DeviceType.DLA
        config.DLA_core = core
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
        layers = [network.get_layer(index) for index in range(network.num_layers)]
        left = [layer.name for layer in layers if not config.can_run_on_DLA(layer)]
        fallen = f'; on the GPU: {", ".join(left)}' if left else ''
        self._report(f'{name}: DLA {core} takes {len(layers) - len(left)} of {len(layers)} layers{fallen}')

    def _read_timing(self, config: trt.IBuilderConfig) -> None:
        """An empty cache where there is none, or one that does not fit."""
        before = b''
        with suppress(OSError):
            before = self._timing.read_bytes()
        for content in (before, b''):
            cache = config.create_timing_cache(content)
            if cache is not None and config.set_timing_cache(cache, False):
                return

    def _keep_timing(self, config: trt.IBuilderConfig) -> None:
        """It saves time and no more: a disk that is full is told by the plan itself."""
        cache, temporary = config.get_timing_cache(), self._timing.with_suffix('.tmp')
        if cache is None:
            return
        with suppress(OSError):
            self._timing.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(bytes(cache.serialize()))
            temporary.replace(self._timing)


class _Progress(trt.IProgressMonitor):
    """Tells the outermost phase of a build in steps; TensorRT calls it from several threads."""

    def __init__(self, name: str, report: Report) -> None:
        trt.IProgressMonitor.__init__(self)
        self._name, self._report, self._lock = name, report, Lock()
        self._steps: dict[str, int] = {}
        self._told = 0

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """See IProgressMonitor."""
        if parent_phase is None:
            with self._lock:
                self._steps[phase_name], self._told = num_steps, 0

    def step_complete(self, phase_name: str, step: int) -> bool:
        """See IProgressMonitor; True: go on."""
        with self._lock:
            percent = 100 * (step + 1) // self._steps.get(phase_name, 1) if phase_name in self._steps else 0
            if percent >= self._told + PERCENT_STEP:
                self._told = percent - percent % PERCENT_STEP
                self._report(f'{self._name}: {phase_name} {percent} %')
        return True

    def phase_finish(self, phase_name: str) -> None:
        """See IProgressMonitor."""
        with self._lock:
            self._steps.pop(phase_name, None)


def _parser_errors(parser: trt.OnnxParser) -> str:
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    return '; '.join(f'{error.node_operator()} {error.node_name()}: {error.desc()}' for error in errors)
