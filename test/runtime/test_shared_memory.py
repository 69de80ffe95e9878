import fcntl

from moe_bev_ros.runtime.shared_memory import abandoned_segments, remove_abandoned_segments

NAME = 'fastdds_0123456789abcdef'


def segment(folder, name=NAME):
    (folder / name).write_bytes(bytes(1000))
    (folder / f'{name}_el').touch()
    return folder / name


def test_a_segment_whose_process_is_gone_is_removed(tmp_path):
    segment(tmp_path)
    assert remove_abandoned_segments(tmp_path, min_age_s=-1.0) == 1000
    assert list(tmp_path.iterdir()) == []


def test_a_segment_in_use_stays(tmp_path):
    path = segment(tmp_path)
    with (tmp_path / f'{NAME}_el').open('r+') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_abandoned_segments(tmp_path, min_age_s=-1.0) == 0
    assert path.exists()


def test_a_segment_of_a_process_that_just_starts_stays(tmp_path):
    segment(tmp_path)
    assert abandoned_segments(tmp_path) == []


def test_other_files_stay(tmp_path):
    for name in ('fastdds_port7411', 'sem.fastdds_port7411_mutex', 'other'):
        segment(tmp_path, name)
    assert remove_abandoned_segments(tmp_path, min_age_s=-1.0) == 0
    assert len(list(tmp_path.iterdir())) == 6


def test_without_shared_memory_there_is_nothing_to_do(tmp_path):
    assert remove_abandoned_segments(tmp_path / 'missing') == 0
