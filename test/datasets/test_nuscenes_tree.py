import json

import numpy as np
import pytest
import yaml
from datasets.small_tree import CAR_MPS, LIDAR_MOUNT, SIZE, SPEED_MPS, TICKS, car_box, ego_pose, write_small_tree

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.objects import Label
from moe_bev_ros.core.se3 import inverse
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.record_loading import CROP
from moe_bev_ros.runtime.environment import config_dir

SCENE = 'world-1000000'


@pytest.fixture
def root(tmp_path):
    return write_small_tree(tmp_path / 'tree')


def frames(root, **options):
    return list(open_tree(root).frames(SCENE, SIZE, **options))


def edit(path, change):
    rows = json.loads(path.read_text())
    path.write_text(json.dumps(change(rows)))


def test_frames_come_at_10_hz_and_boxes_at_2_hz(root):
    found = frames(root)
    assert len(found) == TICKS
    assert np.unique(np.diff([frame.frame.stamp_ns for frame in found])).tolist() == [100_000_000]
    assert [bool(frame.sample_token) for frame in found] == [tick % 5 == 0 for tick in range(TICKS)]
    keyframes = frames(root, keyframes_only=True)
    assert [frame.sample_token for frame in keyframes] == [frame.sample_token for frame in found if frame.sample_token]
    assert all(frame.frame.cameras.names == ('CAM_FRONT', 'CAM_BACK') for frame in found)
    assert all(abs(frame.frame.ego.speed_mps - SPEED_MPS) < 1e-6 for frame in found)


def test_boxes_are_in_base_link_with_the_devkits_velocity(root):
    for tick, frame in enumerate(frames(root)):
        if frame.boxes is None:
            continue
        wanted = car_box(tick)
        wanted[:2] -= ego_pose(tick)[:2, 3]
        np.testing.assert_allclose(frame.boxes.boxes_n7, [wanted], atol=1e-4)
        np.testing.assert_allclose(frame.boxes.velocities_n2, [[CAR_MPS, 0.0]], atol=1e-4)
        assert frame.boxes.labels_n.tolist() == [Label.CAR]
        assert frame.boxes.attributes == ('vehicle.moving',)
        assert frame.boxes.visible_shares_n == pytest.approx([0.4])  # the lower end of v40-60


def test_points_are_those_of_the_file_in_base_link(root):
    frame = frames(root)[3]
    (path,) = (root / 'sweeps' / 'LIDAR_TOP').glob('*0300000.pcd.bin')
    raw = np.fromfile(path, np.float32).reshape(-1, 5)
    lidar = inverse(LIDAR_MOUNT)
    points = frame.frame.lidar.points_n5
    back = points[:, :3] @ lidar[:3, :3].T + lidar[:3, 3]
    place = np.abs(raw[None, :, :3] - back[:, None]).max(axis=2)
    assert place.min(axis=1).max() < 1e-4
    nearest = raw[place.argmin(axis=1)]
    np.testing.assert_allclose(points[:, 3], nearest[:, 3] / 255.0, atol=1e-6)
    assert not points[:, 4].any()


def test_points_are_cropped_as_lidar_node_does_by_default():
    params = yaml.safe_load((config_dir() / 'lidar_node.param.yaml').read_text())['/**']['ros__parameters']
    assert list(CROP.ego_box) == params['ego_box']
    assert list(CROP.range_m) == params['range_m']


def test_images_are_cropped_and_resized_with_their_matrix(root):
    (small, *_) = open_tree(root).frames(SCENE, (48, 16), keyframes_only=True)
    assert small.frame.cameras.images_nhw3.shape == (2, 16, 48, 3)
    matrix = small.frame.cameras.intrinsics_n33[0]
    assert matrix[0, 0] == pytest.approx(40.0)
    assert matrix[1, 2] == pytest.approx((32.0 - 32.0) / 2 - 0.5)  # 64 rows to 32, of which the upper 16 are cut


def test_nuscenes_rates_are_thinned_to_the_sweeps_next_to_each_tenth(root):
    """Sweeps at 20 Hz and cameras that are late by 30 ms: frames stay at 10 Hz, on sweeps."""

    def faster(rows):
        stamps = {row['token']: row['timestamp'] for row in rows}
        extra = [
            {**row, 'token': f'{row["token"]}+', 'timestamp': stamps[row['token']] + 50_000, 'is_key_frame': False}
            for row in rows
            if row['fileformat'] == 'pcd'
        ]
        late = [{**row, 'timestamp': row['timestamp'] + (30_000 if row['fileformat'] == 'jpg' else 0)} for row in rows]
        return late + extra

    before = [frame.frame.stamp_ns for frame in frames(root)]
    edit(root / 'v1.0-world' / 'sample_data.json', faster)
    found = frames(root)
    assert [frame.frame.stamp_ns for frame in found] == before
    assert all(frame.frame.cameras.valid_n.all() for frame in found)


def test_splits_name_the_scenes(root):
    tree = open_tree(root)
    assert tree.scenes('world_val') == tree.scenes() == (SCENE,)
    with pytest.raises(InputError, match='none of the 0 scenes of world_test'):
        tree.scenes('world_test')
    with pytest.raises(InputError, match="no split 'tests'"):
        tree.scenes('tests')


def test_a_missing_version_is_an_error_that_says_what_is_there(root):
    with pytest.raises(InputError, match=r"no version 'v1\.0-mini'; there is v1\.0-world"):
        open_tree(root, 'v1.0-mini')
    with pytest.raises(InputError, match=r'no folder with a sample\.json'):
        open_tree(root / 'samples')


def test_an_unknown_scene_is_an_error(root):
    with pytest.raises(InputError, match="no scene 'scene-1'"):
        list(open_tree(root).frames('scene-1', SIZE))


@pytest.mark.parametrize('table', ['scene', 'sample', 'sample_data', 'ego_pose', 'calibrated_sensor', 'sensor'])
def test_an_empty_or_cut_or_missing_table_is_an_error_that_names_it(root, table):
    path = root / 'v1.0-world' / f'{table}.json'
    text = path.read_text()
    path.write_text('[]')
    with pytest.raises(InputError, match=rf'{table}\.json: empty'):
        open_tree(root)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(InputError, match=rf'{table}\.json: .*cut off'):
        open_tree(root)
    path.unlink()
    with pytest.raises(InputError, match=rf'{table}\.json'):
        open_tree(root)


def test_an_unknown_category_is_an_error_that_names_it(root):
    edit(root / 'v1.0-world' / 'category.json', lambda rows: [{**row, 'name': 'vehicle.tank'} for row in rows])
    with pytest.raises(InputError, match=r"category\.json: unknown category 'vehicle\.tank'"):
        open_tree(root)


def test_categories_outside_the_ten_classes_are_left_out(root):
    edit(root / 'v1.0-world' / 'category.json', lambda rows: [{**row, 'name': 'animal'} for row in rows])
    assert all(not len(frame.boxes) for frame in frames(root, keyframes_only=True))


def test_a_token_that_is_not_there_is_an_error_that_names_the_table(root):
    edit(root / 'v1.0-world' / 'ego_pose.json', lambda rows: rows[:5])
    with pytest.raises(InputError, match=r'ego_pose\.json: no row has the token'):
        frames(root)


@pytest.mark.parametrize(('channel', 'keep'), [('CAM_FRONT', 300), ('LIDAR_TOP', 777), ('CAM_BACK', None), ('LIDAR_TOP', None)])
def test_a_cut_or_missing_file_is_an_error_that_names_it(root, channel, keep):
    path = sorted((root / 'sweeps' / channel).iterdir())[2]
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=path.name.replace('.', r'\.')):
        frames(root)


def test_a_camera_without_calibration_is_an_error(root):
    edit(root / 'v1.0-world' / 'calibrated_sensor.json', lambda rows: [{**row, 'camera_intrinsic': []} for row in rows])
    with pytest.raises(InputError, match='camera_intrinsic of CAM_FRONT'):
        frames(root)


def test_a_camera_with_a_singular_matrix_is_an_error_that_names_it(root):
    singular = [[0.0, 0.0, 8.0], [0.0, 9.0, 8.0], [0.0, 0.0, 1.0]]
    path = root / 'v1.0-world' / 'calibrated_sensor.json'
    edit(path, lambda rows: [{**row, 'camera_intrinsic': singular if row['camera_intrinsic'] else []} for row in rows])
    with pytest.raises(InputError, match=r'CAM_FRONT in calibrated_sensor\.json.* is singular.*calibrate'):
        frames(root)


@pytest.mark.parametrize(('table', 'field'), [('sample_data', 'is_key_frame'), ('scene', 'name'), ('sample', 'timestamp')])
def test_a_table_of_another_version_is_an_error_that_names_table_and_field(root, table, field):
    edit(root / 'v1.0-world' / f'{table}.json', lambda rows: [{k: v for k, v in row.items() if k != field} for row in rows])
    with pytest.raises(InputError, match=rf'{table}\.json: rows without {field}; this is no table of nuScenes'):
        open_tree(root)
