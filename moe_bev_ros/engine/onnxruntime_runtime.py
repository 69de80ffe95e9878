"""Sub-engines in onnxruntime, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.manifest import Part
from moe_bev_ros.engine.quantised_onnx import unsigned
from moe_bev_ros.engine.session import Arrays, empty_outputs

QUANTISER = 'QuantizeLinear'
PRECISIONS = ('auto', 'float32', 'int8')
REFUSALS = (
    DecodeError,
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class OnnxRuntimeSession:
    """One sub-engine. Inputs are read where they lie, and outputs written where they stay."""

    def __init__(self, session: onnxruntime.InferenceSession, part: Part, outputs: Arrays | None) -> None:
        self._session, self._binding = session, session.io_binding()
        self._names = tuple(node.name for node in session.get_inputs())
        self._given: dict[str, NDArray[Any]] = {}
        self._outputs = outputs or empty_outputs(part)
        for name, array in self._outputs.items():
            self._binding.bind_output(name, 'cpu', 0, array.dtype, array.shape, array.ctypes.data)

    def run(self, inputs: Arrays) -> Arrays:
        """See `Session`."""
        for name in self._names:
            if inputs[name] is not self._given.get(name):
                array = self._given[name] = np.ascontiguousarray(inputs[name])
                self._binding.bind_input(name, 'cpu', 0, array.dtype, array.shape, array.ctypes.data)
        self._session.run_with_iobinding(self._binding)
        return self._outputs

    def end_trace(self) -> Path:
        """Of a run-time that traces: the file (Chrome's trace events as JSON) with every kernel that ran."""
        return Path(self._session.end_profiling())


class OnnxRuntime:
    """See `RunTime`.

    Args:
        trace_dir: sessions keep a trace of every kernel that runs, in a file there.

    Raises:
        EngineError: it does not compute in this precision, or on this device.
    """

    name = 'onnxruntime'

    def __init__(self, settings: EngineSettings, trace_dir: Path | None = None) -> None:
        if settings.precision not in PRECISIONS:
            raise EngineError(
                f'engine onnxruntime: precision {settings.precision!r} is none of {", ".join(PRECISIONS)}; '
                'choose one of these, or the engine openvino or torch'
            )
        if settings.device not in ('auto', 'cpu'):
            raise EngineError(f'engine onnxruntime: it runs on the CPU, not on {settings.device!r}; set device: auto')
        self._settings, self._trace_dir, self._num_traces = settings, trace_dir, 0

    def open(self, part: Part, path: Path, outputs: Arrays | None = None) -> OnnxRuntimeSession:
        """See `RunTime`."""
        try:
            session = onnxruntime.InferenceSession(
                _graph_of(path), self._options(path.stem), providers=['CPUExecutionProvider']
            )
        except REFUSALS as err:
            raise EngineError(f'engine onnxruntime: {path}: {err}; export it again: moe-bev export') from err
        return OnnxRuntimeSession(session, part, outputs)

    def _options(self, name: str) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._settings.num_threads, 1
        options.add_session_config_entry('session.intra_op.allow_spinning', '0')
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3  # errors; the others tell of graphs, which no user wrote
        if self._trace_dir is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(self._trace_dir / f'{name}_{self._num_traces}')
            self._num_traces += 1
        return options


def _graph_of(path: Path) -> bytes:
    """A file as it is, but with unsigned activations where it quantises: signed ones take onnxruntime 2.5 times as long."""
    content = path.read_bytes()
    model = onnx.load_model_from_string(content)
    return unsigned(model).SerializeToString() if any(node.op_type == QUANTISER for node in model.graph.node) else content
