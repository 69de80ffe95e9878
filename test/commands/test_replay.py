import pytest

from moe_bev_ros.cli import main
from moe_bev_ros.commands.replay import replay_stack
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_streams import Sensor, SensorStreams
from moe_bev_ros.datasets.bag_writer import BagWriter
from moe_bev_ros.runtime.environment import config_dir
from moe_bev_ros.runtime.stack import load_stack

STACK = load_stack(config_dir() / 'stack.yaml')


def test_the_nodes_get_the_sensors_and_the_clock_of_the_bag():
    cameras = (Sensor('front', '/front/image_raw', 10), Sensor('rear', '/rear/image_raw/compressed', 10))
    stack = replay_stack(STACK, SensorStreams(cameras, (Sensor('top', '/top/points', 10),)))
    camera, lidar = stack['camera_node'].parameters, stack['lidar_node'].parameters
    assert camera['camera_names'] == ('front', 'rear')
    assert camera['image_topics'] == ('/front/image_raw', '/rear/image_raw/compressed')
    assert camera['anchor_camera'] == 'front'
    assert lidar['points_topics'] == ('/top/points',)
    assert all(spec.parameters['use_sim_time'] for spec in stack.nodes)


def test_without_a_lidar_in_the_bag_the_lidar_node_keeps_its_own_topics():
    stack = replay_stack(STACK, SensorStreams((Sensor('front', '/front/image_raw', 10),), ()))
    assert 'points_topics' not in stack['lidar_node'].parameters


def test_a_bag_without_sensors_is_an_error_before_anything_starts(tmp_path, capsys):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/chatter', 'std_msgs/msg/Empty')
    assert main(['replay', str(tmp_path / 'bag')]) == 2
    assert 'PointCloud2' in capsys.readouterr().err


@pytest.mark.parametrize('option', [('--rate', '0'), ('--start', '-1')])
def test_a_wrong_rate_or_start_is_an_error(tmp_path, capsys, option):
    assert main(['replay', str(tmp_path), *option]) == 2
    assert option[0] in capsys.readouterr().err


def test_streams_without_any_sensor_do_not_exist():
    with pytest.raises(InputError):
        SensorStreams((), ())
