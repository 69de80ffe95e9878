from pathlib import Path

import pytest
import yaml

from moe_bev_ros.model.config import profile
from moe_bev_ros.runtime.doctor import (
    Check,
    Level,
    check_abandoned,
    check_calibration,
    check_clock,
    check_cores,
    check_engine,
    check_engines,
    check_image_size,
    check_messages,
    check_profile,
    check_python,
    check_rclpy,
    check_receive_buffer,
    largest_segment_bytes,
    node_params,
)
from moe_bev_ros.runtime.environment import config_dir

SHIPPED = config_dir() / 'fastdds.xml'
GIB = 2**30
CAMERAS = {
    'camera_names': ['FRONT', 'LEFT'],
    'image_topics': ['/front', '/left'],
    'anchor_camera': 'FRONT',
    'extrinsics': [1.5, 0.0, 1.6, -1.57, 0.0, -1.57, *[float('nan')] * 6],
}


def test_a_line_is_level_fact_and_cure():
    assert str(Check(Level.WARN, 'it rains', 'take an umbrella')) == 'warn  it rains  -> take an umbrella'
    assert str(Check(Level.OK, 'the sun shines')) == 'ok    the sun shines'


@pytest.mark.parametrize(('version', 'level'), [((3, 9), Level.FAIL), ((3, 11), Level.OK), ((3, 15), Level.WARN)])
def test_python(version, level):
    assert check_python(version).level is level


def test_a_missing_ros_fails_with_both_cures():
    check = check_rclpy(None, None, None, "No module named 'rclpy'")
    assert check.level is Level.FAIL
    assert 'setup.bash' in check.cure
    assert 'pip install' in check.cure


def test_tested_ros_is_ok_and_another_middleware_a_warning():
    assert check_rclpy('9.1.2', None, 'rmw_fastrtps_cpp').fact == 'rclpy 9.1.2 (kilted), rmw_fastrtps_cpp'
    assert check_rclpy('9.1.2', 'kilted', 'rmw_cyclonedds_cpp').level is Level.WARN
    assert check_rclpy('3.3.1', 'humble', 'rmw_fastrtps_cpp').level is Level.WARN


def test_messages_that_do_not_import_fail():
    assert check_messages('').level is Level.OK
    assert check_messages("No module named 'moe_bev_ros.msg'").level is Level.FAIL


def test_the_shipped_profile_is_ok_when_set():
    environment = {'FASTDDS_DEFAULT_PROFILES_FILE': str(SHIPPED)}
    assert [check.level for check in check_profile(environment, SHIPPED, 4 * GIB)] == [Level.OK, Level.OK]


def test_a_profile_that_is_not_set_is_a_warning_that_gives_the_line():
    check = check_profile({}, SHIPPED, 4 * GIB)[0]
    assert check.level is Level.WARN
    assert f'_DEFAULT_PROFILES_FILE={SHIPPED}' in check.cure


@pytest.mark.parametrize(('free', 'level'), [(None, Level.FAIL), (64 * 2**20, Level.FAIL), (GIB // 2, Level.WARN)])
def test_a_segment_that_does_not_fit_is_said(free, level):
    assert check_profile({}, SHIPPED, free)[1].level is level


def test_an_unreadable_profile_and_one_without_shared_memory_fail(tmp_path):
    broken, udp = tmp_path / 'broken.xml', tmp_path / 'udp.xml'
    broken.write_text('<dds')
    udp.write_text('<dds><profiles/></dds>')
    for path in (broken, udp, Path('/missing.xml')):
        assert check_profile({'FASTDDS_DEFAULT_PROFILES_FILE': str(path)}, SHIPPED, 4 * GIB)[1].level is Level.FAIL


def test_the_segment_size_is_read_from_the_profile():
    assert largest_segment_bytes(SHIPPED.read_text()) == 256 * 2**20


def test_abandoned_shared_memory_is_counted():
    assert check_abandoned(0).level is Level.OK
    assert check_abandoned(3).fact.startswith('3 shared-memory segments')


@pytest.mark.parametrize(('rmem', 'level'), [(212992, Level.WARN), (8 * 2**20, Level.OK), (None, Level.WARN)])
def test_receive_buffer(rmem, level):
    assert check_receive_buffer(rmem).level is level


def test_cores():
    assert check_cores(1, 0.0).level is Level.WARN
    assert check_cores(4, 9.0).level is Level.WARN
    assert check_cores(4, 1.0).level is Level.OK


def test_clock():
    assert check_clock(0.2, 0.2, 2026).level is Level.OK
    assert check_clock(1.2, 0.2, 2026).level is Level.WARN
    assert check_clock(0.2, 0.2, 1970).level is Level.FAIL


def test_engines_are_listed_and_none_is_needed():
    checks = check_engines({'torch': '2.13.0', 'tensorrt': None}, None)
    assert [check.level for check in checks] == [Level.OK] * 2
    assert 'CPU only' in checks[0].fact
    assert 'not installed' in checks[1].fact


def test_a_consistent_calibration_is_ok():
    assert [check.level for check in check_calibration(CAMERAS)] == [Level.OK]


@pytest.mark.parametrize(
    ('change', 'fact'),
    [
        ({'camera_names': []}, 'no camera_names'),
        ({'image_topics': ['/front']}, 'image_topics has 1 entries for 2 cameras'),
        ({'image_topics': ['/front', '/front']}, 'image_topics holds /front twice'),
        ({'camera_names': ['FRONT', 'FRONT']}, 'camera_names holds FRONT twice'),
        ({'anchor_camera': 'BACK'}, 'anchor_camera BACK is no camera'),
        ({'time_offsets_s': [0.0, 33.0]}, 'time offset of 33.0 s'),
        ({'extrinsics': [0.0] * 7}, 'extrinsics has 7 entries'),
        ({'extrinsics': [1.5, 0.0, 1.6, -90.0, 0.0, -90.0] + [0.0] * 6}, 'FRONT is turned by -90 rad'),
        ({'extrinsics': [1500.0, 0.0, 1.6, 0.0, 0.0, 0.0] + [0.0] * 6}, 'FRONT is 1500 m away'),
        ({'extrinsics': [float('nan'), 0.0, 0.0, 0.0, 0.0, 0.0] + [0.0] * 6}, 'pose of FRONT is not finite'),
    ],
)
def test_an_inconsistent_calibration_fails_and_names_the_list(change, fact):
    checks = check_calibration({**CAMERAS, **change})
    assert {check.level for check in checks} == {Level.FAIL}
    assert any(fact in check.fact for check in checks)


def test_the_shipped_camera_parameters_are_consistent():
    document = yaml.safe_load((config_dir() / 'camera_node.param.yaml').read_text())
    assert [check.level for check in check_calibration(node_params(document, 'camera_node'))] == [Level.OK]


def test_parameters_of_other_nodes_are_no_calibration():
    document = {'/lidar_node': {'ros__parameters': {'camera_names': ['A']}}}
    assert node_params(document, 'camera_node') == {}
    assert node_params(None, 'camera_node') == {}


@pytest.mark.parametrize(('is_chosen', 'level'), [(True, Level.FAIL), (False, Level.WARN)])
def test_an_engine_that_cannot_be_built_fails_where_it_is_chosen(is_chosen, level):
    check = check_engine('torch', 'tiny.safetensors: no such weights; train it', None, is_chosen=is_chosen)
    assert check.level is level
    assert (check.fact.split(': ')[1:], check.cure) == (['tiny.safetensors', 'no such weights'], 'train it')
    assert 'reads images of 352 x 128' in str(check_engine('torch', '', (352, 128), is_chosen=is_chosen))


def test_a_run_time_that_is_not_chosen_is_only_looked_for():
    assert 'can be built' not in str(check_engine('openvino', '', None, is_chosen=False, is_built=False))
    missing = check_engine('openvino', 'engine openvino: no module; install it', None, is_chosen=False, is_built=False)
    assert (missing.fact, missing.cure) == ('engine openvino (not chosen): no module', 'install it')


def test_images_of_another_size_than_the_engine_reads_are_a_failure_with_the_values_to_set():
    (check,) = check_image_size('torch', (352, 128), {'width': 704, 'height': 256})
    assert check.level is Level.FAIL
    assert check.cure == 'set width: 352 and height: 128 of camera_node'
    assert check_image_size('torch', (352, 128), {'width': 352, 'height': 128}) == []
    assert check_image_size('clustering', None, {'width': 704, 'height': 256}) == []


def test_the_shipped_parameters_fit_the_network_that_is_shipped():
    tiny = profile('tiny')
    for file, node in (('camera_node.param.yaml', 'camera_node'), ('orin.param.yaml', 'camera_node')):
        params = node_params(yaml.safe_load((config_dir() / file).read_text()), node)
        assert check_image_size('torch', (tiny.image_width, tiny.image_height), params) == []
    world = node_params(yaml.safe_load((config_dir() / 'world_node.param.yaml').read_text()), 'world_node')
    assert (world['image_width'], world['image_height']) == (tiny.image_width, tiny.image_height)
