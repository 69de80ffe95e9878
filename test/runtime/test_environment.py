import os
import subprocess
import sys
import xml.etree.ElementTree as ET

from moe_bev_ros.runtime.environment import PROFILE_VARIABLES, config_dir, node_environment, transport_profile


def test_the_shipped_profile_is_set_under_the_name_that_fast_dds_reads():
    for distro in ('jazzy', ''):
        environment = node_environment({'ROS_DISTRO': distro})
        variable, profile = transport_profile({'ROS_DISTRO': distro})
        assert environment[variable] == str(profile)
        assert sum(name in environment for name in PROFILE_VARIABLES) == 1  # the other one only makes Fast DDS warn


def test_fast_dds_2_gets_the_same_profile_with_its_own_word():
    variable, profile = transport_profile({'ROS_DISTRO': 'jazzy'})
    assert (variable, profile.name) == ('FASTRTPS_DEFAULT_PROFILES_FILE', 'fastdds2.xml')
    for suffix in ('', '_small'):
        new = (config_dir() / f'fastdds{suffix}.xml').read_text()
        assert (config_dir() / f'fastdds2{suffix}.xml').read_text() == new.replace('heartbeat_period>', 'heartbeatPeriod>')


def test_fast_dds_takes_the_profile_without_a_word():
    variable, profile = transport_profile(os.environ)
    code = 'import rclpy; rclpy.init(); rclpy.create_node("quiet"); rclpy.shutdown()'
    env = {**os.environ, variable: str(profile)}
    result = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')


def test_what_the_user_has_set_is_kept():
    environment = node_environment({'FASTDDS_DEFAULT_PROFILES_FILE': '/own.xml', 'OMP_NUM_THREADS': '3', 'HOME': '/home/me'})
    assert environment['FASTDDS_DEFAULT_PROFILES_FILE'] == '/own.xml'
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE' not in environment
    assert environment['OMP_NUM_THREADS'] == '3'
    assert environment['HOME'] == '/home/me'


def test_an_empty_profile_variable_counts_as_not_set():
    variable, profile = transport_profile({})
    assert node_environment({variable: ''})[variable] == str(profile)


def test_a_node_without_raw_images_takes_less_memory_and_is_else_set_up_alike():
    (variable, large), (_, small) = transport_profile({}), transport_profile({}, raw_images=False)
    assert node_environment({variable: str(large)}, raw_images=False)[variable] == str(small)
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
