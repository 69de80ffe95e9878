"""What camera_node, lidar_node and bev_node do, for a world in the same process: its sensors, an engine, the tracker."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import CameraImages, EgoMotion, Frame
from moe_bev_ros.core.objects import Scene
from moe_bev_ros.core.se3 import inverse
from moe_bev_ros.engine.base import Engine
from moe_bev_ros.perception.motion_compensation import OdometryBuffer
from moe_bev_ros.perception.point_cloud import CloudLayout, PointField, read_cloud
from moe_bev_ros.perception.sweep import Crop, SensorCloud, Sweep, build_sweep
from moe_bev_ros.perception.tracker import Tracker
from moe_bev_ros.world.autopilot import ego_motion
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.simulation import World

LAYOUT_FIELDS = tuple(PointField(name, 4 * i, 7, 1) for i, name in enumerate(('x', 'y', 'z', 'intensity', 'ring', 'time')))
CROP = Crop((-1.0, 3.8, -1.05, 1.05, -0.5, 2.2), (-80.0, 80.0, -80.0, 80.0, -5.0, 5.0))


class LidarView:
    """The LiDAR's points as lidar_node hands them over: cropped, in base_link, free of the vehicle's own motion."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._odometry = OdometryBuffer()
        self.moved()

    def moved(self) -> None:
        """The world has made a step."""
        self._odometry.add(ego_motion(self.world))

    def sweep(self, points_n6: NDArray[np.float32]) -> Sweep:
        """The sweep that the world's sensors gave just now."""
        num, stamp_ns = len(points_n6), self.world.stamp_ns
        layout = CloudLayout(LAYOUT_FIELDS, 1, num, 24, 24 * num, False)
        cloud = read_cloud(layout, np.ascontiguousarray(points_n6).view(np.uint8).ravel(), stamp_ns)
        sensor = SensorCloud(cloud, stamp_ns, self.world.rig.lidar.base_link_se3_lidar)
        return build_sweep(stamp_ns, (sensor,), CROP, self._odometry)


def camera_images(rig: Rig, images_nhw3: NDArray[np.uint8]) -> CameraImages:
    """What a rig's cameras show, as camera_node hands it over."""
    matrices_n33 = np.stack([camera.intrinsics_33(rig.image_width, rig.image_height) for camera in rig.cameras])
    matrices_n33[:, :2, 2] -= 0.5  # the rig counts from the edge of the first pixel, images from its centre
    poses_n44 = np.stack([camera.base_link_se3_camera for camera in rig.cameras])
    names = tuple(camera.name for camera in rig.cameras)
    return CameraImages(images_nhw3, matrices_n33.astype(np.float32), poses_n44, np.ones(len(names), np.bool_), names)


class Perceiver:
    """Sees a world's objects frame by frame.

    Attributes:
        wall_s: that the last frame took, from the sweep to the tracked objects; rendering is not in it.

    Args:
        world: whose cameras, if it has any, show images of the size that the engine reads.
    """

    def __init__(self, world: World, engine: Engine) -> None:
        self.world, self.engine, self.tracker = world, engine, Tracker()
        self.wall_s = 0.0
        self._view = LidarView(world)
        self._ego_before: EgoMotion | None = None

    def moved(self) -> None:
        """The world has made a step."""
        self._view.moved()

    def see(self) -> Scene:
        """The objects of now, in base_link."""
        sensed = self.world.sense()
        began = time.perf_counter()
        cameras = camera_images(self.world.rig, sensed.images_nhw3) if self.world.rig.cameras else None
        sweep, ego = self._view.sweep(sensed.points_n6), ego_motion(self.world)
        before, self._ego_before = self._ego_before, ego
        motion = None if before is None else inverse(ego.odom_se3_base_link) @ before.odom_se3_base_link
        output = self.engine.step(Frame(ego.stamp_ns, cameras, sweep.points, ego), motion)
        objects = self.tracker.update(output.detections, ego.stamp_ns, ego, self.engine.least_scores)
        self.wall_s = time.perf_counter() - began
        return Scene(ego.stamp_ns, objects, output.perception_valid, True, cameras is not None)
