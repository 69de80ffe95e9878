"""The engines to choose from, by name."""

from __future__ import annotations

from collections.abc import Callable

from moe_bev_ros.engine.base import BevGrid, Engine, EngineError
from moe_bev_ros.engine.clustering import ClusteringEngine


def _pillars(grid: BevGrid) -> Engine:
    """Imports torch only where it is chosen."""
    try:
        from moe_bev_ros.engine.pillars import PillarsEngine
    except ModuleNotFoundError as err:
        raise EngineError(f'engine pillars: {err}; install moe-bev-ros[torch]') from err
    return PillarsEngine(grid)


ENGINES: dict[str, Callable[[BevGrid], Engine]] = {'clustering': ClusteringEngine, 'pillars': _pillars}
