"""Recorded sweeps as single spinning sensors saw them, and the same sweeps as the world would have given them.

All is put into the sensor's own frame, turned so that x looks ahead: the tilt of a mounting then needs no care. The twin of a
sweep holds a body at every annotated pose and size and nothing else. What else stood there is known from the recorded sweep
alone: a beam that came back from outside every annotated box stops its twin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, inverse, se3_from_xy_yaw, se3_from_xyz_rpy, transform_points
from moe_bev_ros.datasets.argoverse import LASERS_PER_LIDAR, ArgoverseSweep, read_argoverse_sweeps
from moe_bev_ros.datasets.frames import RecordedBox, RecordedCloud, RecordedFrame, read_frames
from moe_bev_ros.world.actors import make_body
from moe_bev_ros.world.conditions import Condition
from moe_bev_ros.world.ground import Ground
from moe_bev_ros.world.rig import LidarMount, Rig
from moe_bev_ros.world.scene import Prop, Scene
from moe_bev_ros.world.sensors import SensorSuite
from moe_bev_ros.world.terrain import Terrain

LIFT_M = 30.0  # bodies and sensor hang so high above the twin's flat ground that it hides none whose foot is lower
EGO_M = 2.5
BLOCK_SLACK_M = 0.5
STILL_K4 = np.array([[-0.1, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
ASPHALT: tuple[int, int, int, int] = (84, 86, 90, 36)


@dataclass(frozen=True)
class SensorSweep:
    """What one spinning LiDAR measured.

    Attributes:
        source: data set.
        stamp: names what several sensors measured together.
        mount: of its twin.
        points_n4: float32 x, y, z [m, the sensor's frame with x ahead], intensity [0..1]; no echo and own vehicle left out.
        rings_n: index into the mount's elevations.
        labels_k: (K,) of the annotated boxes.
        boxes_k7: (K, 7) float32 in the same frame.
        base_link_se3_sensor: (4, 4) pose of that frame.
    """

    source: str
    stamp: str
    mount: LidarMount
    points_n4: NDArray[np.float32]
    rings_n: NDArray[np.int64]
    labels_k: tuple[Label, ...]
    boxes_k7: NDArray[np.float32]
    base_link_se3_sensor: Array


def read_sweeps(folder: Path) -> tuple[SensorSweep, ...]:
    """Read every keyframe below a folder that has a sweep and boxes of the same stamp, and every Argoverse 2 sweep.

    Raises:
        InputError: there is none, or one is not complete.
    """
    sweeps: list[SensorSweep] = []
    for path in sorted(folder.rglob('frame.json')):
        frame = read_frames(path.parent).frames[0]
        if frame.boxes and frame.cloud is not None and frame.cloud.stamp_ns == frame.stamp_ns:
            sweeps.append(_of_frame(str(path.parent), frame, frame.cloud))
    for path in sorted(folder.rglob('egovehicle_SE3_sensor.feather')):
        for sweep in read_argoverse_sweeps(path.parents[1]):
            sweeps += _of_argoverse(sweep)
    if not sweeps:
        raise InputError(f'{folder}: no frame.json with a LiDAR sweep and boxes below it; give a folder of recorded frames')
    return tuple(sweeps)


def by_stamp(sweeps: Sequence[SensorSweep]) -> tuple[tuple[SensorSweep, ...], ...]:
    """Group what several sensors measured of the same objects."""
    groups: dict[str, list[SensorSweep]] = {}
    for sweep in sweeps:
        groups.setdefault(sweep.stamp, []).append(sweep)
    return tuple(tuple(group) for group in groups.values())


def _of_frame(stamp: str, frame: RecordedFrame, cloud: RecordedCloud) -> SensorSweep:
    points_n5 = cloud.points_n5()
    pose = cloud.base_link_se3_lidar
    ahead = float(np.arctan2(pose[1, 0], pose[0, 0]))
    lidar_se3_sensor = se3_from_xyz_rpy(0.0, 0.0, 0.0, 0.0, 0.0, -ahead)
    points = transform_points(inverse(lidar_se3_sensor), points_n5[:, :3])
    return _sweep(
        'nuscenes',
        stamp,
        pose @ lidar_se3_sensor,
        points,
        points_n5[:, 3],
        points_n5[:, 4].astype(int),
        frame.boxes or (),
        1084,
    )


def _of_argoverse(sweep: ArgoverseSweep) -> list[SensorSweep]:
    result = []
    for index, pose in enumerate(sweep.base_link_se3_lidars):
        mine = sweep.lasers_n // LASERS_PER_LIDAR == index
        level = se3_from_xy_yaw(float(pose[0, 3]), float(pose[1, 3]), 0.0)
        level[2, 3] = pose[2, 3]
        points = sweep.points_n4[mine]
        xyz = transform_points(inverse(level), points[:, :3])
        rings = sweep.lasers_n[mine] % LASERS_PER_LIDAR
        result.append(_sweep('av2', str(sweep.stamp_ns), level, xyz, points[:, 3], rings, sweep.boxes, 1800))
    return result


def _sweep(
    source: str, stamp: str, base_link_se3_sensor: Array, xyz_n3: Array, intensity_n: NDArray[np.float32],
    rings_n: NDArray[np.int64], boxes: Sequence[RecordedBox], num_azimuths: int,
) -> SensorSweep:  # fmt: skip
    """Beams are sorted by the elevation that they were seen at; one that never came back is left out."""
    far = np.linalg.norm(xyz_n3, axis=1) > EGO_M
    elevation = np.arctan2(xyz_n3[:, 2], np.hypot(xyz_n3[:, 0], xyz_n3[:, 1]))
    seen = {int(ring): float(np.median(elevation[far & (rings_n == ring)])) for ring in np.unique(rings_n[far])}
    order = sorted(seen, key=lambda ring: seen[ring])
    index = np.full(max(order) + 1, -1)
    index[order] = np.arange(len(order))
    mount = LidarMount(xyz_3=(0.0, 0.0, LIFT_M), elevations_rad=tuple(seen[ring] for ring in order), num_azimuths=num_azimuths)
    known = [box for box in boxes if box.label is not Label.UNKNOWN]
    return SensorSweep(
        source, stamp, mount,
        np.concatenate([xyz_n3, intensity_n[:, None]], axis=1)[far].astype(np.float32), index[rings_n[far]],
        tuple(box.label for box in known),
        boxes_in(inverse(base_link_se3_sensor), np.array([box.box_7 for box in known], np.float32).reshape(-1, 7)),
        base_link_se3_sensor,
    )  # fmt: skip


def boxes_in(a_se3_b: Array, boxes_k7: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move boxes from b to a; they stay upright."""
    moved = boxes_k7.copy()
    moved[:, :3] = transform_points(a_se3_b, boxes_k7[:, :3])
    heading = np.stack([np.cos(boxes_k7[:, 6]), np.sin(boxes_k7[:, 6])], axis=1) @ a_se3_b[:2, :2].T
    moved[:, 6] = np.arctan2(heading[:, 1], heading[:, 0])
    return moved


def twin_points(sweep: SensorSweep, seed: int) -> NDArray[np.float32]:
    """(N, 5) float32 of the world's sweep at the same place: x, y, z, intensity, ring, in the frame of ``sweep``."""
    rng = np.random.default_rng(seed)
    props = [_standing(label, box_7, LIFT_M, rng) for label, box_7 in zip(sweep.labels_k, sweep.boxes_k7)]
    return _cast(sweep.mount, props, seed)


def twin_ground_points(sweep: SensorSweep, seed: int) -> NDArray[np.float32]:
    """The same over flat ground, all bodies standing on it, in base_link's axes with z above the ground."""
    rng = np.random.default_rng(seed)
    pose = sweep.base_link_se3_sensor
    boxes_k7 = boxes_in(pose, sweep.boxes_k7)
    boxes_k7[:, 2] = 0.5 * boxes_k7[:, 5]
    props = [_standing(label, box_7, 0.0, rng) for label, box_7 in zip(sweep.labels_k, boxes_k7)]
    x, y, z = (float(value) for value in pose[:3, 3])
    points = _cast(replace(sweep.mount, xyz_3=(x, y, z)), props, seed)
    points[:, :3] += (x, y, z)
    return points


def _standing(label: Label, box_7: NDArray[np.float32], lift_m: float, rng: np.random.Generator) -> Prop:
    """A body that fills an annotated box, wherever the box's foot is."""
    x, y, z, length, width, height, yaw = (float(value) for value in box_7)
    body = make_body(label, rng, (length, width, height))
    foot = z - 0.5 * height + lift_m
    parts = tuple(replace(part, centre_3=(*part.centre_3[:2], part.centre_3[2] + foot)) for part in body.parts)
    return Prop(x, y, yaw, parts)


def _cast(mount: LidarMount, props: Sequence[Prop], seed: int) -> NDArray[np.float32]:
    suite = SensorSuite(Rig((), mount, 16, 16), plain_ground(), props, Condition(), 1)
    try:
        points_n6 = suite.sense(Scene((), tuple(props), ()), STILL_K4, seed).points_n6
    finally:
        suite.close()
    return np.ascontiguousarray(points_n6[:, :5])


def plain_ground() -> Ground:
    """Asphalt wherever one looks: a picture's border goes on for ever."""
    sizes = np.array([32, 16, 8, 4, 2, 1], np.int64)
    texels_p4 = np.tile(np.array(ASPHALT, np.uint8), (int((sizes**2).sum()), 1))
    starts = np.concatenate([[0], np.cumsum(sizes**2)[:-1]])
    return Ground(texels_p4, starts, sizes, sizes, (-3.2, -3.2), 0.2, Terrain.flat())


def unblocked(points_n5: NDArray[np.float32], sweep: SensorSweep, outside_n: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which points of the twin lie no more than 0.5 m behind what stopped the same beam of the recorded sweep.

    Args:
        outside_n: recorded points that lie outside every annotated box.
    """
    num_c = sweep.mount.num_azimuths
    nearest = np.full((len(sweep.mount.elevations_rad), num_c), np.inf)
    stops = sweep.points_n4[outside_n]
    np.minimum.at(nearest, (sweep.rings_n[outside_n], _cells(stops, num_c)), np.linalg.norm(stops[:, :3], axis=1))
    limit = nearest[points_n5[:, 4].astype(int), _cells(points_n5, num_c)]
    return np.asarray(np.linalg.norm(points_n5[:, :3], axis=1) < limit + BLOCK_SLACK_M)


def _cells(points: NDArray[np.float32], num_c: int) -> NDArray[np.int64]:
    turn = np.arctan2(points[:, 1], points[:, 0]) / (2 * np.pi)
    return np.asarray((turn * num_c).astype(int) % num_c)
