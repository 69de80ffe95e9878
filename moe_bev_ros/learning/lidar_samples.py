"""Sweeps of the world with their true boxes, made on the fly: the ego drives through a scenario with true objects.

What training sees never leaves its split: seeds are those of `world.splits`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.se3 import inverse, transform_points
from moe_bev_ros.engine.pillars import LAGS, stack_sweeps
from moe_bev_ros.learning.centre_targets import Truth
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.world.autopilot import FRAME_STEPS, Autopilot, ego_motion, make_controller, shipped_pedals, true_scene
from moe_bev_ros.world.perceiving import LidarView
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import NUSCENES_RIG
from moe_bev_ros.world.scenario import draw_scenario
from moe_bev_ros.world.simulation import World

F32 = NDArray[np.float32]
NUM_FRAMES, EVERY = 160, 8  # frames of a scenario; each eighth is a sample
RANGE_M = 60.0
RIG = Rig(cameras=(), lidar=NUSCENES_RIG.lidar, image_width=16, image_height=16)


@dataclass(frozen=True)
class LidarSample:
    """Stacked sweeps as the engine gets them, and what is there.

    Attributes:
        seed: the scenario that it comes from.
        points_n5: x, y, z [m, base_link], intensity [0..1], time relative to the stamp [s].
    """

    seed: int
    points_n5: F32
    truth: Truth

    def turned(self, angle_rad: float, *, mirrored: bool) -> LidarSample:
        """The same scene turned about base_link's z axis, after left and right have changed places with ``mirrored``."""
        side = np.float32(-1.0 if mirrored else 1.0)
        cos, sin = np.cos(angle_rad), np.sin(angle_rad)
        turn_22 = np.array([[cos, sin], [-sin, cos]], np.float32)
        mirror_2 = np.array([1.0, side], np.float32)
        points, boxes = self.points_n5.copy(), self.truth.boxes_n7.copy()
        points[:, :2] = (points[:, :2] * mirror_2) @ turn_22
        boxes[:, :2] = (boxes[:, :2] * mirror_2) @ turn_22
        boxes[:, 6] = side * boxes[:, 6] + np.float32(angle_rad)
        velocities = (self.truth.velocities_n2 * mirror_2) @ turn_22
        return replace(self, points_n5=points, truth=replace(self.truth, boxes_n7=boxes, velocities_n2=velocities))


def samples_of_seed(seed: int) -> Iterator[LidarSample]:
    """Samples of one scenario; only actors that hold a point of the newest sweep count as there."""
    world = World(draw_scenario(seed), shipped_pedals(), RIG, Vehicle(), threads=1)
    pilot = Autopilot(world, Planner(PlannerConfig()), make_controller('pure_pursuit', Vehicle()))
    view = LidarView(world)
    history: deque[tuple[F32, NDArray[np.float64]]] = deque(maxlen=max(LAGS) + 1)
    try:
        for frame in range(NUM_FRAMES):
            pose, points_n5 = ego_motion(world).odom_se3_base_link, np.zeros((0, 5), np.float32)
            is_sample = frame % EVERY == max(LAGS)
            if is_sample or (frame + max(LAGS)) % EVERY == max(LAGS):
                sensed = world.sense()
                points_n5 = view.sweep(sensed.points_n6).points.points_n5
            history.appendleft((points_n5, pose))
            if is_sample:
                yield LidarSample(seed, stack_sweeps(_as_seen_now(history)), _truth(world, sensed.owners_n))
            pilot.decide(true_scene(world))
            for _ in range(FRAME_STEPS):
                pilot.step()
                view.moved()
    finally:
        world.close()


def _as_seen_now(history: deque[tuple[F32, NDArray[np.float64]]]) -> deque[F32]:
    """Sweeps, newest first, all in the newest one's base_link."""
    now_se3_map = inverse(history[0][1])
    moved: deque[F32] = deque()
    for points_n5, pose in history:
        points = points_n5.copy()
        points[:, :3] = transform_points(now_se3_map @ pose, points[:, :3])
        moved.append(points)
    return moved


def _truth(world: World, owners_n: NDArray[np.int64]) -> Truth:
    """Boxes and velocities in base_link of the actors that were hit."""
    hit = set(np.unique(owners_n).tolist())
    objects = [item for item in true_scene(world, RANGE_M).objects if item.track_id in hit]
    return Truth(
        np.array([item.box_7 for item in objects], np.float32).reshape(-1, 7),
        np.array([item.label for item in objects], np.uint8),
        np.array([item.velocity_2 for item in objects], np.float32).reshape(-1, 2),
    )
