"""bev_node with a network explains itself to those who listen, and to nobody else."""

import time

import numpy as np
import pytest
from model.small_model import CONFIG, small_model
from sensor_msgs.msg import Image

from harness import ros
from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.trace import Trace
from moe_bev_ros.engine.engines import ENGINES
from moe_bev_ros.engine.torch_network import torch_engine
from moe_bev_ros.model.weights_file import save_weights
from moe_bev_ros.msg import CameraBundle, Objects
from moe_bev_ros.nodes.base import SENSOR_QOS
from moe_bev_ros.nodes.bev_node import BevNode
from moe_bev_ros.nodes.convert import cameras_to_msg
from moe_bev_ros.nodes.explanation_publisher import PERIOD_S

STEP_NS = 100_000_000
TOPIC = '/bev_node/debug/explanation'
AHEAD = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
PARAMETERS = {'dead_after': 1, 'wait_s': 0.01}


@pytest.fixture
def network(monkeypatch, tmp_path):
    weights = save_weights(small_model(), CONFIG, tmp_path / 'small.safetensors')
    monkeypatch.setitem(ENGINES, 'torch', lambda settings: torch_engine(settings, weights, tmp_path / 'none.json'))


class Bench:
    def __init__(self, harness):
        self.harness, self.frame = harness, 0
        self.node = harness.start(BevNode)
        self.objects = harness.listen(Objects, '/bev_node/output/objects')
        self.bundles = harness.talk(CameraBundle, '/bev_node/input/bundle', SENSOR_QOS)
        harness.spin_until(self.node.objects_publisher.get_subscription_count)

    def drive(self):
        """One more frame, and its answer."""
        self.frame += 1
        pixels = np.random.default_rng(self.frame).integers(0, 256, (2, CONFIG.image_height, CONFIG.image_width, 3), np.uint8)
        matrix = np.array([[60.0, 0, 48], [0, 60, 32], [0, 0, 1]], np.float32)
        poses = np.stack([AHEAD, np.diag([-1.0, -1, 1, 1]) @ AHEAD])
        images = CameraImages(pixels, np.stack([matrix] * 2), poses, np.ones(2, bool), ('CAM_FRONT', 'CAM_BACK'))
        stamp_ns = self.frame * STEP_NS
        self.bundles.publish(cameras_to_msg(images, stamp_ns, [stamp_ns] * 2, Trace(5, ('camera_node',), (6,), (7,))))
        self.harness.spin_until(lambda: len(self.objects) == self.frame)


def test_a_listener_gets_pictures_of_frames_and_at_most_one_a_second(network):
    with ros({**PARAMETERS, 'engine': 'torch'}) as harness:
        bench = Bench(harness)
        pictures = harness.listen(Image, TOPIC)
        harness.spin_until(lambda: harness.peer.count_publishers(TOPIC))
        began_s = time.monotonic()
        while len(pictures) < 2:
            bench.drive()
            assert time.monotonic() - began_s < 60.0
        first, second = pictures
        assert (first.encoding, first.header.frame_id) == ('rgb8', 'base_link')
        assert len(first.data) == first.height * first.step
        assert np.asarray(first.data).std() > 20
        assert second.header.stamp.nanosec + 1_000_000_000 * second.header.stamp.sec > first.header.stamp.nanosec
        assert time.monotonic() - began_s >= PERIOD_S


def test_nobody_listens_and_nothing_is_explained(network):
    with ros({**PARAMETERS, 'engine': 'torch'}) as harness:
        bench = Bench(harness)
        bench.drive()
        bench.drive()
        assert bench.node.explanations._thread is None


def test_an_engine_without_a_network_has_no_such_topic():
    with ros(PARAMETERS) as harness:
        bench = Bench(harness)
        assert bench.node.explanations is None
        assert not harness.peer.count_publishers(TOPIC)
