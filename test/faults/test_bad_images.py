"""Cameras that send what no camera should, beyond what test_camera_node shows: files that are none, and twelve at once."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
import pytest
from nodes.test_camera_node import POSES, TWO, Cameras, raw, second, start, warnings_of
from sensor_msgs.msg import CompressedImage

from harness import ros
from moe_bev_ros.nodes.base import SENSOR_QOS
from moe_bev_ros.nodes.convert import cameras_from_msg, header


@pytest.mark.parametrize(
    ('spoil', 'fact'),
    [
        (lambda _: b'garbage' * 100, 'is neither JPEG nor PNG'),
        (lambda _: b'', 'is neither JPEG nor PNG'),
        (lambda data: data[: len(data) // 2], 'truncated JPEG'),
        (lambda data: data[:2] + b'\xff' * 200 + data[-2:], 'without a size in its head'),
        (lambda _: cv2.imencode('.jpg', np.zeros((10, 10, 3), np.uint8))[1].tobytes(), 'the image is 10 x 10'),
    ],
)
def test_a_bad_compressed_image_is_masked_with_its_fact_and_the_next_one_used(spoil: Any, fact: str) -> None:
    topic = '/sensing/camera/left/image_raw/compressed'
    parameters = {**TWO, 'camera_names': ['left'], 'extrinsics': list(POSES['left']), 'image_topics': [topic]}
    good = cv2.imencode('.jpg', np.full((64, 176, 3), 90, np.uint8))[1].tobytes()
    with ros(parameters) as harness:
        node, bundles = start(harness)
        Cameras(harness, ('left',), infos=False, images=False).calibrate('left')
        publisher = harness.talk(CompressedImage, topic, SENSOR_QOS)
        for index, data in enumerate((spoil(good), good)):
            stamp = header(second(5 + index), 'left')
            publisher.publish(CompressedImage(header=stamp, format='jpeg', data=array.array('B', data)))
            harness.spin_until(lambda index=index: len(bundles) > index)
        assert f'{topic}: ' in warnings_of(node)
        assert fact in warnings_of(node)
    assert [list(bundle.valid) for bundle in bundles] == [[False], [True]]
    assert not cameras_from_msg(bundles[0]).images_nhw3.any()


def test_twelve_cameras_become_one_bundle_and_a_spoiled_one_is_masked_alone() -> None:
    names = [f'cam{index}' for index in range(12)]
    extrinsics = [value for _ in names for value in POSES['left']]
    with ros({**TWO, 'camera_names': names, 'anchor_camera': 'cam7', 'extrinsics': extrinsics}) as harness:
        _, bundles = start(harness)
        cameras = Cameras(harness, tuple(names))
        spoiled = raw(second(5))
        spoiled.encoding = 'rgb16'
        cameras.send(second(5), cam3=spoiled)
        harness.spin_until(lambda: bundles)
    assert list(bundles[0].names) == names
    assert [index for index, valid in enumerate(bundles[0].valid) if not valid] == [3]
