"""Objects, odometry, goal, map and traffic lights in; path and timed trajectory out."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path as FilePath

import numpy as np
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Odometry, Path

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.msg import Objects, TrafficLights, Trajectory
from moe_bev_ros.nodes import convert
from moe_bev_ros.nodes.base import FRAME_QOS, LATCHED_QOS, SENSOR_QOS, StackNode, run, stamp_to_ns
from moe_bev_ros.nodes.params import num_threads_param, param
from moe_bev_ros.planning.idm import IdmParams
from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.planning.lanelet_map import lane_graph_from_bytes, load_lane_graph
from moe_bev_ros.planning.obstacles import CorridorParams
from moe_bev_ros.planning.planner import NO_POINTS, PlannerConfig
from moe_bev_ros.planning.planners import PLANNERS, DrivingPlanner
from moe_bev_ros.planning.route import load_route_file
from moe_bev_ros.planning.traffic_lights import STALE_S
from moe_bev_ros.runtime.health import LATE_PERIODS
from moe_bev_ros.runtime.threads import limit_threads

try:  # Autoware's message; nobody publishes it where its package is absent
    from autoware_map_msgs.msg import LaneletMapBin  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    LaneletMapBin = None

STAGE = 'planner_node'
ODOMETRY_KEPT = 400
LIGHTS_PERIOD_S = STALE_S / LATE_PERIODS  # so that diagnostics speak when the planner takes a state for stale


@dataclass(frozen=True)
class PlannerParams:
    """Parameters of planner_node."""

    planner: str = param('idm', f'one of {", ".join(PLANNERS)}', read_only=True)
    map_path: str = param('', 'Lanelet2 map, .osm or .bin; empty: none, or from ~/input/vector_map', read_only=True)
    map_origin: tuple[float, ...] = param(
        (), 'latitude, longitude of the map frame [degrees]; unused with local_x tags', read_only=True
    )
    route_path: str = param('', 'YAML with waypoints or lanelets; empty: goal from ~/input/goal', read_only=True)
    drive_without_goal: bool = param(False, 'without goal and route follow the lane, or drive straight on; else stand')
    unknown_light: str = param('stop', 'at a light of the map whose state nobody tells: stop, or go with a warning')
    map_frame: str = param('map', 'frame of the map; odometry in another one is refused where there is a map', read_only=True)
    cruise_speed_mps: float = param(10.0, 'never faster [m/s]', low=0.0, high=40.0)
    max_lateral_acceleration_mps2: float = param(2.0, 'slows down in curves [m/s2]', low=0.1, high=9.8)
    acceleration_mps2: float = param(2.0, 'IDM a, on a free road [m/s2]', low=0.1, high=5.0)
    deceleration_mps2: float = param(2.0, 'IDM b, comfortable [m/s2]', low=0.1, high=5.0)
    headway_s: float = param(1.5, 'IDM T, behind a moving lead [s]', low=0.1, high=5.0)
    max_deceleration_mps2: float = param(5.0, 'hardest braking in a plan [m/s2]', low=0.5, high=9.8)
    emergency_deceleration_mps2: float = param(4.5, 'an obstacle that asks for more is an emergency [m/s2]', low=0.5, high=9.8)
    standstill_gap_m: float = param(3.5, 'IDM s0, to what one stops behind [m]', low=1.0, high=20.0)
    restart_gap_m: float = param(2.0, 'the gap must grow by this before one starts again [m]', low=0.0, high=20.0)
    stop_line_gap_m: float = param(1.0, 'front bumper to a stop line [m]', low=0.0, high=10.0)
    corridor_margin_m: float = param(0.3, 'room beside the vehicle that must be free [m]', low=0.0, high=2.0)
    forecast_horizon_s: float = param(6.0, 'how far movements are followed [s]', low=1.0, high=15.0)
    time_margin_s: float = param(1.0, 'between two users of one place [s]', low=0.0, high=5.0)
    horizon_s: float = param(5.0, 'length of the trajectory [s]', low=1.0, high=15.0)
    step_s: float = param(0.1, 'between its points [s]', low=0.02, high=0.5)
    corridor_length_m: float = param(2000.0, 'of the straight way where there is no map [m]', low=10.0, high=20000.0)
    off_route_m: float = param(3.0, 'farther aside the vehicle has left its route [m]', low=0.5, high=20.0)
    odometry_tolerance_s: float = param(0.2, 'odometry must lie this near to the stamp of the objects [s]', low=0.01, high=2.0)
    wheelbase_m: float = param(2.8, 'distance between the axles [m]', low=0.5, high=10.0, read_only=True)
    vehicle_length_m: float = param(4.6, 'bumper to bumper [m]', low=0.5, high=20.0, read_only=True)
    vehicle_width_m: float = param(1.9, 'without mirrors [m]', low=0.3, high=4.0, read_only=True)
    vehicle_height_m: float = param(1.7, 'to the highest part [m]', low=0.3, high=5.0, read_only=True)
    rear_overhang_m: float = param(0.9, 'rear bumper to rear axle [m]', low=0.0, high=5.0, read_only=True)
    num_threads: int = num_threads_param()

    def __post_init__(self) -> None:
        if self.planner not in PLANNERS:
            raise ValueError(f'planner {self.planner!r} is none of {", ".join(PLANNERS)}')
        if len(self.map_origin) not in (0, 2):
            raise ValueError(f'map_origin must be latitude and longitude, got {len(self.map_origin)} values')
        if not np.all(np.abs(self.map_origin) <= 180.0):
            raise ValueError(f'map_origin must be given in degrees, got {list(self.map_origin)}')
        if self.unknown_light not in ('stop', 'go'):
            raise ValueError(f"unknown_light must be 'stop' or 'go', got {self.unknown_light!r}")


class PlannerNode(StackNode[PlannerParams]):
    """Plans once for every Objects message."""

    def __init__(self) -> None:
        super().__init__('planner_node', PlannerParams)
        self._planner: DrivingPlanner | None = None
        self._odometry: deque[EgoMotion] = deque(maxlen=ODOMETRY_KEPT)
        self._last_reason = ''
        self._goal_too_early: PoseStamped | None = None

    def setup(self) -> None:
        """Load map and route, warm the planner up, connect."""
        p = self.params
        limit_threads(p.num_threads)
        graph = self._announce(load_lane_graph(FilePath(p.map_path), self._origin())) if p.map_path else None
        route = load_route_file(FilePath(p.route_path)) if p.route_path else None
        self._planner = PLANNERS[p.planner](config_of(p), graph, route)
        self._path = self.advertise(Path, '~/output/path')
        self._trajectory = self.advertise(Trajectory, '~/output/trajectory', FRAME_QOS)
        self.subscribe(Odometry, '~/input/odometry', self._on_odometry, SENSOR_QOS, period_s=0.1, patient=True)
        self.subscribe(PoseStamped, '~/input/goal', self._on_goal, stamped=False, required=False, many_publishers=True)
        self.subscribe(TrafficLights, '~/input/traffic_lights', self._on_lights, required=False)
        if LaneletMapBin is not None:
            self.subscribe(LaneletMapBin, '~/input/vector_map', self._on_map, LATCHED_QOS, stamped=False, required=False)
        self.subscribe(Objects, '~/input/objects', self._on_objects, FRAME_QOS, period_s=0.1, newest_only=True)

    def forget(self) -> None:
        """Drop odometry, traffic lights and the place on the route."""
        self._odometry.clear()
        if self._planner is not None:
            self._planner.forget()

    def params_changed(self) -> None:
        """Take over limits while driving."""
        if self._planner is not None:
            self._planner.reconfigure(config_of(self.params))

    def extra_diagnostics(self) -> dict[str, str]:
        """Why the vehicle slows or stops."""
        return {'reason': self._last_reason}

    def _on_objects(self, message: Objects, receive_ns: int) -> None:
        try:
            plan = self._plan_for(message)
        except InputError as err:  # the frame is answered all the same, and the vehicle braked
            self._publish(self._no_plan(message, f'unusable objects: {err}'), message, receive_ns)
            raise
        for warning in plan.warnings:
            self.warn_slowly(warning)
        if not len(plan.points_t7):
            self.reject(self.resolve_topic_name('~/input/objects'), f'no plan: {plan.reason}')
        self._publish(plan, message, receive_ns)
        self._expect_lights()

    def _plan_for(self, message: Objects) -> Plan:
        scene = convert.scene_from_msg(message)
        return self._planned().update(scene, self._ego_at(scene.stamp_ns), self.now_ns() / 1e9)

    def _no_plan(self, message: Objects, reason: str) -> Plan:
        frame_id = self._odometry[-1].frame_id if self._odometry else ''
        return Plan(stamp_to_ns(message.header.stamp), frame_id, NO_POINTS, stop=True, reason=reason)

    def _expect_lights(self) -> None:
        """Diagnostics speak when no states come of lights that the map knows on the route."""
        health, wanted = self.inputs[self.resolve_topic_name('~/input/traffic_lights')], self._planned().has_lights_ahead
        health.required, health.period_s = wanted, LIGHTS_PERIOD_S if wanted else 0.0

    def _publish(self, plan: Plan, message: Objects, receive_ns: int) -> None:
        self._last_reason = plan.reason
        trace = convert.trace_from_msg(message.trace).passed(STAGE, receive_ns, time.monotonic_ns())
        self._trajectory.publish(convert.plan_to_msg(plan, trace))
        if self._path.get_subscription_count():
            self._path.publish(convert.path_to_msg(plan))

    def _on_odometry(self, message: Odometry, _: int) -> None:
        ego, wanted = convert.ego_from_msg(message), self.params.map_frame
        if self._planned().has_map and ego.frame_id != wanted:
            raise InputError(f'frame {ego.frame_id!r} is not that of the map; send odometry in {wanted!r} or set map_frame')
        if self._odometry and ego.frame_id != self._odometry[-1].frame_id:
            before = self._odometry[-1].frame_id
            self.warn_slowly(f'{self.resolve_topic_name("~/input/odometry")}: frame {before!r} became {ego.frame_id!r}')
            self.forget()  # the way was laid in the frame of before
            self._planned().drop_goal()
        self._odometry.append(ego)
        if self._goal_too_early is not None:
            early, self._goal_too_early = self._goal_too_early, None
            try:
                self._on_goal(early, 0)
            except InputError as err:
                self.reject(self.resolve_topic_name('~/input/goal'), str(err))

    def _on_goal(self, message: PoseStamped, _: int) -> None:
        goal = convert.pose_from_msg(message.pose)
        if not self._odometry:
            self._goal_too_early = message  # a latched one comes only once
            return
        self._check_frame(message.header.frame_id)
        self._planned().set_goal(goal)

    def _on_lights(self, message: TrafficLights, _: int) -> None:
        self._check_frame(message.header.frame_id)
        lights = []
        for light in message.lights:
            if light.state > LightState.GREEN:
                raise InputError(f'traffic light state {light.state}; wanted 0 (unknown) to 3 (green)')
            stop = light.stop_position
            convert.check_size('a stop position', stop.x, stop.y)
            lights.append(TrafficLight(int(light.regulatory_element_id), (stop.x, stop.y), LightState(light.state)))
        self._planned().observe_lights(tuple(lights), self.now_ns() / 1e9)

    def _on_map(self, message: LaneletMapBin, _: int) -> None:
        frame_id, wanted = message.header.frame_id, self.params.map_frame
        if frame_id != wanted:
            raise InputError(f'frame {frame_id!r} is not map_frame; send the map in {wanted!r} or set map_frame')
        self._planned().set_graph(self._announce(lane_graph_from_bytes(bytes(message.data))))
        if self._odometry and self._odometry[-1].frame_id != wanted:
            self._odometry.clear()

    def _check_frame(self, frame_id: str) -> None:
        if not self._odometry:
            raise InputError('no odometry yet, so its frame cannot be compared; send odometry first')
        if frame_id != self._odometry[-1].frame_id:
            raise InputError(f'frame {frame_id!r} is not that of the odometry; send it in {self._odometry[-1].frame_id!r}')

    def _planned(self) -> DrivingPlanner:
        assert self._planner is not None, 'subscriptions exist only after setup'
        return self._planner

    def _ego_at(self, stamp_ns: int) -> EgoMotion | None:
        """The odometry nearest to a stamp, if it is near enough."""
        nearest = min(self._odometry, key=lambda ego: abs(ego.stamp_ns - stamp_ns), default=None)
        if nearest is None or abs(nearest.stamp_ns - stamp_ns) > self.params.odometry_tolerance_s * 1e9:
            return None
        return nearest

    def _origin(self) -> tuple[float, float] | None:
        origin = self.params.map_origin
        return (origin[0], origin[1]) if origin else None

    def _announce(self, graph: LaneGraph) -> LaneGraph:
        for warning in graph.warnings:
            self.get_logger().warning(warning)
        num_lights = sum(len(lane.traffic_lights) for lane in graph.lanes.values())
        self.get_logger().info(f'map with {len(graph.lanes)} lanes and {num_lights} traffic lights')
        return graph


def config_of(p: PlannerParams) -> PlannerConfig:
    """The planner's configuration from the node's parameters."""
    return PlannerConfig(
        cruise_speed_mps=p.cruise_speed_mps,
        max_lateral_mps2=p.max_lateral_acceleration_mps2,
        idm=IdmParams(p.acceleration_mps2, p.deceleration_mps2, p.headway_s, p.max_deceleration_mps2, p.restart_gap_m),
        corridor=CorridorParams(p.corridor_margin_m, p.standstill_gap_m, p.forecast_horizon_s, p.time_margin_s),
        vehicle=Vehicle(
            wheelbase_m=p.wheelbase_m,
            length_m=p.vehicle_length_m,
            width_m=p.vehicle_width_m,
            height_m=p.vehicle_height_m,
            rear_overhang_m=p.rear_overhang_m,
        ),
        light_keep_m=p.stop_line_gap_m,
        off_route_m=p.off_route_m,
        emergency_mps2=p.emergency_deceleration_mps2,
        corridor_length_m=p.corridor_length_m,
        drive_without_goal=p.drive_without_goal,
        stop_at_unknown_light=p.unknown_light == 'stop',
        num_steps=round(p.horizon_s / p.step_s),
        step_s=p.step_s,
    )


def main() -> None:
    """Run planner_node."""
    run(PlannerNode)


if __name__ == '__main__':
    main()
