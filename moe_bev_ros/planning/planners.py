"""The planners to choose from, by name, and what they have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import TrafficLight
from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.planning.planner import Planner, PlannerConfig


class DrivingPlanner(Protocol):
    """What the loop asks of a planner; see `planner.Planner` for the meaning of each method."""

    def set_graph(self, graph: LaneGraph) -> None:
        """Use another map from the next update on."""
        ...

    def set_goal(self, odom_se3_goal: Array) -> None:
        """Drive to a pose of base_link."""
        ...

    def observe_lights(self, lights: tuple[TrafficLight, ...], now_s: float) -> None:
        """Take over the state of traffic lights."""
        ...

    def update(self, scene: Scene, ego: EgoMotion | None, now_s: float) -> Plan:
        """Plan from the objects of one frame, in base_link, and the vehicle's motion at its stamp."""
        ...


PLANNERS: dict[str, Callable[[PlannerConfig], DrivingPlanner]] = {'idm': Planner}
