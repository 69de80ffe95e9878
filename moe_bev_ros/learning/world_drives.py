"""Drives of the world, made on the fly: the ego drives with true objects, and every frame has its exact truth.

What training sees never leaves its split: seeds are those of `world.splits`. A frame is handed out once the world has run on as
far as its futures reach.

Legend: N road users near the ego, T times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.frame import EgoMotion, Frame
from moe_bev_ros.core.objects import TrackedObject
from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.datasets.road_raster import RoadRaster
from moe_bev_ros.datasets.world_scene import MOVING_MPS, attribute_of_actor
from moe_bev_ros.learning.appearance import Appearance
from moe_bev_ros.learning.drives import (
    F32,
    FUTURE_STEP_S,
    NUM_FUTURES,
    TRUTH_RANGE_M,
    DriveFrame,
    FrameTruth,
    RoadView,
    Variation,
    points_in_boxes,
)
from moe_bev_ros.learning.tree_drives import GAP_SHARES, GAPS, INDEX_OF_ATTRIBUTE
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.world.autopilot import FRAME_STEPS, Autopilot, ego_motion, make_controller, shipped_pedals, true_scene
from moe_bev_ros.world.perceiving import LidarView, camera_images
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import NUSCENES_RIG, random_rig
from moe_bev_ros.world.scenario import draw_scenario
from moe_bev_ros.world.scene import Actor
from moe_bev_ros.world.simulation import World
from moe_bev_ros.world.splits import SPLITS, check_seed

DRIVE_TICKS = 100  # of 0.1 s; what a drive costs before its first and after its last frame is shared by more in a longer one
SHARE_TICKS = 5  # visible shares are counted so often, which takes as long as half a frame
FUTURE_TICKS = round(FUTURE_STEP_S * 10)
OTHER_RIGS = 0.5  # share of drives with a rig that is not nuScenes' own


class WorldSource:
    """Scenarios of the training split as drives.

    Args:
        image_size: width and height of the images [pixels].
        varied: with other rigs, and turned, mirrored, with cameras a little off and with gaps; else every frame as it is.
    """

    def __init__(self, image_size: tuple[int, int], *, varied: bool = True) -> None:
        self._image_size, self._varied = image_size, varied

    @property
    def num_drives(self) -> int:
        """How many seeds there are."""
        return len(SPLITS['train'])

    def drive(self, index: int, seed: tuple[int, ...]) -> WorldDrive:
        """Of the scenario with this seed."""
        return WorldDrive(SPLITS['train'][index], self._image_size, seed if self._varied else None)


@dataclass(frozen=True)
class WorldDrive:
    """A scenario to be driven.

    Attributes:
        scenario_seed: of the training split.
        seed: of how it is varied; None: it is not.
        ticks: of 0.1 s, in which there are frames.

    Raises:
        InputError: the scenario is of another split.
    """

    scenario_seed: int
    image_size: tuple[int, int]
    seed: tuple[int, ...] | None
    ticks: int = DRIVE_TICKS

    def __post_init__(self) -> None:
        check_seed(self.scenario_seed, 'train')

    def frames(self) -> Iterator[DriveFrame]:
        """Drive it."""
        width, height = self.image_size
        rig = replace(NUSCENES_RIG, image_width=width, image_height=height)
        if self.seed is None:
            yield from _driven(self.scenario_seed, rig, range(self.ticks))
            return
        rng = np.random.default_rng(self.seed)
        if rng.random() < OTHER_RIGS:
            rig = random_rig(rng, rig)
        variation, appearance = Variation.drawn(rng), Appearance.drawn(rng)
        chosen = np.cumsum(rng.choice(GAPS, self.ticks, p=GAP_SHARES)) - 1
        for item in _driven(self.scenario_seed, rig, chosen[chosen < self.ticks].tolist()):
            yield variation.of(appearance.of(item))


@dataclass(frozen=True)
class _Pending:
    """A frame whose futures are still to come; ``tick`` counts from the start of the drive."""

    tick: int
    frame: Frame
    before: EgoMotion | None
    actors: dict[int, Actor]
    objects: tuple[TrackedObject, ...]
    shares: dict[int, float]


def _driven(scenario_seed: int, rig: Rig, chosen: Sequence[int]) -> Iterator[DriveFrame]:
    """The chosen ticks of a drive."""
    world = World(draw_scenario(scenario_seed), shipped_pedals(), rig, Vehicle(), threads=1)
    try:
        yield from _Recorder(world).frames(chosen)
    finally:
        world.close()


class _Recorder:
    """Drives a world and keeps what is needed until the futures of a frame are known."""

    def __init__(self, world: World) -> None:
        self._world, self._view = world, LidarView(world)
        self._pilot = Autopilot(world, Planner(PlannerConfig()), make_controller('pure_pursuit', Vehicle()))
        self._raster = RoadRaster.of(world.scenario.network)
        self._places: list[dict[int, tuple[float, float]]] = []  # of everybody, at each tick
        self._moved: set[int] = set()
        self._shares: dict[int, float] = {}

    def frames(self, chosen: Sequence[int]) -> Iterator[DriveFrame]:
        pending: list[_Pending] = []
        reach = FUTURE_TICKS * NUM_FUTURES
        before: EgoMotion | None = None
        for tick in range(chosen[-1] + reach + 1):
            self._look(tick, counted=tick <= chosen[-1])
            if tick in chosen:
                pending.append(self._seen(tick, before))
                before = pending[-1].frame.ego
            if pending and pending[0].tick + reach == tick:
                yield self._told(pending.pop(0))
            self._pilot.decide(true_scene(self._world))
            for _ in range(FRAME_STEPS):
                self._pilot.step()
                self._view.moved()

    def _look(self, tick: int, *, counted: bool) -> None:
        actors = self._world.truth().actors
        self._places.append({actor.track_id: (actor.x, actor.y) for actor in actors})
        self._moved |= {actor.track_id for actor in actors if actor.speed_mps > MOVING_MPS}
        if counted and tick % SHARE_TICKS == 0:
            self._shares = self._world.visible_shares()

    def _seen(self, tick: int, before: EgoMotion | None) -> _Pending:
        world, ego = self._world, ego_motion(self._world)
        sensed = world.sense()
        frame = Frame(
            world.stamp_ns, camera_images(world.rig, sensed.images_nhw3), self._view.sweep(sensed.points_n6).points, ego
        )
        actors = {actor.track_id: actor for actor in world.truth().actors}
        return _Pending(tick, frame, before, actors, true_scene(world, TRUTH_RANGE_M).objects, self._shares)

    def _told(self, seen: _Pending) -> DriveFrame:
        frame, before, scene = seen.frame, seen.before, self._world.scenario.scene
        assert frame.ego is not None  # as `_seen` made it
        assert frame.lidar is not None
        base_link_se3_map = inverse(frame.ego.odom_se3_base_link)
        boxes_n7 = np.array([item.box_7 for item in seen.objects], np.float32).reshape(-1, 7)
        ids = [item.track_id for item in seen.objects]
        attributes = [attribute_of_actor(seen.actors[name], parked=name not in self._moved) for name in ids]
        truth = FrameTruth(
            boxes_n7,
            np.array([item.label for item in seen.objects], np.uint8),
            np.array([item.velocity_2 for item in seen.objects], np.float32).reshape(-1, 2),
            np.array([INDEX_OF_ATTRIBUTE.get(name, -1) for name in attributes], np.int64),
            points_in_boxes(boxes_n7, frame.lidar.points_n5),
            np.array([seen.shares.get(name, 0.0) for name in ids], np.float32),
            tuple(map(str, ids)),
            self._futures(seen.tick, ids, base_link_se3_map),
            RoadView(self._raster, base_link_se3_map),
        )
        motion = None if before is None else base_link_se3_map @ before.odom_se3_base_link
        dt_s = 0.0 if before is None else (frame.stamp_ns - before.stamp_ns) * 1e-9
        return DriveFrame(frame, motion, dt_s, truth, scene.condition.name, self._world.scenario.kind)

    def _futures(self, tick: int, ids: list[int], base_link_se3_map: Array) -> F32:
        """(N, 12, 2) displacements in base_link's axes; NaN for who has left."""
        nowhere = (np.nan, np.nan)
        ticks = range(tick, tick + FUTURE_TICKS * NUM_FUTURES + 1, FUTURE_TICKS)
        places = np.array([[self._places[then].get(name, nowhere) for then in ticks] for name in ids])
        places = places.reshape(-1, NUM_FUTURES + 1, 2)
        return ((places[:, 1:] - places[:, :1]) @ base_link_se3_map[:2, :2].T).astype(np.float32)
