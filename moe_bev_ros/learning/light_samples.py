"""Crops of the world's traffic lights with their states, made on the fly.

A vehicle is put at many places on the lanes that lead to the lights of a scenario. Each place is looked at three times, every
light each time in another state: so states come equally often, which in traffic amber does not, and a light whose crops do not
differ is hidden, however it shines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import LightPlace, LightState
from moe_bev_ros.datasets.world_scene import encode_jpeg
from moe_bev_ros.perception.light_crops import LightCrops, light_crops
from moe_bev_ros.world.ground import paint_ground
from moe_bev_ros.world.light_places import light_places
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import NUSCENES_RIG
from moe_bev_ros.world.scenario import Scenario, draw_scenario
from moe_bev_ros.world.scene import Scene, Signal
from moe_bev_ros.world.sensors import SensorSuite
from moe_bev_ros.world.splits import check_seed
from moe_bev_ros.world.styles import GROUND_PALETTES

KINDS_WITH_LIGHTS = ('red_light', 'unprotected_left_turn')
COLOURS = (LightState.RED, LightState.AMBER, LightState.GREEN)
FORWARD = ('CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_FRONT_LEFT')
RIG = Rig(
    cameras=tuple(camera for camera in NUSCENES_RIG.cameras if camera.name in FORWARD),
    lidar=replace(NUSCENES_RIG.lidar, num_azimuths=8),  # nobody looks at it
    image_width=352,
    image_height=128,
)
VIEWS = 24
AHEAD_M = (10.0, 72.0)  # from base_link to a light's stop position
ASIDE_M, TURN_RAD, MAX_SPEED_MPS = 0.5, 0.06, 14.0
STEP_S = 0.1
CLEAR_M = 4.5  # nobody else's centre is nearer to the vehicle's middle
PLACE_ERROR_M = 0.12  # what maps and localisation are wrong by
SEEN_DIFFERENCE = 0.6  # of normalised values, in the pixel that differs most between states


@dataclass(frozen=True)
class LightSamples:
    """N crops.

    Attributes:
        images_n3hw: float16, as in `LightCrops`.
        states_n: numbers of LightState; UNKNOWN where nothing of the lamps is to be seen.
        distance_n: from the camera [m].
    """

    images_n3hw: NDArray[np.float16]
    states_n: NDArray[np.int64]
    distance_n: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.states_n)


def joined(samples: list[LightSamples]) -> LightSamples:
    """All of them as one."""
    return LightSamples(
        np.concatenate([item.images_n3hw for item in samples]),
        np.concatenate([item.states_n for item in samples]),
        np.concatenate([item.distance_n for item in samples]),
    )


def samples_of_seed(seed: int, split: str, views: int = VIEWS) -> LightSamples:
    """Crops of one scenario with lights; the seed gives everything.

    Raises:
        InputError: the seed is not of this split.
    """
    check_seed(seed, split)
    rng = np.random.default_rng((seed, 5))
    scenario = draw_scenario(seed, kind=KINDS_WITH_LIGHTS[seed % len(KINDS_WITH_LIGHTS)])
    ground = paint_ground(scenario.network, scenario.terrain, GROUND_PALETTES[scenario.style], rng)
    suite = SensorSuite(RIG, ground, scenario.scene.props, scenario.scene.condition, threads=1)
    try:
        found = [_samples_at(suite, scenario, history_k4, rng) for history_k4 in _histories(scenario, rng, views)]
    finally:
        suite.close()
    return joined([_nothing(), *found])


def _histories(scenario: Scenario, rng: np.random.Generator, num: int) -> Iterator[Array]:
    """(2, 4) time, x, y, yaw before and now of a vehicle that drives towards a light."""
    lanes = [lane for lane in scenario.network.graph.lanes.values() if lane.traffic_lights]
    others_n2 = np.array([(actor.x, actor.y) for actor in scenario.scene.actors]).reshape(-1, 2)
    for _ in range(num):
        lane = lanes[int(rng.integers(len(lanes)))]
        stop_2, ahead_m = lane.traffic_lights[0].stop_xy_2, float(rng.uniform(*AHEAD_M))
        away_n = np.abs(np.hypot(*(lane.centre_m3[:-1, :2] - stop_2).T) - ahead_m)
        row = int(np.argmin(away_n))
        along_2 = lane.centre_m3[row + 1, :2] - lane.centre_m3[row, :2]
        lane_yaw = float(np.arctan2(along_2[1], along_2[0]))
        aside_2 = np.array([-np.sin(lane_yaw), np.cos(lane_yaw)]) * rng.normal(0.0, ASIDE_M)
        x, y = (lane.centre_m3[row, :2] + aside_2).tolist()
        yaw = lane_yaw + float(rng.normal(0.0, TURN_RAD))
        middle_2 = np.array([x + 1.4 * np.cos(yaw), y + 1.4 * np.sin(yaw)])
        if len(others_n2) and np.hypot(*(others_n2 - middle_2).T).min() < CLEAR_M:
            continue
        way_m = float(rng.uniform(0.0, MAX_SPEED_MPS)) * STEP_S
        yield np.array([(-STEP_S, x - way_m * np.cos(yaw), y - way_m * np.sin(yaw), yaw), (0.0, x, y, yaw)])


def _samples_at(suite: SensorSuite, scenario: Scenario, history_k4: Array, rng: np.random.Generator) -> LightSamples:
    scene, seed = scenario.scene, int(rng.integers(1 << 30))
    pose = scenario.terrain.pose(*history_k4[-1, 1:].tolist())
    places = [_misplaced(place, rng) for place in light_places(scene.lights, scenario.terrain)]
    first = rng.integers(len(COLOURS), size=len(scene.lights))
    looks = []
    for turn in range(len(COLOURS)):
        shown = tuple(replace(light, state=COLOURS[(at + turn) % len(COLOURS)]) for light, at in zip(scene.lights, first))
        looks.append(_look(suite, replace(scene, lights=shown), history_k4, seed, places, pose))
    return _told_apart(looks, scene.lights, places, first)


def _look(suite: SensorSuite, scene: Scene, history_k4: Array, seed: int, places: list[LightPlace], pose: Array) -> LightCrops:
    """What the forward cameras show; the images go through a JPEG as they do in a vehicle."""
    images = suite.sense(scene, history_k4, seed).images_nhw3
    for image_hw3 in images:
        coded = np.frombuffer(encode_jpeg(image_hw3), np.uint8)
        image_hw3[:] = cv2.imdecode(coded, cv2.IMREAD_COLOR)[:, :, ::-1]
    size = (RIG.image_width, RIG.image_height)
    matrices_n33 = np.array([camera.intrinsics_33(*size) for camera in RIG.cameras], np.float32)
    matrices_n33[:, :2, 2] -= 0.5  # the rig counts from the edge of the first pixel, CameraImages from its centre
    poses_n44 = np.array([camera.base_link_se3_camera for camera in RIG.cameras])
    valid_n, names = np.ones(len(images), np.bool_), tuple(camera.name for camera in RIG.cameras)
    return light_crops(CameraImages(images, matrices_n33, poses_n44, valid_n, names), places, pose)


def _told_apart(
    looks: list[LightCrops], lights: tuple[Signal, ...], places: list[LightPlace], first: NDArray[np.int64]
) -> LightSamples:
    """The crops of all looks; the states are known where the looks differ."""
    slots = np.flatnonzero(looks[0].valid_l)
    of_light = len(places) // len(lights)
    images, states = [], []
    for slot in slots.tolist():
        crops = np.stack([look.images_l3hw[slot] for look in looks])
        spread = crops.max(axis=0) - crops.min(axis=0)
        begins = int(first[int(looks[0].place_l[slot]) // of_light])
        for turn in range(len(looks)):
            images.append(crops[turn])
            states.append(COLOURS[(begins + turn) % len(COLOURS)] if spread.max() > SEEN_DIFFERENCE else LightState.UNKNOWN)
    if not images:
        return _nothing()
    distance_n = np.repeat(looks[0].distance_l[slots], len(looks))
    return LightSamples(np.stack(images).astype(np.float16), np.array(states, np.int64), distance_n)


def _misplaced(place: LightPlace, rng: np.random.Generator) -> LightPlace:
    x, y, z = (np.array(place.centre_xyz_m) + rng.normal(0.0, PLACE_ERROR_M, 3)).tolist()
    return replace(place, centre_xyz_m=(x, y, z))


def _nothing() -> LightSamples:
    return LightSamples(np.zeros((0, 3, 24, 24), np.float16), np.zeros(0, np.int64), np.zeros(0, np.float32))
