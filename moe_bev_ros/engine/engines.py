"""The engines to choose from, by name. Each imports its run-time only where it is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from moe_bev_ros.engine.base import Engine, EngineError, EngineSettings
from moe_bev_ros.engine.chain import chain_engine
from moe_bev_ros.engine.clustering import ClusteringEngine


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


def _onnxruntime(settings: EngineSettings) -> Engine:
    with _needing('onnxruntime', 'engines'):
        from moe_bev_ros.engine.onnxruntime_runtime import OnnxRuntime
    return chain_engine(settings, OnnxRuntime(settings))


def _openvino(settings: EngineSettings) -> Engine:
    with _needing('openvino', 'engines'):
        from moe_bev_ros.engine.openvino_runtime import OpenVino
    return chain_engine(settings, OpenVino(settings))


def _tensorrt(settings: EngineSettings) -> Engine:
    from moe_bev_ros.engine.tensorrt_settings import tensorrt_runtime

    return chain_engine(settings, tensorrt_runtime(settings))


ENGINES: dict[str, Callable[[EngineSettings], Engine]] = {
    'clustering': _clustering,
    'pillars': _pillars,
    'torch': _torch,
    'onnxruntime': _onnxruntime,
    'openvino': _openvino,
    'tensorrt': _tensorrt,
}
