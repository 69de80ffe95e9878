"""The capability matrix is read whole or refused."""

import json

import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.engine.capability import DEFAULT, load_capability


def content_of(capability):
    return {'scores': {name: dict(row) for name, row in capability.scores.items()}, 'costs': dict(capability.costs)}


def test_without_a_file_the_assumed_matrix_counts(tmp_path):
    assert load_capability(tmp_path / 'none.json') is DEFAULT


def test_a_measured_matrix_is_read_and_averaged_over_sight_and_traffic(tmp_path):
    content = content_of(DEFAULT)
    content['scores']['fused'] = {'day': 0.6, 'night': 0.4, 'rain': 0.5, 'cut_in': 0.75, 'merge': 0.8}
    path = tmp_path / 'capability.json'
    path.write_text(json.dumps(content))
    found = load_capability(path)
    assert found.score('fused', is_poor=False, is_busy=False) == pytest.approx(0.7)
    assert found.score('fused', is_poor=True, is_busy=True) == pytest.approx(0.6)
    assert found.score('lidar', is_poor=False, is_busy=True) == pytest.approx(DEFAULT.scores['lidar']['day'])


@pytest.mark.parametrize(
    'spoil',
    [
        lambda content: content.pop('costs'),
        lambda content: content['scores'].pop('lidar'),
        lambda content: content['scores'].update({'fused+radar': {'day': 1.0, 'night': 1.0}}),
        lambda content: content['scores'].update(fused={'day': 0.5}),
        lambda content: content['scores'].update(fused=[0.5]),
    ],
)
def test_a_matrix_of_another_form_is_refused(tmp_path, spoil):
    content = content_of(DEFAULT)
    spoil(content)
    path = tmp_path / 'capability.json'
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match='capability'):
        load_capability(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    path = tmp_path / 'capability.json'
    path.write_text(json.dumps(content_of(DEFAULT))[:50])
    with pytest.raises(InputError, match='measure it again'):
        load_capability(path)


def test_a_choice_that_was_measured_to_see_little_is_not_fit_to_drive_by():
    shipped = load_capability()
    assert {choice: shipped.is_fit_to_drive(choice) for choice in ('fused', 'lidar', 'camera')} == {
        'fused': True,
        'lidar': True,
        'camera': False,
    }
    assert DEFAULT.is_fit_to_drive('camera')
