import numpy as np
import pytest
from datasets.small_tree import SIZE, SPEED_MPS, TICKS, write_small_tree

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.datasets.bag_to_tree import VERSION, write_bag_tree
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.datasets.ros_types import type_store
from moe_bev_ros.datasets.tree_to_bag import write_scene_bag

SCENE = 'world-1000000'


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    return open_tree(write_small_tree(tmp_path_factory.mktemp('tree'), lights=True))


def test_a_scene_and_back_gives_the_same_frames(tmp_path, tree):
    write_scene_bag(tree, SCENE, tmp_path / 'bag', compressed=True)
    name = write_bag_tree(tmp_path / 'bag', tmp_path / 'back', 'again')
    before, after = list(tree.frames(SCENE, SIZE)), list(open_tree(tmp_path / 'back').frames(name, SIZE))
    assert len(before) == len(after) == TICKS
    for one, other in zip(before, after):
        assert one.frame.stamp_ns == other.frame.stamp_ns
        assert bool(one.sample_token) == bool(other.sample_token)
        np.testing.assert_array_equal(one.frame.cameras.images_nhw3, other.frame.cameras.images_nhw3)
        np.testing.assert_allclose(one.frame.cameras.intrinsics_n33, other.frame.cameras.intrinsics_n33)
        np.testing.assert_allclose(
            one.frame.cameras.base_link_se3_camera_n44, other.frame.cameras.base_link_se3_camera_n44, atol=1e-9
        )
        np.testing.assert_allclose(one.frame.lidar.points_n5, other.frame.lidar.points_n5, atol=1e-5)
        np.testing.assert_allclose(one.map_se3_base_link, other.map_se3_base_link, atol=1e-6)


def test_two_runs_do_not_write_bags_to_one_tree(tmp_path, tree):
    write_scene_bag(tree, SCENE, tmp_path / 'bag', compressed=True)
    writer = TreeWriter(tmp_path / 'back', {'source': 'bag'}, VERSION)
    with writer.alone(), pytest.raises(InputError, match='another run writes here'):
        write_bag_tree(tmp_path / 'bag', tmp_path / 'back')
    assert not writer.has_scene('bag')
    write_bag_tree(tmp_path / 'bag', tmp_path / 'back')
    assert writer.has_scene('bag')


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_a_bag_has_what_the_nodes_listen_to(tmp_path, tree, storage):
    counts = write_scene_bag(tree, SCENE, tmp_path / 'bag', storage=storage)
    assert counts['/sensing/camera/CAM_FRONT/image_raw'] == counts['/sensing/camera/CAM_BACK/camera_info'] == TICKS
    assert counts['/sensing/lidar/lidar_top/points'] == counts['/moe_bev/traffic_lights'] == TICKS
    with BagReader(tmp_path / 'bag') as bag:
        last = {}
        for message in bag.messages():
            last[message.topic] = type_store().deserialize_cdr(message.data, bag.topics[message.topic].type_name)
    cloud = last['/sensing/lidar/lidar_top/points']
    assert [field.name for field in cloud.fields] == ['x', 'y', 'z', 'intensity', 'ring', 'time']
    assert last['/localization/kinematic_state'].twist.twist.linear.x == pytest.approx(SPEED_MPS, abs=1e-6)
    (light,) = last['/moe_bev/traffic_lights'].lights
    assert (light.regulatory_element_id, light.stop_position.x, light.state) == (9, 130.0, 1)
    assert {item.child_frame_id for item in last['/tf_static'].transforms} == {'CAM_FRONT', 'CAM_BACK', 'lidar_top'}


def test_a_scene_that_cannot_be_read_leaves_no_bag(tmp_path):
    root = write_small_tree(tmp_path / 'tree')
    gone = sorted((root / 'sweeps' / 'CAM_FRONT').iterdir())[-1]
    gone.unlink()
    with pytest.raises(InputError, match=gone.name):
        write_scene_bag(open_tree(root), SCENE, tmp_path / 'bag')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['tree']


def test_a_bag_without_odometry_is_refused_and_leaves_no_tree(tmp_path, data_dir):
    from moe_bev_ros.cli import main

    assert main(['bag', 'from-frames', str(data_dir / 'kitti' / '2011_09_26_seq'), str(tmp_path / 'bag')]) == 0
    with pytest.raises(InputError, match='image_02'):
        write_bag_tree(tmp_path / 'bag', tmp_path / 'tree')
    assert not (tmp_path / 'tree').exists()
