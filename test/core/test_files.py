import json

import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.files import write_json, write_text, write_texts


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
