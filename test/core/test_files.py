import errno
import json

import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import whole_folder, write_json, write_text, write_texts


def test_a_file_is_replaced_and_its_folder_made(tmp_path):
    path = tmp_path / 'deep' / 'numbers.json'
    for content in ({'a': [1, 2]}, {'a': None}):
        write_json(path, content)
        assert json.loads(path.read_text()) == content
    assert list(path.parent.iterdir()) == [path]


def test_texts_are_written_all_or_none(tmp_path):
    (tmp_path / 'a').write_text('old')
    with pytest.raises(InputError, match='absent'):
        write_texts({tmp_path / 'a': 'new', tmp_path / 'absent' / 'b': 'new'})
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [('a', 'old')]


def test_a_place_that_is_none_is_named_with_a_cure(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(InputError, match=r'file.*; make room or give another place'):
        write_text(tmp_path / 'file' / 'b', 'new')


def fill(folder, text):
    (folder / 'index').write_text(text)


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path):
    folder = tmp_path / 'deep' / 'results'
    for text in ('old', 'new'):
        with whole_folder(folder, 'index') as temporary:
            fill(temporary, text)
            assert not folder.exists() or (folder / 'index').read_text() == 'old'
        assert (folder / 'index').read_text() == text
        assert list(folder.parent.iterdir()) == [folder]


def fill_half(folder):
    with whole_folder(folder, 'index') as temporary:
        fill(temporary, 'new')
        raise OSError(errno.ENOSPC, 'No space left on device')


def test_a_folder_that_is_not_finished_leaves_the_old_one_alone(tmp_path):
    folder = tmp_path / 'results'
    with whole_folder(folder, 'index') as temporary:
        fill(temporary, 'old')
    with pytest.raises(InputError, match=r'results: No space left on device; make room'):
        fill_half(folder)
    assert (folder / 'index').read_text() == 'old'
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(('replaces', 'stays'), [(True, 'second'), (False, 'first')])
def test_of_two_that_fill_a_folder_at_once_both_end_well(tmp_path, replaces, stays):
    with whole_folder(tmp_path / 'results', 'index', replaces=replaces) as second:
        fill(second, 'second')
        with whole_folder(tmp_path / 'results', 'index', replaces=replaces) as first:
            fill(first, 'first')
    assert (tmp_path / 'results' / 'index').read_text() == stays
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_of_something_else_is_not_replaced(tmp_path):
    (tmp_path / 'letter.txt').write_text('dear')
    with pytest.raises(InputError, match='lacks index; give a new'), whole_folder(tmp_path, 'index'):
        pass
    assert (tmp_path / 'letter.txt').read_text() == 'dear'
