import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.datasets.bag_writer import BagWriter
from moe_bev_ros.datasets.ros_types import type_store


def test_a_bag_is_never_overwritten(tmp_path):
    BagWriter(tmp_path / 'bag').close()
    with pytest.raises(InputError, match='exists'):
        BagWriter(tmp_path / 'bag')


def test_an_unknown_storage_is_an_error_that_names_the_known_ones(tmp_path):
    with pytest.raises(InputError, match='sqlite3, mcap'):
        BagWriter(tmp_path / 'bag', 'zip')


def test_an_unknown_type_is_an_error_that_names_it(tmp_path):
    with BagWriter(tmp_path / 'bag') as bag, pytest.raises(InputError, match='absent_msgs/msg/Thing'):
        bag.add_topic('/a', 'absent_msgs/msg/Thing')


@pytest.mark.parametrize('name', ['Objects', 'VehicleCommand', 'WorldTruth'])
def test_types_of_this_package_are_known_with_all_that_they_hold(tmp_path, name):
    with BagWriter(tmp_path / 'bag') as bag:
        bag.add_topic('/a', f'moe_bev_ros/msg/{name}')
    with BagReader(tmp_path / 'bag') as bag:
        assert bag.topics['/a'].type_name == f'moe_bev_ros/msg/{name}'
    assert f'moe_bev_ros/msg/{name}' in type_store().fielddefs
