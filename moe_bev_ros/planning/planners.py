"""The planners to choose from, by name, and what they have in common."""

from __future__ import annotations

from typing import Protocol

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.core.traffic_light import TrafficLight
from moe_bev_ros.planning.constant_speed import ConstantSpeedPlanner
from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.planning.planner import Planner, PlannerConfig
from moe_bev_ros.planning.proposals import ProposalPlanner
from moe_bev_ros.planning.route import RouteFile


class DrivingPlanner(Protocol):
    """What the stack asks of a planner; see `planner.Planner` for the meaning of each method."""

    @property
    def has_map(self) -> bool:
        """Whether there is a lane graph."""
        ...

    @property
    def has_lights_ahead(self) -> bool:
        """Whether the map knows traffic lights on the rest of the route."""
        ...

    def reconfigure(self, config: PlannerConfig) -> None:
        """Take over other limits while driving."""
        ...

    def set_graph(self, graph: LaneGraph) -> None:
        """Use another map from the next update on."""
        ...

    def set_goal(self, odom_se3_goal: Array) -> None:
        """Drive to a pose of base_link."""
        ...

    def drop_goal(self) -> None:
        """The goal's frame is gone."""
        ...

    def forget(self) -> None:
        """Time jumped."""
        ...

    def observe_lights(self, lights: tuple[TrafficLight, ...], now_s: float) -> None:
        """Take over the state of traffic lights."""
        ...

    def update(self, scene: Scene, ego: EgoMotion | None, now_s: float) -> Plan:
        """Plan from the objects of one frame, in base_link, and the vehicle's motion at its stamp."""
        ...


class MakesPlanner(Protocol):
    """A row of PLANNERS: a planner from its configuration, and map and route file where there are any."""

    def __call__(self, config: PlannerConfig, graph: LaneGraph | None = None, route: RouteFile | None = None) -> DrivingPlanner:
        """Build it."""
        ...


PLANNERS: dict[str, MakesPlanner] = {'idm': Planner, 'constant_speed': ConstantSpeedPlanner, 'pdm': ProposalPlanner}


def planner_row(name: str) -> MakesPlanner:
    """A row of PLANNERS.

    Raises:
        InputError: there is none of this name.
    """
    if name not in PLANNERS:
        raise InputError(f'no planner {name!r}; choose one of {", ".join(PLANNERS)}')
    return PLANNERS[name]
