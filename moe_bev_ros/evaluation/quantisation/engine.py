"""One row of a quantisation on one scene of a tree, maybe in another process."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, open_tree
from moe_bev_ros.engine.base import Engine, EngineError, EngineSettings
from moe_bev_ros.engine.bev_engine import BevEngine
from moe_bev_ros.engine.capability import CAPABILITY
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.evaluation.perception.perceived import SeenScene, see_scene
from moe_bev_ros.model.config import ModelConfig


@dataclass(frozen=True)
class SceneJob:
    """One scene.

    Attributes:
        network: weights of a float network, those of one with quantisers, or the folder of an exported one.
        form: float, quantised, or the engine that runs the exported network.
    """

    root: str
    version: str
    scene: str
    network: str
    form: str


def run_scene(job: SceneJob) -> SeenScene:
    """What the network saw.

    Raises:
        InputError: the network or a file of the scene cannot be read.
    """
    cv2.setNumThreads(1)
    engine, config = _built(job.network, job.form)
    return see_scene(_opened(job.root, job.version), job.scene, engine, (config.image_width, config.image_height))


@lru_cache(maxsize=1)
def _opened(root: str, version: str) -> NuscenesTree:
    """Once a process."""
    return open_tree(Path(root), version)


@lru_cache(maxsize=1)
def _built(network: str, form: str) -> tuple[Engine, ModelConfig]:
    try:
        if form in ENGINES:
            engine = ENGINES[form](EngineSettings(precision='int8', engine_dir=Path(network)))
            assert isinstance(engine, BevEngine)
            return engine, engine.config
        from moe_bev_ros.engine.torch_network import TorchNetwork
        from moe_bev_ros.learning.quantised_weights import load_quantised
        from moe_bev_ros.model.weights_file import load_weights

        load = load_quantised if form == 'quantised' else load_weights
        torch = BevEngine(TorchNetwork(EngineSettings(precision='float32'), Path(network), load), CAPABILITY)
        return torch, torch.config
    except EngineError as err:
        raise InputError(str(err)) from err
