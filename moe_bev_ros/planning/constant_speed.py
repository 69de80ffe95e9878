"""A baseline that looks at nothing: along the route at a constant speed, whatever stands there.

The speed is the cruise speed, within limits and curves of the route. Objects and traffic lights are ignored. The emergency
braking of the safety envelope is not the planner's, and stays.
"""

from __future__ import annotations

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.planning.idm import STANDING_MPS, Situation
from moe_bev_ros.planning.planner import Planner
from moe_bev_ros.planning.reference_line import ReferenceLine


class ConstantSpeedPlanner(Planner):
    """See the module."""

    def _plan(
        self, scene: Scene, ego: EgoMotion, line: ReferenceLine, now_s: float, stop_reason: str, warnings: tuple[str, ...]
    ) -> Plan:
        s_1, _ = line.project(ego.odom_se3_base_link[None, :2, 3])
        s, speed = float(s_1[0]), max(ego.speed_mps, 0.0)
        stop = bool(stop_reason) or self._arrived(line, s, speed)
        rows_t3 = self._speed_policy(Situation(speed, self._cap(line, s), stop=stop))
        points_t7 = self._points(rows_t3, line, s)
        stops = bool(rows_t3[-1, 1] < STANDING_MPS)
        return Plan(scene.stamp_ns, ego.frame_id, points_t7, stops, reason=stop_reason, warnings=warnings)
