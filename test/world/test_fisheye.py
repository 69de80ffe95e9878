"""A fisheye's picture shows known things where its calibration puts them, at their depth."""

from __future__ import annotations

import numpy as np
import pytest

from moe_bev_ros.core.camera import CameraModel
from moe_bev_ros.world.fisheye import Face, LensMap, pixel_rays
from moe_bev_ros.world.parts import local_table
from moe_bev_ros.world.render import cast_image
from moe_bev_ros.world.rigs import FISHEYE_RIG
from moe_bev_ros.world.scene import Part, Shape

STRAIGHT = FISHEYE_RIG.cameras[0].model(320, 240)
BENT = CameraModel(
    320, 240, np.array([[112.0, 0, 150.0], [0, 108.0, 122.0], [0, 0, 1]]), 'equidistant', (0.03, -0.01, 0.004, -0.001)
)
# z forward, x right, y down from a map whose z is up, at a height where the ground is out of the way of what is tested
MAP_ROTATION_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
ORIGIN = np.array([0.0, 0.0, 50.0])


def render(model: CameraModel, parts_pk: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    def draw(face: Face, depth_hw: np.ndarray, ids_hw: np.ndarray, image_hw3: np.ndarray) -> None:
        rotation = np.ascontiguousarray(MAP_ROTATION_CAMERA @ face.camera_rotation_face_33)
        cast_image(parts_pk, ORIGIN, rotation, face.pinhole_4, depth_hw, ids_hw)
        image_hw3[:] = np.where(ids_hw >= 0, 40 * (ids_hw + 1), 0)[..., None]

    size = (model.height, model.width)
    depth, ids, image = np.empty(size, np.float32), np.empty(size, np.int32), np.empty((*size, 3), np.uint8)
    LensMap(model).render(draw, depth, ids, image)
    return depth, ids, image


@pytest.mark.parametrize('model', [STRAIGHT, BENT])
def test_small_balls_land_where_the_calibration_projects_them(model):
    places = [(6.0, 0.5, 0.3), (6.0, 5.0, 2.0), (3.0, -6.0, 1.0), (2.0, 5.5, -1.5), (3.0, 0.7, 4.0), (3.0, 1.5, -4.0)]
    parts = local_table([Part((x, y, z + 50.0), (0.5, 0.5, 0.5), (9, 9, 9), shape=Shape.ELLIPSOID) for x, y, z in places])
    depth, ids, _ = render(model, parts)
    optical = np.array([(-y, -z, x) for x, y, z in places])
    pixels = model.project(optical)
    checked = 0
    for i, (u, v) in enumerate(pixels):
        rows, columns = np.nonzero(ids == i)
        inside = (8 < u < model.width - 8) and (8 < v < model.height - 8)
        assert len(rows) > 10 or not inside
        if inside:
            checked += 1
            assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((u, v), abs=1.0)
            assert depth[ids == i].min() == pytest.approx(optical[i, 2], abs=0.26)
    assert checked >= 5


@pytest.mark.parametrize('model', [STRAIGHT, BENT])
def test_a_wall_before_the_camera_has_one_depth_on_every_face(model):
    wall = local_table([Part((6.0, 0.0, 50.0), (2.0, 60.0, 60.0), (9, 9, 9))])
    depth, ids, image = render(model, wall)
    assert len(LensMap(model).faces) == 5
    assert (ids == 0).mean() > 0.7
    assert depth[ids == 0] == pytest.approx(5.0, abs=1e-4)
    assert (image[ids == 0] == 40).mean() > 0.98  # all but the wall's edge


def test_rays_are_the_inverse_of_the_projection_and_end_with_the_lens():
    for model in (STRAIGHT, BENT):
        rays, seen = pixel_rays(model)
        v, u = np.mgrid[: model.height, : model.width] + 0.5
        back = model.project(rays[seen])
        assert np.abs(back - np.stack([u.ravel(), v.ravel()], axis=1)[seen])[np.isfinite(back)[:, 0]].max() < 1e-3
        assert np.isfinite(back).mean() > 0.999
    assert not pixel_rays(CameraModel(320, 240, STRAIGHT.matrix_33, 'equidistant', (-0.5, 0.0, 0.0, 0.0)))[1].all()


def test_a_pixel_that_the_lens_does_not_see_is_black_and_far():
    small = CameraModel(64, 64, np.array([[10.0, 0, 32.0], [0, 10.0, 32.0], [0, 0, 1]]), 'equidistant', (0.0, 0.0, 0.0, 0.0))
    depth, ids, image = render(small, local_table([Part((6.0, 0.0, 50.0), (2.0, 200.0, 200.0), (9, 9, 9))]))
    assert (depth[0, 0], ids[0, 0], tuple(image[0, 0])) == (pytest.approx(1e9), -1, (0, 0, 0))
    assert ids[32, 32] == 0
