import os

import pytest

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
