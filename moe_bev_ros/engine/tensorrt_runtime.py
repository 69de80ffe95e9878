"""Sub-engines in TensorRT, each with a plan, buffers and a CUDA stream of its own.

Device memory, page-locked memory and streams come from torch, which an installation of these networks has anyway: no second
package that talks to CUDA, and one context in the process.
"""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorrt as trt
import torch
from numpy.typing import NDArray

from moe_bev_ros.engine import onnx_folding, tensorrt_graph
from moe_bev_ros.engine.base import EngineError, EngineSettings
from moe_bev_ros.engine.manifest import Part, Tensor
from moe_bev_ros.engine.session import Arrays
from moe_bev_ros.engine.tensorrt_build import Messages, PlanBuilder
from moe_bev_ros.engine.tensorrt_cache import PlanCache, PlanKey, Report
from moe_bev_ros.engine.tensorrt_graph import graph_for_tensorrt
from moe_bev_ros.engine.tensorrt_settings import PLANS, VehicleSettings, load_vehicle_settings

PRECISIONS = {'auto': 'FP16 and INT8', 'int8': 'FP16 and INT8', 'float32': 'FP32 and INT8'}
TYPES = {'float32': trt.DataType.FLOAT, 'int64': trt.DataType.INT64}


class TensorRT:
    """See `RunTime`. A plan that is missing, or of another machine, is built as its sub-engine is opened; that takes minutes.

    Precision auto and int8: FP16, and INT8 where the network was quantised; float32: FP32 in place of FP16.

    Raises:
        EngineError: there is no GPU, or another device or precision is asked for.
    """

    name = 'tensorrt'

    def __init__(self, settings: EngineSettings, report: Report, vehicle: VehicleSettings | None = None) -> None:
        if settings.precision not in PRECISIONS:
            raise EngineError(f'engine tensorrt: no precision {settings.precision!r}; choose one of {", ".join(PRECISIONS)}')
        if settings.device not in ('auto', 'gpu'):
            raise EngineError(f'engine tensorrt: it runs on no {settings.device}; set device: auto')
        if not torch.cuda.is_available():
            raise EngineError(
                'engine tensorrt: torch finds no GPU; install a torch built for its CUDA (for a Jetson: that of JetPack)'
            )
        self._precision, self._vehicle = settings.precision, vehicle
        self._report, self._messages = report, Messages()
        if not trt.init_libnvinfer_plugins(self._messages, ''):
            raise EngineError(f'engine tensorrt: its plugins do not load: {self._messages.last}; install libnvinfer-plugin')
        self._runtime = trt.Runtime(self._messages)
        gpu = torch.cuda.get_device_properties(torch.cuda.current_device())
        self._device = f'{gpu.name} {gpu.major}.{gpu.minor}'

    def open(self, part: Part, path: Path, outputs: Arrays | None = None) -> TensorRtSession:
        """See `RunTime`; outputs are its own."""
        folder, name = path.parent / PLANS, path.stem
        dla_core = (self._vehicle or load_vehicle_settings(path.parent)).dla_of(name)
        key = self._key(part, dla_core)

        def build() -> bytes:
            graph = graph_for_tensorrt(onnx.load(path), name, half=self._precision != 'float32', for_dla=dla_core is not None)
            builder = PlanBuilder(self._messages, folder, key.device, self._report)
            return builder.build(name, graph.SerializeToString(), dla_core)

        def load(plan: bytes) -> TensorRtSession | None:
            if dla_core is not None:
                self._runtime.DLA_core = dla_core
            engine = self._runtime.deserialize_cuda_engine(plan)
            return None if engine is None else TensorRtSession(name, engine, part)

        return PlanCache(folder, self._report).load(name, key, build, load)

    def _key(self, part: Part, dla_core: int | None) -> PlanKey:
        device = self._device if dla_core is None else f'{self._device}, DLA {dla_core}'
        precision = PRECISIONS[self._precision] if dla_core is None else 'FP16'
        tensors = tuple(f'{tensor.name} {tensor.dtype} {tensor.shape}' for tensor in (*part.inputs, *part.outputs))
        return PlanKey(part.sha256, _recipe(), precision, trt.__version__, device, tensors)


def _recipe() -> str:
    sources = ''.join(inspect.getsource(module) for module in (tensorrt_graph, onnx_folding))
    return hashlib.sha256(sources.encode()).hexdigest()


class TensorRtSession:
    """One sub-engine. Nothing is allocated in `run`, and waiting does not spin.

    Raises:
        EngineError: the plan has other inputs or outputs than the part, or the GPU has too little memory.
    """

    def __init__(self, name: str, engine: trt.ICudaEngine, part: Part) -> None:
        self._name = name
        _check_tensors(name, engine, part)
        context = engine.create_execution_context()
        if context is None:
            raise EngineError(f'{name}: the GPU has too little memory for it; end what else uses it, or take a smaller profile')
        self._context, self._engine = context, engine
        self._stream, self._done = torch.cuda.Stream(), torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self._inputs = {tensor.name: _Buffer(tensor) for tensor in part.inputs}
        self._outputs = {tensor.name: _Buffer(tensor) for tensor in part.outputs}
        self._arrays = {tensor_name: buffer.array for tensor_name, buffer in self._outputs.items()}
        for tensor_name, buffer in (*self._inputs.items(), *self._outputs.items()):
            context.set_tensor_address(tensor_name, buffer.device.data_ptr())

    def run(self, inputs: Arrays) -> Arrays:
        """See `Session`."""
        with torch.cuda.stream(self._stream):
            for name, buffer in self._inputs.items():
                np.copyto(buffer.array, inputs[name], casting='no')
                buffer.device.copy_(buffer.host, non_blocking=True)
            if not self._context.execute_async_v3(self._stream.cuda_stream):
                raise EngineError(f'engine tensorrt: {self._name} failed on the GPU; restart the node, then look at dmesg')
            for buffer in self._outputs.values():
                buffer.host.copy_(buffer.device, non_blocking=True)
            self._done.record(self._stream)
        self._done.synchronize()
        return self._arrays


class _Buffer:
    """A tensor on the device, and page-locked on the host, where numpy sees it as ``array``."""

    def __init__(self, tensor: Tensor) -> None:
        kind = getattr(torch, tensor.dtype)
        self.device = torch.empty(tensor.shape, dtype=kind, device='cuda')
        self.host = torch.empty(tensor.shape, dtype=kind, pin_memory=True)
        self.array: NDArray[Any] = self.host.numpy()


def _check_tensors(name: str, engine: trt.ICudaEngine, part: Part) -> None:
    wanted = {tensor.name: (tensor.shape, TYPES[tensor.dtype]) for tensor in (*part.inputs, *part.outputs)}
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {tensor: (tuple(engine.get_tensor_shape(tensor)), engine.get_tensor_dtype(tensor)) for tensor in names}
    if found != wanted:
        raise EngineError(
            f'{name}: the plan has the tensors {found}, wanted are {wanted}; remove the folder {PLANS} and build again'
        )
