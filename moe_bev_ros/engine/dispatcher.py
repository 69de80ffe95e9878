"""Which frame experts run: those whose sensors are there, and of these the choice that the capability matrix rates best.

What a frame is like is told from what is at hand before the network runs: valid sensors, brightness and contrast of the images,
and how many and how uncertain the objects of the last frame were. Where traffic is calm, cost counts against a choice; where it
is busy, it does not. Two experts run for a while and then not for a while, so that the mean over any drive stays within
``mean_experts``. A choice is left only when another was better for several frames, or its sensor is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.objects import Detections
from moe_bev_ros.engine.capability import DEFAULT, Capability

SAMPLED = 4  # every so many pixels are looked at
SURE = 0.3  # detections with a lower score do not make a scene busy
STAY = 0.8  # busy traffic is calm again below this share of what makes it busy


@dataclass(frozen=True)
class DispatcherConfig:
    """When a scene is poorly seen or busy, and how much calm traffic saves.

    Attributes:
        dark: images with a lower mean (0..1) are poor: night.
        flat: likewise with a lower deviation (0..1): rain, fog.
        harsh: likewise with a larger ratio of deviation to mean: low sun, lamps at night.
        busy_objects, busy_uncertainty_m: number and mean position deviation of the last frame's objects.
        price: in calm traffic, the score by which a choice must win that costs as much as ``fused`` more.
        patience: frames for which another choice must have been better.
        mean_experts: at most so many experts on average.
        pair_frames: two experts run for at least so many frames, once the budget allows it.
    """

    dark: float = 0.24
    flat: float = 0.135
    harsh: float = 0.5
    busy_objects: int = 30
    busy_uncertainty_m: float = 1.0
    price: float = 0.05
    patience: int = 3
    mean_experts: float = 1.3
    pair_frames: int = 10


@dataclass(frozen=True)
class Situation:
    """What is known before the network runs.

    Attributes:
        camera_valid, lidar_valid: whether there is any valid image, and any point.
        brightness, contrast: mean and standard deviation of the images (0..1).
        num_objects, uncertainty_m: of the last frame, see `traffic_of`.
    """

    camera_valid: bool
    lidar_valid: bool
    brightness: float = 0.0
    contrast: float = 0.0
    num_objects: int = 0
    uncertainty_m: float = 0.0


class Dispatcher:
    """Chooses for frame after frame; the same frames give the same choices."""

    def __init__(self, capability: Capability = DEFAULT, config: DispatcherConfig | None = None) -> None:
        self.capability, self.config = capability, config or DispatcherConfig()
        self._spare = 0.0  # experts that may run beyond one a frame
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames, but for what was spent."""
        self._choice, self._rival, self._rival_frames = '', '', 0
        self._is_busy = False

    def choose(self, situation: Situation, k_max: int = 2) -> tuple[str, ...]:
        """One or two of FRAME_EXPERTS; none where no sensor is valid."""
        choices = [name for name in self.capability.scores if _is_usable(name, situation, k_max) and self._affords(name)]
        if not choices:
            self._choice = ''
            return ()
        self._is_busy = self._judge_traffic(situation)
        best = max(choices, key=lambda name: self._worth(name, is_poor=self.is_poor(situation)))
        self._move_towards(best, at_once=self._choice not in choices)
        experts = tuple(self._choice.split('+'))
        self._spare = min(self._spare + self.config.mean_experts - len(experts), 2.0 * self._deposit)
        return experts

    def is_poor(self, situation: Situation) -> bool:
        """Whether the images show night, rain, fog or low sun; False without images."""
        if not situation.camera_valid:
            return False
        config, brightness, contrast = self.config, situation.brightness, situation.contrast
        return brightness < config.dark or contrast < config.flat or contrast > config.harsh * brightness

    def _judge_traffic(self, situation: Situation) -> bool:
        share = STAY if self._is_busy else 1.0
        is_crowded = situation.num_objects >= share * self.config.busy_objects
        return is_crowded or situation.uncertainty_m >= share * self.config.busy_uncertainty_m

    def _worth(self, choice: str, *, is_poor: bool) -> float:
        score = self.capability.score(choice, is_poor=is_poor, is_busy=self._is_busy)
        return score if self._is_busy else score - self.config.price * self.capability.costs[choice]

    @property
    def _deposit(self) -> float:
        """What must be spare before two experts begin, so that they last for ``pair_frames``."""
        return self.config.pair_frames * (2.0 - self.config.mean_experts)

    def _affords(self, choice: str) -> bool:
        if '+' not in choice:
            return True
        one_frame = 2.0 - self.config.mean_experts
        return self._spare >= (one_frame if choice == self._choice else self._deposit) - 1e-9

    def _move_towards(self, best: str, *, at_once: bool) -> None:
        self._rival_frames = self._rival_frames + 1 if best == self._rival else 1
        self._rival = best
        if at_once or self._rival_frames >= self.config.patience:
            self._choice = best


class FixedExperts(Dispatcher):
    """The same experts in every frame, for measurements."""

    def __init__(self, experts: tuple[str, ...]) -> None:
        super().__init__()
        self._experts = experts

    def choose(self, situation: Situation, k_max: int = 2) -> tuple[str, ...]:
        """Whatever the frame holds."""
        return self._experts


def look_of(cameras: CameraImages | None) -> tuple[float, float]:
    """Mean and standard deviation (0..1) of the green of the valid images; zeros where there are none."""
    if cameras is None or not cameras.valid_n.any():
        return 0.0, 0.0
    green = cameras.images_nhw3[:, ::SAMPLED, ::SAMPLED, 1][cameras.valid_n].astype(np.float32) / 255
    return float(green.mean()), float(green.std())


def traffic_of(detections: Detections) -> tuple[int, float]:
    """How many objects are believed, and their mean position deviation [m]; 0 where the engine tells none."""
    is_sure_n = detections.scores_n >= SURE
    if detections.covariances_n44 is None or not is_sure_n.any():
        return int(is_sure_n.sum()), 0.0
    variance_n = detections.covariances_n44[is_sure_n][:, [0, 1], [0, 1]].mean(axis=1)
    return int(is_sure_n.sum()), float(np.sqrt(variance_n).mean())


def _is_usable(choice: str, situation: Situation, k_max: int) -> bool:
    experts = choice.split('+')
    needs_camera, needs_lidar = any(name != 'lidar' for name in experts), any(name != 'camera' for name in experts)
    has_sensors = (situation.camera_valid or not needs_camera) and (situation.lidar_valid or not needs_lidar)
    return has_sensors and len(experts) <= k_max
