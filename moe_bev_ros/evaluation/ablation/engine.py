"""A network of an ablation on the scenes of a tree: what it saw, what its router did, and what it cost."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, open_tree
from moe_bev_ros.engine.base import EngineError, EngineOutput
from moe_bev_ros.engine.bev_engine import BevEngine
from moe_bev_ros.engine.dispatcher import FixedExperts
from moe_bev_ros.engine.torch_network import torch_engine
from moe_bev_ros.evaluation.ablation.router_measures import Measures, RoutedFrame, object_patches, scene_measures
from moe_bev_ros.evaluation.perception.perceived import SeenScene, see_scene
from moe_bev_ros.model.router import Routing
from moe_bev_ros.perception.sweep_stack import SweepStack
from moe_bev_ros.runtime.threads import limit_threads

NOT_NETWORK = ('inputs', 'boxes')  # stages of the engine before and after the network


@dataclass(frozen=True)
class SceneRun:
    """One scene.

    Attributes:
        router: of this scene, see `router_measures`.
        step_ms: wall time of each step, with its inputs and its boxes.
        router_ms, network_ms: sums of all steps.
        num_experts: frame experts of each step.
        sweep_bytes: earlier sweeps held at each step, in FP16.
    """

    seen: SeenScene
    router: Measures
    step_ms: tuple[float, ...]
    router_ms: float
    network_ms: float
    num_experts: tuple[int, ...]
    sweep_bytes: tuple[int, ...]


@dataclass(frozen=True)
class SceneJob:
    """One scene to be run through a network, maybe in another process.

    Attributes:
        experts: that always run; none: the dispatcher chooses.
    """

    root: str
    version: str
    scene: str
    weights: str
    experts: tuple[str, ...]


class ListeningEngine:
    """The engine of a network, with sweeps stacked where it wants that; keeps what its router did in each step."""

    name = 'ablation'
    least_scores = BevEngine.least_scores

    def __init__(self, weights: Path, experts: tuple[str, ...]) -> None:
        self.engine = torch_engine(weights=weights)
        if experts:
            self.engine.dispatcher = FixedExperts(experts)
        self._sweeps = SweepStack(self.engine.config.num_sweeps)
        self.engine.network.model.router.register_forward_hook(self._hear)
        self.reset()

    @property
    def image_size(self) -> tuple[int, int]:
        """Of the images that the network takes."""
        return self.engine.config.image_width, self.engine.config.image_height

    def reset(self) -> None:
        """Forget the frames before, and what was heard of them."""
        self.engine.reset()
        self._sweeps.reset()
        self._heard: Routing | None = None
        self.frames: dict[int, RoutedFrame] = {}
        self.outputs: list[EngineOutput] = []
        self.step_ms: list[float] = []
        self.sweep_bytes: list[int] = []

    def step(self, frame: Frame, base_link_now_se3_before: Array | None) -> EngineOutput:
        """As any engine."""
        begun_s = time.perf_counter()
        self.sweep_bytes.append(self._sweeps.held_bytes)
        self._heard = None
        output = self.engine.step(self._sweeps.add(frame, base_link_now_se3_before), base_link_now_se3_before)
        self.step_ms.append(1e3 * (time.perf_counter() - begun_s))
        self.outputs.append(output)
        if self._heard is not None:
            patches, gates = self._heard.patch_bes[0].numpy(), self._heard.gate_bes[0].float().numpy()
            self.frames[frame.stamp_ns] = RoutedFrame(patches, gates)
        return output

    def _hear(self, _module: Any, _inputs: Any, routing: Routing) -> None:
        self._heard = routing


def run_scene(job: SceneJob) -> SceneRun:
    """Run one scene.

    Raises:
        InputError: the weights or a file of the scene cannot be read.
    """
    limit_threads(1)
    tree, engine = _opened(job.root, job.version), _built(job.weights, job.experts)
    config = engine.engine.config
    seen = see_scene(tree, job.scene, engine, engine.image_size)
    stamps = list(engine.frames)
    objects = {stamps.index(k.stamp_ns): object_patches(k.truth, config) for k in seen.keyframes if k.stamp_ns in engine.frames}
    stages = [output.stage_ms for output in engine.outputs]
    return SceneRun(
        seen,
        scene_measures(list(engine.frames.values()), objects),
        tuple(engine.step_ms),
        sum(ms.get('router', 0.0) for ms in stages),
        sum(value for ms in stages for name, value in ms.items() if name not in NOT_NETWORK),
        tuple(len(output.experts) for output in engine.outputs),
        tuple(engine.sweep_bytes),
    )


def median_ms(runs: list[SceneRun]) -> float:
    """Of all steps."""
    return float(np.median([ms for run in runs for ms in run.step_ms]))


@lru_cache(maxsize=1)
def _opened(root: str, version: str) -> NuscenesTree:
    """Once a process."""
    return open_tree(Path(root), version)


@lru_cache(maxsize=1)
def _built(weights: str, experts: tuple[str, ...]) -> ListeningEngine:
    try:
        return ListeningEngine(Path(weights), experts)
    except EngineError as err:
        raise InputError(str(err)) from err
