from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.command import Command
from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.objects import Label, TrackedObject
from moe_bev_ros.evaluation.pictures import (
    BLUE,
    CANVAS_HEIGHT,
    CANVAS_WIDTH,
    CLASS_COLOURS,
    GREEN,
    RED,
    TILE_WIDTH,
    VIEW_TOP,
    VIEW_WIDTH,
    Snapshot,
    draw_frame,
    strip,
)
from moe_bev_ros.world.rig import BODY_SE3_OPTICAL, Rig

NOTHING = Snapshot(None, None, (), None, None)


def thing(label: Label = Label.CAR) -> TrackedObject:
    box_7 = np.array([12.0, 3.0, 0.8, 4.4, 1.8, 1.6, 0.2], np.float32)
    return TrackedObject(1, label, 0.9, box_7, np.array([4.0, 0.0], np.float32), np.eye(4, dtype=np.float32))


def has_colour(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    return bool((image == np.array(colour, np.uint8)).all(axis=2).any())


def test_an_empty_frame_still_shows_the_vehicle():
    picture = draw_frame(NOTHING)
    assert picture.shape == (CANVAS_HEIGHT, CANVAS_WIDTH, 3)
    assert has_colour(picture[VIEW_TOP:, :VIEW_WIDTH], BLUE)


def test_a_box_shows_in_the_view_and_in_the_camera_that_sees_it():
    rig = Rig()
    cameras = CameraImages(
        np.zeros((6, 128, 352, 3), np.uint8),
        np.stack([camera.intrinsics_33(352, 128) for camera in rig.cameras]).astype(np.float32),
        np.stack([camera.base_link_se3_camera for camera in rig.cameras]),
        np.ones(6, bool),
        tuple(camera.name for camera in rig.cameras),
    )
    picture = draw_frame(Snapshot(cameras, None, (thing(),), None, None))
    assert has_colour(picture[VIEW_TOP:, :VIEW_WIDTH], CLASS_COLOURS[Label.CAR])
    front = picture[: VIEW_TOP // 2, TILE_WIDTH + 4 : 2 * TILE_WIDTH]
    back = picture[VIEW_TOP // 2 : VIEW_TOP, TILE_WIDTH + 4 : 2 * TILE_WIDTH]
    assert front[20:].max() > 100
    assert back[20:].max() < 60


def test_a_camera_of_another_name_and_shape_gets_a_tile():
    cameras = CameraImages(
        np.full((1, 60, 50, 3), 200, np.uint8),
        np.eye(3, dtype=np.float32)[None],
        BODY_SE3_OPTICAL[None],
        np.ones(1, bool),
        ('left',),
    )
    assert (draw_frame(Snapshot(cameras, None, (), None, None))[:VIEW_TOP] == 200).any()


def test_path_points_and_pedals_show():
    points_n5 = np.array([[10.0, 5.0, 1.5, 0.5, 0.0], [8.0, -5.0, 0.0, 0.9, 0.0], [900.0, 0.0, 0.0, 0.0, 0.0]], np.float32)
    path_t2 = np.array([[0.0, 0.0], [20.0, 0.0]])
    command = Command(0.0, 0.6, 0.2, -3.0, 0.0, reason='stops behind a very long name of something that stands in its way')
    picture = draw_frame(Snapshot(None, points_n5, (thing(Label.UNKNOWN),), path_t2, command, 3.0, 1.0, 10.0, 1, 40.0))
    assert has_colour(picture[VIEW_TOP:, :VIEW_WIDTH], GREEN)
    assert has_colour(picture[VIEW_TOP:, VIEW_WIDTH:], RED)
    assert not has_colour(picture[VIEW_TOP:, :VIEW_WIDTH], RED)


def test_a_strip_holds_all_pictures():
    picture = draw_frame(NOTHING)
    assert strip([picture] * 3).shape == (2 * CANVAS_HEIGHT + 4, 2 * CANVAS_WIDTH + 4, 3)
    with pytest.raises(ValueError, match='at least one'):
        strip([])
