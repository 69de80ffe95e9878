"""Frames from pairs of a camera bundle and a LiDAR sweep, and the vehicle's motion from one frame to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace

from moe_bev_ros.core.frame import CameraImages, EgoMotion, Frame, LidarPoints
from moe_bev_ros.core.se3 import Array, inverse, transform_points
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.pairing import Pair


@dataclass(frozen=True)
class Bundle:
    """The cameras of one instant; ``receive_ns`` on CLOCK_MONOTONIC."""

    images: CameraImages
    trace: Trace
    receive_ns: int


@dataclass(frozen=True)
class Sweep:
    """The LiDARs of one instant.

    Attributes:
        points: None where there is none.
        complete: every LiDAR is in it.
        receive_ns: on CLOCK_MONOTONIC.
    """

    points: LidarPoints | None
    complete: bool
    stamp_ns: int
    trace: Trace
    receive_ns: int


class FrameBuilder:
    """Knows where the vehicle was, and when the last frame was.

    Attributes:
        odometry: to be fed by the caller.
    """

    def __init__(self, odometry_extrapolation_s: float) -> None:
        self.odometry = OdometryBuffer(odometry_extrapolation_s)
        self.forget()

    def forget(self) -> None:
        """Time jumped."""
        self.odometry.clear()
        self.begin_anew()
        self._stamp_before_ns: int | None = None

    def begin_anew(self) -> None:
        """The motion up to the next frame counts as not known."""
        self._ego_before: EgoMotion | None = None

    def gap_s(self, stamp_ns: int) -> float:
        """Time since the last frame that was asked about; 0 for the first."""
        before_ns, self._stamp_before_ns = self._stamp_before_ns, stamp_ns
        return 0.0 if before_ns is None else (stamp_ns - before_ns) / 1e9

    def build(self, pair: Pair[Bundle, Sweep]) -> Frame:
        """The frame of a pair, its points where they lie from the vehicle's place at the frame's stamp."""
        bundle, sweep = pair.bundle, pair.sweep
        anchor = bundle or sweep
        assert anchor is not None
        trace = anchor.trace if anchor.trace.receive_ns else replace(anchor.trace, receive_ns=anchor.receive_ns)
        return Frame(
            stamp_ns=pair.stamp_ns,
            cameras=bundle.images if bundle else None,
            lidar=self._points_at(pair.stamp_ns, sweep) if sweep else None,
            ego=self.odometry.at(pair.stamp_ns),
            trace=trace,
        )

    def motion_to(self, frame: Frame) -> Array | None:
        """``base_link_now_se3_before`` from the last frame that was asked about; None where it is not known."""
        before, self._ego_before = self._ego_before, frame.ego
        if frame.ego is None or before is None or frame.ego.frame_id != before.frame_id:
            return None
        return inverse(frame.ego.odom_se3_base_link) @ before.odom_se3_base_link

    def _points_at(self, stamp_ns: int, sweep: Sweep) -> LidarPoints | None:
        before, now = self.odometry.at(sweep.stamp_ns), self.odometry.at(stamp_ns)
        if sweep.points is None or sweep.stamp_ns == stamp_ns or before is None or now is None:
            return sweep.points
        points_n5 = sweep.points.points_n5.copy()
        points_n5[:, :3] = transform_points(inverse(now.odom_se3_base_link) @ before.odom_se3_base_link, points_n5[:, :3])
        return LidarPoints(points_n5)
