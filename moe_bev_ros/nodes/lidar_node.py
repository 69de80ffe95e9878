"""PointCloud2 of one or several LiDARs in, one motion-compensated LidarSweep in base_link out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from sensor_msgs.msg import PointCloud2

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array, se3_from_xyz_rpy
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.msg import LidarSweep
from moe_bev_ros.nodes.base import SENSOR_QOS, StackNode, run
from moe_bev_ros.nodes.convert import BASE_LINK, ego_from_msg, lidar_to_msg
from moe_bev_ros.nodes.params import num_threads_param, param
from moe_bev_ros.nodes.point_cloud_messages import cloud_from_msg, points_to_msg
from moe_bev_ros.nodes.static_transforms import StaticTransforms
from moe_bev_ros.perception import point_kernels
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.sweep import Crop, SensorCloud, Sweep, build_sweep
from moe_bev_ros.perception.synchroniser import Bundle, Synchroniser
from moe_bev_ros.runtime.threads import limit_threads

ODOMETRY_QOS = QoSProfile(depth=50)  # odometry comes at up to 100 Hz, and none of it should be lost to a busy moment
SWEEP_PERIOD_S = 0.1
MAX_RATE_HZ = 100.0  # faster than any LiDAR: bev_node thins sweeps out, since it knows which one a bundle wants


@dataclass(frozen=True)
class LidarParams:
    """Parameters of lidar_node."""

    lidar_names: tuple[str, ...] = param(('lidar_top',), 'names of the LiDARs', read_only=True)
    points_topics: tuple[str, ...] = param(
        ('/sensing/lidar/lidar_top/points',), 'PointCloud2 topic of each LiDAR', read_only=True
    )
    extrinsics: tuple[float, ...] = param(
        (), 'x y z [m] roll pitch yaw [rad] of each LiDAR in base_link, one after the other; empty: /tf_static'
    )
    time_offsets_s: tuple[float, ...] = param((), 'added to the stamps of each LiDAR [s]; empty: none')
    anchor: str = param('', 'LiDAR whose stamps are those of the sweeps while it lives; empty: the first', read_only=True)
    tolerance_s: float = param(0.05, "largest distance of another LiDAR's stamp from the anchor's [s]", low=0.0, high=1.0)
    wait_s: float = param(0.04, 'how long the anchor waits for the other LiDARs [s]', low=0.0, high=1.0)
    stamp_reference: str = param('end', "what a cloud's stamp means: 'end' or 'start' of its sweep")
    ego_box: tuple[float, ...] = param(
        (-1.0, 3.8, -1.05, 1.05, -0.5, 2.2), 'x_min x_max y_min y_max z_min z_max of the vehicle in base_link, cut out [m]'
    )
    range_m: tuple[float, ...] = param(
        (-80.0, 80.0, -80.0, 80.0, -5.0, 5.0), 'x_min x_max y_min y_max z_min z_max in base_link, kept [m]'
    )
    intensity_max: float = param(
        0.0, 'raw intensity that becomes 1; 0: 255 or 65535 by type, or 1 where no float exceeds 1', low=0.0, high=1e9
    )
    motion_compensation: bool = param(True, 'move every point to where it is seen from at the stamp')
    odometry_extrapolation_s: float = param(
        0.1, 'how far beyond the known odometry a motion is continued [s]', low=0.0, high=0.5, read_only=True
    )
    num_threads: int = num_threads_param()

    def __post_init__(self) -> None:
        num = len(self.lidar_names)
        if len(set(self.lidar_names)) != num or len(set(self.points_topics)) != len(self.points_topics):
            raise ValueError(
                f'lidar_names and points_topics must differ, got {list(self.lidar_names)}, {list(self.points_topics)}'
            )
        if not all(math.isfinite(value) for value in (*self.extrinsics, *self.time_offsets_s)):
            raise ValueError('extrinsics and time_offsets_s must be finite; leave extrinsics out to take them from /tf_static')
        if not num or len(self.points_topics) != num:
            raise ValueError(f'points_topics has {len(self.points_topics)} entries for {num} lidar_names; give one for each')
        if len(self.extrinsics) not in (0, 6 * num):
            raise ValueError(f'extrinsics has {len(self.extrinsics)} numbers, wanted 6 for each of {num} LiDARs, or none')
        if len(self.time_offsets_s) not in (0, num):
            raise ValueError(f'time_offsets_s has {len(self.time_offsets_s)} numbers, wanted one for each of {num} LiDARs')
        if self.anchor and self.anchor not in self.lidar_names:
            raise ValueError(f'anchor {self.anchor} is none of {", ".join(self.lidar_names)}')
        if self.stamp_reference not in ('start', 'end'):
            raise ValueError(f"stamp_reference must be 'start' or 'end', got '{self.stamp_reference}'")
        _ = self.crop

    @property
    def crop(self) -> Crop:
        """The boxes as one value."""
        return Crop(self.ego_box, self.range_m)

    @property
    def anchor_index(self) -> int:
        """Index of the anchor LiDAR."""
        return self.lidar_names.index(self.anchor) if self.anchor else 0

    def base_link_se3_sensor(self, index: int) -> Array | None:
        """Pose of a LiDAR from the parameters; None: ask /tf_static."""
        return se3_from_xyz_rpy(*self.extrinsics[6 * index : 6 * index + 6]) if self.extrinsics else None

    def time_offset_ns(self, index: int) -> int:
        """What is added to the stamps of a LiDAR."""
        return round(self.time_offsets_s[index] * 1e9) if self.time_offsets_s else 0


class LidarNode(StackNode[LidarParams]):
    """See the module."""

    def __init__(self) -> None:
        super().__init__('lidar_node', LidarParams)
        self.transforms = StaticTransforms(self)
        self.odometry = OdometryBuffer(self.params.odometry_extrapolation_s)
        self.synchroniser = self._make_synchroniser()
        self._findings: dict[str, tuple[str, ...]] = {}
        self._reason = ''
        self.counters.update(sweeps=0, not_finite_points=0, clouds_missing=0, sweeps_given_up=0)

    def setup(self) -> None:
        """Compile, and open the topics."""
        params = self.params
        limit_threads(params.num_threads)
        point_kernels.warm_up()
        self.synchroniser = self._make_synchroniser()
        self.sweep_publisher = self.advertise(LidarSweep, '~/output/sweep', SENSOR_QOS)
        self.points_publisher = self.advertise(PointCloud2, '~/output/points', SENSOR_QOS)
        motion_needed = params.motion_compensation
        self.subscribe(Odometry, '~/input/odometry', self.on_odometry, ODOMETRY_QOS, required=motion_needed, patient=True)
        for index, topic in enumerate(params.points_topics):
            on_cloud: Callable[[PointCloud2, int], None] = partial(self.on_cloud, index)
            self.subscribe(PointCloud2, topic, on_cloud, SENSOR_QOS, period_s=SWEEP_PERIOD_S)
        if len(params.lidar_names) > 1:
            self.every(max(params.wait_s / 4, 0.005), self.on_wait, steady=True)

    def forget(self) -> None:
        """Drop the clouds that wait and the motion so far."""
        self._give_up_clouds()
        self.odometry.clear()
        self._findings.clear()

    def params_changed(self) -> None:
        """Tolerance, wait, offsets and poses may change while running; clouds that wait were stamped with the old offsets."""
        self.synchroniser.configure(tolerance_s=self.params.tolerance_s, wait_s=self.params.wait_s, max_rate_hz=MAX_RATE_HZ)
        self._give_up_clouds()

    def extra_diagnostics(self) -> dict[str, str]:
        """Whether the points are motion-compensated, and what is odd about each topic's clouds."""
        findings = {f'{topic} findings': '; '.join(facts) for topic, facts in self._findings.items() if facts}
        return {'motion compensation': self._reason or 'ok', **findings}

    def on_odometry(self, message: Odometry, receive_ns: int) -> None:
        """Remember a pose."""
        self.odometry.add(ego_from_msg(message))

    def on_cloud(self, index: int, message: PointCloud2, receive_ns: int) -> None:
        """Take one LiDAR's cloud."""
        params, topic = self.params, self.params.points_topics[index]
        cloud = cloud_from_msg(message, intensity_max=params.intensity_max, stamp_at_end=params.stamp_reference == 'end')
        self._report_findings(topic, cloud.warnings)
        self.counters['not_finite_points'] += cloud.num_not_finite
        stamp_ns = cloud.stamp_ns + params.time_offset_ns(index)
        base_link_se3_sensor = self._base_link_se3_sensor(index, message.header.frame_id)
        sensor_cloud = SensorCloud(cloud, stamp_ns, base_link_se3_sensor, receive_ns)
        for bundle in self.synchroniser.add(index, stamp_ns, sensor_cloud, time.monotonic()):
            self._publish(bundle, receive_ns)

    def on_wait(self) -> None:
        """Publish the sweeps that have waited long enough for a LiDAR."""
        for bundle in self.synchroniser.poll(time.monotonic()):
            self._publish(bundle, time.monotonic_ns())

    def _base_link_se3_sensor(self, index: int, frame_id: str) -> Array:
        pose = self.params.base_link_se3_sensor(index)
        if pose is not None:
            return pose
        try:
            return self.transforms.lookup(BASE_LINK, frame_id)
        except InputError as err:
            raise InputError(f'cloud not used: {err}, or set the parameter extrinsics') from err

    def _make_synchroniser(self) -> Synchroniser[SensorCloud]:
        params = self.params
        num, anchor = len(params.lidar_names), params.anchor_index
        limits = {'tolerance_s': params.tolerance_s, 'wait_s': params.wait_s, 'max_rate_hz': MAX_RATE_HZ}
        return Synchroniser(num, anchor, **limits)

    def _publish(self, bundle: Bundle[SensorCloud], complete_ns: int) -> None:
        odometry = self.odometry if self.params.motion_compensation else None
        clouds = tuple(image.content if image is not None else None for image in bundle.images)
        anchor = clouds[bundle.anchor]
        assert anchor is not None
        sweep = build_sweep(bundle.stamp_ns, clouds, self.params.crop, odometry)
        self._report(sweep)
        trace = Trace(anchor.receive_ns).passed('lidar_node', complete_ns, time.monotonic_ns())
        names, valid = list(self.params.lidar_names), list(sweep.valid)
        self.sweep_publisher.publish(lidar_to_msg(sweep.points, sweep.stamp_ns, names, valid, sweep.motion_compensated, trace))
        if self.points_publisher.get_subscription_count():
            self.points_publisher.publish(points_to_msg(sweep.points, sweep.stamp_ns))

    def _give_up_clouds(self) -> None:
        """Whether such a sweep would have been a frame only bev_node could tell, so it is not counted as one."""
        self.synchroniser.reset()
        self.counters['sweeps_given_up'] = self.synchroniser.dropped_by_policy

    def _report(self, sweep: Sweep) -> None:
        self.counters['sweeps'] += 1
        for topic, valid in zip(self.params.points_topics, sweep.valid):
            if not valid:
                self.counters['clouds_missing'] += 1
                self.warn_slowly(
                    f'{topic}: no cloud within {self.params.tolerance_s} s of the sweep; it goes out without that LiDAR'
                )
        if sweep.reason != self._reason:
            self._reason = sweep.reason
            self.get_logger().warning(
                f'sweeps are not motion-compensated: {sweep.reason}' if sweep.reason else 'sweeps are motion-compensated'
            )

    def _report_findings(self, topic: str, facts: tuple[str, ...]) -> None:
        """Warn of what is new; what a driver does in every cloud stays in the diagnostics."""
        for fact in set(facts) - set(self._findings.get(topic, ())):
            self.warn_slowly(f'{topic}: {fact}')
        self._findings[topic] = facts


def main() -> None:
    """Run the node."""
    run(lambda: LidarNode())


if __name__ == '__main__':
    main()
