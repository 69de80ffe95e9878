"""A world's sensors as an engine gets them in the same process."""

from dataclasses import replace

import numpy as np
import pytest

from moe_bev_ros.core.command import Vehicle
from moe_bev_ros.core.objects import Detections, Label
from moe_bev_ros.engine.base import EngineOutput
from moe_bev_ros.evaluation.driving.closed_loop import CAMERALESS
from moe_bev_ros.world.autopilot import shipped_pedals
from moe_bev_ros.world.perceiving import Perceiver
from moe_bev_ros.world.rigs import CHANNELS, NUSCENES_RIG
from moe_bev_ros.world.scenario import make_scenario
from moe_bev_ros.world.simulation import World

WIDTH, HEIGHT = 176, 64


class Keeping:
    """Detects nothing, and keeps what it was given."""

    name = 'keeping'
    image_size = (WIDTH, HEIGHT)
    least_scores = dict.fromkeys(Label, 0.3)

    def __init__(self):
        self.frames = []

    def reset(self):
        self.frames.clear()

    def step(self, frame, base_link_now_se3_before):
        self.frames.append(frame)
        return EngineOutput(Detections.empty(), frame.lidar_valid)


def seen_with(rig):
    """The frame that an engine gets, the scene that comes out, and how deep the first camera's pixels are."""
    world, engine = World(make_scenario(1), shipped_pedals(), rig, Vehicle(), threads=1), Keeping()
    scene, depth_nhw = Perceiver(world, engine).see(), world.sense().depth_nhw
    world.close()
    return engine.frames[0], scene, depth_nhw[:1]


@pytest.fixture(scope='module')
def seen():
    return seen_with(replace(NUSCENES_RIG, image_width=WIDTH, image_height=HEIGHT))


def test_an_engine_gets_the_images_of_all_cameras(seen):
    frame, scene, _ = seen
    assert scene.camera_valid
    assert frame.cameras.names == CHANNELS
    assert frame.cameras.images_nhw3.shape == (6, HEIGHT, WIDTH, 3)
    assert frame.cameras.valid_n.all()
    assert (frame.cameras.images_nhw3.std(axis=(1, 2, 3)) > 5.0).all()


def test_points_lie_in_the_images_where_the_cameras_see_them(seen):
    frame, _, (depth_hw,) = seen
    camera_se3_base_link = np.linalg.inv(frame.cameras.base_link_se3_camera_n44[0])
    xyz_n3 = frame.lidar.points_n5[:, :3] @ camera_se3_base_link[:3, :3].T + camera_se3_base_link[:3, 3]
    uvw_n3 = xyz_n3[xyz_n3[:, 2] > 2.0] @ frame.cameras.intrinsics_n33[0].T
    column_n, row_n = np.round(uvw_n3[:, :2] / uvw_n3[:, 2:]).astype(int).T
    is_inside_n = (column_n >= 0) & (column_n < WIDTH) & (row_n >= 0) & (row_n < HEIGHT)
    drawn_n = depth_hw[row_n[is_inside_n], column_n[is_inside_n]]
    assert is_inside_n.sum() > 500
    assert np.median(np.abs(drawn_n - uvw_n3[is_inside_n, 2])) < 0.1


def test_without_cameras_there_are_points_alone():
    frame, scene, _ = seen_with(CAMERALESS)
    assert frame.cameras is None
    assert not scene.camera_valid
    assert len(frame.lidar.points_n5) > 1000
