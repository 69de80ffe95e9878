"""A sensor that is lost in mid-drive: the engine before and after, beside one that never had it and one that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import Frame, without_cameras, without_lidar
from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, TreeFrame
from moe_bev_ros.engine.dispatcher import Dispatcher
from moe_bev_ros.evaluation.experts.scores import ChosenScene, FoundKeyframe

if TYPE_CHECKING:
    from moe_bev_ros.engine.bev_engine import BevEngine

RUNS = ('lost', 'without', 'intact')
LOSSES: dict[str, tuple[Callable[[Frame], Frame], str]] = {  # what is done to a frame, and the only expert that is left
    'camera': (without_cameras, 'lidar'),
    'lidar': (without_lidar, 'camera'),
}


@dataclass(frozen=True)
class LossScene:
    """One scene.

    Attributes:
        runs: by name, see RUNS.
        lost_ns: stamp of the first frame without the sensor.
        frames_late: how many frames after that one the engine still chose experts that need the sensor.
        valid_share: of the frames without the sensor, those that the engine that lost it called valid.
    """

    runs: dict[str, ChosenScene]
    lost_ns: int
    frames_late: int
    valid_share: float


@dataclass
class _Follower:
    engine: BevEngine[Any]
    keyframes: list[FoundKeyframe] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)
    valid: list[bool] = field(default_factory=list)

    def step(self, item: TreeFrame, frame: Frame, motion: Array | None) -> None:
        output = self.engine.step(frame, motion)
        self.choices.append('+'.join(output.experts))
        self.valid.append(output.perception_valid)
        if item.boxes is not None:
            place = (item.sample_token, frame.stamp_ns, item.map_se3_base_link)
            self.keyframes.append(FoundKeyframe(*place, output.detections))


def see_loss(tree: NuscenesTree, scene: str, engines: Mapping[str, BevEngine[Any]], sensor: str, after_s: float) -> LossScene:
    """Drive through a scene with three engines at once.

    Args:
        engines: one for each of RUNS, of the same weights.
        sensor: one of LOSSES.
        after_s: since the first frame; from there on it is gone [s].

    Raises:
        InputError: the scene ends before that.
    """
    remove, left = LOSSES[sensor]
    followers = {name: _Follower(_fresh(engines[name])) for name in RUNS}
    stamps: list[int] = []
    before: Frame | None = None
    config = engines['lost'].config
    for item in tree.frames(scene, (config.image_width, config.image_height)):
        frame = item.frame
        stamps.append(frame.stamp_ns)
        is_lost = frame.stamp_ns >= stamps[0] + round(1e9 * after_s)
        motion = _motion(before, frame)
        before = frame
        for name, follower in followers.items():
            is_without = name == 'without' or (name == 'lost' and is_lost)
            follower.step(item, remove(frame) if is_without else frame, motion)
    first = next((index for index, stamp_ns in enumerate(stamps) if stamp_ns >= stamps[0] + round(1e9 * after_s)), None)
    if first is None:
        raise InputError(f'{scene}: ends {(stamps[-1] - stamps[0]) / 1e9:.1f} s after its begin; give a shorter --after')
    lost = followers['lost']
    late = [index for index, choice in enumerate(lost.choices[first:], 1) if choice not in ('', left)]
    runs = {name: ChosenScene(tuple(follower.keyframes), tuple(follower.choices)) for name, follower in followers.items()}
    return LossScene(runs, stamps[first], late[-1] if late else 0, sum(lost.valid[first:]) / len(lost.valid[first:]))


def _fresh(engine: BevEngine[Any]) -> BevEngine[Any]:
    """As at the begin of a drive; what was saved for two experts in earlier ones is forgotten too."""
    engine.reset()
    engine.dispatcher = Dispatcher(engine.dispatcher.capability)
    return engine


def _motion(before: Frame | None, now: Frame) -> Array | None:
    if before is None or before.ego is None or now.ego is None:
        return None
    return inverse(now.ego.odom_se3_base_link) @ before.ego.odom_se3_base_link
