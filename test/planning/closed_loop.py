"""A road, things on it, and a vehicle that follows each plan exactly: enough to see what a planner leads to."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from moe_bev_ros.core.frame import EgoMotion
from moe_bev_ros.core.objects import Label, Scene, TrackedObject
from moe_bev_ros.core.plan import Plan
from moe_bev_ros.core.se3 import Array, inverse, se3_from_xy_yaw, wrap_angle, yaw_of
from moe_bev_ros.planning.planner import Planner


def actor(x, y, *, length=4.5, width=1.8, yaw=0.0, vx=0.0, vy=0.0, label=Label.CAR, age=20, z=0.8, height=1.6, **more):
    """A tracked object whose covariance says that its velocity is well known."""
    box = np.array([x, y, z, length, width, height, yaw], np.float32)
    covariance = np.diag([0.01, 0.01, 0.01, 0.01]).astype(np.float32)
    return TrackedObject(1, label, 0.9, box, np.array([vx, vy], np.float32), covariance, age=age, **more)


def pedestrian(x, y, **more):
    return actor(x, y, length=0.6, width=0.6, label=Label.PEDESTRIAN, **more)


def scene_of(*objects, stamp_ns=0, valid=True):
    return Scene(stamp_ns, tuple(objects), valid, valid, False)


def ego_at(x=0.0, y=0.0, yaw=0.0, speed=0.0, stamp_ns=0):
    return EgoMotion(stamp_ns, se3_from_xy_yaw(x, y, yaw), speed, 0.0, 'map')


def seen_from(ego: EgoMotion, item: TrackedObject) -> TrackedObject:
    """An object given in the fixed frame, in base_link's."""
    base_link_se3_odom = inverse(ego.odom_se3_base_link)
    box = item.box_7.astype(float)
    box[:3] = base_link_se3_odom[:3, :3] @ box[:3] + base_link_se3_odom[:3, 3]
    box[6] = wrap_angle(box[6] - yaw_of(ego.odom_se3_base_link))
    velocity = base_link_se3_odom[:2, :2] @ item.velocity_2
    return TrackedObject(
        item.track_id,
        item.label,
        item.score,
        box.astype(np.float32),
        velocity.astype(np.float32),
        item.covariance_44,
        age=item.age,
    )


def moved(item: TrackedObject, seconds: float) -> TrackedObject:
    box = item.box_7.copy()
    box[:2] += seconds * item.velocity_2
    return TrackedObject(item.track_id, item.label, item.score, box, item.velocity_2, item.covariance_44, age=item.age)


@dataclass
class Drive:
    """What happened, at 10 Hz."""

    plans: list[Plan] = field(default_factory=list)
    egos: list[EgoMotion] = field(default_factory=list)

    @property
    def x(self) -> Array:
        return np.array([ego.odom_se3_base_link[0, 3] for ego in self.egos])

    @property
    def speed(self) -> Array:
        return np.array([ego.speed_mps for ego in self.egos])


def drive(planner: Planner, actors, seconds: float, *, start: EgoMotion | None = None, noise_m=0.0, lights=None) -> Drive:
    """Follow each plan for 0.1 s, with actors in the fixed frame at constant velocity."""
    rng, ego, log = np.random.default_rng(0), start or ego_at(), Drive()
    for k in range(int(seconds * 10)):
        now_s, stamp_ns = 0.1 * k, k * 100_000_000
        if lights is not None:
            planner.observe_lights(lights(now_s), now_s)
        seen = [seen_from(ego, moved(item, now_s)) for item in actors]
        for item in seen:
            item.box_7[:2] += noise_m * rng.standard_normal(2)
        plan = planner.update(scene_of(*seen, stamp_ns=stamp_ns), ego, now_s)
        log.plans.append(plan)
        log.egos.append(ego)
        _, x, y, yaw, speed, _, _ = plan.points_t7[1]
        ego = EgoMotion(stamp_ns + 100_000_000, se3_from_xy_yaw(x, y, yaw), float(speed), 0.0, 'map')
    return log
