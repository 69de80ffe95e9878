import json
from dataclasses import replace

import pytest
from datasets.small_tree import write_small_tree
from model.small_model import CONFIG

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.learning.calibration_set import STRETCH, CalibrationFrames, calibration_set

CONDITIONS = ('day', 'day', 'day', 'night', 'rain')


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp('tree')
    for number, condition in enumerate(CONDITIONS):
        name = f'world-{1000000 + number}'
        write_small_tree(root, name)
        path = root / 'v1.0-world' / 'world' / f'{name}.json'
        path.write_text(json.dumps({**json.loads(path.read_text()), 'condition': condition}))
    return open_tree(root)


def test_every_condition_comes_before_one_comes_again(tree):
    chosen = calibration_set(tree, '', 4 * STRETCH)
    assert set(chosen.conditions[:3]) == {'day', 'night', 'rain'}
    assert chosen.found == {'day': 2 * STRETCH, 'night': STRETCH, 'rain': STRETCH}


def test_a_condition_that_the_tree_lacks_is_a_warning(tree):
    chosen = calibration_set(tree, '', 16)
    assert chosen.missing == ('fog', 'low_sun')
    (warning,) = chosen.warnings
    assert 'night (4)' in warning
    assert 'none in fog, low_sun' in warning


def test_one_image_is_refused(tree):
    with pytest.raises(InputError, match='1 calibration frame: ranges would be those of what happens to be in view'):
        calibration_set(tree, '', 1)


def test_a_split_with_too_few_scenes_is_refused(tree, tmp_path):
    few = open_tree(write_small_tree(tmp_path / 'few'))
    with pytest.raises(InputError, match='has 1 scenes'):
        calibration_set(few, '', 64)


def test_no_frame_is_taken_twice_where_there_are_too_few(tree):
    assert calibration_set(tree, '', 1000).num_frames == STRETCH * len(CONDITIONS)


def test_frames_are_the_same_each_time_and_have_their_conditions(tree):
    config = replace(CONFIG, half_m=25.6, pillar_m=0.8)
    frames = CalibrationFrames(calibration_set(tree, '', 16), config)
    first, second = list(frames), list(frames)
    assert len(first) == len(frames) == 16
    assert {frame.conditions[0] for frame in first} == {'day', 'night', 'rain'}
    for one, other in zip(first, second):
        assert all((a == b).all() for a, b in zip(one.inputs, other.inputs))
    begins = [float(frame.inputs.dt[0]) == 0.0 for frame in first]
    assert begins == [place % STRETCH == 0 for place in range(16)]
