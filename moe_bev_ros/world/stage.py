"""Where a scenario plays before anybody is there: layout, the ego's way, and the place on it where something will happen."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moe_bev_ros.planning.lane_graph import LaneGraph
from moe_bev_ros.world.lane_paths import LanePath, lane_path
from moe_bev_ros.world.layout_curves import Pose
from moe_bev_ros.world.layout_parts import Layout
from moe_bev_ros.world.layouts import LAYOUTS
from moe_bev_ros.world.network import RoadNetwork
from moe_bev_ros.world.roles import LightCycle

AMBER_S, ALL_RED_S = 3.0, 1.5
START_SHARE = 0.75  # of the allowed speed at which the ego begins
MAP_WAY_M, MAP_REACH_M, MAP_TRIES = 260.0, 110.0, 30
FIRST_M = 6.0  # of the ego's way that lies behind its start at least


@dataclass(frozen=True)
class Stage:
    """A layout and the ego's way through it.

    Attributes:
        ego_lanes: each a successor of the one before.
        beside_free: whether the lanes beside the ego's are kept free for the event too.
        start_m, event_m: along the ego's way: base_link at the start, and where the named event is.
        green_s: of each group of lights.
        phase_s: time since group 0 went green, at the start.
    """

    layout: Layout
    ego_lanes: tuple[int, ...]
    ego_path: LanePath
    start_m: float
    event_m: float
    speed_mps: float
    goal_3: Pose
    green_s: float = 12.0
    phase_s: float = 0.0
    beside_free: bool = False

    @property
    def start_3(self) -> Pose:
        """Of base_link."""
        return self.ego_path.pose(self.start_m)

    @property
    def limit_mps(self) -> float:
        """Allowed where the ego begins."""
        return float(self.layout.network.graph.lanes[self.ego_lanes[0]].speed_limit_mps)

    def cycle(self, group: int) -> LightCycle:
        """Of the lights of a group; groups 0 and 1 take turns."""
        half = self.green_s + AMBER_S + ALL_RED_S
        return LightCycle(self.green_s, AMBER_S, half + ALL_RED_S, self.phase_s + (half if group % 2 else 0.0))


def draw_stage(
    rng: np.random.Generator, names: Sequence[str], *, place: str = '', goal: str = '',
    lead_m: tuple[float, float] = (60.0, 80.0), lanes: int = 0, green_s: float = 12.0, phase_s: float = 0.0,
    start_share: float = START_SHARE,
) -> Stage:  # fmt: skip
    """Draw a layout, and begin some way before its event.

    Args:
        names: of layouts, of which one is drawn.
        place: of the event; '': where the layout lets the ego begin, plus ``lead_m``.
        goal: place to go to; '': the layout's own goal.
        lead_m: lowest and highest way from the start to the event.
        lanes: how many lanes a direction there must be; 0: any number.
    """
    layout = LAYOUTS[str(rng.choice(list(names)))](rng)
    while lanes and not _has_lanes(layout, lanes):
        layout = LAYOUTS[str(rng.choice(list(names)))](rng)
    goal_3 = layout.places[goal] if goal else layout.goal_3
    ego_lanes = way(layout.network.graph, layout.start_3, goal_3)
    path = lane_path(layout.network.graph, ego_lanes)
    lead = float(rng.uniform(*lead_m))
    begin_m = path.locate(*layout.start_3[:2])[0]
    event_m = path.locate(*layout.places[place][:2])[0] if place else begin_m + lead
    start_m = max(FIRST_M, event_m - lead) if place else begin_m
    speed = start_share * path.cap_mps(start_m)
    return Stage(layout, ego_lanes, path, start_m, event_m, speed, goal_3, green_s, phase_s, lanes > 1)


def stage_on(network: RoadNetwork, rng: np.random.Generator) -> Stage:
    """Somewhere on a given network, with as much way ahead as MAP_WAY_M, or the most that a few tries have found.

    Only what lies within MAP_REACH_M of that way is kept. The network's traffic lights are not there: no map tells their times.
    """
    graph = network.graph
    tries = [graph.straightest_path(int(rng.choice(sorted(graph.lanes))), MAP_WAY_M) for _ in range(MAP_TRIES)]
    path = max((lane_path(graph, lanes) for lanes in tries), key=lambda found: min(found.length_m, MAP_WAY_M))
    near = network.around(path.points_n2[::8], MAP_REACH_M)
    goal_3 = path.pose(max(0.0, path.length_m - 2.0))
    speed = START_SHARE * path.cap_mps(FIRST_M)
    layout = Layout(near, path.pose(FIRST_M), goal_3, {}, ())
    return Stage(layout, path.lanes, path, FIRST_M, FIRST_M, speed, goal_3)


def way(graph: LaneGraph, start_3: Pose, goal_3: Pose) -> tuple[int, ...]:
    """Lanes from a pose to a pose without a change of lane; where there is no such way, straight on."""
    first, last = (graph.nearest(np.array(pose[:2]), pose[2]) for pose in (start_3, goal_3))
    queue, before = deque([first]), {first: first}
    while queue:
        lane_id = queue.popleft()
        if lane_id == last:
            lanes = [last]
            while lanes[-1] != first:
                lanes.append(before[lanes[-1]])
            return _extended(graph, tuple(reversed(lanes)))
        for follower in graph.lanes[lane_id].successors:
            if follower not in before:
                before[follower] = lane_id
                queue.append(follower)
    return graph.straightest_path(first, 500.0)


def _extended(graph: LaneGraph, lanes: tuple[int, ...]) -> tuple[int, ...]:
    """The way with one lane before it where there is one, so that somebody can drive behind the ego."""
    reaching = [lane_id for lane_id, lane in graph.lanes.items() if lanes[0] in lane.successors]
    return (min(reaching), *lanes) if reaching else lanes


def _has_lanes(layout: Layout, num: int) -> bool:
    graph = layout.network.graph
    lane = graph.lanes[graph.nearest(np.array(layout.start_3[:2]), layout.start_3[2])]
    return 1 + sum(side is not None for side in (lane.left, lane.right)) >= num
