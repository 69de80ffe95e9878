"""Small drives made by hand: two cameras, a sweep that fills boxes, a road."""

from dataclasses import dataclass

import numpy as np

from moe_bev_ros.core.frame import CameraImages, EgoMotion, Frame, LidarPoints
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import inverse, se3_from_xy_yaw, se3_from_xyz_rpy
from moe_bev_ros.datasets.road_raster import RoadRaster
from moe_bev_ros.learning.drives import NUM_FUTURES, DriveFrame, FrameTruth, RoadView
from moe_bev_ros.model.config import ModelConfig
from moe_bev_ros.world.rig import BODY_SE3_OPTICAL

SMALL = ModelConfig(num_cameras=2, image_height=64, image_width=96, num_key_points=8, half_m=25.6)
SIZE = (SMALL.image_width, SMALL.image_height)
MATRIX_33 = np.array([[80.0, 0.0, 40.0], [0.0, 80.0, 31.5], [0.0, 0.0, 1.0]], np.float32)
BOXES = np.array([[12.0, 3.0, 0.8, 4.5, 1.9, 1.6, 0.4], [-9.0, -6.0, 0.9, 0.7, 0.7, 1.8, -2.0]], np.float32)
LABELS = np.array([Label.CAR, Label.PEDESTRIAN], np.uint8)
VELOCITIES = np.array([[5.0, 1.0], [0.0, 0.0]], np.float32)


def truth_of(boxes=BOXES, labels=LABELS, velocities=VELOCITIES, num_lidar=5, shares=1.0, names=None, road=None):
    num = len(boxes)
    steps = 0.5 * np.arange(1, NUM_FUTURES + 1, dtype=np.float32)
    return FrameTruth(
        np.asarray(boxes, np.float32),
        np.asarray(labels, np.uint8),
        np.asarray(velocities, np.float32),
        np.zeros(num, np.int64),
        np.broadcast_to(np.asarray(num_lidar, np.int64), num).copy(),
        np.broadcast_to(np.asarray(shares, np.float32), num).copy(),
        tuple(names or (f'user {n}' for n in range(num))),
        np.asarray(velocities, np.float32)[:, None] * steps[:, None],
        road,
    )


def drive_frame(truth=None, tick=0, gap=1, *, cameras=True, lidar=True, seed=0):
    """At 5 m/s along x, turning slowly; ``gap`` 0: the first frame."""
    rng = np.random.default_rng(seed)
    pose, before = ego_pose(tick), ego_pose(tick - gap)
    images = CameraImages(
        rng.integers(0, 255, (2, SIZE[1], SIZE[0], 3), np.uint8),
        np.stack([MATRIX_33, MATRIX_33]),
        np.stack([se3_from_xyz_rpy(1.5, 0.2, 1.5, 0.0, 0.05, yaw) @ BODY_SE3_OPTICAL for yaw in (0.1, np.pi)]),
        np.ones(2, np.bool_),
        ('CAM_FRONT', 'CAM_BACK'),
    )
    stamp_ns = 10**9 + tick * 10**8
    frame = Frame(
        stamp_ns,
        images if cameras else None,
        LidarPoints(sweep_in(BOXES, rng)) if lidar else None,
        EgoMotion(stamp_ns, pose, 5.0, 0.2, 'map'),
    )
    motion = inverse(pose) @ before if gap else None
    return DriveFrame(frame, motion, 0.1 * gap, truth_of() if truth is None else truth, 'day', 'free_driving')


def ego_pose(tick):
    return se3_from_xy_yaw(100.0 + 0.5 * tick, 50.0, 0.02 * tick)


def sweep_in(boxes_n7, rng):
    """(P, 5) five points in each box, and as many elsewhere."""
    points = np.zeros((10 * len(boxes_n7), 5), np.float32)
    for n, (x, y, z, length, width, height, yaw) in enumerate(boxes_n7):
        local = rng.uniform(-0.45, 0.45, (5, 3)) * (length, width, height)
        cos, sin = np.cos(yaw), np.sin(yaw)
        points[5 * n : 5 * n + 5, :3] = local @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1.0]]) + (x, y, z)
    points[5 * len(boxes_n7) :, :3] = rng.uniform(-20.0, -12.0, (5 * len(boxes_n7), 3)) * (1, 1, 0)
    return points


def road_view(tick=0):
    """A lane 4 m wide along the map's y = 50, with a divider on its left."""
    lane = np.array([[60.0, 48.0], [140.0, 48.0], [140.0, 52.0], [60.0, 52.0]])
    raster = RoadRaster({'drivable': (lane,), 'crossing': ()}, {'divider': (lane[2:],), 'stop_line': ()})
    return RoadView(raster, inverse(ego_pose(tick)))


@dataclass(frozen=True)
class CountedDrive:
    """Frames whose car stands at x = drive number, y = frame number; ``seed`` ends in the number of the drive."""

    index: int
    seed: tuple[int, ...]
    num: int
    fails: bool = False

    def frames(self):
        for tick in range(self.num):
            if self.fails and tick == 1:
                raise ValueError('it broke')
            boxes = [[float(self.index), float(tick), 0.8, 4.5, 1.9, 1.6, 0.0]]
            truth = truth_of(boxes, LABELS[:1], VELOCITIES[:1])
            yield drive_frame(truth, tick, min(tick, 1), seed=self.seed[-1])


class CountedSource:
    """Three drives of three frames, or of as many as ``lengths`` says."""

    def __init__(self, lengths=(3, 3, 3), failing=None):
        self.lengths, self.failing = lengths, failing

    @property
    def num_drives(self):
        return len(self.lengths)

    def drive(self, index, seed):
        return CountedDrive(index, seed, self.lengths[index], index == self.failing)
