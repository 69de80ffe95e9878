"""What an engine and the tracker saw in one scene of a tree, keyframe by keyframe, beside the truth.

The frames go through the code of the nodes in one process: the reader crops and compensates as lidar_node does, and here
follows what bev_node does with a frame.

Letters: n objects, k modes of a forecast, t future steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import EgoMotion, Frame
from moe_bev_ros.core.objects import Detections, Forecast, Label, TrackedObject
from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.core.traffic_light import LightPlace, TrafficLight
from moe_bev_ros.datasets.light_places import scene_light_places
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, TreeBoxes, TreeFrame
from moe_bev_ros.datasets.road_raster import RoadRaster
from moe_bev_ros.engine.base import Engine, EngineOutput
from moe_bev_ros.evaluation.perception.segmentation import overlap_counts, predicted_masks
from moe_bev_ros.evaluation.tally import Tally, add
from moe_bev_ros.perception.tracker import Tracker

if TYPE_CHECKING:
    from moe_bev_ros.engine.lights import LightReader

READS_LIGHTS = 'torch'  # the engine beside which the network for lights runs
LEAST_SCORE = 0.05  # guesses count too: the judge ranks them
FUTURE_STEP_S, NUM_FUTURE_STEPS = 0.5, 12


@dataclass(frozen=True)
class Tracks:
    """Published objects of one keyframe, in base_link.

    Attributes:
        boxes_n7: float32.
        velocities_n2: over ground [m/s].
        futures_nkt2: positions every FUTURE_STEP_S from now on [m]; a forecast that ends earlier goes on as it was.
        probabilities_nk: of the modes; -1 where there is none.
    """

    ids_n: NDArray[np.int64]
    labels_n: NDArray[np.uint8]
    scores_n: NDArray[np.float32]
    boxes_n7: NDArray[np.float32]
    velocities_n2: NDArray[np.float32]
    futures_nkt2: NDArray[np.float32]
    probabilities_nk: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids_n)

    @staticmethod
    def of(objects: Sequence[TrackedObject]) -> Tracks:
        """The same as arrays."""
        num, modes = len(objects), max([1, *(len(item.forecasts) for item in objects)])
        futures = np.zeros((num, modes, NUM_FUTURE_STEPS, 2), np.float32)
        probabilities = np.full((num, modes), -1.0, np.float32)
        for index, item in enumerate(objects):
            for mode, forecast in enumerate(item.forecasts or (_constant_velocity(item),)):
                futures[index, mode] = _resampled(forecast, item.box_7[:2])
                probabilities[index, mode] = forecast.probability
        return Tracks(
            np.array([item.track_id for item in objects], np.int64),
            np.array([item.label for item in objects], np.uint8),
            np.array([item.score for item in objects], np.float32),
            np.array([item.box_7 for item in objects], np.float32).reshape(-1, 7),
            np.array([item.velocity_2 for item in objects], np.float32).reshape(-1, 2),
            futures,
            probabilities,
        )

    def detections(self) -> Detections:
        """The same without identity."""
        return Detections(self.boxes_n7, self.labels_n, self.scores_n, self.velocities_n2)


@dataclass(frozen=True)
class SeenKeyframe:
    """One keyframe.

    Attributes:
        detections: what the engine found, in base_link; None where only what was published is known.
        lights: the true ones, in the map.
        predicted_lights: None: the engine does not report lights.
        light_places: housings of the true lights, in the map; empty where nobody knows them.
    """

    sample_token: str
    stamp_ns: int
    map_se3_base_link: Array
    truth: TreeBoxes
    detections: Detections | None
    tracks: Tracks
    lights: tuple[TrafficLight, ...] = ()
    predicted_lights: tuple[TrafficLight, ...] | None = None
    light_places: tuple[LightPlace, ...] = ()


@dataclass(frozen=True)
class SeenScene:
    """One scene.

    Attributes:
        traits: kind, condition and style, where the tree tells.
        segmentation: counts of cells, see `segmentation`.
        stage_ms: time of the engine's stages over all frames [ms].
    """

    name: str
    traits: dict[str, str]
    keyframes: tuple[SeenKeyframe, ...]
    segmentation: Tally = field(default_factory=dict)
    stage_ms: dict[str, list[float]] = field(default_factory=dict)


class LightWatch:
    """Reads the lights of a scene as bev_node does; the engines that learned nothing of lights tell nothing of them."""

    def __init__(self, tree: NuscenesTree, scene: str, engine: Engine) -> None:
        self.places = tuple(scene_light_places(tree, scene)) if engine.name == READS_LIGHTS else ()
        self._reader: LightReader | None = None
        if self.places:
            from moe_bev_ros.engine.lights import LightReader  # with torch

            self._reader = LightReader()

    def read(self, item: TreeFrame) -> tuple[TrafficLight, ...] | None:
        """The lights of the next frame; None where nobody looks."""
        if self._reader is None:
            return None
        return tuple(seen.light for seen in self._reader.read(item.frame, item.map_se3_base_link, self.places))


class Follower:
    """What bev_node does with the frames of one drive: engine, tracker, and the objects that it publishes."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.tracker = engine, Tracker()
        self.engine.reset()
        self._ego_before: EgoMotion | None = None

    def follow(self, frame: Frame) -> tuple[EngineOutput, tuple[TrackedObject, ...]]:
        """The engine's output and the published objects of the next frame."""
        before = self._ego_before
        self._ego_before = frame.ego
        motion = inverse(frame.ego.odom_se3_base_link) @ before.odom_se3_base_link if frame.ego and before else None
        output = self.engine.step(frame, motion)
        objects = self.tracker.update(output.detections, frame.stamp_ns, frame.ego)
        return output, tuple(item for item in objects if item.score >= LEAST_SCORE)


def see_scene(
    tree: NuscenesTree, scene: str, engine: Engine, image_size: tuple[int, int], *, keyframes_only: bool = False
) -> SeenScene:
    """Run an engine and the tracker over a scene.

    Args:
        image_size: width and height [pixels], as camera_node would hand them over.
        keyframes_only: 2 frames a second instead of 10.

    Raises:
        InputError: a file of the scene is missing or cut off; the text names it.
    """
    follower, raster = Follower(engine), RoadRaster.of_scene(tree, scene)
    watch = LightWatch(tree, scene, engine)
    keyframes: list[SeenKeyframe] = []
    segmentation: Tally = {}
    stage_ms: dict[str, list[float]] = {}
    for item in tree.frames(scene, image_size, keyframes_only=keyframes_only):
        output, objects = follower.follow(item.frame)
        predicted_lights = watch.read(item)
        for stage, spent_ms in output.stage_ms.items():
            stage_ms.setdefault(stage, []).append(spent_ms)
        if item.boxes is None:
            continue
        pose = item.map_se3_base_link
        lights = tree.lights(scene, item.sample_token)
        seen = (item.boxes, output.detections, Tracks.of(objects), lights, predicted_lights, watch.places)
        keyframes.append(SeenKeyframe(item.sample_token, item.frame.stamp_ns, pose, *seen))
        if output.segmentation is not None:
            masks = predicted_masks(output.segmentation)
            add(segmentation, overlap_counts(masks, output.segmentation, item.boxes, raster, pose))
    return SeenScene(scene, traits_of(tree, scene), tuple(keyframes), segmentation, stage_ms)


def traits_of(tree: NuscenesTree, scene: str) -> dict[str, str]:
    """What the tree tells of a scene, of that which results are parted by."""
    world = tree.world(scene)
    return {name: str(world[name]) for name in ('condition', 'kind', 'style') if name in world}


def is_road_user(labels_n: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) what has one of the ten classes."""
    return np.asarray(labels_n != Label.UNKNOWN)


def _constant_velocity(item: TrackedObject) -> Forecast:
    """For an engine without forecasts."""
    steps_t2 = FUTURE_STEP_S * np.arange(1, NUM_FUTURE_STEPS + 1)[:, None] * item.velocity_2
    return Forecast(1.0, FUTURE_STEP_S, (item.box_7[:2] + steps_t2).astype(np.float32))


def _resampled(forecast: Forecast, now_2: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T, 2) at the common steps; beyond its end it goes on with its last velocity."""
    known_t2 = np.vstack([now_2, forecast.positions_t2]).astype(float)
    known_s = forecast.time_step_s * np.arange(len(known_t2))
    times_s = FUTURE_STEP_S * np.arange(1, NUM_FUTURE_STEPS + 1)
    result = np.column_stack([np.interp(times_s, known_s, known_t2[:, axis]) for axis in (0, 1)])
    if len(known_t2) > 1:
        last_mps = (known_t2[-1] - known_t2[-2]) / forecast.time_step_s
        result += np.maximum(times_s - known_s[-1], 0.0)[:, None] * last_mps
    return result.astype(np.float32)
