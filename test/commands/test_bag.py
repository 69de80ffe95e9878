import os

import pytest
from datasets.small_tree import write_small_tree

from moe_bev_ros.cli import main


def test_recorded_frames_become_a_bag_and_what_was_made_up_is_said(tmp_path, data_dir, capsys):
    out = tmp_path / 'bag'
    assert main(['bag', 'from-frames', str(data_dir / 'kitti' / '2011_09_26_seq'), str(out), '--storage', 'mcap']) == 0
    text = capsys.readouterr().out
    assert 'stamps are made up' in text
    assert 'no odometry' in text
    assert '10  /sensing/camera/image_02/image_raw  sensor_msgs/msg/Image  (reliable' in text
    assert 'latched' in text
    os.truncate(out / 'bag.mcap', 3_000_000)
    assert main(['bag', 'info', str(out)]) == 1
    assert 'damage: ' in capsys.readouterr().out


@pytest.mark.parametrize('argv', [['bag', 'info', 'absent'], ['bag', 'from-frames', 'absent', 'out']])
def test_a_missing_folder_is_an_error_and_no_traceback(argv, capsys):
    assert main(argv) == 2
    assert 'absent' in capsys.readouterr().err


def test_a_scene_of_a_tree_becomes_a_bag_and_a_tree_again(tmp_path, capsys):
    root = write_small_tree(tmp_path / 'tree')
    bag, back = str(tmp_path / 'bag'), str(tmp_path / 'back')
    assert main(['bag', 'from-tree', str(root), bag, '--scene', 'world-1000000', '--compressed']) == 0
    assert '16  /sensing/lidar/lidar_top/points' in capsys.readouterr().out
    assert main(['bag', 'to-tree', bag, '--out', back]) == 0
    assert 'scene bag' in capsys.readouterr().out
    assert main(['bag', 'from-tree', str(root), bag, '--scene', 'world-1000000']) == 2
    assert 'exists already' in capsys.readouterr().err
