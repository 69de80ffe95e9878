"""Keeps what was heard about each frame of a simulated run and draws it when the run is over, so as to disturb nothing."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

import moe_bev_ros.msg as m
from moe_bev_ros.core.objects import TrackedObject
from moe_bev_ros.core.se3 import Array, inverse, transform_points, yaw_of
from moe_bev_ros.evaluation.pictures import Snapshot, draw_frame, strip
from moe_bev_ros.nodes.base import stamp_to_ns
from moe_bev_ros.nodes.convert import (
    cameras_from_msg,
    command_from_msg,
    lidar_from_msg,
    object_from_msg,
    plan_from_msg,
    pose_from_msg,
    trace_from_msg,
)
from moe_bev_ros.nodes.scorer_node import ScorerNode

RATE_HZ = 10.0
MAX_PICTURES = 600  # of about 1.5 MB each while they wait
STRIP_PICTURES = 6
TOLERANCE_NS = 60_000_000
TRUTH_RADIUS_M = 60.0
VIDEO = 'drive.mp4'
STRIP = 'strip.png'


class PictureRecorder:
    """Collects messages by stamp. Of a long run only every so many frames are kept."""

    def __init__(self, seconds: float) -> None:
        self.stride_ns = max(1, math.ceil(seconds * RATE_HZ / MAX_PICTURES)) * round(1e9 / RATE_HZ)
        self._messages: dict[str, dict[int, Any]] = {}

    def listen(self, scorer: ScorerNode) -> None:
        """Subscribe to what a picture shows."""
        scorer.listen(m.CameraBundle, '/moe_bev/camera_bundle', self._keep('bundle'))
        scorer.listen(m.LidarSweep, '/moe_bev/lidar_sweep', self._keep('sweep'))
        scorer.listen(m.Objects, '/moe_bev/objects', self._keep('objects'))
        scorer.listen(m.Trajectory, '/moe_bev/trajectory', self._keep('plan'))
        scorer.listen(m.VehicleCommand, '/moe_bev/vehicle_command', self._keep_command)
        scorer.listen(m.WorldTruth, '/moe_bev/world/truth', self._keep('truth'))

    def write(self, out: Path) -> list[str]:
        """Draw every kept frame; returns the names of the files, none where nothing was heard."""
        stamps = sorted(self._messages.get('command', {}))
        if not stamps:
            return []
        out.mkdir(parents=True, exist_ok=True)
        chosen = {stamps[round(index)] for index in np.linspace(0, len(stamps) - 1, STRIP_PICTURES)}
        rate_hz = RATE_HZ * round(1e9 / RATE_HZ) / self.stride_ns
        video: cv2.VideoWriter | None = None
        shown: list[NDArray[np.uint8]] = []
        for stamp_ns in stamps:
            picture = draw_frame(self._snapshot(stamp_ns))
            bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
            if video is None:
                size = (picture.shape[1], picture.shape[0])
                video = cv2.VideoWriter(str(out / VIDEO), cv2.VideoWriter.fourcc(*'mp4v'), rate_hz, size)
            video.write(bgr)
            if stamp_ns in chosen:
                shown.append(picture)
        if video is not None:
            video.release()
        cv2.imwrite(str(out / STRIP), cv2.cvtColor(strip(shown), cv2.COLOR_RGB2BGR))
        return [STRIP, VIDEO]

    def _keep(self, kind: str) -> Callable[[Any], None]:
        kept = self._messages.setdefault(kind, {})

        def keep(message: Any) -> None:
            stamp_ns = stamp_to_ns(message.header.stamp)
            if stamp_ns % self.stride_ns < TOLERANCE_NS:
                kept[stamp_ns] = message

        return keep

    def _keep_command(self, message: m.VehicleCommand) -> None:
        stamp_ns = stamp_to_ns(message.header.stamp)
        if message.first_of_plan and stamp_ns % self.stride_ns < TOLERANCE_NS:
            self._messages.setdefault('command', {})[stamp_ns] = message

    def _at(self, kind: str, stamp_ns: int) -> Any:
        """The message of this kind nearest to a stamp; None where there is none near it."""
        kept = self._messages.get(kind, {})
        if stamp_ns in kept:
            return kept[stamp_ns]
        stamps = sorted(kept)
        place = bisect_left(stamps, stamp_ns)
        near = [stamp for stamp in stamps[max(0, place - 1) : place + 1] if abs(stamp - stamp_ns) < TOLERANCE_NS]
        return kept[min(near, key=lambda stamp: abs(stamp - stamp_ns))] if near else None

    def _snapshot(self, stamp_ns: int) -> Snapshot:
        bundle, sweep, objects = (self._at(kind, stamp_ns) for kind in ('bundle', 'sweep', 'objects'))
        plan, truth, command = (self._at(kind, stamp_ns) for kind in ('plan', 'truth', 'command'))
        base_link_se3_map = inverse(pose_from_msg(truth.ego_pose)) if truth else None
        first_ns = min(self._messages['command'])
        return Snapshot(
            cameras=cameras_from_msg(bundle) if bundle else None,
            points_n5=lidar_from_msg(sweep).points_n5 if sweep else None,
            objects=[object_from_msg(item) for item in objects.objects] if objects else [],
            path_t2=_path(plan, base_link_se3_map),
            command=command_from_msg(command),
            speed_mps=truth.ego_speed if truth else 0.0,
            time_s=(stamp_ns - first_ns) / 1e9,
            distance_m=truth.distance if truth else None,
            collisions=truth.collisions if truth else None,
            latency_ms=trace_from_msg(command.trace).total_ms,
            truth_boxes_n7=_truth_boxes(truth, base_link_se3_map) if truth and base_link_se3_map is not None else None,
        )


def _path(plan: m.Trajectory | None, base_link_se3_map: Array | None) -> NDArray[np.floating[Any]] | None:
    if plan is None or base_link_se3_map is None:
        return None
    xy_t2 = plan_from_msg(plan).points_t7[:, 1:3]
    return transform_points(base_link_se3_map, np.column_stack([xy_t2, np.zeros(len(xy_t2))]))[:, :2]


def _truth_boxes(truth: m.WorldTruth, base_link_se3_map: Array) -> NDArray[np.float32]:
    boxes = [_moved_box(object_from_msg(item), base_link_se3_map) for item in truth.objects]
    near = [box for box in boxes if np.hypot(box[0], box[1]) < TRUTH_RADIUS_M]
    return np.array(near, np.float32).reshape(-1, 7)


def _moved_box(item: TrackedObject, base_link_se3_map: Array) -> NDArray[np.float32]:
    box_7 = item.box_7.copy()
    box_7[:3] = transform_points(base_link_se3_map, box_7[None, :3].astype(float))[0]
    box_7[6] += yaw_of(base_link_se3_map)
    return box_7
