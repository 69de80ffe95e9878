"""The tables of nuScenes v1.0: what every tree has in common, and the rows of one scene with their links.

Schema: https://github.com/nutonomy/nuscenes-devkit/blob/master/docs/schema_nuscenes.md. Tokens are hashes of what a row stands
for, so that the same scene gives the same tokens wherever and whenever it is written.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, quaternion_xyzw_of

Row = dict[str, Any]
Rows = dict[str, list[Row]]

SCENE_TABLES = (
    'calibrated_sensor',
    'ego_pose',
    'instance',
    'log',
    'map',
    'sample',
    'sample_annotation',
    'sample_data',
    'scene',
)
CAMERAS = ('CAM_FRONT', 'CAM_FRONT_RIGHT', 'CAM_BACK_RIGHT', 'CAM_BACK', 'CAM_BACK_LEFT', 'CAM_FRONT_LEFT')
LIDAR = 'LIDAR_TOP'
# What the devkit's category_to_detection_name knows.
LABEL_OF_CATEGORY = {
    'vehicle.car': Label.CAR,
    'vehicle.truck': Label.TRUCK,
    'vehicle.bus.bendy': Label.BUS,
    'vehicle.bus.rigid': Label.BUS,
    'vehicle.trailer': Label.TRAILER,
    'vehicle.construction': Label.CONSTRUCTION_VEHICLE,
    'human.pedestrian.adult': Label.PEDESTRIAN,
    'human.pedestrian.child': Label.PEDESTRIAN,
    'human.pedestrian.construction_worker': Label.PEDESTRIAN,
    'human.pedestrian.police_officer': Label.PEDESTRIAN,
    'vehicle.motorcycle': Label.MOTORCYCLE,
    'vehicle.bicycle': Label.BICYCLE,
    'movable_object.trafficcone': Label.TRAFFIC_CONE,
    'movable_object.barrier': Label.BARRIER,
}
# Annotated in nuScenes, but none of the ten detection classes.
OTHER_CATEGORIES = (
    'animal',
    'human.pedestrian.personal_mobility',
    'human.pedestrian.stroller',
    'human.pedestrian.wheelchair',
    'movable_object.debris',
    'movable_object.pushable_pullable',
    'static_object.bicycle_rack',
    'vehicle.emergency.ambulance',
    'vehicle.emergency.police',
)
CATEGORY_OF_LABEL = {
    Label.CAR: 'vehicle.car',
    Label.TRUCK: 'vehicle.truck',
    Label.BUS: 'vehicle.bus.rigid',
    Label.TRAILER: 'vehicle.trailer',
    Label.CONSTRUCTION_VEHICLE: 'vehicle.construction',
    Label.PEDESTRIAN: 'human.pedestrian.adult',
    Label.MOTORCYCLE: 'vehicle.motorcycle',
    Label.BICYCLE: 'vehicle.bicycle',
    Label.TRAFFIC_CONE: 'movable_object.trafficcone',
    Label.BARRIER: 'movable_object.barrier',
}
VEHICLE_MOVING, VEHICLE_STOPPED, VEHICLE_PARKED = 'vehicle.moving', 'vehicle.stopped', 'vehicle.parked'
CYCLE_WITH_RIDER, CYCLE_WITHOUT_RIDER = 'cycle.with_rider', 'cycle.without_rider'
PEDESTRIAN_MOVING, PEDESTRIAN_STANDING = 'pedestrian.moving', 'pedestrian.standing'
ATTRIBUTES = (
    VEHICLE_MOVING,
    VEHICLE_STOPPED,
    VEHICLE_PARKED,
    CYCLE_WITH_RIDER,
    CYCLE_WITHOUT_RIDER,
    PEDESTRIAN_MOVING,
    PEDESTRIAN_STANDING,
    'pedestrian.sitting_lying_down',
)
VISIBILITIES = {'1': (0, 40), '2': (40, 60), '3': (60, 80), '4': (80, 100)}  # token: from, to [%]


def token_of(*parts: object) -> str:
    """32 hexadecimal digits that stand for these words."""
    return hashlib.md5('/'.join(str(part) for part in parts).encode(), usedforsecurity=False).hexdigest()


def visibility_token(visible_share: float) -> str:
    """Which of nuScenes' four bins a share (0..1) falls into; empty for NaN."""
    if np.isnan(visible_share):
        return ''
    return next((token for token, (_, upper) in VISIBILITIES.items() if visible_share * 100 < upper), '4')


def attribute_tokens(name: str) -> list[str]:
    """The tokens of one attribute; of none, if the name is empty."""
    return [token_of('attribute', name)] if name else []


def common_tables() -> Rows:
    """The tables that do not depend on what is in the tree: attribute, category, sensor, visibility."""
    categories = sorted((*LABEL_OF_CATEGORY, *OTHER_CATEGORIES))
    sensors = [(name, 'camera') for name in CAMERAS] + [(LIDAR, 'lidar')]
    return {
        'attribute': [{'token': token_of('attribute', name), 'name': name, 'description': ''} for name in ATTRIBUTES],
        'category': [{'token': token_of('category', name), 'name': name, 'description': ''} for name in categories],
        'sensor': [{'token': token_of('sensor', name), 'channel': name, 'modality': kind} for name, kind in sensors],
        'visibility': [
            {'token': token, 'level': f'v{lower}-{upper}', 'description': f'visible to between {lower} and {upper} %'}
            for token, (lower, upper) in VISIBILITIES.items()
        ],
    }


@dataclass(frozen=True)
class Annotation:
    """One box of a keyframe.

    Attributes:
        instance: names the road user within its scene.
        box_7: x, y, z (centre), length, width, height [m], yaw [rad] in the map.
        num_lidar_points: in the box, borders included.
        visible_share: 0..1; NaN: not known.
        attribute: one of ATTRIBUTES, or empty.
    """

    instance: str
    category: str
    box_7: Array
    num_lidar_points: int
    visible_share: float
    attribute: str = ''


@dataclass
class SceneRows:
    """Collects what was recorded in one scene, in rising stamps, and makes its rows.

    Attributes:
        name: of the scene, unique in the tree.
        map_file: relative to the tree.
    """

    name: str
    description: str
    location: str
    map_file: str
    date: str = ''
    vehicle: str = ''
    _sensors: list[Row] = field(default_factory=list)
    _samples: list[Row] = field(default_factory=list)
    _data: dict[str, list[Row]] = field(default_factory=dict)
    _poses: list[Row] = field(default_factory=list)
    _annotations: dict[str, list[Row]] = field(default_factory=dict)
    _categories: dict[str, str] = field(default_factory=dict)

    def add_sensor(self, channel: str, base_link_se3_sensor: Array, intrinsics_33: Array | None = None) -> None:
        """A camera (with its pinhole matrix) or the LiDAR, and where it sits."""
        matrix = [] if intrinsics_33 is None else np.asarray(intrinsics_33, float).tolist()
        row = {'token': self._token('calibrated_sensor', channel), 'sensor_token': token_of('sensor', channel)}
        self._sensors.append({**row, **_pose_fields(base_link_se3_sensor), 'camera_intrinsic': matrix})
        self._data[channel] = []

    def add_sample(self, stamp_us: int) -> str:
        """A keyframe; returns its token."""
        token = self._token('sample', stamp_us)
        self._samples.append({'token': token, 'timestamp': stamp_us, 'scene_token': self._token('scene')})
        return token

    def add_data(
        self, channel: str, stamp_us: int, file: str, map_se3_base_link: Array, sample: str = '', size: tuple[int, int] = (0, 0)
    ) -> None:
        """An image (of ``size`` width, height) or a sweep.

        Args:
            file: relative to the tree.
            map_se3_base_link: at the stamp.
            sample: token of the keyframe that it is part of; empty: none.
        """
        token = self._token('sample_data', channel, stamp_us)
        self._poses.append({'token': token, 'timestamp': stamp_us, **_pose_fields(map_se3_base_link)})
        self._data[channel].append(
            {
                'token': token,
                'sample_token': sample,
                'ego_pose_token': token,
                'calibrated_sensor_token': self._token('calibrated_sensor', channel),
                'timestamp': stamp_us,
                'fileformat': 'pcd' if channel == LIDAR else 'jpg',
                'is_key_frame': bool(sample),
                'height': size[1],
                'width': size[0],
                'filename': file,
            }
        )

    def add_annotation(self, sample: str, annotation: Annotation) -> str:
        """A box of a keyframe; returns its token."""
        x, y, z, length, width, height, yaw = (float(value) for value in annotation.box_7)
        token = self._token('sample_annotation', annotation.instance, sample)
        self._categories[annotation.instance] = annotation.category
        self._annotations.setdefault(annotation.instance, []).append(
            {
                'token': token,
                'sample_token': sample,
                'instance_token': self._token('instance', annotation.instance),
                'visibility_token': visibility_token(annotation.visible_share),
                'attribute_tokens': attribute_tokens(annotation.attribute),
                'translation': [x, y, z],
                'size': [width, length, height],
                'rotation': [float(np.cos(yaw / 2)), 0.0, 0.0, float(np.sin(yaw / 2))],
                'num_lidar_pts': annotation.num_lidar_points,
                'num_radar_pts': 0,
            }
        )
        return token

    def rows(self) -> Rows:
        """All rows of the scene, linked.

        A sweep belongs to the keyframe that follows it, as in nuScenes, where the devkit interpolates boxes towards it.
        """
        log, scene = self._token('log'), self._token('scene')
        for data in self._data.values():
            self._give_samples(data)
        return {
            'calibrated_sensor': self._sensors,
            'ego_pose': self._poses,
            'instance': [self._instance(name, chain) for name, chain in self._annotations.items()],
            'log': [
                {
                    'token': log,
                    'logfile': self.name,
                    'vehicle': self.vehicle,
                    'date_captured': self.date,
                    'location': self.location,
                }
            ],
            'map': [
                {'token': self._token('map'), 'log_tokens': [log], 'category': 'semantic_prior', 'filename': self.map_file}
            ],
            'sample': _linked(self._samples),
            'sample_annotation': [row for chain in self._annotations.values() for row in _linked(chain)],
            'sample_data': [row for data in self._data.values() for row in _linked(data)],
            'scene': [
                {
                    'token': scene,
                    'log_token': log,
                    'nbr_samples': len(self._samples),
                    'first_sample_token': self._samples[0]['token'],
                    'last_sample_token': self._samples[-1]['token'],
                    'name': self.name,
                    'description': self.description,
                }
            ],
        }

    def _token(self, *parts: object) -> str:
        return token_of(self.name, *parts)

    def _give_samples(self, data: list[Row]) -> None:
        stamps = [sample['timestamp'] for sample in self._samples]
        for row in data:
            if not row['sample_token']:
                index = min(int(np.searchsorted(stamps, row['timestamp'])), len(stamps) - 1)
                row['sample_token'] = self._samples[index]['token']

    def _instance(self, name: str, chain: list[Row]) -> Row:
        return {
            'token': self._token('instance', name),
            'category_token': token_of('category', self._categories[name]),
            'nbr_annotations': len(chain),
            'first_annotation_token': chain[0]['token'],
            'last_annotation_token': chain[-1]['token'],
        }


def _pose_fields(a_se3_b: Array) -> Row:
    x, y, z, w = (float(value) for value in quaternion_xyzw_of(a_se3_b))
    return {'translation': [float(value) for value in a_se3_b[:3, 3]], 'rotation': [w, x, y, z]}


def _linked(rows: list[Row]) -> list[Row]:
    """Rows with ``prev`` and ``next``."""
    for row in rows:
        row['prev'] = row['next'] = ''
    for before, after in pairwise(rows):
        before['next'], after['prev'] = after['token'], before['token']
    return rows
