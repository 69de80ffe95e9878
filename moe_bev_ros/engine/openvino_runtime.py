"""Sub-engines in OpenVINO: on the CPU, or on an Intel GPU or NPU where there is one.

Left to itself OpenVINO computes in bfloat16 where the processor can, so the precision is always named. Quantised layers are
found by their quantise and dequantise nodes, whatever the precision of the others is. Maps go from one sub-engine to the next
with their channels innermost (`openvino_layout`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.engine.base import EngineError, EngineSettings, computes_bfloat16
from moe_bev_ros.engine.manifest import Part
from moe_bev_ros.engine.session import Arrays, empty_outputs

sys.modules.setdefault('openvino_telemetry', None)  # type: ignore[arg-type]  # its import would report home over the network
import openvino  # noqa: E402

from moe_bev_ros.engine.openvino_layout import INNER_MAPS, names_of, with_inner_rows  # noqa: E402

HINTS = {'float32': 'f32', 'int8': 'f32', 'bfloat16': 'bf16'}
# OpenVINO would take the coordinates in these graphs for numbers like others: bfloat16 moves what is 50 m away by 0.25 m.
EXACT_PARTS = ('memory_read', 'router', 'memory_write')


class Layer(NamedTuple):
    """What the run-time's own trace says of a layer in the last run.

    Attributes:
        kind: as OpenVINO names it: Convolution, Reorder ...
        precision: that it computed in: f32, bf16, i8, i32 ...
        wall_ms: 0 where it did not run.
    """

    name: str
    kind: str
    precision: str
    wall_ms: float


class OpenVinoSession:
    """One sub-engine. Inputs are read where they lie, and outputs written where they stay: nothing is copied on the CPU.

    Attributes:
        compiled: as OpenVINO runs it.
    """

    def __init__(self, compiled: openvino.CompiledModel, part: Part, outputs: Arrays | None) -> None:
        self.compiled = compiled
        self._request = compiled.create_infer_request()
        ports = {name: port for port in compiled.inputs for name in port.names}  # a port may have more names than one
        entries = {tensor.name: [ports[name] for name in names_of(tensor.name) if name in ports] for tensor in part.inputs}
        self._inputs = {name: entry for name, entry in entries.items() if entry}
        self._given: dict[str, NDArray[Any]] = {}
        self._copies: dict[str, NDArray[Any]] = {}
        self._outputs: dict[str, NDArray[Any]] = {}
        for port, (name, array) in zip(compiled.outputs, (outputs or empty_outputs(part)).items()):
            self._bind(port, array.reshape(port.shape))
            self._outputs[name] = _as_map(array.reshape(port.shape), array.shape)

    def run(self, inputs: Arrays) -> Arrays:
        """See `Session`."""
        for name in self._inputs:
            if inputs[name] is not self._given.get(name):
                self._take(name, inputs[name])
            if name in self._copies:
                np.copyto(self._copies[name], _as_rows(inputs[name], name))
        self._request.infer()
        return self._outputs

    def layers(self) -> tuple[Layer, ...]:
        """Of a run-time that traces; those of a sub-engine that was never run took no time."""
        layers = self._request.profiling_info
        return tuple(
            Layer(layer.node_name, layer.node_type, layer.exec_type.rpartition('_')[2].lower(), _ms(layer)) for layer in layers
        )

    def _take(self, name: str, array: NDArray[Any]) -> None:
        """Read this input from its place from now on; what lies there in another order is copied in every run."""
        self._given[name] = array
        rows = _as_rows(array, name)
        self._copies.pop(name, None)
        if not rows.flags.c_contiguous:
            rows = self._copies[name] = np.empty_like(rows, order='C')
        for port in self._inputs[name]:
            self._bind(port, rows.reshape(port.shape))

    def _bind(self, port: openvino.ConstOutput, array: NDArray[Any]) -> None:
        self._request.set_tensor(port, openvino.Tensor(array, shared_memory=True))


class OpenVino:
    """See `RunTime`; with ``traces`` sessions keep the time of each layer.

    Precision auto: bfloat16 where the processor has it, and float32 beside quantised layers, where bfloat16 gains nothing; on
    other devices, which no test has seen, what they choose.

    Raises:
        EngineError: there is no such device.
    """

    name = 'openvino'

    def __init__(self, settings: EngineSettings, *, traces: bool = False) -> None:
        self._core = openvino.Core()
        self._device = 'CPU' if settings.device == 'auto' else settings.device.upper()
        self._settings, self._traces = settings, traces
        there = self._core.available_devices  # of several of a kind: GPU.0, GPU.1; GPU is then the first
        if self._device not in {name.partition('.')[0] for name in there}:
            names = ', '.join(there).lower()
            raise EngineError(
                f'engine openvino: no device {settings.device}; there are {names}; choose another or install its driver'
            )

    def open(self, part: Part, path: Path, outputs: Arrays | None = None) -> OpenVinoSession:
        """See `RunTime`."""
        try:
            model = with_inner_rows(self._core.read_model(path))
            compiled = self._core.compile_model(model, self._device, self._properties(path.stem, model))
        except RuntimeError as err:
            cause = str(err).strip().splitlines()[-1]
            raise EngineError(f'engine openvino: {path} on {self._device}: {cause}; export it again: moe-bev export') from err
        return OpenVinoSession(compiled, part, outputs)

    def _properties(self, part_name: str, model: openvino.Model) -> dict[str, Any]:
        properties: dict[str, Any] = {'PERFORMANCE_HINT': 'LATENCY', 'PERF_COUNT': self._traces}
        if self._device == 'CPU':  # pinned threads of several nodes would meet on one core
            num_threads = self._settings.num_threads
            properties |= {'INFERENCE_NUM_THREADS': num_threads, 'NUM_STREAMS': 1, 'ENABLE_CPU_PINNING': False}
        hint = 'f32' if part_name in EXACT_PARTS else self._hint(model)
        return properties | ({'INFERENCE_PRECISION_HINT': hint} if hint else {})

    def _hint(self, model: openvino.Model) -> str:
        precision = self._settings.precision
        if precision != 'auto':
            return HINTS[precision]
        if any(layer.get_type_name() == 'FakeQuantize' for layer in model.get_ops()):
            return 'f32'
        if self._device != 'CPU':
            return ''
        return 'bf16' if computes_bfloat16() else 'f32'


def _as_rows(array: NDArray[Any], name: str) -> NDArray[Any]:
    """(N, H, W, C) of an inner map; others as they are."""
    return array.transpose(0, 2, 3, 1) if name in INNER_MAPS else array


def _as_map(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """(N, C, H, W) of rows; others as they are."""
    if array.shape == shape:
        return array
    number, channels, height, width = shape
    return array.reshape(number, height, width, channels).transpose(0, 3, 1, 2)


def _ms(layer: openvino.ProfilingInfo) -> float:
    return 1e3 * float(layer.real_time.total_seconds())
