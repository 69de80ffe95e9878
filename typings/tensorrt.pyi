"""The calls of TensorRT that are used, and no others, so that mypy keeps the code to what is documented.

At the end of each line, its page P: https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/infer/P.html of
TensorRT 11, and https://docs.nvidia.com/deeplearning/tensorrt/archives/tensorrt-1070/api/python_api/infer/P.html of 10.7. The
numbers are versions whose bindings have the call with this signature: python/src of https://github.com/NVIDIA/TensorRT, at tags
v10.3.0 and v11.1.
"""

from collections.abc import Iterable

from typing_extensions import Buffer

__version__: str  # Core/Builder 10.3 11.1

class ILogger:  # Core/Logger 10.3 11.1
    class Severity:  # Core/Logger 10.3 11.1
        INTERNAL_ERROR: ILogger.Severity  # Core/Logger 10.3 11.1
        ERROR: ILogger.Severity  # Core/Logger 10.3 11.1

    def __init__(self) -> None: ...  # Core/Logger 10.3 11.1
    def log(self, severity: Severity, msg: str) -> None: ...  # Core/Logger 10.3 11.1

class DataType:  # FoundationalTypes/DataType 10.3 11.1
    FLOAT: DataType  # FoundationalTypes/DataType 10.3 11.1
    INT64: DataType  # FoundationalTypes/DataType 10.3 11.1

class IHostMemory:  # FoundationalTypes/HostMemory 10.3 11.1
    def __buffer__(self, flags: int, /) -> memoryview: ...  # FoundationalTypes/HostMemory 10.3 11.1

class ILayer:  # Graph/LayerBase 10.3 11.1
    @property
    def name(self) -> str: ...  # Graph/LayerBase 10.3 11.1

class NetworkDefinitionCreationFlag:  # Core/Builder 10.3 11.1
    def __int__(self) -> int: ...  # Core/Builder 10.3 11.1
    STRONGLY_TYPED: NetworkDefinitionCreationFlag  # Core/Builder 10.3; 11.1: ignored, always on

class INetworkDefinition:  # Graph/Network 10.3 11.1
    @property
    def num_layers(self) -> int: ...  # Graph/Network 10.3 11.1
    def get_layer(self, index: int) -> ILayer: ...  # Graph/Network 10.3 11.1

class ParserError:  # ../parsers/Onnx/pyOnnx 10.3 11.1
    def desc(self) -> str: ...  # ../parsers/Onnx/pyOnnx 10.3 11.1
    def node_name(self) -> str: ...  # ../parsers/Onnx/pyOnnx 10.3 11.1
    def node_operator(self) -> str: ...  # ../parsers/Onnx/pyOnnx 10.3 11.1

class OnnxParser:  # ../parsers/Onnx/pyOnnx 10.3 11.1
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None: ...  # ../parsers/Onnx/pyOnnx 10.3 11.1
    def parse(self, model: Buffer, path: str | None = None) -> bool: ...  # ../parsers/Onnx/pyOnnx 10.3 11.1
    @property
    def num_errors(self) -> int: ...  # ../parsers/Onnx/pyOnnx 10.3 11.1
    def get_error(self, index: int) -> ParserError: ...  # ../parsers/Onnx/pyOnnx 10.3 11.1

class IProgressMonitor:  # Core/ProgressMonitor 10.3 11.1
    def __init__(self) -> None: ...  # Core/ProgressMonitor 10.3 11.1
    def phase_start(  # Core/ProgressMonitor 10.3 11.1
        self, phase_name: str, parent_phase: str | None, num_steps: int
    ) -> None: ...
    def step_complete(self, phase_name: str, step: int) -> bool: ...  # Core/ProgressMonitor 10.3 11.1
    def phase_finish(self, phase_name: str) -> None: ...  # Core/ProgressMonitor 10.3 11.1

class ITimingCache:  # Core/TimingCache 10.3 11.1
    def serialize(self) -> IHostMemory: ...  # Core/TimingCache 10.3 11.1

class MemoryPoolType:  # Core/BuilderConfig 10.3 11.1
    WORKSPACE: MemoryPoolType  # Core/BuilderConfig 10.3 11.1

class BuilderFlag:  # Core/BuilderConfig 10.3 11.1
    GPU_FALLBACK: BuilderFlag  # Core/BuilderConfig 10.3 11.1

class DeviceType:  # Core/BuilderConfig 10.3 11.1
    DLA: DeviceType  # Core/BuilderConfig 10.3 11.1

class IBuilderConfig:  # Core/BuilderConfig 10.3 11.1
    default_device_type: DeviceType  # Core/BuilderConfig 10.3 11.1
    DLA_core: int  # Core/BuilderConfig 10.3 11.1
    progress_monitor: IProgressMonitor  # Core/BuilderConfig 10.3 11.1
    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None: ...  # Core/BuilderConfig 10.3 11.1
    def set_flag(self, flag: BuilderFlag) -> None: ...  # Core/BuilderConfig 10.3 11.1
    def can_run_on_DLA(self, layer: ILayer) -> bool: ...  # Core/BuilderConfig 10.3 11.1
    def create_timing_cache(  # Core/BuilderConfig 10.3 11.1
        self, serialized_timing_cache: Buffer
    ) -> ITimingCache | None: ...
    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool: ...  # Core/BuilderConfig 10.3 11.1
    def get_timing_cache(self) -> ITimingCache | None: ...  # Core/BuilderConfig 10.3 11.1

class Builder:  # Core/Builder 10.3 11.1
    def __init__(self, logger: ILogger) -> None: ...  # Core/Builder 10.3 11.1
    @property
    def num_DLA_cores(self) -> int: ...  # Core/Builder 10.3 11.1
    def create_network(self, flags: int = 0) -> INetworkDefinition: ...  # Core/Builder 10.3 11.1
    def create_builder_config(self) -> IBuilderConfig: ...  # Core/Builder 10.3 11.1
    def build_serialized_network(  # Core/Builder 10.3 11.1
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None: ...

class IExecutionContext:  # Core/ExecutionContext 10.3 11.1
    def set_tensor_address(self, name: str, memory: int) -> bool: ...  # Core/ExecutionContext 10.3 11.1
    def execute_async_v3(self, stream_handle: int) -> bool: ...  # Core/ExecutionContext 10.3 11.1

class ICudaEngine:  # Core/Engine 10.3 11.1
    @property
    def num_io_tensors(self) -> int: ...  # Core/Engine 10.3 11.1
    def get_tensor_name(self, index: int) -> str: ...  # Core/Engine 10.3 11.1
    def get_tensor_shape(self, name: str) -> Iterable[int]: ...  # Core/Engine 10.3 11.1
    def get_tensor_dtype(self, name: str) -> DataType: ...  # Core/Engine 10.3 11.1
    def create_execution_context(self) -> IExecutionContext | None: ...  # Core/Engine 10.3 11.1

class Runtime:  # Core/Runtime 10.3 11.1
    DLA_core: int  # Core/Runtime 10.3 11.1
    def __init__(self, logger: ILogger) -> None: ...  # Core/Runtime 10.3 11.1
    def deserialize_cuda_engine(self, serialized_engine: Buffer) -> ICudaEngine | None: ...  # Core/Runtime 10.3 11.1

def init_libnvinfer_plugins(logger: ILogger, namespace: str) -> bool: ...  # Plugin/pyPlugin 10.3 11.1
