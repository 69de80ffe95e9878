from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.camera import camera_model
from moe_bev_ros.perception.camera_rig import CameraRig
from moe_bev_ros.perception.images import RawImage


def image(value: int, width: int = 64, height: int = 32) -> RawImage:
    return RawImage('mono8', width, height, width, np.full(width * height, value, np.uint8))


@pytest.fixture
def rig():
    rig = CameraRig(3, 32, 16, num_workers=2)
    for camera in range(2):
        rig.calibrate(camera, camera_model(64, 32, [50.0, 0, 32, 0, 50, 16, 0, 0, 1], '', []))
    yield rig
    rig.close()


def test_each_image_lands_in_its_own_part_of_the_buffer(rig: CameraRig) -> None:
    assert rig.fill([image(10), image(20), None]) == ['', '', '']
    assert [set(part.ravel()) for part in rig.images_nhw3] == [{10}, {20}, {0}]


def test_what_cannot_be_used_is_black_and_never_the_image_before(rig: CameraRig) -> None:
    rig.fill([image(10), image(20), None])
    facts = rig.fill([None, image(20, width=32), image(30)])
    assert facts[0] == ''
    assert 'the image is 32 x 32, the CameraInfo is for 64 x 32' in facts[1]
    assert facts[2] == 'no calibration yet'
    assert not rig.images_nhw3.any()


def test_a_calibration_that_is_taken_back_masks_the_camera(rig: CameraRig) -> None:
    rig.calibrate(0, None)
    assert rig.fill([image(10), None, None])[0] == 'no calibration yet'
    rig.calibrate(0, camera_model(64, 32, [60.0, 0, 32, 0, 60, 16, 0, 0, 1], '', []))
    assert rig.fill([image(10), None, None])[0] == ''
    assert rig.intrinsics_n33[0, 0, 0] == 30.0
