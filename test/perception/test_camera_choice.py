import numpy as np
import pytest
from perception.camera_ring import BODY_SE3_OPTICAL

from moe_bev_ros.core.se3 import se3_from_xyz_rpy
from moe_bev_ros.perception.camera_choice import choose_cameras


def rig(*yaws_deg: float) -> np.ndarray:
    return np.stack([se3_from_xyz_rpy(1.0, 0.0, 1.6, 0.0, 0.05, np.deg2rad(yaw)) @ BODY_SE3_OPTICAL for yaw in yaws_deg])


@pytest.mark.parametrize('num', [1, 6])
def test_a_rig_of_up_to_six_is_kept_whole(num):
    assert choose_cameras(rig(*np.arange(num) * 10.0)) == tuple(range(num))


def test_of_seven_ring_cameras_one_of_the_two_that_look_back_is_left_out():
    chosen = choose_cameras(rig(0.0, 45.0, -45.0, 100.0, -100.0, 153.0, -153.0))
    assert chosen[:5] == (0, 1, 2, 3, 4)
    assert chosen[5] in (5, 6)


def test_a_second_camera_ahead_does_not_take_the_place_of_one_aside():
    assert choose_cameras(rig(0.0, 0.0, 55.0, -55.0, 110.0, -110.0, 180.0)) == (0, 2, 3, 4, 5, 6)


def test_directions_meet_across_the_back():
    assert 7 in choose_cameras(rig(0.0, 20.0, 55.0, 80.0, -55.0, 110.0, -110.0, -179.0))
