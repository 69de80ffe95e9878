"""Reads the tables of a nuScenes v1.0 tree once and finds things in them; pixels and points stay on disk.

The devkit does the same more slowly and knows nothing of half trees; tokens and numbers are the same.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, se3_from_quaternion
from moe_bev_ros.datasets.nuscenes_tables import LABEL_OF_CATEGORY, OTHER_CATEGORIES, Row

NEVER_EMPTY = ('calibrated_sensor', 'ego_pose', 'sample', 'sample_data', 'scene', 'sensor')
MAY_BE_EMPTY = ('attribute', 'category', 'instance', 'sample_annotation', 'visibility')
# What is asked of the rows; a table of another version is told by its first one.
FIELDS: dict[str, tuple[str, ...]] = {
    'attribute': ('name',),
    'calibrated_sensor': ('sensor_token', 'translation', 'rotation', 'camera_intrinsic'),
    'category': ('name',),
    'ego_pose': ('translation', 'rotation'),
    'instance': ('category_token',),
    'sample': ('timestamp', 'scene_token', 'next'),
    'sample_annotation': (
        'sample_token', 'instance_token', 'visibility_token', 'attribute_tokens', 'translation', 'size', 'rotation', 'prev',
        'next', 'num_lidar_pts',
    ),
    'sample_data': (
        'sample_token', 'ego_pose_token', 'calibrated_sensor_token', 'timestamp', 'is_key_frame', 'height', 'width', 'filename',
    ),
    'scene': ('name', 'first_sample_token'),
    'sensor': ('channel', 'modality'),
}  # fmt: skip
LIDARSEG_PREFIXES = ('flat.', 'static.', 'noise', 'vehicle.ego')  # categories of lidarseg, which no box has
VELOCITY_TIME_S = 1.5  # as in the devkit's box_velocity; twice as much between two neighbours


@dataclass(frozen=True)
class SensorRecord:
    """One image or sweep on disk.

    Attributes:
        map_se3_base_link: (4, 4) pose of the vehicle at its stamp.
        base_link_se3_sensor: (4, 4) where the sensor sits.
        intrinsics_33: pinhole matrix of a camera; None for the LiDAR.
        width, height: of the image [pixels].
        sample_token: of the keyframe that it is part of; empty: none.
    """

    channel: str
    stamp_ns: int
    path: Path
    map_se3_base_link: Array
    base_link_se3_sensor: Array
    intrinsics_33: Array | None
    width: int
    height: int
    sample_token: str


class TreeIndex:
    """The tables of one version of a tree.

    Raises:
        InputError: a table is missing, empty, cut off, or names something that is not there; the text names it.
    """

    def __init__(self, root: Path, version: str) -> None:
        self.root, self.folder = root, root / version
        tables = {name: self._table(name) for name in (*NEVER_EMPTY, *MAY_BE_EMPTY)}
        for name in NEVER_EMPTY:
            if not tables[name]:
                raise InputError(
                    f'{self.folder / name}.json: empty; the tree was not written to its end, write or copy it again'
                )
        self._rows = {name: {row['token']: row for row in rows} for name, rows in tables.items()}
        self.scenes: dict[str, Row] = {row['name']: row for row in tables['scene']}
        self._labels = self._category_labels(tables['category'])
        self._data: dict[str, list[Row]] = defaultdict(list)
        for row in tables['sample_data']:
            self._data[self.get('sample', row['sample_token'])['scene_token']].append(row)
        self._annotations: dict[str, list[Row]] = defaultdict(list)
        for row in tables['sample_annotation']:
            self._annotations[row['sample_token']].append(row)

    def get(self, table: str, token: str) -> Row:
        """One row."""
        try:
            return self._rows[table][token]
        except KeyError:
            fact = f'no row has the token {token!r} that another table names'
            raise InputError(
                f'{self.folder / table}.json: {fact}; the tables do not belong together, copy them again'
            ) from None

    def scene(self, name: str) -> Row:
        """The row of a scene."""
        if name not in self.scenes:
            some = ', '.join(list(self.scenes)[:5])
            raise InputError(f'{self.folder}/scene.json: no scene {name!r}; there are {len(self.scenes)}: {some}, …')
        return self.scenes[name]

    def samples(self, scene: str) -> list[Row]:
        """The keyframes of a scene, in order."""
        token, rows = self.scene(scene)['first_sample_token'], []
        while token:
            rows.append(self.get('sample', token))
            token = rows[-1]['next']
        return rows

    def records(self, scene: str) -> dict[str, list[SensorRecord]]:
        """All images and sweeps of a scene by channel, in rising stamps; radars are left out."""
        records: dict[str, list[SensorRecord]] = defaultdict(list)
        for row in sorted(self._data[self.scene(scene)['token']], key=lambda row: int(row['timestamp'])):
            mount = self.get('calibrated_sensor', row['calibrated_sensor_token'])
            sensor = self.get('sensor', mount['sensor_token'])
            if sensor['modality'] in ('camera', 'lidar'):
                records[sensor['channel']].append(self._record(row, mount, sensor))
        return records

    def annotations(self, sample_token: str) -> list[Row]:
        """The boxes of a keyframe."""
        return self._annotations[sample_token]

    def category(self, annotation: Row) -> str:
        """The category's name of a box."""
        instance = self.get('instance', annotation['instance_token'])
        return str(self.get('category', instance['category_token'])['name'])

    def label(self, annotation: Row) -> Label:
        """The detection class of a box; UNKNOWN for what is none of the ten."""
        instance = self.get('instance', annotation['instance_token'])
        self.get('category', instance['category_token'])
        return self._labels[instance['category_token']]

    def attribute(self, annotation: Row) -> str:
        """The name of a box's attribute; empty where it has none."""
        tokens = annotation['attribute_tokens']
        return str(self.get('attribute', tokens[0])['name']) if tokens else ''

    def velocity(self, annotation: Row) -> Array:
        """(3,) velocity of a box in the map [m/s], NaN where not known: the same differences as the devkit's box_velocity."""
        first = self.get('sample_annotation', annotation['prev']) if annotation['prev'] else annotation
        last = self.get('sample_annotation', annotation['next']) if annotation['next'] else annotation
        stamps = [1e-6 * self.get('sample', row['sample_token'])['timestamp'] for row in (first, last)]
        limit_s = VELOCITY_TIME_S * (2 if annotation['prev'] and annotation['next'] else 1)
        seconds = stamps[1] - stamps[0]
        if first is last or seconds > limit_s:
            return np.full(3, np.nan)
        return (np.array(last['translation']) - np.array(first['translation'])) / seconds

    def _record(self, row: Row, mount: Row, sensor: Row) -> SensorRecord:
        matrix = np.asarray(mount['camera_intrinsic'], float)
        if sensor['modality'] == 'camera' and matrix.shape != (3, 3):
            path = self.folder / 'calibrated_sensor.json'
            raise InputError(f'{path}: {mount["token"]}: camera_intrinsic of {sensor["channel"]} must be 3 x 3; calibrate it')
        pose = self.get('ego_pose', row['ego_pose_token'])
        return SensorRecord(
            sensor['channel'],
            int(row['timestamp']) * 1000,
            self.root / row['filename'],
            _pose_of(pose),
            _pose_of(mount),
            matrix if matrix.size else None,
            int(row['width'] or 0),
            int(row['height'] or 0),
            row['sample_token'] if row['is_key_frame'] else '',
        )

    def _table(self, name: str) -> list[Row]:
        path = self.folder / f'{name}.json'
        try:
            content = json.loads(path.read_bytes())
        except OSError as err:
            raise InputError(f'{path}: {err.strerror}; the tree is not complete, write or copy it again') from err
        except ValueError as err:
            raise InputError(f'{path}: {err}; the file is cut off, copy it again') from err
        if not isinstance(content, list) or not all(isinstance(row, dict) and 'token' in row for row in content):
            raise InputError(f'{path}: must be a list of rows with a token; this is no table of nuScenes v1.0')
        absent = [field for field in FIELDS.get(name, ()) if content and field not in content[0]]
        if absent:
            raise InputError(f'{path}: rows without {", ".join(absent)}; this is no table of nuScenes v1.0')
        return content

    def _category_labels(self, categories: list[Row]) -> dict[str, Label]:
        labels = {}
        for row in categories:
            name = row['name']
            if name not in LABEL_OF_CATEGORY and name not in OTHER_CATEGORIES and not name.startswith(LIDARSEG_PREFIXES):
                path = self.folder / 'category.json'
                raise InputError(f'{path}: unknown category {name!r}; use the names of nuScenes, such as vehicle.car')
            labels[row['token']] = LABEL_OF_CATEGORY.get(name, Label.UNKNOWN)
        return labels


def _pose_of(row: Row) -> Array:
    w, x, y, z = row['rotation']
    try:
        return se3_from_quaternion(tuple(row['translation']), (x, y, z, w))
    except ValueError as err:
        raise InputError(f'pose {row["token"]}: {err}; the tree is damaged, copy it again') from err
