"""Messages compiled without a ROS installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moe_bev_ros.interfaces import InterfaceError, build_interfaces

TF_HASH = 'RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087'  # of ROS 2's own tf2_msgs/msg/TFMessage


def test_type_hashes_are_those_that_ros_computes() -> None:
    description = json.loads((Path(sys.prefix) / 'share' / 'tf2_msgs' / 'msg' / 'TFMessage.json').read_text())
    hashes = {entry['type_name']: entry['hash_string'] for entry in description['type_hashes']}
    assert hashes['tf2_msgs/msg/TFMessage'] == TF_HASH


def test_a_message_and_a_service_compile_and_travel(tmp_path: Path) -> None:
    for kind, text in (('msg', 'std_msgs/Header header\nfloat32[] load\n'), ('srv', 'bool on\n---\nbool success\n')):
        (tmp_path / kind).mkdir()
        (tmp_path / kind / f'Small.{kind}').write_text(text)
    out = tmp_path / 'out'
    build_interfaces('small_msgs', tmp_path, out)
    code = """
import rclpy
from rclpy.serialization import deserialize_message, serialize_message
from small_msgs.msg import Small
from small_msgs.srv import Small as SmallService
message = Small(load=[1.0, 2.5])
assert deserialize_message(serialize_message(message), Small) == message
rclpy.init()
node = rclpy.create_node('small')
node.create_service(SmallService, 'small', lambda request, response: response)
received = []
node.create_subscription(Small, 'topic', received.append, 10)
publisher = node.create_publisher(Small, 'topic', 10)
for _ in range(100):
    publisher.publish(message)
    rclpy.spin_once(node, timeout_sec=0.1)
    if received:
        break
print(list(received[0].load))
"""

    env = {**os.environ, 'PYTHONPATH': str(out / 'python')}
    env['LD_LIBRARY_PATH'] = f'{out / "lib"}:{env.get("LD_LIBRARY_PATH", "")}'
    result = subprocess.run([sys.executable, '-c', code], env=env, capture_output=True, text=True, check=False)
    assert result.stdout.strip() == '[1.0, 2.5]', result.stderr


def test_a_folder_without_definitions_is_named(tmp_path: Path) -> None:
    with pytest.raises(InterfaceError, match=str(tmp_path)):
        build_interfaces('nothing', tmp_path, tmp_path / 'out')
