"""What the world publishes is what the stack reads back."""

from __future__ import annotations

import numpy as np

from moe_bev_ros.nodes.camera_node import camera_model_from_msg
from moe_bev_ros.nodes.world_messages import camera_info_to_msg
from moe_bev_ros.world.rig import Rig
from moe_bev_ros.world.rigs import FISHEYE_RIG


def test_a_pinhole_is_published_as_plumb_bob_without_distortion():
    rig = Rig()
    message = camera_info_to_msg(rig.cameras[0], rig, 5_000_000_000)
    assert (message.header.frame_id, message.header.stamp.sec, message.width, message.height) == ('CAM_FRONT', 5, 352, 128)
    assert (message.distortion_model, message.d.tolist()) == ('plumb_bob', [0.0] * 5)
    k = rig.cameras[0].intrinsics_33(352, 128)
    k[:2, 2] -= 0.5  # from the edge of the first pixel to its centre
    assert np.array_equal(message.k.reshape(3, 3), k)
    assert np.array_equal(message.p.reshape(3, 4), np.column_stack([k, np.zeros(3)]))


def test_a_fisheye_is_published_with_its_lens():
    rig = FISHEYE_RIG
    for camera in rig.cameras:
        message = camera_info_to_msg(camera, rig, 1)
        assert message.distortion_model == 'equidistant'
        read, model = camera_model_from_msg(message, is_rectified=False), camera.model(rig.image_width, rig.image_height)
        assert (read.width, read.height, read.coefficients) == (model.width, model.height, model.coefficients)
        assert np.array_equal(read.matrix_33[:2, 2], model.matrix_33[:2, 2] - 0.5)
        assert np.array_equal(read.matrix_33[:2, :2], model.matrix_33[:2, :2])
