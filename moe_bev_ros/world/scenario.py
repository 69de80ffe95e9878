"""From a seed to a run: where it is, who is there and does what, which weather it has, where the ego begins and shall go."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.planning.route import route_along_lane
from moe_bev_ros.world.cast import Cast
from moe_bev_ros.world.conditions import Condition, draw_condition
from moe_bev_ros.world.layout_curves import Pose
from moe_bev_ros.world.layout_parts import SignalPlace
from moe_bev_ros.world.layouts import LAYOUTS
from moe_bev_ros.world.network import RoadNetwork
from moe_bev_ros.world.population import fill
from moe_bev_ros.world.recorded_tracks import RecordedTracks
from moe_bev_ros.world.replay import Replay, ReplayMovers, replay_of
from moe_bev_ros.world.roles import LightCycle, Traffic
from moe_bev_ros.world.scenario_kinds import KINDS, PLANS, Plan
from moe_bev_ros.world.scene import Scene, Signal
from moe_bev_ros.world.splits import kind_of, split_of
from moe_bev_ros.world.stage import stage_on
from moe_bev_ros.world.street_scenario import fill_street
from moe_bev_ros.world.styles import HELD_OUT_STYLE, STYLES
from moe_bev_ros.world.terrain import Terrain, rolling_terrain
from moe_bev_ros.world.traffic import Movers, TrafficMovers
from moe_bev_ros.world.vehicle import VehicleState

STREET, LOG_REPLAY, ON_MAP = 'street', 'log_replay', 'on_map'
EGO = Vehicle()
DURATION_S = 20.0
TERRAIN_MARGIN_M = 60.0
GOAL_BEYOND_M = 60.0
CONDITION_WEIGHTS = {'day': 0.4, 'low_sun': 0.15, 'night': 0.15, 'rain': 0.15, 'fog': 0.15}
TEST_CONDITION_WEIGHTS = {name: 0.88 * share for name, share in CONDITION_WEIGHTS.items()} | {'night_rain': 0.12}


@dataclass(frozen=True)
class Scenario:
    """How a run begins and who does what.

    Attributes:
        kind: one of KINDS, STREET, LOG_REPLAY or ON_MAP.
        style: one of STYLES.
        scene: at time 0.
        cycles: one for each of the scene's lights.
        start: of the ego.
        goal_3: x, y, yaw in map [m, rad].
    """

    seed: int
    kind: str
    style: str
    network: RoadNetwork
    terrain: Terrain
    scene: Scene
    traffic: Traffic | Replay
    cycles: tuple[LightCycle, ...]
    start: VehicleState
    goal_3: Pose
    duration_s: float = DURATION_S

    def movers(self) -> Movers:
        """Who moves the actors, at time 0."""
        if isinstance(self.traffic, Replay):
            return ReplayMovers(self.traffic)
        return TrafficMovers(self.network.graph, self.terrain, self.scene.actors, self.traffic, self.seed)


def make_scenario(seed: int) -> Scenario:
    """The demo's street of a seed."""
    rng = np.random.default_rng(seed)
    layout = LAYOUTS[STREET](rng)
    ego_lane = layout.network.graph.nearest(np.zeros(2), 0.0)
    cast = Cast(layout.network, (ego_lane,), ego_rectangle(layout.start_3))
    cycle = fill_street(cast, layout, rng)
    along = np.pi * (seed % 2)  # the sun stands over the street, or the houses would leave it in the shade
    condition = Condition('day', float(along + rng.uniform(-0.7, 0.7)), float(rng.uniform(0.6, 1.0)))
    lights = (_signal(layout.signals[0], cycle),)
    traffic = cast.traffic(returns=False)
    scene = Scene(tuple(cast.actors), tuple(cast.props), lights, condition)
    start = VehicleState()
    drawn = Scenario(seed, STREET, 'suburb', layout.network, Terrain.flat(), scene, traffic, (cycle,), start, layout.goal_3)
    return _in_motion(drawn)


def draw_scenario(seed: int, kind: str = '', condition: str = '', style: str = '') -> Scenario:
    """A scenario of a kind; what is not given is drawn from the seed.

    Raises:
        InputError: no such kind, condition or style.
    """
    kind = kind or kind_of(seed)
    if kind == STREET:
        return make_scenario(seed)
    if kind not in PLANS:
        raise InputError(f'no scenario kind {kind!r}; use one of {", ".join((STREET, *KINDS))}')
    return _played(seed, kind, PLANS[kind], np.random.default_rng((seed, KINDS.index(kind))), condition, style)


def map_scenario(network: RoadNetwork, seed: int, condition: str = '', style: str = '') -> Scenario:
    """Free driving somewhere on a given network, such as a Lanelet2 file's, among drawn road users."""
    plan = Plan(lambda rng: stage_on(network, rng), PLANS['free_driving'].event)
    return _played(seed, ON_MAP, plan, np.random.default_rng((seed, len(KINDS) + 1)), condition, style)


def _played(seed: int, kind: str, plan: Plan, rng: np.random.Generator, condition: str, style: str) -> Scenario:
    condition, style = _condition_name(seed, condition, rng), _style(seed, style, rng)
    weather = draw_condition(condition, rng)
    stage = plan.stage(rng)
    start = VehicleState(*stage.start_3, speed_mps=stage.speed_mps)
    cast = Cast(stage.layout.network, stage.ego_lanes, ego_rectangle(stage.start_3))
    plan.event(cast, stage, rng, style)
    fill(cast, stage, rng, style)
    cycles = tuple(stage.cycle(place.group) for place in stage.layout.signals)
    lights = tuple(_signal(place, cycle) for place, cycle in zip(stage.layout.signals, cycles))
    traffic = cast.traffic()
    scene = Scene(tuple(cast.actors), tuple(cast.props), lights, weather)
    terrain = rolling_terrain(rng, stage.layout.network.box(TERRAIN_MARGIN_M))
    drawn = Scenario(seed, kind, style, stage.layout.network, terrain, scene, traffic, cycles, start, stage.goal_3)
    return _in_motion(drawn)


def replay_scenario(tracks: RecordedTracks, seed: int, condition: str = '', style: str = '') -> Scenario:
    """A recorded drive: its lanes and road users; bodies, light and weather are drawn, and the ego is free to drive.

    Its goal lies beyond where the recorded vehicle ended, which may have stood all the time.

    Raises:
        InputError: no such condition or style, or the recording ends away from all lanes.
    """
    rng = np.random.default_rng((seed, len(KINDS)))
    condition, style = _condition_name(seed, condition, rng), _style(seed, style, rng)
    replay, poses = replay_of(tracks, rng, style), tracks.ego_poses_t3
    first_s = float(tracks.stamps_s_t[1] - tracks.stamps_s_t[0])
    x, y, yaw = poses[0].tolist()
    start = VehicleState(x, y, yaw, float(np.hypot(*(poses[1, :2] - poses[0, :2]))) / first_s)
    scene = Scene(ReplayMovers(replay).actors(), (), (), draw_condition(condition, rng))
    beyond = route_along_lane(tracks.network.graph, se3_from_xy_yaw(*poses[-1].tolist()), GOAL_BEYOND_M)
    row = int(np.searchsorted(beyond.s_n, min(GOAL_BEYOND_M, float(beyond.s_n[-1]))))
    goal = (*beyond.xy_n2[row].tolist(), float(beyond.yaw_n[row]))
    flat, seconds = Terrain.flat(), tracks.duration_s
    return Scenario(seed, LOG_REPLAY, style, tracks.network, flat, scene, replay, (), start, goal, seconds)


def ego_rectangle(start_3: Pose) -> tuple[float, float, float, float, float]:
    """Ground that the ego takes when base_link stands at a pose."""
    x, y, yaw = start_3
    ahead = 0.5 * EGO.length_m - EGO.rear_overhang_m
    return x + ahead * float(np.cos(yaw)), y + ahead * float(np.sin(yaw)), EGO.length_m, EGO.width_m, yaw


def _signal(place: SignalPlace, cycle: LightCycle) -> Signal:
    return Signal(place.element_id, place.stop_xy, cycle.state(0.0), place.x, place.y, place.yaw_rad)


def _in_motion(scenario: Scenario) -> Scenario:
    """With the heights of the ground, and the speeds that the roles give at time 0."""
    places = np.array([(actor.x, actor.y) for actor in scenario.scene.actors])
    heights = scenario.terrain.height(places).tolist()
    actors = tuple(replace(actor, z=z) for actor, z in zip(scenario.scene.actors, heights, strict=True))
    standing = replace(scenario, scene=replace(scenario.scene, actors=actors))
    return replace(standing, scene=replace(standing.scene, actors=standing.movers().actors()))


def _condition_name(seed: int, condition: str, rng: np.random.Generator) -> str:
    weights = TEST_CONDITION_WEIGHTS if split_of(seed) == 'test' else CONDITION_WEIGHTS
    drawn = str(rng.choice(list(weights), p=np.array(list(weights.values())) / sum(weights.values())))
    if condition and condition not in TEST_CONDITION_WEIGHTS:
        raise InputError(f'no condition {condition!r}; use one of {", ".join(TEST_CONDITION_WEIGHTS)}')
    return condition or drawn


def _style(seed: int, style: str, rng: np.random.Generator) -> str:
    known = [name for name in STYLES if name != HELD_OUT_STYLE or split_of(seed) == 'test']
    drawn = str(rng.choice(known))
    if style and style not in STYLES:
        raise InputError(f'no town style {style!r}; use one of {", ".join(STYLES)}')
    return style or drawn
