import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.datasets.frames import read_frames
from moe_bev_ros.datasets.frames_to_tree import VERSION, write_frames_tree
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter
from moe_bev_ros.datasets.tree_statistics import tree_statistics

SIZE = (96, 64)


@pytest.fixture(scope='module')
def root(tmp_path_factory, data_dir):
    root = tmp_path_factory.mktemp('real')
    for scene in ('scene-0061', 'scene-0103'):
        write_frames_tree(read_frames(data_dir / 'nuscenes' / scene), root)
    return root


def test_the_devkit_counts_the_points_that_were_annotated(root):
    nuscenes = pytest.importorskip('nuscenes')
    from nuscenes.utils.data_classes import LidarPointCloud
    from nuscenes.utils.geometry_utils import points_in_box

    tree = nuscenes.NuScenes('v1.0-frames', str(root), verbose=False)
    (sample,) = [s for s in tree.sample if tree.get('scene', s['scene_token'])['name'] == 'scene-0061']
    path, boxes, _ = tree.get_sample_data(sample['data']['LIDAR_TOP'])
    points = LidarPointCloud.from_file(path).points[:3]
    agree = [points_in_box(b, points).sum() == tree.get('sample_annotation', b.token)['num_lidar_pts'] for b in boxes]
    assert len(agree) == 68
    assert sum(agree) >= 66


def test_boxes_of_the_tree_are_those_of_the_frames(root, data_dir):
    (frame,) = open_tree(root).frames('scene-0061', SIZE)
    recorded = [
        box for box in read_frames(data_dir / 'nuscenes' / 'scene-0061').frames[0].boxes if box.label is not Label.UNKNOWN
    ]
    np.testing.assert_allclose(frame.boxes.boxes_n7[:, :6], [box.box_7[:6] for box in recorded], atol=2e-4)
    turn = frame.boxes.boxes_n7[:, 6] - np.array([box.box_7[6] for box in recorded])
    np.testing.assert_allclose(np.cos(turn), 1.0, atol=1e-6)
    assert frame.boxes.labels_n.tolist() == [box.label for box in recorded]
    assert np.isnan(frame.boxes.velocities_n2).all()  # nothing says which box is which road user


def test_a_sample_without_lidar_has_an_empty_sweep_and_a_stray_one_is_used(root):
    frames = list(open_tree(root).frames('scene-0103', SIZE))
    assert [frame.frame.lidar_valid for frame in frames] == [False, True, False, False]
    assert all(frame.frame.cameras.valid_n.all() and len(frame.boxes) for frame in frames)
    assert all(8.0 < frame.frame.ego.speed_mps < 9.0 for frame in frames)
    empty = [path for path in (root / 'samples' / 'LIDAR_TOP').glob('scene-0103*') if not path.stat().st_size]
    assert len(empty) == 4


def test_real_frames_are_as_hard_as_the_yardstick_says(root):
    tree = open_tree(root)
    numbers = tree_statistics(tree, tree.scenes())
    assert numbers['frames'] == 5
    assert 0.4 <= numbers['share_at_most_5_points'] <= 0.6
    assert sum(numbers['boxes'].values()) == pytest.approx(5 * numbers['boxes_per_frame'])


def test_two_runs_do_not_write_frames_to_one_tree(tmp_path, data_dir):
    writer = TreeWriter(tmp_path, {'source': 'recorded frames'}, VERSION)
    with writer.alone(), pytest.raises(InputError, match='another run writes here'):
        write_frames_tree(read_frames(data_dir / 'nuscenes' / 'scene-0061'), tmp_path)
    assert not writer.has_scene('scene-0061')


def test_frames_without_poses_are_refused(tmp_path, data_dir):
    with pytest.raises(InputError, match='no ego poses'):
        write_frames_tree(read_frames(data_dir / 'kitti' / '2011_09_26_seq'), tmp_path / 'tree')
    assert not (tmp_path / 'tree').exists()
