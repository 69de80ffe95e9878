"""Listens to /tf_static on behalf of a node."""

from __future__ import annotations

from typing import Any

from tf2_msgs.msg import TFMessage

from moe_bev_ros.core.se3 import Array, se3_from_quaternion
from moe_bev_ros.core.transforms import TransformTree
from moe_bev_ros.nodes.base import TF_STATIC_QOS, StackNode


class StaticTransforms:
    """The fixed transforms heard so far. They outlive a jump of time: a sensor does not move when a bag loops."""

    def __init__(self, node: StackNode[Any]) -> None:
        self._node = node
        self._tree = TransformTree()
        node.create_subscription(TFMessage, '/tf_static', self._on_tf, TF_STATIC_QOS)

    def lookup(self, target: str, source: str) -> Array:
        """Return ``target_SE3_source``.

        Raises:
            InputError: not known yet.
        """
        return self._tree.lookup(target, source)

    def _on_tf(self, message: TFMessage) -> None:
        for transform in message.transforms:
            t, q = transform.transform.translation, transform.transform.rotation
            try:
                pose = se3_from_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
                self._tree.add(transform.header.frame_id, transform.child_frame_id, pose)
            except ValueError as err:
                self._node.warn_slowly(f'/tf_static: {transform.child_frame_id} not taken: {err}')
