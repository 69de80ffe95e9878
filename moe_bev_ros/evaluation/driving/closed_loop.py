"""Drives a world with the stack in one process, and keeps what the judge needs to know of the run.

Between sensing and command lies a latency: either a constant, which makes a run repeatable to the last bit, or the wall time
that engine, tracker and planner took for this very frame in this process. Commands come at 50 Hz, so a plan takes effect at the
first step of 0.02 s at or after it. The safety envelope with its emergency braking stays on for every planner.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.footprints import footprints_of
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.core.traffic_light import TrafficLight
from moe_bev_ros.engine.base import Engine, EngineError, EngineSettings
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.evaluation.driving.area import DriveArea
from moe_bev_ros.evaluation.driving.scores import SAMPLE_S, DriveLog, DriveScore, Others, score_drive
from moe_bev_ros.evaluation.driving.suites import TRUTH, DriveCase, DriveRow
from moe_bev_ros.planning.planner import PlannerConfig
from moe_bev_ros.planning.planners import planner_row
from moe_bev_ros.planning.route import route_to_goal
from moe_bev_ros.world.autopilot import FRAME_STEPS, Autopilot, make_controller, shipped_pedals, true_scene
from moe_bev_ros.world.perceiving import Perceiver
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import NUSCENES_RIG
from moe_bev_ros.world.scenario import Scenario
from moe_bev_ros.world.simulation import World

CRUISE_MPS = 20.0  # above every limit of the maps, so that these bind
CAMERALESS = Rig(cameras=(), image_width=16, image_height=16)
TRACK_STEP_S = 0.5
NEAR_M = 45.0
WARM_UP_FRAMES = 5


@dataclass(frozen=True)
class Picture:
    """What a picture of the run shows besides its roads.

    Attributes:
        track: x, y, yaw of base_link every TRACK_STEP_S.
        moment_s: when it came nearest to trouble: the first contact at fault, else the first contact, else the end.
        others: label, x, y, length, width, yaw of those near at that time.
    """

    track: tuple[tuple[float, ...], ...]
    moment_s: float
    ego: tuple[float, ...]
    others: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RunRecord:
    """One finished run, ready for a line of JSON; the parts of the score are those of `DriveScore`."""

    seed: int
    kind: str
    condition: str
    progress_m: float
    collision_score: float
    collisions: tuple[str, ...]
    collisions_at_fault: tuple[str, ...]
    drivable: float
    direction: float
    ttc: float
    speed_limit: float
    comfort: float
    least_ttc_s: float | None
    uncomfortable: tuple[str, ...]
    red_lights: int
    latency_ms: float
    wall_s: float
    picture: Picture
    tracks: str = ''

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @staticmethod
    def from_json(values: dict[str, Any]) -> RunRecord:
        """Back again."""
        picture = values['picture']
        track, others = (tuple(map(tuple, picture[key])) for key in ('track', 'others'))
        lists = {key: tuple(values[key]) for key in ('collisions', 'collisions_at_fault', 'uncomfortable')}
        return RunRecord(**{**values, **lists, 'picture': Picture(track, picture['moment_s'], tuple(picture['ego']), others)})


@dataclass
class _Recorder:
    """Collects a `DriveLog` while the world moves."""

    world: World
    egos: list[tuple[float, ...]]
    others: list[Others]
    lights: list[tuple[TrafficLight, ...]]

    def sample(self) -> None:
        truth = self.world.truth()
        ego, actors = truth.ego, truth.actors
        self.lights.append(truth.lights)
        self.egos.append((ego.x, ego.y, ego.yaw_rad, ego.speed_mps, ego.acceleration_mps2))
        self.others.append(
            Others(
                np.array([actor.track_id for actor in actors], np.int64),
                np.array([actor.body.label for actor in actors], np.uint8),
                footprints_of(np.array([actor.box_7 for actor in actors]).reshape(-1, 7)),
                np.array([actor.velocity_2 for actor in actors], float).reshape(-1, 2),
            )
        )

    def log(self, vehicle: Vehicle) -> DriveLog:
        ego_t5 = np.array(self.egos)
        return DriveLog(
            poses_t3=ego_t5[:, :3],
            speeds_t=ego_t5[:, 3],
            accelerations_t=ego_t5[:, 4],
            others=tuple(self.others),
            lights=tuple(self.lights),
            size_2=(vehicle.length_m, vehicle.width_m),
            centre_ahead_m=0.5 * vehicle.length_m - vehicle.rear_overhang_m,
        )


def drive(scenario: Scenario, row: DriveRow, duration_s: float) -> tuple[DriveLog, float]:
    """The log of a run, and its median latency [ms].

    Raises:
        InputError: the engine cannot be built.
    """
    vehicle, engine = Vehicle(), None if row.engine == TRUTH else _built(row.engine)
    world = World(scenario, shipped_pedals(), rig_for(engine), vehicle, threads=1)
    planner = planner_row(row.planner)(PlannerConfig(cruise_speed_mps=CRUISE_MPS, vehicle=vehicle))
    pilot = Autopilot(world, planner, make_controller(row.controller, vehicle))
    perceiver = None if engine is None else Perceiver(world, engine)
    recorder, latencies_s = _Recorder(world, [], [], []), []
    for _ in range(round(duration_s / SAMPLE_S)):
        recorder.sample()
        latencies_s.append(_answer(pilot, perceiver, row))
        for _ in range(FRAME_STEPS):
            pilot.step()
            if perceiver is not None:
                perceiver.moved()
    recorder.sample()
    world.close()
    return recorder.log(vehicle), 1e3 * float(np.median(latencies_s))


def rig_for(engine: Engine | None) -> Rig:
    """The sensors of a run: nuScenes' rig in the engine's image size, or no camera where nobody looks at images."""
    if engine is None or engine.image_size is None:
        return CAMERALESS
    width, height = engine.image_size
    return replace(NUSCENES_RIG, image_width=width, image_height=height)


def _built(name: str) -> Engine:
    try:
        return ENGINES[name](EngineSettings())
    except EngineError as err:
        raise InputError(str(err)) from err


def _answer(pilot: Autopilot, perceiver: Perceiver | None, row: DriveRow) -> float:
    """Plan for the frame of now; returns the latency that was given to it [s]."""
    objects = true_scene(pilot.world) if perceiver is None else perceiver.see()
    began = time.perf_counter()
    plan = pilot.plan_for(objects)
    measured_s = time.perf_counter() - began + (0.0 if perceiver is None else perceiver.wall_s)
    latency_s = measured_s if row.latency_ms is None else row.latency_ms / 1e3
    pilot.answer(plan, objects, latency_s)
    return latency_s


def run_case(case: DriveCase, row: DriveRow) -> RunRecord:
    """Drive and judge one case.

    Raises:
        InputError: the scenario has no way from its start to its goal, its tracks cannot be read, or the engine not built.
    """
    began = time.perf_counter()
    scenario = case.scenario()
    log, latency_ms = drive(scenario, row, case.duration_s)
    start, goal = (se3_from_xy_yaw(*pose) for pose in (log.poses_t3[0], scenario.goal_3))
    route = route_to_goal(scenario.network.graph, start, goal)
    score = score_drive(log, DriveArea(scenario.network), route)
    return RunRecord(
        seed=case.seed,
        kind=case.kind,
        condition=scenario.scene.condition.name,
        progress_m=round(score.progress_m, 3),
        collision_score=score.collision_score,
        collisions=tuple(_told(score, faults_only=False)),
        collisions_at_fault=tuple(_told(score, faults_only=True)),
        drivable=score.drivable,
        direction=score.direction,
        ttc=score.ttc,
        speed_limit=round(score.speed_limit, 4),
        comfort=score.comfort,
        least_ttc_s=round(score.least_ttc_s, 2) if np.isfinite(score.least_ttc_s) else None,
        uncomfortable=score.uncomfortable,
        red_lights=score.red_lights,
        latency_ms=round(latency_ms, 2),
        wall_s=round(time.perf_counter() - began, 2),
        picture=_picture(log, score),
        tracks=case.tracks,
    )


def _told(score: DriveScore, *, faults_only: bool) -> list[str]:
    return [
        f'{item.label.name.lower()} after {item.sample * SAMPLE_S:.1f} s: {item.kind.value}'
        for item in score.collisions
        if item.at_fault or not faults_only
    ]


def _picture(log: DriveLog, score: DriveScore) -> Picture:
    every = round(TRACK_STEP_S / SAMPLE_S)
    worst = sorted(score.collisions, key=lambda item: (not item.at_fault, item.sample))
    sample = worst[0].sample if worst else len(log.others) - 1
    others = log.others[sample]
    near_n = np.hypot(*(others.footprints_n5[:, :2] - log.poses_t3[sample, :2]).T) < NEAR_M
    rows = np.column_stack([others.labels_n[near_n], others.footprints_n5[near_n]])
    return Picture(
        track=tuple(map(tuple, np.round(log.poses_t3[::every], 2).tolist())),
        moment_s=round(sample * SAMPLE_S, 1),
        ego=tuple(np.round(log.footprints_t5[sample], 2).tolist()),
        others=tuple(map(tuple, np.round(rows, 2).tolist())),
    )


def warm_up(row: DriveRow) -> None:
    """Drive a little with what compiles at first use, so that a measured latency is that of a running stack."""
    case = DriveCase(1_000_000, 'free_driving', WARM_UP_FRAMES * SAMPLE_S)
    run_case(case, replace(row, latency_ms=0.0))
