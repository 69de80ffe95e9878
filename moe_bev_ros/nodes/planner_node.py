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
from moe_bev_ros.msg import Objects, TrafficLights, Trajectory
from moe_bev_ros.nodes import convert
from moe_bev_ros.nodes.base import LATCHED_QOS, SENSOR_QOS, StackNode, run
from moe_bev_ros.nodes.params import param
from moe_bev_ros.planning.idm import IdmParams
from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.planning.lanelet_map import lane_graph_from_bytes, load_lane_graph
from moe_bev_ros.planning.obstacles import CorridorParams
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.planning.route import load_route_file
from moe_bev_ros.planning.traffic_lights import LightState, TrafficLight

try:  # Autoware's message; nobody publishes it where its package is absent
    from autoware_map_msgs.msg import LaneletMapBin  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    LaneletMapBin = None

STAGE = 'planner_node'
ODOMETRY_KEPT = 400


@dataclass(frozen=True)
class PlannerParams:
    """Parameters of planner_node."""

    map_path: str = param('', 'Lanelet2 map, .osm or .bin; empty: none, or from ~/input/vector_map', read_only=True)
    map_origin: tuple[float, ...] = param(
        (), 'latitude, longitude of the map frame [degrees]; unused with local_x tags', read_only=True
    )
    route_path: str = param(
        '', 'YAML with waypoints or lanelets; empty: goal from ~/input/goal, or straight on', read_only=True
    )
    cruise_speed: float = param(10.0, 'never faster [m/s]', low=0.0, high=40.0)
    max_lateral_acceleration: float = param(2.0, 'slows down in curves [m/s2]', low=0.1, high=9.8)
    acceleration: float = param(2.0, 'IDM a, on a free road [m/s2]', low=0.1, high=5.0)
    deceleration: float = param(2.0, 'IDM b, comfortable [m/s2]', low=0.1, high=5.0)
    headway: float = param(1.5, 'IDM T, behind a moving lead [s]', low=0.1, high=5.0)
    max_deceleration: float = param(5.0, 'hardest braking in a plan [m/s2]', low=0.5, high=9.8)
    emergency_deceleration: float = param(4.5, 'an obstacle that asks for more is an emergency [m/s2]', low=0.5, high=9.8)
    standstill_gap: float = param(3.5, 'IDM s0, to what one stops behind [m]', low=1.0, high=20.0)
    restart_gap: float = param(2.0, 'the gap must grow by this before one starts again [m]', low=0.0, high=20.0)
    stop_line_gap: float = param(1.0, 'front bumper to a stop line [m]', low=0.0, high=10.0)
    corridor_margin: float = param(0.3, 'room beside the vehicle that must be free [m]', low=0.0, high=2.0)
    forecast_horizon: float = param(6.0, 'how far movements are followed [s]', low=1.0, high=15.0)
    time_margin: float = param(1.0, 'between two users of one place [s]', low=0.0, high=5.0)
    horizon: float = param(5.0, 'length of the trajectory [s]', low=1.0, high=15.0)
    step: float = param(0.1, 'between its points [s]', low=0.02, high=0.5)
    corridor_length: float = param(2000.0, 'of the straight way where there is no map [m]', low=10.0, high=20000.0)
    off_route: float = param(3.0, 'farther aside the vehicle has left its route [m]', low=0.5, high=20.0)
    odometry_tolerance: float = param(0.2, 'odometry must lie this near to the stamp of the objects [s]', low=0.01, high=2.0)
    wheelbase: float = param(2.8, 'distance between the axles [m]', low=0.5, high=10.0, read_only=True)
    vehicle_length: float = param(4.6, 'bumper to bumper [m]', low=0.5, high=20.0, read_only=True)
    vehicle_width: float = param(1.9, 'without mirrors [m]', low=0.3, high=4.0, read_only=True)
    vehicle_height: float = param(1.7, 'to the highest part [m]', low=0.3, high=5.0, read_only=True)
    rear_overhang: float = param(0.9, 'rear bumper to rear axle [m]', low=0.0, high=5.0, read_only=True)

    def __post_init__(self) -> None:
        if len(self.map_origin) not in (0, 2):
            raise ValueError(f'map_origin must be latitude and longitude, got {len(self.map_origin)} values')
        if not np.all(np.abs(self.map_origin) <= 180.0):
            raise ValueError(f'map_origin must be given in degrees, got {list(self.map_origin)}')


class PlannerNode(StackNode[PlannerParams]):
    """Plans once for every Objects message."""

    def __init__(self) -> None:
        super().__init__('planner_node', PlannerParams)
        self._planner: Planner | None = None
        self._odometry: deque[EgoMotion] = deque(maxlen=ODOMETRY_KEPT)
        self._last_reason = ''

    def setup(self) -> None:
        """Load map and route, warm the planner up, connect."""
        p = self.params
        graph = self._announce(load_lane_graph(FilePath(p.map_path), self._origin())) if p.map_path else None
        route = load_route_file(FilePath(p.route_path)) if p.route_path else None
        self._planner = Planner(config_of(p), graph, route)
        self._path = self.advertise(Path, '~/output/path')
        self._trajectory = self.advertise(Trajectory, '~/output/trajectory')
        self.subscribe(Odometry, '~/input/odometry', self._on_odometry, SENSOR_QOS, period_s=0.1, all_at_once=True)
        self.subscribe(PoseStamped, '~/input/goal', self._on_goal, stamped=False, required=False, many_publishers=True)
        self.subscribe(TrafficLights, '~/input/traffic_lights', self._on_lights, required=False)
        if LaneletMapBin is not None:
            self.subscribe(LaneletMapBin, '~/input/vector_map', self._on_map, LATCHED_QOS, stamped=False, required=False)
        self.subscribe(Objects, '~/input/objects', self._on_objects, period_s=0.1)

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
        scene = convert.scene_from_msg(message)
        plan = self._planned().update(scene, self._ego_at(scene.stamp_ns), self.now_ns() / 1e9)
        self._last_reason = plan.reason
        for warning in plan.warnings:
            self.warn_slowly(warning)
        if not len(plan.points_t7):
            self.reject(self.resolve_topic_name('~/input/objects'), f'no plan: {plan.reason}')
        self._publish(plan, message, receive_ns)

    def _publish(self, plan: Plan, message: Objects, receive_ns: int) -> None:
        trace = convert.trace_from_msg(message.trace).passed(STAGE, receive_ns, time.monotonic_ns())
        self._trajectory.publish(convert.plan_to_msg(plan, trace))
        if self._path.get_subscription_count():
            self._path.publish(convert.path_to_msg(plan))

    def _on_odometry(self, message: Odometry, _: int) -> None:
        ego = convert.ego_from_msg(message)
        if self._odometry and ego.frame_id != self._odometry[-1].frame_id:
            before = self._odometry[-1].frame_id
            self.warn_slowly(f'{self.resolve_topic_name("~/input/odometry")}: frame {before!r} became {ego.frame_id!r}')
            self.forget()  # the way was laid in the frame of before
        self._odometry.append(ego)

    def _on_goal(self, message: PoseStamped, _: int) -> None:
        self._check_frame(message.header.frame_id)
        self._planned().set_goal(convert.pose_from_msg(message.pose))

    def _on_lights(self, message: TrafficLights, _: int) -> None:
        self._check_frame(message.header.frame_id)
        lights = []
        for light in message.lights:
            if light.state > LightState.GREEN:
                raise InputError(f'traffic light state {light.state}; wanted 0 (unknown) to 3 (green)')
            stop = light.stop_position
            convert.check_size('a stop position', stop.x, stop.y)
            stop_xy_2 = np.array([stop.x, stop.y])
            lights.append(TrafficLight(int(light.regulatory_element_id), stop_xy_2, LightState(light.state)))
        self._planned().observe_lights(tuple(lights), self.now_ns() / 1e9)

    def _on_map(self, message: LaneletMapBin, _: int) -> None:
        self._planned().set_graph(self._announce(lane_graph_from_bytes(bytes(message.data))))

    def _check_frame(self, frame_id: str) -> None:
        if self._odometry and frame_id != self._odometry[-1].frame_id:
            raise InputError(f'frame {frame_id!r} is not that of the odometry; send it in {self._odometry[-1].frame_id!r}')

    def _planned(self) -> Planner:
        assert self._planner is not None, 'subscriptions exist only after setup'
        return self._planner

    def _ego_at(self, stamp_ns: int) -> EgoMotion | None:
        """The odometry nearest to a stamp, if it is near enough."""
        nearest = min(self._odometry, key=lambda ego: abs(ego.stamp_ns - stamp_ns), default=None)
        if nearest is None or abs(nearest.stamp_ns - stamp_ns) > self.params.odometry_tolerance * 1e9:
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
        cruise_speed_mps=p.cruise_speed,
        max_lateral_mps2=p.max_lateral_acceleration,
        idm=IdmParams(p.acceleration, p.deceleration, p.headway, p.max_deceleration, p.restart_gap),
        corridor=CorridorParams(p.corridor_margin, p.standstill_gap, p.forecast_horizon, p.time_margin),
        vehicle=Vehicle(
            wheelbase_m=p.wheelbase,
            length_m=p.vehicle_length,
            width_m=p.vehicle_width,
            height_m=p.vehicle_height,
            rear_overhang_m=p.rear_overhang,
        ),
        light_keep_m=p.stop_line_gap,
        off_route_m=p.off_route,
        emergency_mps2=p.emergency_deceleration,
        corridor_length_m=p.corridor_length,
        num_steps=round(p.horizon / p.step),
        step_s=p.step,
    )


def main() -> None:
    """Run planner_node."""
    run(PlannerNode)


if __name__ == '__main__':
    main()
