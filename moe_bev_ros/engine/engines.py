"""The engines to choose from, by name."""

from __future__ import annotations

from collections.abc import Callable

from moe_bev_ros.engine.base import BevGrid, Engine
from moe_bev_ros.engine.clustering import ClusteringEngine

ENGINES: dict[str, Callable[[BevGrid], Engine]] = {'clustering': ClusteringEngine}
