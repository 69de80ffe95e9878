"""Reads traffic lights whose housings the map knows: crops, a small network, and a vote over the last frames."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightPlace, LightState, TrafficLight
from moe_bev_ros.engine.base import EngineError
from moe_bev_ros.model.light_net import LightNet
from moe_bev_ros.perception.light_crops import light_crops

WEIGHTS = Path(__file__).resolve().parents[1] / 'weights' / 'lights.safetensors'
VOTES, WANTED = 3, 2
LEAST_SCORE = 0.6


@dataclass(frozen=True)
class SeenLight:
    """A light as it is reported.

    Attributes:
        score: 0..1, how sure the state is; 0 where it is UNKNOWN.
    """

    light: TrafficLight
    score: float


_Key = tuple[int, tuple[float, float]]
_Reading = tuple[LightState, float]
NOTHING: _Reading = (LightState.UNKNOWN, 0.0)


class LightReader:
    """Tells the state of every light of the map in each frame; UNKNOWN where no camera shows it.

    A state counts once WANTED of the last VOTES frames show it, so that one wrong reading neither stops nor starts the vehicle.

    Raises:
        EngineError: the weights are missing, or of another network.
    """

    def __init__(self, weights: Path = WEIGHTS) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if not weights.is_file():
            raise EngineError(
                f'{weights}: no weights of the traffic light network; make them with moe-bev train --profile lights'
            )
        self.model = LightNet().eval()
        try:
            self.model.load_state_dict(load_file(weights))
        except (RuntimeError, SafetensorError) as err:
            raise EngineError(f'{weights}: not the weights of the traffic light network; train again ({err})') from err
        self._votes: dict[_Key, deque[_Reading]] = {}

    def reset(self) -> None:
        """Forget earlier frames."""
        self._votes.clear()

    def read(self, frame: Frame, map_se3_base_link: Array, places: Sequence[LightPlace]) -> tuple[SeenLight, ...]:
        """The states of all lights that have a place.

        Args:
            places: housings in the frame that ``map_se3_base_link`` leads to; those of one light share id and stop position.
        """
        now = self._readings(frame, map_se3_base_link, places)
        keys = dict.fromkeys((place.element_id, place.stop_xy_m) for place in places)
        self._votes = {key: self._votes.get(key, deque(maxlen=VOTES)) for key in keys}
        return tuple(self._reported(key, now.get(key, NOTHING)) for key in keys)

    def _readings(self, frame: Frame, map_se3_base_link: Array, places: Sequence[LightPlace]) -> dict[_Key, _Reading]:
        """What the clearest housing of each light shows in this frame."""
        crops = light_crops(frame.cameras, places, map_se3_base_link)
        if not crops.valid_l.any():
            return {}
        with torch.inference_mode():
            shares_l4 = self.model(torch.from_numpy(crops.images_l3hw)).softmax(dim=1).numpy()
        readings: dict[_Key, _Reading] = {}
        for slot in np.flatnonzero(crops.valid_l).tolist():
            place = places[int(crops.place_l[slot])]
            key = (place.element_id, place.stop_xy_m)
            state = LightState(1 + int(np.argmax(shares_l4[slot, 1:])))
            score = float(shares_l4[slot, state])
            if score >= LEAST_SCORE and score > readings.get(key, NOTHING)[1]:
                readings[key] = (state, score)
        return readings

    def _reported(self, key: _Key, now: _Reading) -> SeenLight:
        votes = self._votes[key]
        votes.append(now)
        ((state, count),) = Counter(state for state, _ in votes).most_common(1)
        scores = [score for voted, score in votes if voted is state]
        if state is LightState.UNKNOWN or count < WANTED:
            return SeenLight(TrafficLight(*key, LightState.UNKNOWN), 0.0)
        return SeenLight(TrafficLight(*key, state), float(np.mean(scores)))
