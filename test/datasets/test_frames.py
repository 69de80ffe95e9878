import json

import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import inverse
from moe_bev_ros.datasets.frames import read_frames

FRAME = {
    'stamp_us': 1_000_000,
    'global_SE3_ego': np.eye(4).tolist(),
    'ego_SE3_lidar': [[0, 1, 0, 1], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]],
    'lidar_file': 'points.bin',
    'cameras': {},
    'boxes': [{'category': 'car', 'xyz_lwh_yaw': [0, 10, -1, 4, 2, 1.5, np.pi / 2], 'velocity_xy': [0, 3], 'num_lidar_pts': 9}],
}


@pytest.fixture
def frame_folder(tmp_path):
    (tmp_path / 'frame.json').write_text(json.dumps(FRAME))
    np.array([[0, 10, -1, 255, 31]], np.float32).tofile(tmp_path / 'points.bin')
    return tmp_path


def test_boxes_and_points_are_in_base_link(frame_folder):
    frame = read_frames(frame_folder).frames[0]
    box = frame.boxes[0]
    assert box.label is Label.CAR
    np.testing.assert_allclose(box.box_7, [11, 0, 0.8, 4, 2, 1.5, 0], atol=1e-6)
    np.testing.assert_allclose(box.velocity_2, [3, 0], atol=1e-6)
    np.testing.assert_allclose(frame.cloud.points_base_link_n5(), [[11, 0, 0.8, 1.0, 31]], atol=1e-6)


def test_a_cut_cloud_is_an_error_that_names_the_file(frame_folder):
    (frame_folder / 'points.bin').write_bytes(b'\0' * 18)
    with pytest.raises(InputError, match=r'points\.bin'):
        read_frames(frame_folder).frames[0].cloud.points_n5()


@pytest.mark.parametrize('text', ['{', '[]', '{"stamp_us": 1}', json.dumps({**FRAME, 'lidar_file': 'gone.bin'})])
def test_a_wrong_frame_file_is_an_error_that_names_it(frame_folder, text):
    (frame_folder / 'frame.json').write_text(text)
    with pytest.raises(InputError, match=r'frame\.json|gone\.bin'):
        read_frames(frame_folder)


def test_a_folder_without_frames_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r'no frame\.json'):
        read_frames(tmp_path)


def test_recorded_points_in_boxes_agree_with_the_declared_counts(data_dir):
    frame = read_frames(data_dir / 'nuscenes' / 'scene-0061').frames[0]
    xyz = frame.cloud.points_base_link_n5()[:, :3]
    agree = [_num_inside(xyz, box.box_7) == box.num_lidar_points for box in frame.boxes]
    assert len(agree) == 69
    assert sum(agree) >= 55


def test_the_sweep_of_scene_0103_carries_the_pose_of_its_own_stamp(data_dir):
    frames = read_frames(data_dir / 'nuscenes' / 'scene-0103').frames
    assert [frame.cloud is not None for frame in frames] == [False, True, False, False]
    assert all(len(frame.images) == 6 for frame in frames)
    moved = inverse(frames[1].cloud.map_se3_base_link) @ frames[1].map_se3_base_link
    assert 0.3 < moved[0, 3] < 0.6  # 50 ms at 8.4 m/s


def test_kitti_points_fall_into_its_image(data_dir):
    folder = read_frames(data_dir / 'kitti' / '2011_09_26_seq')
    assert len(folder.frames) == 10
    assert not folder.has_odometry
    assert '10 Hz' in folder.note
    frame = folder.frames[0]
    image = frame.images[0]
    xyz = frame.cloud.points_base_link_n5()[:, :3]
    camera = inverse(image.base_link_se3_camera)
    ahead = xyz[(xyz[:, 0] > 10) & (abs(xyz[:, 1]) < 1)] @ camera[:3, :3].T + camera[:3, 3]
    pixels = ahead @ image.intrinsics_33.T
    columns = pixels[:, 0] / pixels[:, 2]
    assert np.all((columns > 300) & (columns < 900))


def _num_inside(xyz, box):
    x, y, z, length, width, height, yaw = box
    rotation = np.array([[np.cos(yaw), np.sin(yaw)], [-np.sin(yaw), np.cos(yaw)]])
    local = np.column_stack([(xyz[:, :2] - (x, y)) @ rotation.T, xyz[:, 2] - z])
    return int(np.all(np.abs(local) <= np.array([length, width, height]) / 2, axis=1).sum())
