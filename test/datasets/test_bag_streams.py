import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_reader import BagTopic
from moe_bev_ros.datasets.bag_streams import sensor_streams
from moe_bev_ros.datasets.bag_writer import TopicQos


def topic(name, kind, num=10):
    return BagTopic(name, f'sensor_msgs/msg/{kind}', num, TopicQos())


def test_the_camera_that_looks_ahead_is_the_anchor():
    names = ('CAM_BACK', 'CAM_FRONT_LEFT', 'CAM_FRONT', 'CAM_FRONT_RIGHT')
    streams = sensor_streams(topic(f'/sensing/camera/{name}/image_raw', 'Image') for name in names)
    assert streams.cameras[0].name == 'CAM_FRONT'
    assert {camera.name for camera in streams.cameras} == set(names)


def test_raw_images_win_over_compressed_ones_of_the_same_camera():
    streams = sensor_streams(
        [
            topic('/a/image_raw', 'Image'),
            topic('/a/image_raw/compressed', 'CompressedImage'),
            topic('/b/compressed', 'CompressedImage'),
        ]
    )
    assert sorted(camera.topic for camera in streams.cameras) == ['/a/image_raw', '/b/compressed']


def test_names_that_are_not_unique_become_whole_topics():
    streams = sensor_streams([topic('/left/lidar/points', 'PointCloud2'), topic('/right/lidar/points', 'PointCloud2')])
    assert sorted(lidar.name for lidar in streams.lidars) == ['left_lidar_points', 'right_lidar_points']


def test_own_outputs_and_empty_topics_are_no_sensors():
    with pytest.raises(InputError, match='PointCloud2'):
        sensor_streams([topic('/moe_bev/lidar_points', 'PointCloud2'), topic('/a/points', 'PointCloud2', 0)])
