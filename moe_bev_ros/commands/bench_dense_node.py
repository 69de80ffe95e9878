"""bev_node with a network of any weights in eager torch: what ``moe-bev bench graph`` compares with. Run by it alone."""

from __future__ import annotations

import os
from pathlib import Path

from moe_bev_ros.engine.base import Engine, EngineSettings
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.engine.torch_network import torch_engine
from moe_bev_ros.evaluation.bench.graph import WEIGHTS_VARIABLE
from moe_bev_ros.nodes import bev_node


def _engine(settings: EngineSettings) -> Engine:
    return torch_engine(settings, Path(os.environ[WEIGHTS_VARIABLE]))


if __name__ == '__main__':
    ENGINES['torch'] = _engine
    bev_node.main()
