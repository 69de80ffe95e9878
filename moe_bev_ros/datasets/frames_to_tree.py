"""Writes recorded frames as a small nuScenes tree.

Recorded frames do not say which box is which road user: every box is an instance of its own, and so its velocity is not known.
Nor do they say how well a box is seen. A sample without LiDAR gets an empty LIDAR_TOP file.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import Array, transform_points
from moe_bev_ros.datasets.frames import FrameFolder, RecordedBox, RecordedCloud, RecordedFrame, RecordedImage
from moe_bev_ros.datasets.nuscenes_tables import CAMERAS, CATEGORY_OF_LABEL, LIDAR, Annotation, SceneRows
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter, whole_or_nothing
from moe_bev_ros.datasets.record_loading import read_bytes
from moe_bev_ros.perception.images import CompressedImage

VERSION = 'v1.0-frames'
SPLIT = 'frames'


def write_frames_tree(folder: FrameFolder, out: Path) -> str:
    """Add one folder of recorded frames to a tree as a scene; returns the scene's name.

    Raises:
        InputError: the frames have no ego poses, or cameras that are not nuScenes'; a file cannot be read or written;
            another run writes to the tree.
    """
    _check(folder)
    writer = TreeWriter(out, {'source': 'recorded frames'}, VERSION)
    map_file = f'maps/{folder.name}.png'
    scene = SceneRows(folder.name, folder.note or 'recorded frames', 'recorded', map_file)
    with writer.alone():
        with whole_or_nothing(writer, folder.name):
            writer.write_data(map_file, blank_map())
            _add_sensors(scene, folder)
            for frame in folder.frames:
                _add_frame(scene, frame, writer)
            writer.finish_scene(folder.name, SPLIT, scene.rows(), {})
        writer.merge()
    return folder.name


def _check(folder: FrameFolder) -> None:
    if any(frame.map_se3_base_link is None for frame in folder.frames):
        raise InputError(f'{folder.path}: no ego poses; a nuScenes tree needs them, give frames of nuScenes')
    strange = [name for name in folder.camera_names if name not in CAMERAS]
    if strange:
        raise InputError(f'{folder.path}: camera {strange[0]!r} is none of {", ".join(CAMERAS)}; rename it')
    clouds = [frame.cloud for frame in folder.frames if frame.cloud is not None]
    if any(cloud.columns != 5 for cloud in clouds):
        raise InputError(f'{folder.path}: points without a ring; a nuScenes tree needs x y z intensity ring')


def _add_sensors(scene: SceneRows, folder: FrameFolder) -> None:
    images: dict[str, RecordedImage] = {image.name: image for frame in reversed(folder.frames) for image in frame.images}
    for name in CAMERAS:
        if name in images:
            scene.add_sensor(name, images[name].base_link_se3_camera, images[name].intrinsics_33)
    cloud = next((frame.cloud for frame in folder.frames if frame.cloud is not None), None)
    scene.add_sensor(LIDAR, cloud.base_link_se3_lidar if cloud is not None else np.eye(4))


def _add_frame(scene: SceneRows, frame: RecordedFrame, writer: TreeWriter) -> None:
    pose = frame.map_se3_base_link
    assert pose is not None  # _check has seen to it
    sample = scene.add_sample(frame.stamp_ns // 1000)
    for image in frame.images:
        _add_image(scene, image, sample, pose, writer)
    _add_cloud(scene, frame.cloud, frame.stamp_ns, sample, pose, writer)
    for index, box in enumerate(frame.boxes or ()):
        if box.label is not Label.UNKNOWN:
            scene.add_annotation(sample, _annotation(f'{sample}-{index}', box, pose))


def _add_image(scene: SceneRows, image: RecordedImage, sample: str, pose: Array, writer: TreeWriter) -> None:
    data = read_bytes(image.path)
    try:
        size = CompressedImage(np.frombuffer(data, np.uint8)).size()
    except InputError as err:
        raise InputError(f'{image.path}: {err}') from err
    stamp_us = image.stamp_ns // 1000
    file = writer.data_file(scene.name, image.name, stamp_us, keyframe=True)
    writer.write_data(file, data)
    then = image.map_se3_base_link
    scene.add_data(image.name, stamp_us, file, pose if then is None else then, sample, size)


def _add_cloud(
    scene: SceneRows, cloud: RecordedCloud | None, stamp_ns: int, sample: str, pose: Array, writer: TreeWriter
) -> None:
    """The sample's sweep; one of another stamp goes to the sweeps, and the sample's own is empty."""
    stamp_us = stamp_ns // 1000
    own = cloud is not None and cloud.stamp_ns == stamp_ns
    if cloud is not None and not own:
        then_us = cloud.stamp_ns // 1000
        file = writer.data_file(scene.name, LIDAR, then_us, keyframe=False)
        writer.write_data(file, read_bytes(cloud.path))
        then = cloud.map_se3_base_link
        scene.add_data(LIDAR, then_us, file, pose if then is None else then)
    file = writer.data_file(scene.name, LIDAR, stamp_us, keyframe=True)
    writer.write_data(file, read_bytes(cloud.path) if cloud is not None and own else b'')
    scene.add_data(LIDAR, stamp_us, file, pose, sample)


def _annotation(instance: str, box: RecordedBox, map_se3_base_link: Array) -> Annotation:
    centre = transform_points(map_se3_base_link, box.box_7[None, :3].astype(float))[0]
    heading = map_se3_base_link[:3, :3] @ (np.cos(box.box_7[6]), np.sin(box.box_7[6]), 0.0)
    box_7 = np.array([*centre, *box.box_7[3:6], np.arctan2(heading[1], heading[0])])
    return Annotation(instance, CATEGORY_OF_LABEL[box.label], box_7, box.num_lidar_points, float('nan'))


def blank_map() -> bytes:
    """The frames come without a map."""
    return bytes(cv2.imencode('.png', np.zeros((1, 1), np.uint8))[1].tobytes())
