"""The engines to choose from, by name."""

from __future__ import annotations

from collections.abc import Callable

from moe_bev_ros.engine.base import Engine, EngineError, EngineSettings
from moe_bev_ros.engine.clustering import ClusteringEngine


def _clustering(settings: EngineSettings) -> Engine:
    return ClusteringEngine(settings.grid)


def _pillars(settings: EngineSettings) -> Engine:
    """Imports torch only where it is chosen."""
    del settings
    try:
        from moe_bev_ros.engine.pillars import PillarsEngine
    except ModuleNotFoundError as err:
        raise EngineError(f'engine pillars: {err}; install moe-bev-ros[torch]') from err
    return PillarsEngine()


def _torch(settings: EngineSettings) -> Engine:
    """Likewise."""
    try:
        from moe_bev_ros.engine.torch_network import torch_engine
    except ModuleNotFoundError as err:
        raise EngineError(f'engine torch: {err}; install moe-bev-ros[torch]') from err
    return torch_engine(settings)


ENGINES: dict[str, Callable[[EngineSettings], Engine]] = {'clustering': _clustering, 'pillars': _pillars, 'torch': _torch}
