import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import se3_from_xyz_rpy
from moe_bev_ros.core.transforms import TransformTree


def test_lookup_walks_up_and_down_the_tree() -> None:
    tree = TransformTree()
    base_se3_mast = se3_from_xyz_rpy(1, 0, 2, 0, 0, 0.5)
    mast_se3_lidar = se3_from_xyz_rpy(0, 0, 0.3, 0, 0.1, 0)
    base_se3_camera = se3_from_xyz_rpy(1.5, 0, 1.5, 0, 0, 0)
    tree.add('base_link', 'mast', base_se3_mast)
    tree.add('mast', 'lidar', mast_se3_lidar)
    tree.add('/base_link', '/camera', base_se3_camera)
    np.testing.assert_allclose(tree.lookup('base_link', 'lidar'), base_se3_mast @ mast_se3_lidar)
    np.testing.assert_allclose(tree.lookup('camera', 'lidar') @ tree.lookup('lidar', 'camera'), np.eye(4), atol=1e-12)


def test_an_unknown_frame_is_named_with_what_is_known() -> None:
    tree = TransformTree()
    tree.add('base_link', 'camera', np.eye(4))
    with pytest.raises(InputError, match=r'lidar to base_link.*tf_static.*camera'):
        tree.lookup('base_link', 'lidar')


def test_a_cycle_is_refused() -> None:
    tree = TransformTree()
    tree.add('a', 'b', np.eye(4))
    with pytest.raises(InputError, match='below'):
        tree.add('b', 'a', np.eye(4))
