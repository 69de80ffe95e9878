import cv2
import pytest
import torch
from evaluation.small_tree import write_tree

from moe_bev_ros.cli import main
from moe_bev_ros.datasets.frames import read_frames
from moe_bev_ros.datasets.frames_to_tree import write_frames_tree
from moe_bev_ros.model.bev_model import BevModel
from moe_bev_ros.model.config import profile
from moe_bev_ros.model.weights_file import save_weights


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    torch.manual_seed(0)
    config = profile('tiny')
    return str(save_weights(BevModel(config), config, tmp_path_factory.mktemp('weights') / 'tiny.safetensors'))


def command(tree, scene, weights, out, *more):
    return main(
        ['evaluate', 'explanation', '--data', str(tree), '--scene', scene, '--weights', weights, '--out', str(out), *more]
    )


def test_a_recorded_frame_is_explained_in_a_picture(data_dir, weights, tmp_path):
    scene = write_frames_tree(read_frames(data_dir / 'nuscenes' / 'scene-0061'), tmp_path / 'tree')
    assert command(tmp_path / 'tree', scene, weights, tmp_path / 'a.png', '--label', 'pedestrian', '--objects', '2') == 0
    picture = cv2.imread(str(tmp_path / 'a.png'))
    assert picture.shape[1] > 3 * 352
    assert picture.std() > 20


def test_what_cannot_be_explained_is_refused_with_a_reason(weights, tmp_path, capsys):
    scene = write_tree(tmp_path, 1).scenes()[0]
    for arguments, fact in (
        ((scene, weights, 'a.png'), 'no valid image'),
        ((scene, weights, 'a.txt'), '.png'),
        ((scene, weights, 'a.png', '--frame', '5000'), 'no frame 5000'),
        (('scene-of-mine', weights, 'a.png'), 'scene-of-mine'),
        ((scene, str(tmp_path / 'none.safetensors'), 'a.png'), 'none.safetensors'),
        ((scene, weights, 'a.png', '--objects', '0'), '1 or more'),
    ):
        assert command(tmp_path, *arguments) == 2
        assert fact in capsys.readouterr().err
