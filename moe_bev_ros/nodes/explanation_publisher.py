"""Pictures of what made the network of bev_node see its objects, for those who listen; see `engine.explanation`.

A picture takes as long as some frames do, so a thread makes it while the node goes on, and it is published after the answer to
a later frame.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from sensor_msgs.msg import Image

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.frame import Frame
from moe_bev_ros.core.objects import Detections
from moe_bev_ros.engine.base import Engine
from moe_bev_ros.nodes.base import StackNode
from moe_bev_ros.nodes.convert import BASE_LINK, header, uint8_array

if TYPE_CHECKING:
    from moe_bev_ros.engine.bev_engine import BevEngine
    from moe_bev_ros.engine.torch_network import TorchNetwork

TOPIC = '~/debug/explanation'
PERIOD_S = 1.0  # at the least from one picture to the next


def explanation_publisher(node: StackNode[Any], engine: Engine) -> ExplanationPublisher | None:
    """None for an engine without a network that can be explained."""
    if engine.name != 'torch':
        return None
    from moe_bev_ros.engine.bev_engine import BevEngine

    return ExplanationPublisher(node, engine) if isinstance(engine, BevEngine) else None


class ExplanationPublisher:
    """Owns the topic of the pictures, and the thread that makes them.

    Args:
        engine: whose network is explained; its memory is not touched.
    """

    def __init__(self, node: StackNode[Any], engine: BevEngine[TorchNetwork]) -> None:
        from moe_bev_ros.perception.network_inputs import NetworkInputs

        self._node, self._model = node, engine.network.model
        self._inputs = NetworkInputs(engine.config)
        self._publisher = node.advertise(Image, TOPIC)
        self._thread: threading.Thread | None = None
        self._begun_s = -PERIOD_S
        self._made: Image | None = None
        self._failure = ''

    def offer(self, frame: Frame, detections: Detections) -> None:
        """Publish what is ready, and begin with this frame if somebody listens and it is time."""
        if self._thread is not None and self._thread.is_alive():
            return
        if self._made is not None:
            self._publisher.publish(self._made)
        if self._failure:
            self._node.warn_slowly(f'explanation: {self._failure}')
        self._made, self._failure = None, ''
        now_s = time.monotonic()
        if now_s - self._begun_s >= PERIOD_S and frame.camera_valid and self._publisher.get_subscription_count():
            self._begun_s = now_s
            self._thread = threading.Thread(target=self._make, args=(frame, detections), daemon=True)
            self._thread.start()

    def _make(self, frame: Frame, detections: Detections) -> None:
        from moe_bev_ros.engine.explanation import Subject, explain_frame
        from moe_bev_ros.evaluation.perception.explanation_picture import draw_explanation

        try:
            picture_hw3 = draw_explanation(explain_frame(self._model, frame, Subject(), self._inputs), frame, detections)
        except (InputError, RuntimeError, ValueError) as err:
            self._failure = str(err)
            return
        height, width = picture_hw3.shape[:2]
        self._made = Image(
            header=header(frame.stamp_ns, BASE_LINK),
            height=height,
            width=width,
            encoding='rgb8',
            step=3 * width,
            data=uint8_array(picture_hw3),
        )
