import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.datasets.bag_reader import BagReader
from moe_bev_ros.datasets.bag_writer import BagWriter, TopicQos
from moe_bev_ros.datasets.ros_types import type_store

STORAGES = ['sqlite3', 'mcap']
SUFFIX = {'sqlite3': '.db3', 'mcap': '.mcap'}


def write_bag(path, storage, num_messages=300, size=20_000):
    cloud_type = type_store().types['std_msgs/msg/UInt8MultiArray']
    layout = type_store().types['std_msgs/msg/MultiArrayLayout'](dim=[], data_offset=0)
    with BagWriter(path, storage) as bag:
        bag.add_topic('/tf_static', 'tf2_msgs/msg/TFMessage', TopicQos(transient_local=True, depth=100))
        bag.add_topic('/data', 'std_msgs/msg/UInt8MultiArray', TopicQos(reliable=False, depth=5))
        bag.write('/tf_static', 1, type_store().types['tf2_msgs/msg/TFMessage'](transforms=[]))
        for index in range(num_messages):
            bag.write('/data', 10 + index, cloud_type(layout=layout, data=np.full(size, index % 256, np.uint8)))
    return path


@pytest.mark.parametrize('storage', STORAGES)
def test_a_bag_comes_back_as_it_was_written(tmp_path, storage):
    with BagReader(write_bag(tmp_path / 'bag', storage)) as bag:
        messages = list(bag.messages())
        assert bag.topics['/tf_static'].qos == TopicQos(reliable=True, transient_local=True, depth=100)
        assert bag.topics['/data'].qos == TopicQos(reliable=False, transient_local=False, depth=5)
        assert (bag.start_ns, bag.end_ns, bag.num_messages, bag.damage) == (1, 309, 301, '')
        assert [message.stamp_ns for message in messages] == [1, *range(10, 310)]
        assert len(list(bag.messages(('/data',), start_ns=300))) == 10
        assert list(bag.messages(('/absent',))) == []


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('part', [0.9, 0.5, 0.1])
def test_of_a_cut_bag_the_beginning_is_read_and_the_damage_said(tmp_path, storage, part):
    path = write_bag(tmp_path / 'bag', storage)
    file = next(path.glob('*' + SUFFIX[storage]))
    os.truncate(file, int(file.stat().st_size * part))
    with BagReader(path) as bag:
        messages = list(bag.messages())
        assert 'cut off or damaged' in bag.damage
        assert 0.6 * part * 300 < len(messages) < 300
        assert len(messages) == bag.num_messages
        assert [message.stamp_ns for message in messages] == [1, *range(10, 10 + len(messages) - 1)]
        assert bag.topics['/tf_static'].qos.transient_local


@pytest.mark.parametrize('storage', STORAGES)
def test_a_killed_writer_leaves_everything_up_to_its_last_flush(tmp_path, storage):
    path = tmp_path / 'bag'
    code = (
        'import sys, time; from moe_bev_ros.datasets.bag_writer import BagWriter\n'
        f'bag = BagWriter({str(path)!r}, {storage!r}); bag.add_topic("/a", "std_msgs/msg/Empty")\n'
        '[bag.write_serialized("/a", i, b"\\0\\1\\0\\0\\0") for i in range(100)]; bag.flush()\n'
        'bag.write_serialized("/a", 100, b"\\0\\1\\0\\0\\0"); print("ready", flush=True); time.sleep(60)'
    )
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == 'ready\n'
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with BagReader(path) as bag:
        assert len(list(bag.messages())) == 100
        assert bag.damage


def test_a_folder_that_is_no_bag_is_an_error(tmp_path):
    for path in (tmp_path, tmp_path / 'absent'):
        with pytest.raises(InputError, match=str(path)):
            BagReader(path)


def test_a_bag_of_garbage_is_an_error(tmp_path):
    (tmp_path / 'bag.mcap').write_bytes(b'garbage' * 100)
    with pytest.raises(InputError, match='nothing in it can be read'):
        BagReader(tmp_path)
