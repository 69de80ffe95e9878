import json
import re

import pytest

from moe_bev_ros.cli import main


def test_clustering_finds_most_annotated_road_users_of_a_real_sweep(data_dir, capsys):
    assert main(['evaluate', 'frames', '--frames', str(data_dir / 'nuscenes' / 'scene-0061')]) == 0
    text = capsys.readouterr().out
    print(text)  # noqa: T201
    total = re.search(r' 0 -  50 +(\d+) +(\d+)%', text)
    assert total is not None
    assert int(total.group(1)) >= 20
    assert int(total.group(2)) >= 75


def test_frames_without_annotation_still_give_times(data_dir, capsys):
    assert main(['evaluate', 'frames', '--frames', str(data_dir / 'kitti' / '2011_09_26_seq')]) == 0
    text = capsys.readouterr().out
    assert 'nothing is annotated' in text
    assert 'median time' in text


def test_engines_are_put_side_by_side_in_one_file(data_dir, tmp_path):
    frames, out = str(data_dir / 'nuscenes' / 'scene-0103'), tmp_path / 'real.json'
    assert main(['evaluate', 'frames', '--engine', 'clustering', 'pillars', '--frames', frames, '--json', str(out)]) == 0
    results = json.loads(out.read_text())
    assert {'0', '1', '2', '3', 'lidar_only'} == {frame['name'] for frame in results['frames']}
    asked = {name: figures['with_lidar']['annotated'] for name, figures in results['engines'].items()}
    assert asked == {'clustering': 10, 'pillars': 10}
    assert sum(row is None for row in results['engines']['pillars']['frames']) == 3  # without LiDAR


def test_a_folder_without_frames_is_refused_with_a_reason(tmp_path, capsys):
    assert main(['evaluate', 'frames', '--frames', str(tmp_path)]) == 2
    assert 'frame.json' in capsys.readouterr().err


@pytest.mark.parametrize('arguments', [['evaluate'], ['evaluate', 'frames', '--engine', 'magic', '--frames', '.']])
def test_what_the_command_does_not_know_ends_with_usage(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert 'usage' in capsys.readouterr().err
