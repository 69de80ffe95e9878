"""Drives of a nuScenes tree, our own or a real one, with truth at every tenth of a second.

Boxes are annotated at keyframes alone; between two of them a road user that is in both is where a straight line puts it.

Legend: K keyframes, I road users of a scene, N of them that are there now, T times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.attributes import ATTRIBUTES
from moe_bev_ros.core.frame import Frame, LidarPoints
from moe_bev_ros.core.se3 import Array, inverse
from moe_bev_ros.datasets.nuscenes_tables import CAMERAS
from moe_bev_ros.datasets.nuscenes_tree import NuscenesTree, Tick, tick_motion
from moe_bev_ros.datasets.record_loading import ImageLoader, load_points
from moe_bev_ros.datasets.road_raster import RoadRaster
from moe_bev_ros.learning.appearance import Appearance
from moe_bev_ros.learning.drives import (
    F32,
    FUTURES_S,
    TRUTH_RANGE_M,
    DriveFrame,
    FrameTruth,
    RoadView,
    Variation,
    points_in_boxes,
)

# Tenths of a second from one frame to the next, and how often each is drawn.
GAPS, GAP_SHARES = (1, 2, 3, 5), (0.4, 0.2, 0.2, 0.2)
NUM_FRAMES = 10  # of a drive; neighbours look alike, so that more and shorter drives teach more
PRESENT_MS = 1.0  # a frame so near to a keyframe stands at it
INDEX_OF_ATTRIBUTE = {name: index for index, name in enumerate(ATTRIBUTES)}


@dataclass(frozen=True)
class KeyframeTable:
    """All boxes of a scene, in the map; what is NaN is not annotated at that keyframe.

    Attributes:
        times_k: of the keyframes since the first [s].
        instances: tokens of the road users.
        labels_i: values of Label.
        centres_ki3: [m].
        sizes_ki3: length, width, height [m].
        yaws_ki: [rad].
        velocities_ki2: [m/s].
        num_lidar_ki, attributes_ki: 0 and -1 where there is none.
        visible_shares_ki: 0..1.
    """

    times_k: Array
    instances: tuple[str, ...]
    labels_i: NDArray[np.uint8]
    centres_ki3: Array
    sizes_ki3: Array
    yaws_ki: Array
    velocities_ki2: Array
    num_lidar_ki: NDArray[np.int64]
    attributes_ki: NDArray[np.int64]
    visible_shares_ki: Array

    def centres_at(self, times_t: Array) -> Array:
        """(T, I, 3) centres in the map; NaN where a road user is not in the keyframes around."""
        before_t, share_t = self.around(times_t)
        after_t = np.minimum(before_t + 1, len(self.times_k) - 1)
        share = share_t[:, None, None]
        between = (1.0 - share) * self.centres_ki3[before_t] + share * self.centres_ki3[after_t]
        return np.where(share == 0.0, self.centres_ki3[before_t], between)

    def around(self, times_t: Array) -> tuple[NDArray[np.int64], Array]:
        """Of each time the keyframe before, and the way to the one after it, 0..1; NaN outside the scene."""
        before_t = np.searchsorted(self.times_k, times_t + 1e-3 * PRESENT_MS, side='right') - 1
        inside_t = (before_t >= 0) & (times_t <= self.times_k[-1] + 1e-3 * PRESENT_MS)
        before_t = np.clip(before_t, 0, len(self.times_k) - 1)
        after_t = np.minimum(before_t + 1, len(self.times_k) - 1)
        passed_t = times_t - self.times_k[before_t]
        share_t = passed_t / np.maximum(self.times_k[after_t] - self.times_k[before_t], 1e-9)
        share_t[np.abs(passed_t) <= 1e-3 * PRESENT_MS] = 0.0
        share_t[~inside_t] = np.nan
        return before_t, share_t


@dataclass(frozen=True)
class SceneRecord:
    """What a drive needs of a scene; pixels and points stay on disk. Without the tree it can go to another process."""

    name: str
    condition: str
    kind: str
    start_ns: int
    ticks: tuple[Tick, ...]
    table: KeyframeTable
    raster: RoadRaster | None


def record_of(tree: NuscenesTree, scene: str) -> SceneRecord:
    """Collect it.

    Raises:
        InputError: tables or map of the scene are broken; the text names the file.
    """
    ticks = tuple(tree.ticks(scene))
    samples = [(int(row['timestamp']) * 1000, row['token']) for row in tree.index.samples(scene)]
    extra = tree.world(scene)
    table = _table(tree, scene, samples)
    condition, kind = str(extra.get('condition', '')), str(extra.get('kind', ''))
    return SceneRecord(scene, condition, kind, samples[0][0], ticks, table, RoadRaster.of_scene(tree, scene))


class TreeSource:
    """Scenes of a tree as drives.

    Args:
        split: name; empty: all scenes.
        image_size: width and height that images are resized and cropped to [pixels].
        varied: each time turned, mirrored, with cameras a little off, and with other gaps; else as recorded, every frame.
    """

    def __init__(self, tree: NuscenesTree, split: str, image_size: tuple[int, int], *, varied: bool = True) -> None:
        self._tree, self._image_size, self._varied = tree, image_size, varied
        self._scenes = tree.scenes(split)
        self._records: dict[str, SceneRecord] = {}

    @property
    def num_drives(self) -> int:
        """How many scenes there are."""
        return len(self._scenes)

    def drive(self, index: int, seed: tuple[int, ...]) -> TreeDrive:
        """Of one scene."""
        scene = self._scenes[index]
        if scene not in self._records:
            self._records[scene] = record_of(self._tree, scene)
        return TreeDrive(self._records[scene], self._image_size, seed if self._varied else None)


@dataclass(frozen=True)
class TreeDrive:
    """A scene to be played; without a seed as recorded."""

    record: SceneRecord
    image_size: tuple[int, int]
    seed: tuple[int, ...] | None

    def frames(self) -> Iterator[DriveFrame]:
        """Play it."""
        if self.seed is None:
            yield from drive_of(self.record, self.image_size, (0, *(1,) * len(self.record.ticks)))
            return
        rng = np.random.default_rng(self.seed)
        variation, appearance = Variation.drawn(rng), Appearance.drawn(rng)
        for item in drive_of(self.record, self.image_size, random_steps(rng, len(self.record.ticks))):
            yield variation.of(appearance.of(item))


def random_steps(rng: np.random.Generator, num_ticks: int) -> tuple[int, ...]:
    """Where a drive begins, then how far it is to each next frame [0.1 s]."""
    gaps = rng.choice(GAPS, NUM_FRAMES - 1, p=GAP_SHARES)
    latest = max(1, num_ticks - int(gaps.sum()))
    return (int(rng.integers(latest)), *(int(gap) for gap in gaps))


def drive_of(record: SceneRecord, image_size: tuple[int, int], steps: Sequence[int]) -> Iterator[DriveFrame]:
    """Frames of a scene in order; files of frames that are left out are not touched.

    Args:
        image_size: width and height that images are resized and cropped to [pixels].
        steps: the first frame, then how many frames further each next one is; the drive ends with them, or with the scene.

    Raises:
        InputError: a file is missing or cut off; the text names it.
    """
    loader = ImageLoader([name for name in CAMERAS if any(name in tick.images for tick in record.ticks)], image_size)
    before: Tick | None = None
    try:
        for index in np.cumsum(steps):
            if index >= len(record.ticks):
                return
            tick = record.ticks[index]
            ego = tick_motion(record.ticks, int(index))
            points = load_points(tick.sweep, ego) if tick.sweep is not None else None
            frame = Frame(tick.stamp_ns, loader.load(tick.images), points, ego)
            motion = None if before is None else inverse(tick.map_se3_base_link) @ before.map_se3_base_link
            dt_s = 0.0 if before is None else (tick.stamp_ns - before.stamp_ns) * 1e-9
            yield DriveFrame(frame, motion, dt_s, truth_at(record, tick, points), record.condition, record.kind)
            before = tick
    finally:
        loader.close()


def truth_at(record: SceneRecord, tick: Tick, points: LidarPoints | None) -> FrameTruth:
    """What is true at a tick."""
    table, time_s = record.table, np.array([(tick.stamp_ns - record.start_ns) * 1e-9])
    base_link_se3_map = inverse(tick.map_se3_base_link)
    rotation, shift = base_link_se3_map[:3, :3], base_link_se3_map[:3, 3]
    (before,), (share,) = table.around(time_s)
    after = min(before + (share > 0.0), len(table.times_k) - 1)
    places_ti3 = table.centres_at(np.concatenate([time_s, time_s + FUTURES_S]))
    centres_i3 = places_ti3[0] @ rotation.T + shift
    near_n = np.flatnonzero(np.hypot(centres_i3[:, 0], centres_i3[:, 1]) <= TRUTH_RANGE_M)
    yaws_n = _base_link_yaws(_between_angles(table.yaws_ki[before, near_n], table.yaws_ki[after, near_n], share), rotation)
    boxes_n7 = np.column_stack([centres_i3[near_n], table.sizes_ki3[before, near_n], yaws_n]).astype(np.float32)
    velocities_n2 = _between_known(table.velocities_ki2[before, near_n], table.velocities_ki2[after, near_n], share)
    counted = share == 0.0 or points is None
    num_lidar_n = table.num_lidar_ki[before, near_n] if counted else points_in_boxes(boxes_n7, _points(points))
    moved_tn2 = (places_ti3[1:, near_n] - places_ti3[0, near_n]) @ rotation[:2].T
    return FrameTruth(
        boxes_n7,
        table.labels_i[near_n],
        (velocities_n2 @ rotation[:2, :2].T).astype(np.float32),
        table.attributes_ki[after if share > 0.5 else before, near_n],
        num_lidar_n,
        table.visible_shares_ki[before, near_n].astype(np.float32),
        tuple(table.instances[n] for n in near_n),
        moved_tn2.swapaxes(0, 1).astype(np.float32),
        None if record.raster is None else RoadView(record.raster, base_link_se3_map),
    )


def _table(tree: NuscenesTree, scene: str, samples: Sequence[tuple[int, str]]) -> KeyframeTable:
    keyframes = [tree.boxes(scene, token, np.eye(4)) for _, token in samples]
    column = {name: index for index, name in enumerate(dict.fromkeys(name for boxes in keyframes for name in boxes.instances))}
    shape = (len(samples), len(column))
    labels_i, num_lidar, attributes = np.zeros(shape[1], np.uint8), np.zeros(shape, np.int64), np.full(shape, -1)
    boxes_ki7, velocities, shares = np.full((*shape, 7), np.nan), np.full((*shape, 2), np.nan), np.full(shape, np.nan)
    for k, boxes in enumerate(keyframes):
        of_n = [column[name] for name in boxes.instances]
        labels_i[of_n], num_lidar[k, of_n], boxes_ki7[k, of_n] = boxes.labels_n, boxes.num_lidar_n, boxes.boxes_n7
        velocities[k, of_n], shares[k, of_n] = boxes.velocities_n2, boxes.visible_shares_n
        attributes[k, of_n] = [INDEX_OF_ATTRIBUTE.get(name, -1) for name in boxes.attributes]
    times_k = np.array([stamp - samples[0][0] for stamp, _ in samples]) * 1e-9
    parts = boxes_ki7[..., :3], boxes_ki7[..., 3:6], boxes_ki7[..., 6]
    return KeyframeTable(times_k, tuple(column), labels_i, *parts, velocities, num_lidar, attributes, shares)


def _points(points: LidarPoints | None) -> F32:
    return np.zeros((0, 5), np.float32) if points is None else points.points_n5


def _between_angles(first_n: Array, second_n: Array, share: float) -> Array:
    """The shorter way round."""
    return first_n + share * ((second_n - first_n + np.pi) % (2 * np.pi) - np.pi)


def _between_known(first_n2: Array, second_n2: Array, share: float) -> Array:
    """Between two values, or the one that is known."""
    between = (1.0 - share) * first_n2 + share * second_n2
    return np.where(np.isnan(first_n2), second_n2, np.where(np.isnan(second_n2), first_n2, between))


def _base_link_yaws(yaws_map_n: Array, rotation_33: Array) -> Array:
    headings_n2 = np.column_stack([np.cos(yaws_map_n), np.sin(yaws_map_n)]) @ rotation_33[:2, :2].T
    return np.arctan2(headings_n2[:, 1], headings_n2[:, 0])
