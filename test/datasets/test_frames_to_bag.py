import numpy as np
import pytest

from moe_bev_ros.core.se3 import se3_from_xy_yaw
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.datasets.frames import read_frames
from moe_bev_ros.datasets.frames_to_bag import ODOMETRY_TOPIC, pose_at, write_frames_bag
from moe_bev_ros.datasets.ros_types import type_store


def read(bag, topic):
    type_name = bag.topics[topic].type_name
    return [type_store().deserialize_cdr(message.data, type_name) for message in bag.messages((topic,))]


def test_poses_are_interpolated_and_go_on_at_constant_velocity():
    samples = [(0, se3_from_xy_yaw(0, 0, 0)), (1_000, se3_from_xy_yaw(10, 0, 0))]
    assert pose_at(samples, 500)[0, 3] == pytest.approx(5)
    assert pose_at(samples, 1_200)[0, 3] == pytest.approx(12)
    assert pose_at(samples, -100)[0, 3] == pytest.approx(-1)
    assert pose_at(samples[:1], 700)[0, 3] == pytest.approx(0)


@pytest.mark.parametrize(('storage', 'compressed'), [('sqlite3', False), ('mcap', True)])
def test_scene_0103_has_six_cameras_one_cloud_and_odometry(tmp_path, data_dir, storage, compressed):
    folder = read_frames(data_dir / 'nuscenes' / 'scene-0103')
    counts = write_frames_bag(folder, tmp_path / 'bag', storage=storage, compressed=compressed)
    suffix = '/compressed' if compressed else ''
    assert [counts[f'/sensing/camera/{name}/image_raw{suffix}'] for name in folder.camera_names] == [4] * 6
    with BagReader(tmp_path / 'bag') as bag:
        (cloud,) = read(bag, '/sensing/lidar/lidar_top/points')
        assert cloud.width * cloud.point_step == cloud.data.size == cloud.row_step
        odometry = read(bag, ODOMETRY_TOPIC)
        (transforms,) = read(bag, '/tf_static')
        stamps = [message.stamp_ns for message in bag.messages()]
    assert stamps == sorted(stamps)
    assert len(transforms.transforms) == 7
    assert all(8.0 < message.twist.twist.linear.x < 9.0 for message in odometry)
    assert all(abs(message.twist.twist.linear.y) < 0.6 for message in odometry)


def test_raw_pixels_and_points_are_those_of_the_files(tmp_path, data_dir):
    cv2 = pytest.importorskip('cv2')
    folder = read_frames(data_dir / 'kitti' / '2011_09_26_seq')
    write_frames_bag(folder, tmp_path / 'bag', storage='mcap')
    with BagReader(tmp_path / 'bag') as bag:
        assert ODOMETRY_TOPIC not in bag.topics
        image = read(bag, '/sensing/camera/image_02/image_raw')[3]
        cloud = read(bag, '/sensing/lidar/velodyne/points')[3]
    frame = folder.frames[3]
    pixels = image.data.reshape(image.height, image.width, 3)
    np.testing.assert_array_equal(pixels, cv2.imread(str(frame.images[0].path)))
    xyz = np.frombuffer(cloud.data, np.uint8).reshape(-1, cloud.point_step)[:, :12].copy().view(np.float32)
    np.testing.assert_array_equal(xyz, frame.cloud.points_n5()[:, :3])
