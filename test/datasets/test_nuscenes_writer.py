import json
import multiprocessing

import pytest
from datasets.small_jobs import limit_files
from datasets.small_tree import SETTINGS, SIZE, write_small_tree

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.nuscenes_tables import visibility_token
from moe_bev_ros.datasets.nuscenes_tree import open_tree
from moe_bev_ros.datasets.nuscenes_writer import TreeWriter, whole_or_nothing


def files(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob('*') if path.is_file())


def test_scenes_of_several_runs_are_merged_and_each_keeps_its_split(tmp_path):
    write_small_tree(tmp_path, 'world-1', 'world_train')
    write_small_tree(tmp_path, 'world-1000000', 'world_val')
    tree = open_tree(tmp_path)
    assert tree.scenes() == ('world-1', 'world-1000000')
    assert (tree.scenes('world_train'), tree.scenes('world_val')) == (('world-1',), ('world-1000000',))


def test_the_same_scene_gives_the_same_files(tmp_path):
    one, other = write_small_tree(tmp_path / 'one'), write_small_tree(tmp_path / 'other')
    assert files(one) == files(other)
    assert all((one / name).read_bytes() == (other / name).read_bytes() for name in files(one))


def _break_off(writer):
    with whole_or_nothing(writer, 'world-2'):
        writer.write_data(writer.data_file('world-2', 'CAM_FRONT', 5, keyframe=True), b'half')
        raise KeyboardInterrupt


def test_what_is_broken_off_leaves_nothing_of_the_scene(tmp_path):
    before = files(write_small_tree(tmp_path))
    writer = TreeWriter(tmp_path, SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        _break_off(writer)
    assert files(tmp_path) == before
    assert not writer.has_scene('world-2')
    assert writer.merge() == ['world-1000000']


def test_a_scene_that_is_written_anew_and_broken_off_leaves_the_tables_too(tmp_path):
    write_small_tree(tmp_path, 'world-2')
    write_small_tree(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        _break_off(TreeWriter(tmp_path, SETTINGS))
    assert open_tree(tmp_path).scenes() == ('world-1000000',)


def test_a_tree_that_was_given_up_before_its_settings_is_gone_on_with(tmp_path):
    (tmp_path / 'v1.0-world' / 'scenes').mkdir(parents=True)
    assert TreeWriter(tmp_path, SETTINGS).merge() == []


def test_rows_that_were_cut_off_by_a_kill_do_not_count(tmp_path):
    write_small_tree(tmp_path)
    (tmp_path / 'v1.0-world' / 'scenes' / 'world-3.json.tmp').write_text('{"split": "wor')
    writer = TreeWriter(tmp_path, SETTINGS)
    assert not writer.has_scene('world-3')
    assert writer.merge() == ['world-1000000']


def test_other_settings_are_refused_with_fact_and_cure(tmp_path):
    write_small_tree(tmp_path)
    with pytest.raises(InputError, match=r'settings\.json: the scenes here have source test \(now other\).*another --out'):
        TreeWriter(tmp_path, {'source': 'other'})


def test_a_folder_with_something_else_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(InputError, match='not empty'):
        TreeWriter(tmp_path, SETTINGS)
    assert files(tmp_path) == ['notes.txt']


def test_two_runs_do_not_write_to_one_tree(tmp_path):
    writer = TreeWriter(tmp_path, SETTINGS)
    with writer.alone(), pytest.raises(InputError, match='another run writes here'), TreeWriter(tmp_path, SETTINGS).alone():
        pass
    with writer.alone():
        pass


def _write_on_a_full_disk(root, max_bytes, queue):
    limit_files(max_bytes)
    try:
        writer = TreeWriter(root, SETTINGS)
        with whole_or_nothing(writer, 'world-2'):
            for stamp in range(3):
                writer.write_data(writer.data_file('world-2', 'LIDAR_TOP', stamp, keyframe=False), bytes(1000 * 10**stamp))
        queue.put('written')
    except InputError as err:
        queue.put(str(err))


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_no_half_scene(tmp_path):
    before = files(write_small_tree(tmp_path))
    queue = multiprocessing.get_context('fork').Queue()
    child = multiprocessing.get_context('fork').Process(target=_write_on_a_full_disk, args=(tmp_path, 50_000, queue))
    child.start()
    text = queue.get(timeout=60)
    child.join()
    assert 'world-2__LIDAR_TOP__2.pcd.bin: File too large; make room' in text
    assert files(tmp_path) == before


def _merge_on_a_full_disk(root, queue):
    limit_files(4_000)
    try:
        TreeWriter(root, SETTINGS).merge()
        queue.put('merged')
    except InputError as err:
        queue.put(str(err))


def test_tables_stay_as_they_were_where_the_new_ones_do_not_fit(tmp_path):
    write_small_tree(tmp_path, 'world-1', 'world_train')
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    queue = multiprocessing.get_context('fork').Queue()
    child = multiprocessing.get_context('fork').Process(target=_merge_on_a_full_disk, args=(tmp_path, queue))
    child.start()
    assert '.json: File too large; make room' in queue.get(timeout=60)
    child.join()
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before
    assert len(list(open_tree(tmp_path).frames('world-1', SIZE))) == 16


def test_a_damaged_scene_is_an_error_that_names_it(tmp_path):
    path = write_small_tree(tmp_path) / 'v1.0-world' / 'scenes' / 'world-1000000.json'
    path.write_text(path.read_text()[:100])
    with pytest.raises(InputError, match=r'world-1000000\.json: .*; remove this file'):
        TreeWriter(tmp_path, SETTINGS).merge()


@pytest.mark.parametrize(('share', 'token'), [(0.0, '1'), (0.39, '1'), (0.4, '2'), (0.61, '3'), (0.8, '4'), (1.0, '4')])
def test_visibility_falls_into_the_four_bins(share, token):
    assert visibility_token(share) == token


def test_sweeps_belong_to_the_keyframe_that_follows(tmp_path):
    root = write_small_tree(tmp_path) / 'v1.0-world'
    samples = {row['token']: row['timestamp'] for row in json.loads((root / 'sample.json').read_text())}
    for row in json.loads((root / 'sample_data.json').read_text()):
        assert 0 <= samples[row['sample_token']] - row['timestamp'] < 500_000
