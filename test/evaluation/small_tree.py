"""A tiny nuScenes tree made by hand, of road users that stand or drive straight on, and an engine that knows it."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.core.se3 import inverse, se3_from_xy_yaw, transform_points
from moe_bev_ros.datasets.frames_to_tree import blank_map
from moe_bev_ros.datasets.nuscenes_tables import CATEGORY_OF_LABEL, LIDAR, Annotation, SceneRows
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.engine.base import EngineOutput
from moe_bev_ros.evaluation.perception.detection import attribute_of

NUM_KEYFRAMES = 15
SIZES = {
    Label.CAR: (4.6, 1.9, 1.7),
    Label.TRUCK: (8.0, 2.5, 3.0),
    Label.BUS: (11.0, 2.6, 3.2),
    Label.TRAILER: (10.0, 2.5, 3.4),
    Label.CONSTRUCTION_VEHICLE: (6.5, 2.6, 3.0),
    Label.PEDESTRIAN: (0.7, 0.7, 1.8),
    Label.MOTORCYCLE: (2.1, 0.8, 1.5),
    Label.BICYCLE: (1.8, 0.6, 1.4),
    Label.TRAFFIC_CONE: (0.4, 0.4, 1.0),
    Label.BARRIER: (0.5, 2.5, 1.0),
}
SPEEDS = {Label.CAR: 6.0, Label.BICYCLE: 4.0, Label.PEDESTRIAN: 1.2, Label.TRUCK: 5.0}
TRAITS = (
    {'condition': 'day', 'kind': 'free_driving'},
    {'condition': 'night', 'kind': 'cut_in'},
    {'condition': 'night', 'kind': 'cut_in'},
)


def write_tree(root, num_scenes=2, hidden=None):
    """All ten classes around a vehicle that drives at 5 m/s along x.

    Args:
        hidden: (label, first, last keyframe): without points and not visible for so long.
    """
    writer = TreeWriter(root, {'source': 'by hand'})
    for scene in range(num_scenes):
        _write_scene(writer, f'world-{1_000_000 + scene}', scene, hidden)
    writer.merge()
    return open_tree(root)


def _write_scene(writer, name, scene, hidden):
    rows = SceneRows(name, 'by hand', 'nowhere', f'maps/{name}.png')
    writer.write_data(rows.map_file, blank_map())
    rows.add_sensor(LIDAR, np.eye(4))
    shares = {}
    for step in range((NUM_KEYFRAMES - 1) * 5 + 1):
        stamp_us, pose = 1_600_000_000_000_000 + step * 100_000, se3_from_xy_yaw(0.5 * step, 2.0, 0.1)
        is_key = step % 5 == 0
        sample = rows.add_sample(stamp_us) if is_key else ''
        file = writer.data_file(name, LIDAR, stamp_us, keyframe=is_key)
        boxes = np.array([_annotation(label, i, scene, 0.1 * step, gone=False).box_7 for i, label in enumerate(SIZES)])
        writer.write_data(file, _sweep(boxes, pose).tobytes())
        rows.add_data(LIDAR, stamp_us, file, pose, sample)
        for index, label in enumerate(SIZES if is_key else ()):
            gone = hidden is not None and label is hidden[0] and hidden[1] <= step // 5 <= hidden[2]
            token = rows.add_annotation(sample, _annotation(label, index, scene, 0.1 * step, gone=gone))
            shares[token] = 0.0 if gone else 1.0
    writer.finish_scene(name, 'world_val', rows.rows(), {'visible_shares': shares, 'lights': {}, **TRAITS[scene]})


def _sweep(boxes_n7, map_se3_base_link):
    """(P, 5) points all over the sides of the boxes, and on the ground."""
    t = np.linspace(-0.5, 0.5, 9)
    u, v = (values.ravel() for values in np.meshgrid(t, t))
    half = np.full(u.size, 0.5)
    sides = np.concatenate([np.column_stack(side) for side in ((half, u, v), (-half, u, v), (u, half, v), (u, -half, v))])
    on_boxes = (boxes_n7[:, None, :3] + sides * boxes_n7[:, None, 3:6]).reshape(-1, 3)
    x, y = np.meshgrid(np.arange(-20.0, 60.0, 0.8), np.arange(-30.0, 30.0, 0.8))
    points = np.concatenate([on_boxes, np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])])
    points = transform_points(inverse(map_se3_base_link), points)
    return np.column_stack([points, np.full((len(points), 2), 30.0)]).astype(np.float32)


def _annotation(label, index, scene, time_s, *, gone):
    speed = SPEEDS.get(label, 0.0)
    box = (8.0 + speed * time_s + 2.0 * scene, -18.0 + 4.0 * index, SIZES[label][2] / 2, *SIZES[label], 0.0)
    attribute = attribute_of(label, speed)
    return Annotation(label.name, CATEGORY_OF_LABEL[label], np.array(box), 0 if gone else 9, 0.0 if gone else 1.0, attribute)


class KnowingEngine:
    """Detects what is annotated in one scene, and between keyframes what is between; a shift and a share to leave out."""

    name = 'knowing'
    image_size = None
    least_scores = dict.fromkeys(Label, 0.05)

    def __init__(self, tree, scene, shift_m=0.0, without=()):
        self.shift_m, self.without = shift_m, without
        self.truth = {f.frame.stamp_ns: f for f in tree.frames(scene, (96, 64), keyframes_only=True)}

    def reset(self):
        pass

    def step(self, frame, base_link_now_se3_before):
        stamp = max(stamp for stamp in self.truth if stamp <= frame.stamp_ns)
        truth = self.truth[stamp]
        chosen = ~np.isin(truth.boxes.labels_n, self.without)
        boxes, velocities = truth.boxes.boxes_n7[chosen].copy(), truth.boxes.velocities_n2[chosen]
        boxes[:, :2] += velocities * (frame.stamp_ns - stamp) * 1e-9
        boxes[:, 0] -= 5.0 * (frame.stamp_ns - stamp) * 1e-9 * np.cos(0.1)
        boxes[:, 1] += 5.0 * (frame.stamp_ns - stamp) * 1e-9 * np.sin(0.1)
        boxes[:, 0] += self.shift_m
        scores = np.linspace(0.9, 0.5, len(boxes)).astype(np.float32)
        return EngineOutput(Detections(boxes, truth.boxes.labels_n[chosen], scores, velocities), perception_valid=True)
