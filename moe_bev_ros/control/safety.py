"""The safety envelope: it lets the controller drive only while nothing speaks against it. On any doubt it brakes.

Two kinds of braking: a *doubt* (not engaged, old data, a plan that does not fit) brakes firmly for as long as it
lasts; an *emergency* (the plan says so, or something stands too close ahead) presses the brake fully and stays so
until the vehicle stands. Only standstill ends it: a jump of time changes nothing about what stands ahead.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from moe_bev_ros.control.controller import STANDSTILL_MPS, Controller, value_at
from moe_bev_ros.control.emergency_braking import BrakingSettings, emergency_reason
from moe_bev_ros.core.command import Command
from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.plan import Plan

NOT_ENGAGED = 'not engaged; call the engage service'


@dataclass(frozen=True)
class SafetySettings:
    """When to doubt, and how hard to brake then.

    Attributes:
        plan_timeout_s: a plan older than this is not followed.
        odometry_timeout_s: likewise for the odometry.
        objects_timeout_s: likewise for the objects that emergency braking looks at.
        require_objects: none of them, or none newer than that, is a doubt: emergency braking would be off unnoticed.
        blind_timeout_s: perception without the sensors it needs for longer than this is a doubt.
        future_tolerance_s: a stamp may lie this far ahead of now (the clock travels on another topic).
        max_lateral_error_m: beside the plan by more than this, the plan is not for here.
        max_yaw_error_rad: likewise for the heading.
        doubt_deceleration_mps2: braking on a doubt.
        emergency_deceleration_mps2: what fully pressed brakes give.
    """

    plan_timeout_s: float = 0.5
    odometry_timeout_s: float = 0.5
    objects_timeout_s: float = 0.5
    require_objects: bool = True
    blind_timeout_s: float = 0.5
    future_tolerance_s: float = 0.3
    max_lateral_error_m: float = 3.0
    max_yaw_error_rad: float = 1.2
    doubt_deceleration_mps2: float = 3.5
    emergency_deceleration_mps2: float = 8.0
    braking: BrakingSettings = field(default_factory=BrakingSettings)


@dataclass(frozen=True)
class Situation:
    """Everything that is known at one moment.

    Attributes:
        now_s: ROS time [s].
        plan, ego, scene: the newest of each; None: none came, or it was unusable.
        plan_silence_s, ego_silence_s, scene_silence_s: since it came, by a clock that nobody sets; 0 in simulated time.
    """

    now_s: float
    engaged: bool
    plan: Plan | None = None
    ego: EgoMotion | None = None
    scene: Scene | None = None
    plan_silence_s: float = 0.0
    ego_silence_s: float = 0.0
    scene_silence_s: float = 0.0

    @property
    def plan_age_s(self) -> float:
        """Age of the plan by its stamp; infinite without one, below 0 for a stamp in the future."""
        return self.now_s - self.plan.stamp_ns / 1e9 if self.plan else float('inf')

    @property
    def ego_age_s(self) -> float:
        """Likewise for the odometry."""
        return self.now_s - self.ego.stamp_ns / 1e9 if self.ego else float('inf')

    @property
    def scene_age_s(self) -> float:
        """Likewise for the objects."""
        return self.now_s - self.scene.stamp_ns / 1e9 if self.scene else float('inf')


@dataclass(frozen=True)
class _Findings:
    """What speaks against following the plan.

    Attributes:
        fit: of the plan to where the vehicle is; None: they cannot be compared.
    """

    ego: str
    plan: str
    fit: tuple[str, ...] | None
    others: tuple[str, ...]

    @property
    def doubts(self) -> list[str]:
        """All of them; how an unusable plan fits is not asked."""
        return [doubt for doubt in (self.ego, self.plan, *(() if self.plan else self.fit or ()), *self.others) if doubt]

    @property
    def is_path(self) -> bool:
        """Whether the plan can still be steered along; its age does not matter for that."""
        return self.fit == ()


class SafetyEnvelope:
    """Owns the controller, and is the only one to ask it."""

    def __init__(self, controller: Controller, settings: SafetySettings) -> None:
        self.controller = controller
        self.settings = settings
        self.doubt = ''  # why the last command does not follow the plan; empty: it does
        self.is_unsure = False  # the last command could not have been engaged: something is missing, old or does not fit
        self._emergency = ''
        self._last_sight_s: float | None = None

    def reset(self) -> None:
        """Forget everything: the next command holds, until the situation says otherwise."""
        self._emergency = ''
        self.forget_times()

    def forget_times(self) -> None:
        """Time jumped: forget everything but an emergency."""
        self.doubt, self.is_unsure = '', False
        self._last_sight_s = None
        self.controller.reset()

    def last_word(self, reason: str) -> Command:
        """The command of one who falls silent: full brake and hold, with the steering as it is."""
        deceleration_mps2 = self.settings.emergency_deceleration_mps2
        return Command(0.0, 1.0, self.controller.steering_angle_rad, -deceleration_mps2, 0.0, hold=True, reason=reason)

    def command(self, situation: Situation) -> Command:
        """The command for this moment; ``reason`` says why it brakes."""
        settings, now_s = self.settings, situation.now_s
        findings = self._findings(situation)
        doubts = findings.doubts
        self.is_unsure = bool(doubts)
        if not situation.engaged:
            doubts = [NOT_ENGAGED, *doubts]
        ego = None if findings.ego else situation.ego
        path = situation.plan if findings.is_path else None
        self._update_emergency(situation, ego)
        self.doubt = self._emergency or '; '.join(doubts)
        if self._emergency:
            braked = self.controller.brake(settings.emergency_deceleration_mps2, now_s, ego=ego, path=path, emergency=True)
            return dataclasses.replace(braked, engaged=situation.engaged, emergency=True, reason=self.doubt)
        if doubts:
            braked = self.controller.brake(settings.doubt_deceleration_mps2, now_s, ego=ego, path=path)
            return dataclasses.replace(braked, engaged=situation.engaged, reason=self.doubt)
        assert situation.plan is not None  # a missing plan or odometry is a doubt
        assert situation.ego is not None
        return dataclasses.replace(self.controller.update(situation.plan, situation.ego, now_s), engaged=True)

    def doubts(self, situation: Situation) -> list[str]:
        """What speaks against following the plan, besides not being engaged and emergencies."""
        return self._findings(situation).doubts

    def _findings(self, situation: Situation) -> _Findings:
        plan, ego, ego_doubt = situation.plan, situation.ego, self._ego_doubt(situation)
        fit = None
        if plan and ego and not ego_doubt and len(plan.points_t7):
            fit = tuple(self._fit_doubts(plan, ego, situation.now_s))
        others = (*self._scene_doubts(situation), *self._sight_doubts(situation))
        return _Findings(ego_doubt, self._plan_doubt(situation), fit, others)

    def _ego_doubt(self, situation: Situation) -> str:
        ego, settings = situation.ego, self.settings
        if ego is None:
            return 'no odometry'
        if not (math.isfinite(ego.speed_mps + ego.yaw_rate_radps) and np.isfinite(ego.odom_se3_base_link).all()):
            return 'odometry is not finite'
        silence_s, timeout_s = situation.ego_silence_s, settings.odometry_timeout_s
        return _age_doubt('odometry', situation.ego_age_s, silence_s, timeout_s, settings.future_tolerance_s)

    def _plan_doubt(self, situation: Situation) -> str:
        plan, settings = situation.plan, self.settings
        if plan is None:
            return 'no plan'
        if not len(plan.points_t7):
            return plan.reason or 'the plan is empty'
        age_s, silence_s = situation.plan_age_s, situation.plan_silence_s
        doubt = _age_doubt('plan', age_s, silence_s, settings.plan_timeout_s, settings.future_tolerance_s)
        if doubt:
            return doubt
        if (plan.points_t7[1:, 0] <= plan.points_t7[:-1, 0]).any():
            return 'the times of the plan do not rise'
        if plan.points_t7[:, 4].min() < -STANDSTILL_MPS:
            return 'the plan drives backwards, which is not supported'
        if age_s > plan.points_t7[-1, 0] and value_at(plan, 4, age_s) > STANDSTILL_MPS:
            return f'the plan ended {age_s - plan.points_t7[-1, 0]:.2f} s ago, still driving'
        return ''

    def _fit_doubts(self, plan: Plan, ego: EgoMotion, now_s: float) -> Iterator[str]:
        if plan.frame_id != ego.frame_id:
            yield f'the plan is in frame {plan.frame_id}, the odometry in {ego.frame_id}'
            return
        _, place = self.controller.place(plan, ego, now_s)
        if abs(place.lateral_m) > self.settings.max_lateral_error_m:
            yield f'{abs(place.lateral_m):.1f} m beside the plan'
        if abs(place.yaw_error_rad) > self.settings.max_yaw_error_rad:
            yield f'heading {abs(place.yaw_error_rad):.1f} rad off the plan'

    def _scene_doubts(self, situation: Situation) -> Iterator[str]:
        settings = self.settings
        if not settings.require_objects:
            return
        if situation.scene is None:
            yield 'no list of objects'
            return
        age_s, silence_s, timeout_s = situation.scene_age_s, situation.scene_silence_s, settings.objects_timeout_s
        doubt = _age_doubt('the list of objects', age_s, silence_s, timeout_s, settings.future_tolerance_s)
        if doubt:
            yield doubt

    def _sight_doubts(self, situation: Situation) -> Iterator[str]:
        scene = situation.scene
        if scene is None:
            return
        scene_s = scene.stamp_ns / 1e9
        if scene.perception_valid or self._last_sight_s is None:
            self._last_sight_s = scene_s
        if not scene.perception_valid and scene_s - self._last_sight_s > self.settings.blind_timeout_s:
            yield f'perception blind for {scene_s - self._last_sight_s:.1f} s'

    def _update_emergency(self, situation: Situation, ego: EgoMotion | None) -> None:
        if ego and abs(ego.speed_mps) < STANDSTILL_MPS:
            self._emergency = ''
        reason = self._emergency_reason(situation, ego)
        self._emergency = self._emergency or reason

    def _emergency_reason(self, situation: Situation, ego: EgoMotion | None) -> str:
        plan, scene, vehicle = situation.plan, situation.scene, self.controller.vehicle
        if plan and plan.emergency and situation.plan_age_s <= self.settings.plan_timeout_s:
            return plan.reason or 'the plan says emergency'
        if ego is None or scene is None:
            return ''
        scene_age_s = max(situation.scene_age_s, situation.scene_silence_s, 0.0)
        if scene_age_s > self.settings.objects_timeout_s:
            return ''
        curvature = math.tan(self.controller.steering_angle_rad) / vehicle.wheelbase_m
        return emergency_reason(scene, scene_age_s, ego.speed_mps, curvature, vehicle, self.settings.braking)


def _age_doubt(what: str, stamp_age_s: float, silence_s: float, timeout_s: float, future_tolerance_s: float) -> str:
    age_s = max(stamp_age_s, silence_s)
    if stamp_age_s < -future_tolerance_s:
        return f'{what} lies {-stamp_age_s:.2f} s in the future; check the clocks'
    if age_s > timeout_s:
        return f'{what} is {age_s:.2f} s old, wanted at most {timeout_s:g} s'
    return ''
