"""The network over a scene with several ways to choose its frame experts, side by side.

The encoders run once a frame for all of them; from there on each has a memory of its own, and hears of the objects that came of
its own choices. The experts for cameras alone get no help of the LiDAR with depth: they are for when there is none.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.objects import Detections
from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree
from moe_bev_ros.engine.bev_engine import MAX_GAP_S
from moe_bev_ros.engine.dispatcher import Situation, look_of, traffic_of
from moe_bev_ros.engine.torch_network import autocast, chosen_precision, maps_of, tensors_of
from moe_bev_ros.evaluation.experts.scores import ChosenScene, FoundKeyframe
from moe_bev_ros.model.bev_model import BevModel, Inputs, Outputs, Seen
from moe_bev_ros.model.memory import State
from moe_bev_ros.perception.centre_boxes import decode_maps
from moe_bev_ros.perception.network_inputs import NetworkInputs, se2_of

ROUNDS = 15  # of measuring times


class Chooser(Protocol):
    """Who says which experts run, such as a Dispatcher."""

    def choose(self, situation: Situation) -> tuple[str, ...]:
        """Experts of the next frame of a scene; none: nothing is found, and what was before is forgotten."""
        ...


class InTurn:
    """One choice a frame, whatever it holds; after the last comes the first again."""

    def __init__(self, choices: Sequence[str]) -> None:
        self._choices, self._frame = tuple(choices), 0

    def choose(self, situation: Situation) -> tuple[str, ...]:
        """See `Chooser`."""
        self._frame += 1
        return tuple(self._choices[(self._frame - 1) % len(self._choices)].split('+'))


class Encoded:
    """One frame as the encoders see it; each part is computed when it is first asked for."""

    def __init__(self, model: BevModel, inputs: Inputs) -> None:
        self._model, self.inputs = model, inputs

    def conclude(self, state: State, experts: tuple[str, ...]) -> tuple[Outputs, State]:
        """The outputs of these experts, and the memory afterwards."""
        names = set(experts)
        seen = None if names == {'lidar'} else self._seen_alone if names == {'camera'} else self._seen
        lidar = None if names == {'camera'} else self._lidar
        return self._model.conclude(seen, lidar, self.inputs, state, experts)

    @cached_property
    def _images(self) -> tuple[Tensor, Tensor]:
        features, coarse = self._model.camera_encoder(self.inputs.images.flatten(0, 1))
        return features, coarse

    @cached_property
    def _seen(self) -> Seen:
        return self._model.attend(*self._images, self.inputs.depth, self.inputs.pixel, self.inputs.bin)

    @cached_property
    def _seen_alone(self) -> Seen:
        return self._model.attend(*self._images, torch.zeros_like(self.inputs.depth), self.inputs.pixel, self.inputs.bin)

    @cached_property
    def _lidar(self) -> tuple[Tensor, Tensor]:
        inner, fine = self._model.lidar_encoder(self.inputs.pillars)
        return inner, fine


@dataclass
class _Run:
    chooser: Chooser
    state: State
    seen: Detections = field(default_factory=Detections.empty)
    keyframes: list[FoundKeyframe] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)


class SideBySide:
    """A network with what it needs to read frames."""

    def __init__(self, model: BevModel, precision: str = 'auto') -> None:
        self.model, self.config = model, model.config
        self.precision = chosen_precision(precision)
        self._reader = NetworkInputs(model.config)

    def see_scene(self, tree: NuscenesTree, scene: str, choosers: Mapping[str, Chooser]) -> dict[str, ChosenScene]:
        """What came of each way to choose.

        Raises:
            InputError: a file of the scene is missing or cut off, or the rig has more cameras than the network.
        """
        runs = {name: _Run(chooser, self.model.empty_memory(1)) for name, chooser in choosers.items()}
        before: Frame | None = None
        for item in tree.frames(scene, (self.config.image_width, self.config.image_height)):
            inputs, situation = self._read(item.frame, before)
            before = item.frame
            encoded = Encoded(self.model, inputs)
            for run in runs.values():
                self._step(run, encoded, situation)
                if item.boxes is not None:
                    place = (item.sample_token, item.frame.stamp_ns, item.map_se3_base_link)
                    run.keyframes.append(FoundKeyframe(*place, _slim(run.seen)))
        return {name: ChosenScene(tuple(run.keyframes), tuple(run.choices)) for name, run in runs.items()}

    def network_ms(self, tree: NuscenesTree, scene: str, choices: Sequence[str], rounds: int = ROUNDS) -> dict[str, float]:
        """Median time of the processor for the whole network with each choice on a scene's first frames, by turns [ms]."""
        found: dict[str, list[float]] = {choice: [] for choice in choices}
        states = {choice: self.model.empty_memory(1) for choice in choices}
        before: Frame | None = None
        for item, _ in zip(tree.frames(scene, (self.config.image_width, self.config.image_height)), range(rounds + 1)):
            inputs, _ = self._read(item.frame, before)
            for choice in choices:
                begun_s = time.process_time()
                with torch.inference_mode(), autocast(self.precision):
                    _, states[choice] = self.model(inputs, states[choice], tuple(choice.split('+')))
                if before is not None:  # the first one lets torch choose its kernels
                    found[choice].append(1e3 * (time.process_time() - begun_s))
            before = item.frame
        return {choice: float(np.median(times_ms)) for choice, times_ms in found.items()}

    def _read(self, frame: Frame, before: Frame | None) -> tuple[Inputs, Situation]:
        arrays = self._reader.make(frame)
        gap_s = (frame.stamp_ns - before.stamp_ns) / 1e9 if before is not None else 0.0
        motion: Array = np.eye(4)
        if before is not None and frame.ego is not None and before.ego is not None:
            motion = inverse(frame.ego.odom_se3_base_link) @ before.ego.odom_se3_base_link
        inputs = tensors_of(arrays, se2_of(motion), gap_s if gap_s <= MAX_GAP_S else 0.0)
        look = look_of(frame.cameras)
        return inputs, Situation(bool(arrays.camera_valid_n.any()), arrays.lidar_valid, *look)

    def _step(self, run: _Run, encoded: Encoded, situation: Situation) -> None:
        num_objects, uncertainty_m = traffic_of(run.seen)
        experts = run.chooser.choose(replace(situation, num_objects=num_objects, uncertainty_m=uncertainty_m))
        run.choices.append('+'.join(experts))
        if not experts:
            run.seen, run.state = Detections.empty(), self.model.empty_memory(1)
            return
        with torch.inference_mode(), autocast(self.precision):
            outputs, run.state = encoded.conclude(run.state, experts)
        run.seen = decode_maps(maps_of(outputs), self.config.head_cell_m, self.config.half_m)


def _slim(found: Detections) -> Detections:
    """Without what the judge of detections does not ask for, which is most of it."""
    return replace(found, covariances_n44=None, futures_nmt2=None, probabilities_nm=None)
