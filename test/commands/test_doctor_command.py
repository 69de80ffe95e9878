import pytest

from moe_bev_ros.cli import main
from moe_bev_ros.commands.doctor import gather
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.runtime.doctor import Level


def test_every_subject_gets_a_line(capsys):
    code = main(['doctor'])
    lines = capsys.readouterr().out.splitlines()
    for subject in (
        'Python',
        'rclpy',
        'messages',
        'transport profile',
        'shared-memory',
        'rmem_max',
        'calibration',
        'torch',
        'CPU cores',
        'clock',
    ):
        assert sum(subject in line for line in lines) >= 1, subject
    assert all(line.startswith(('ok  ', 'warn', 'fail')) for line in lines)
    assert code == int(any(line.startswith('fail') for line in lines))


def test_an_inconsistent_calibration_gives_exit_code_1(tmp_path, capsys):
    path = tmp_path / 'cameras.yaml'
    path.write_text('/camera_node: {ros__parameters: {camera_names: [A, B], image_topics: [/a]}}')
    assert main(['doctor', '--params', str(path)]) == 1
    assert 'fail  calibration: image_topics has 1 entries for 2 cameras' in capsys.readouterr().out


def test_a_parameter_file_that_is_no_yaml_is_refused_with_its_name(tmp_path):
    path = tmp_path / 'cameras.yaml'
    path.write_text('{: [')
    with pytest.raises(InputError, match=r'cameras\.yaml'):
        gather(path)


def test_a_chosen_engine_that_is_none_fails_and_the_shipped_choice_can_be_built(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text('/bev_node: {ros__parameters: {engine: magic}}')
    facts = {check.fact: check.level for check in gather(path) if check.fact.startswith('engine')}
    assert facts['engine magic (chosen by bev_node): there is none'] is Level.FAIL
    shipped = [check for check in gather() if 'chosen by bev_node' in check.fact]
    assert [check.level for check in shipped] == [Level.OK]


def test_a_chosen_network_is_built_as_its_parameters_say(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(f'/bev_node: {{ros__parameters: {{engine: onnxruntime, engine_dir: {tmp_path}}}}}')
    (check,) = (check for check in gather(path) if 'engine onnxruntime' in check.fact)
    assert check.level is Level.FAIL
    assert 'manifest.json' in check.fact
    assert 'moe-bev export' in check.cure
