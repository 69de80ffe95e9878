import numpy as np

from moe_bev_ros.learning.dropped_sensors import draw_dropped
from moe_bev_ros.learning.train_config import TrainConfig

CONFIG = TrainConfig(num_frames=1000, lidar_dropout=0.3, camera_dropout=0.3, one_camera_dropout=0.3)


def drawn(experts):
    return draw_dropped(CONFIG, experts, 500, 6, np.random.default_rng(0))


def test_the_expert_of_cameras_never_sees_depths_of_a_lidar():
    assert all(no_lidar and not no_cameras for no_lidar, no_cameras, _ in drawn(('camera',)))


def test_the_expert_of_lidar_always_has_it():
    assert not any(no_lidar for no_lidar, _, _ in drawn(('lidar',)))


def test_a_fused_expert_loses_either_but_never_both():
    dropped = drawn(('fused',))
    assert {(no_lidar, no_cameras) for no_lidar, no_cameras, _ in dropped} == {(False, False), (True, False), (False, True)}
    assert 0 < sum(camera >= 0 for _, _, camera in dropped) < len(dropped)
