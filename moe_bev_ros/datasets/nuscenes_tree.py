"""One reader for our own data sets and for a real nuScenes tree: frames at 10 Hz, with boxes at the keyframes.

A frame stands at a keyframe, or at a tenth of a second between two of them; its stamp is that of the LiDAR sweep next to this
tick, and its images are those next to the stamp. (nuScenes' LiDAR turns at 20 Hz, its cameras deliver 12 Hz; our trees have
everything at 10 Hz at once.) What the nodes would do to images and points is done here by the same code.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import EgoMotion, Frame
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, inverse, transform_points, yaw_of
from moe_bev_ros.core.traffic_light import LightState, TrafficLight
from moe_bev_ros.datasets.nuscenes_index import SensorRecord, TreeIndex
from moe_bev_ros.datasets.nuscenes_tables import CAMERAS, LIDAR, VISIBILITIES
from moe_bev_ros.datasets.record_loading import ImageLoader, load_points

TICK_NS = 100_000_000
NEAR_NS = 45_000_000  # an image or sweep further from a tick belongs to another
STRAY_NS = 60_000_000  # a keyframe that was recorded without LiDAR takes a sweep that is so near
VISIBLE_FROM = {token: lower / 100 for token, (lower, _) in VISIBILITIES.items()}
VISIBLE_FROM |= {'none': 0.0, 'partial': 0.4, 'most': 0.6, 'full': 0.8}  # tokens of older trees


@dataclass(frozen=True)
class TreeBoxes:
    """The annotated road users of a keyframe, in base_link at its stamp; all ten classes, and nothing else.

    Attributes:
        tokens, instances: of sample_annotation and instance.
        boxes_n7: (N, 7) float32.
        velocities_n2: (N, 2) float32 over ground, in base_link's axes [m/s]; NaN where not known.
        num_lidar_n: points in each box.
        visible_shares_n: (N,) in 0..1; exact in our trees, else the lower end of nuScenes' bin.
        attributes: names; empty where there is none.
    """

    tokens: tuple[str, ...]
    instances: tuple[str, ...]
    boxes_n7: NDArray[np.float32]
    labels_n: NDArray[np.uint8]
    velocities_n2: NDArray[np.float32]
    num_lidar_n: NDArray[np.int64]
    visible_shares_n: NDArray[np.float32]
    attributes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Tick:
    """What is on disk around one tenth of a second.

    Attributes:
        map_se3_base_link: at the stamp.
        images: by channel; a camera may be missing.
        sweep: None where there is no sweep near, or an empty one.
        sample_token: empty between keyframes.
    """

    stamp_ns: int
    map_se3_base_link: Array
    images: dict[str, SensorRecord]
    sweep: SensorRecord | None
    sample_token: str


@dataclass(frozen=True)
class TreeFrame:
    """One frame as an engine gets it, and at a keyframe the truth about it (None between them)."""

    frame: Frame
    sample_token: str
    boxes: TreeBoxes | None

    @property
    def map_se3_base_link(self) -> Array:
        """Pose of the vehicle at the stamp."""
        assert self.frame.ego is not None  # every record of nuScenes has a pose
        return self.frame.ego.odom_se3_base_link


class NuscenesTree:
    """An open tree; see `open_tree`."""

    def __init__(self, root: Path, version: str) -> None:
        self.root, self.version = root, version
        self.index = TreeIndex(root, version)
        self._worlds: dict[str, dict[str, Any]] = {}

    def scenes(self, split: str = '') -> tuple[str, ...]:
        """The names of a split's scenes that are in the tree; of all scenes without one.

        Splits are those of ``splits.json`` and the official ones.

        Raises:
            InputError: no such split, or none of its scenes is here.
        """
        if not split:
            return tuple(self.index.scenes)
        names = self.own_splits.get(split)
        if names is None:
            names = _official_splits().get(split)
        if names is None:
            known = ', '.join((*self.own_splits, *_official_splits()))
            raise InputError(f'{self.index.folder}/splits.json: no split {split!r}; there are {known}')
        here = tuple(name for name in names if name in self.index.scenes)
        if not here:
            raise InputError(f'{self.index.folder}: none of the {len(names)} scenes of {split} is here; write or copy them')
        return here

    def world(self, scene: str) -> dict[str, Any]:
        """What only our trees say of a scene: seed, kind, condition, style, lights, visible shares; empty elsewhere."""
        if scene not in self._worlds:
            path = self.index.folder / 'world' / f'{scene}.json'
            try:
                self._worlds[scene] = json.loads(path.read_bytes()) if path.is_file() else {}
            except ValueError as err:
                raise InputError(f'{path}: {err}; write the scene again') from err
        return self._worlds[scene]

    def lights(self, scene: str, sample_token: str) -> tuple[TrafficLight, ...]:
        """The traffic lights at a keyframe, in the map; none where the tree does not say."""
        return tuple(
            TrafficLight(row['element_id'], (row['stop_xy_m'][0], row['stop_xy_m'][1]), LightState[row['state'].upper()])
            for row in self.world(scene).get('lights', {}).get(sample_token, ())
        )

    def boxes(self, scene: str, sample_token: str, map_se3_base_link: Array) -> TreeBoxes:
        """The road users of a keyframe, in base_link of this pose."""
        index = self.index
        rows = [row for row in index.annotations(sample_token) if index.label(row) is not Label.UNKNOWN]
        base_link_se3_map = inverse(map_se3_base_link)
        shares = self.world(scene).get('visible_shares', {})
        boxes = [_box_7(row['translation'], row['size'], row['rotation'], base_link_se3_map) for row in rows]
        velocities = [(base_link_se3_map[:3, :3] @ index.velocity(row))[:2] for row in rows]
        return TreeBoxes(
            tuple(row['token'] for row in rows),
            tuple(row['instance_token'] for row in rows),
            np.array(boxes, np.float32).reshape(-1, 7),
            np.array([index.label(row) for row in rows], np.uint8),
            np.array(velocities, np.float32).reshape(-1, 2),
            np.array([row['num_lidar_pts'] for row in rows], np.int64),
            np.array([shares.get(row['token'], VISIBLE_FROM.get(row['visibility_token'], np.nan)) for row in rows], np.float32),
            tuple(index.attribute(row) for row in rows),
        )

    def ticks(self, scene: str, *, keyframes_only: bool = False) -> list[Tick]:
        """What is on disk for each frame of a scene."""
        records = self.index.records(scene)
        if not any(records.values()):
            raise InputError(f'{self.index.folder}/sample_data.json: nothing of scene {scene}; copy the tree again')
        samples = self.index.samples(scene)
        stamps = [int(row['timestamp']) * 1000 for row in samples]
        ticks = []
        for index, sample in enumerate(samples):
            ticks.append(_keyframe(sample['token'], stamps[index], records))
            if not keyframes_only and index + 1 < len(samples):
                num = round((stamps[index + 1] - stamps[index]) / TICK_NS)
                ticks += [_between(stamps[index] + step * TICK_NS, records) for step in range(1, num)]
        return [tick for tick in ticks if tick is not None]

    def frames(self, scene: str, image_size: tuple[int, int], *, keyframes_only: bool = False) -> Iterator[TreeFrame]:
        """The frames of a scene in order, 10 a second.

        Args:
            image_size: width and height that the images are resized and cropped to, as camera_node does [pixels].
            keyframes_only: 2 a second.

        Raises:
            InputError: a file is missing or cut off; the text names it.
        """
        ticks = self.ticks(scene, keyframes_only=keyframes_only)
        loader = ImageLoader([name for name in CAMERAS if any(name in tick.images for tick in ticks)], image_size)
        try:
            for index, tick in enumerate(ticks):
                ego = tick_motion(ticks, index)
                points = load_points(tick.sweep, ego) if tick.sweep is not None else None
                frame = Frame(tick.stamp_ns, loader.load(tick.images), points, ego)
                token = tick.sample_token
                boxes = self.boxes(scene, token, tick.map_se3_base_link) if token else None
                yield TreeFrame(frame, token, boxes)
        finally:
            loader.close()

    @cached_property
    def own_splits(self) -> dict[str, list[str]]:
        """Scenes by split, as the tree says; the official splits are known beside."""
        path = self.index.folder / 'splits.json'
        try:
            return json.loads(path.read_bytes()) if path.is_file() else {}
        except ValueError as err:
            raise InputError(f'{path}: {err}; write it again') from err


def open_tree(root: Path | str, version: str = '') -> NuscenesTree:
    """Open a tree.

    Args:
        version: such as v1.0-mini; empty: the only one that is there.

    Raises:
        InputError: there is no such tree; the text says what was found, and what to do.
    """
    root = Path(root)
    found = sorted(path.parent.name for path in root.glob('*/sample.json'))
    if not found:
        raise InputError(f'{root}: no folder with a sample.json; give the root of a nuScenes tree that is written to its end')
    if version and version not in found:
        raise InputError(f'{root}: no version {version!r}; there is {", ".join(found)}')
    if not version and len(found) > 1:
        raise InputError(f'{root}: holds {", ".join(found)}; say which version')
    return NuscenesTree(root, version or found[0])


def _official_splits() -> dict[str, list[str]]:
    try:
        from nuscenes.utils.splits import create_splits_scenes
    except ImportError:
        return {}
    return dict(create_splits_scenes())


def _keyframe(sample_token: str, stamp_ns: int, records: dict[str, list[SensorRecord]]) -> Tick | None:
    own = {name: next((r for r in rows if r.sample_token == sample_token), None) for name, rows in records.items()}
    sweep = own.pop(LIDAR, None)
    pose_of = sweep or next((record for record in own.values() if record is not None), None)
    if pose_of is None:
        return None
    if sweep is not None and _is_empty(sweep):
        sweep = _nearest(records[LIDAR], stamp_ns, STRAY_NS)
    images = {name: record for name, record in own.items() if record is not None}
    return Tick(stamp_ns, pose_of.map_se3_base_link, images, sweep, sample_token)


def _between(tick_ns: int, records: dict[str, list[SensorRecord]]) -> Tick | None:
    sweep = _nearest(records.get(LIDAR, []), tick_ns)
    stamp_ns = sweep.stamp_ns if sweep is not None else tick_ns
    near = {name: _nearest(rows, stamp_ns) for name, rows in records.items() if name != LIDAR}
    images = {name: record for name, record in near.items() if record is not None}
    if sweep is None and not images:
        return None
    pose_of = sweep or min(images.values(), key=lambda record: abs(record.stamp_ns - stamp_ns))
    return Tick(pose_of.stamp_ns, pose_of.map_se3_base_link, images, sweep, '')


def _nearest(rows: list[SensorRecord], stamp_ns: int, within_ns: int = NEAR_NS) -> SensorRecord | None:
    """What is of no keyframe, and not empty."""
    near = [r for r in rows if not r.sample_token and abs(r.stamp_ns - stamp_ns) <= within_ns and not _is_empty(r)]
    return min(near, key=lambda record: abs(record.stamp_ns - stamp_ns), default=None)


def _is_empty(record: SensorRecord) -> bool:
    """A sample that was recorded without LiDAR has an empty file; a file that is missing is found when it is read."""
    return record.channel == LIDAR and record.path.is_file() and not record.path.stat().st_size


def tick_motion(ticks: Sequence[Tick], index: int) -> EgoMotion:
    """Speed and yaw rate from the poses before and after."""
    before, after = ticks[max(index - 1, 0)], ticks[min(index + 1, len(ticks) - 1)]
    moved = inverse(before.map_se3_base_link) @ after.map_se3_base_link
    seconds = max((after.stamp_ns - before.stamp_ns) * 1e-9, 1e-9)
    tick = ticks[index]
    middle = inverse(before.map_se3_base_link) @ tick.map_se3_base_link
    along_m = float(middle[:3, 0] @ moved[:3, 3])
    return EgoMotion(tick.stamp_ns, tick.map_se3_base_link, along_m / seconds, yaw_of(moved) / seconds, 'map')


def _box_7(translation: list[float], size: list[float], rotation: list[float], base_link_se3_map: Array) -> Array:
    """Row of sample_annotation (size width, length, height; rotation w x y z) to a box in base_link."""
    w, x, y, z = rotation
    heading_map = np.array([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)])
    heading = base_link_se3_map[:3, :3] @ heading_map
    centre = transform_points(base_link_se3_map, np.array([translation]))[0]
    width, length, height = size
    return np.array([*centre, length, width, height, np.arctan2(heading[1], heading[0])])
