"""The engines to choose from, by name. Each imports its run-time only where it is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from moe_bev_ros.engine.base import Engine, EngineError, EngineSettings
from moe_bev_ros.engine.chain import chain_engine
from moe_bev_ros.engine.clustering import ClusteringEngine
from moe_bev_ros.engine.session import RunTime


@contextmanager
def _needing(engine: str, extra: str) -> Iterator[None]:
    """Within it a module may be missing that comes with an extra of this package."""
    try:
        yield
    except ModuleNotFoundError as err:
        raise EngineError(f'engine {engine}: {err}; pip install moe-bev-ros[{extra}]') from err


def _clustering(settings: EngineSettings) -> Engine:
    return ClusteringEngine(settings.grid)


def _pillars(settings: EngineSettings) -> Engine:
    del settings
    with _needing('pillars', 'torch'):
        from moe_bev_ros.engine.pillars import PillarsEngine
    return PillarsEngine()


def _torch(settings: EngineSettings) -> Engine:
    with _needing('torch', 'torch'):
        from moe_bev_ros.engine.torch_network import torch_engine
    return torch_engine(settings)


def _onnxruntime(settings: EngineSettings) -> RunTime:
    with _needing('onnxruntime', 'engines'):
        from moe_bev_ros.engine.onnxruntime_runtime import OnnxRuntime
    return OnnxRuntime(settings)


def _openvino(settings: EngineSettings) -> RunTime:
    with _needing('openvino', 'engines'):
        from moe_bev_ros.engine.openvino_runtime import OpenVino
    return OpenVino(settings)


def _tensorrt(settings: EngineSettings) -> RunTime:
    from moe_bev_ros.engine.tensorrt_settings import tensorrt_runtime

    return tensorrt_runtime(settings)


def _of_run_time(name: str, settings: EngineSettings) -> Engine:
    return chain_engine(settings, RUN_TIMES[name](settings))


RUN_TIMES: dict[str, Callable[[EngineSettings], RunTime]] = {
    'onnxruntime': _onnxruntime,
    'openvino': _openvino,
    'tensorrt': _tensorrt,
}
ENGINES: dict[str, Callable[[EngineSettings], Engine]] = {
    'clustering': _clustering,
    'pillars': _pillars,
    'torch': _torch,
    **{name: partial(_of_run_time, name) for name in RUN_TIMES},
}
