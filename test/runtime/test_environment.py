import os
import subprocess
import sys
import xml.etree.ElementTree as ET

from moe_bev_ros.runtime.environment import PROFILE_VARIABLES, config_dir, node_environment, profile_variable


def test_the_shipped_profile_is_set_under_the_name_that_fast_dds_reads():
    for distro, name in (('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'), ('', profile_variable({}))):
        environment = node_environment({'ROS_DISTRO': distro})
        assert environment[name] == str(config_dir() / 'fastdds.xml')
        assert sum(variable in environment for variable in PROFILE_VARIABLES) == 1  # the other one only makes Fast DDS warn


def test_what_the_user_has_set_is_kept():
    environment = node_environment({'FASTDDS_DEFAULT_PROFILES_FILE': '/own.xml', 'OMP_NUM_THREADS': '3', 'HOME': '/home/me'})
    assert environment['FASTDDS_DEFAULT_PROFILES_FILE'] == '/own.xml'
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE' not in environment
    assert environment['OMP_NUM_THREADS'] == '3'
    assert environment['HOME'] == '/home/me'


def test_an_empty_profile_variable_counts_as_not_set():
    assert node_environment({'FASTDDS_DEFAULT_PROFILES_FILE': ''})['FASTDDS_DEFAULT_PROFILES_FILE'].endswith('fastdds.xml')


def test_a_node_without_raw_images_takes_less_memory_and_is_else_set_up_alike():
    large, small = (config_dir() / name for name in ('fastdds.xml', 'fastdds_small.xml'))
    assert node_environment({'FASTDDS_DEFAULT_PROFILES_FILE': str(large)}, raw_images=False)[profile_variable({})] == str(small)
    (large_lines, small_lines) = (
        [line for line in path.read_text().split('<dds')[1].splitlines() if 'segment_size' not in line]
        for path in (large, small)
    )
    assert large_lines == small_lines


def test_waiting_threads_sleep():
    assert node_environment({})['OMP_WAIT_POLICY'] == 'PASSIVE'


def test_the_profile_holds_shared_memory_of_256_mb_beside_udp():
    root = ET.parse(config_dir() / 'fastdds.xml').getroot()
    space = '{http://www.eprosima.com}'
    assert {item.text for item in root.iter(f'{space}type')} == {'SHM', 'UDPv4'}
    assert [int(item.text) for item in root.iter(f'{space}segment_size')] == [256 * 2**20]


def test_an_installed_package_is_found_without_an_ament_prefix_path() -> None:
    code = 'import moe_bev_ros.runtime.environment as e; print(e._ament_prefix())'
    env = {name: value for name, value in os.environ.items() if name != 'AMENT_PREFIX_PATH'}
    result = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == 'None', result.stderr
