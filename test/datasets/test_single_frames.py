import json
import shutil

import cv2
import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.datasets.single_frames import read_single_frames

AHEAD = np.array([[0.0, 0, 1, 1.5], [-1, 0, 0, 0], [0, -1, 0, 1.6], [0, 0, 0, 1]])
LIDAR = np.array([[0.0, 1, 0, 1], [-1, 0, 0, 0], [0, 0, 1, 1.8], [0, 0, 0, 1]])
SIZE = (352, 128)


def write_frame(folder, num_cameras=7):
    """One keyframe whose cameras look round in equal steps; the sweep is 0.1 s and 1 m old."""
    folder.mkdir(parents=True)
    cameras = {}
    for index in range(num_cameras):
        yaw = 2 * np.pi * index / num_cameras
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]]
        cv2.imwrite(str(folder / f'{index}.png'), np.full((90, 160, 3), 10 * index + 10, np.uint8))
        pose = (turn @ AHEAD).tolist()
        matrix = [[120, 0, 80], [0, 120, 45], [0, 0, 1]]
        cameras[f'ring_{index}'] = {'file': f'{index}.png', 'stamp_us': 1000, 'ego_SE3_camera': pose, 'intrinsics': matrix}
    moved = np.eye(4)
    moved[1, 3] = -1.0  # the vehicle was 1 m behind; y is ahead in the LiDAR's frame
    content = {
        'stamp_us': 1000,
        'global_SE3_ego': np.eye(4).tolist(),
        'ego_SE3_lidar': LIDAR.tolist(),
        'lidar_file': None,
        'lidar_sweep': {'file': 'sweep.bin', 'stamp_us': 900, 'lidar_SE3_sweep': moved.tolist()},
        'cameras': cameras,
        'boxes': [
            {'category': 'car', 'xyz_lwh_yaw': [0, 10, -1, 4, 2, 1.5, np.pi / 2], 'velocity_xy': [0, 3], 'num_lidar_pts': 9}
        ],
    }
    (folder / 'frame.json').write_text(json.dumps(content))
    on_the_roof, far, thing = [0, 0.5, -1, 255, 31], [0, 200, 0, 255, 31], [0, 10, -1, 51, 31]
    np.array([on_the_roof, far, thing], np.float32).tofile(folder / 'sweep.bin')


def test_a_sweep_is_moved_to_the_frames_stamp_and_cropped(tmp_path):
    write_frame(tmp_path / 'a')
    (item,) = read_single_frames(tmp_path, SIZE)
    assert item.name == 'a'
    np.testing.assert_allclose(item.frame.lidar.points_n5, [[10.0, 0.0, 0.8, 0.2, 0.0]], atol=1e-5)
    assert item.boxes[0].label is Label.CAR


def test_images_are_resized_and_six_of_seven_cameras_are_kept(tmp_path):
    write_frame(tmp_path / 'a')
    cameras = next(read_single_frames(tmp_path, SIZE)).frame.cameras
    assert cameras.images_nhw3.shape == (6, 128, 352, 3)
    assert cameras.valid_n.all()
    assert cameras.intrinsics_n33[0, 0, 0] == pytest.approx(120 * 352 / 160)
    kept = [int(name.removeprefix('ring_')) for name in cameras.names]
    np.testing.assert_array_equal(cameras.images_nhw3[:, 64, 176, 0], 10 * np.array(kept) + 10)
    assert {0, 1, 2, 5, 6} < set(kept)


def test_all_kinds_below_a_folder_are_read_and_named_by_their_place(data_dir, tmp_path):
    items = {item.name: item for item in read_single_frames(data_dir, SIZE)}
    assert len(items['nuscenes/scene-0061/0'].frame.cameras.names) == 6
    assert items['nuscenes/scene-0103/0'].frame.lidar is None
    assert items['nuscenes/scene-0103/lidar_only'].frame.cameras is None
    kitti = items['kitti/2011_09_26_seq/3']
    assert (len(kitti.frame.cameras.names), kitti.boxes) == (1, None)
    argoverse = next(item for name, item in items.items() if name.startswith('av2/'))
    for item in (kitti, argoverse, items['nuscenes/scene-0061/0']):
        points_n5 = item.frame.lidar.points_n5
        near = np.hypot(points_n5[:, 0], points_n5[:, 1]) < 15.0
        ground = points_n5[near & (np.abs(points_n5[:, 2]) < 0.5), 2]
        assert abs(np.median(ground)) < 0.15  # the height of base_link is right for each vehicle
        assert 0.0 <= points_n5[:, 3].min() < points_n5[:, 3].max() <= 1.0


def test_an_incomplete_folder_is_refused_with_its_name(tmp_path):
    with pytest.raises(InputError, match=r'frame\.json'):
        next(read_single_frames(tmp_path, SIZE))
    write_frame(tmp_path / 'a')
    shutil.copy(tmp_path / 'a' / 'sweep.bin', tmp_path / 'a' / '3.png')
    with pytest.raises(InputError, match=r'3\.png'):
        next(read_single_frames(tmp_path, SIZE))
