from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_bev_ros.core.camera import CameraModel, camera_model
from moe_bev_ros.perception.images import CompressedImage, RawImage
from moe_bev_ros.perception.rectify import fitted_intrinsics, make_rectifier

MATRIX = np.array([[1250.0, 0, 810.0], [0, 1250.0, 455.0], [0, 0, 1]])
MODELS = {
    'pinhole': camera_model(1600, 900, MATRIX.ravel(), 'plumb_bob', []),
    'plumb_bob': camera_model(1600, 900, MATRIX.ravel(), 'plumb_bob', [-0.28, 0.09, 0.001, -0.0005, -0.01]),
    'rational': camera_model(
        1600, 900, MATRIX.ravel(), 'rational_polynomial', [0.3, -0.1, 1e-4, -2e-4, 0.01, 0.6, -0.05, 0.02]
    ),
    'equidistant': camera_model(
        1600, 900, np.array([600.0, 0, 800, 0, 600, 450, 0, 0, 1]), 'equidistant', [-0.01, 0.01, -0.005, 0.001]
    ),
}


def rectified(model: CameraModel, rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    out = np.full((height, width, 3), 99, np.uint8)
    image = RawImage('rgb8', model.width, model.height, 3 * model.width, np.ascontiguousarray(rgb).ravel())
    make_rectifier(model, width, height).rectify(image, out)
    return out


def spot_at(pixels_2: np.ndarray, model: CameraModel) -> np.ndarray:
    """A black picture with a soft white spot, as the camera with its distortion would see it."""
    x, y = np.meshgrid(np.arange(model.width), np.arange(model.height))
    value = 255 * np.exp(-((x - pixels_2[0]) ** 2 + (y - pixels_2[1]) ** 2) / (2 * 9.0**2))
    return np.repeat(value[..., None], 3, axis=2).astype(np.uint8)


def centre_of(grey: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
    weight = grey.astype(float)
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize('size', [(352, 128), (704, 256), (800, 450)])
@pytest.mark.parametrize('name', MODELS)
def test_a_point_in_space_lands_where_the_new_intrinsics_say(name: str, size: tuple[int, int]) -> None:
    model = MODELS[name]
    intrinsics = make_rectifier(model, *size).intrinsics_33
    for point in ([0.5, 0.4, 10.0], [-3.0, 0.9, 10.0], [3.5, 1.2, 8.0]):
        found = centre_of(rectified(model, spot_at(model.project(np.array([point]))[0], model), *size)[..., 0])
        expected = intrinsics @ np.array(point) / point[2]
        assert np.linalg.norm(found - expected[:2]) < 0.35, (point, found, expected)


@pytest.mark.parametrize('name', ['plumb_bob', 'rational', 'equidistant'])
def test_the_lookup_agrees_with_opencv_s_own(name: str) -> None:
    model = MODELS[name]
    intrinsics, _ = fitted_intrinsics(model, 1600, 900)
    coefficients = np.array(model.coefficients)
    make = cv2.fisheye.initUndistortRectifyMap if name == 'equidistant' else cv2.initUndistortRectifyMap
    map_x, map_y = make(model.matrix_33, coefficients, np.eye(3), intrinsics, (1600, 900), cv2.CV_32FC1)
    rgb = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (900, 1600, 3)).astype(np.uint8), (0, 0), 4)
    expected = cv2.remap(rgb, map_x, map_y, cv2.INTER_LINEAR)
    inside = (map_x > 1) & (map_x < 1598) & (map_y > 1) & (map_y < 898)
    difference = np.abs(rectified(model, rgb, 1600, 900).astype(int) - expected)[inside]
    assert difference.max() <= 3


def test_same_size_without_distortion_changes_nothing() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (128, 352, 3)).astype(np.uint8)
    model = camera_model(352, 128, np.array([200.0, 0, 176, 0, 200, 64, 0, 0, 1]), '', [])
    assert np.array_equal(rectified(model, rgb, 352, 128), rgb)
    assert np.allclose(make_rectifier(model, 352, 128).intrinsics_33, model.matrix_33)


def test_what_is_too_high_goes_off_the_top() -> None:
    rgb = np.zeros((900, 1600, 3), np.uint8)
    rgb[890:] = 255
    assert rectified(MODELS['pinhole'], rgb, 352, 128)[-1].min() == 255


def test_what_is_too_wide_goes_off_both_sides() -> None:
    model = camera_model(1242, 375, np.array([721.5, 0, 609.6, 0, 721.5, 172.9, 0, 0, 1]), 'plumb_bob', [])
    intrinsics, pixels_per_pixel = fitted_intrinsics(model, 352, 128)
    assert pixels_per_pixel == pytest.approx(375 / 128)
    edges = (np.array([-0.5, 351.5]) - intrinsics[0, 2]) / intrinsics[0, 0] * 721.5 + 609.6
    assert edges[0] + 0.5 == pytest.approx(1241.5 - edges[1])
    assert rectified(model, np.full((375, 1242, 3), 50, np.uint8), 352, 128).min() == 50


def test_a_small_image_is_enlarged() -> None:
    model = camera_model(320, 180, np.array([250.0, 0, 160, 0, 250, 90, 0, 0, 1]), '', [])
    assert rectified(model, np.full((180, 320, 3), 50, np.uint8), 704, 256).min() == 50


def test_what_the_camera_does_not_see_is_black() -> None:
    model = camera_model(1600, 900, MATRIX.ravel(), 'plumb_bob', [0.3, 0, 0, 0])  # pincushion: the corners are outside
    image = rectified(model, np.full((900, 1600, 3), 255, np.uint8), 352, 128)
    assert image[-1, 0].max() == 0
    assert image[64, 176].min() == 255


def test_fine_texture_aliases_no_more_than_in_an_area_resize() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (900, 1600, 3)).astype(np.uint8)  # finer than the output can show
    area = cv2.resize(rgb[318:], (352, 128), interpolation=cv2.INTER_AREA)
    ys, xs = np.mgrid[318:900:128j, 0:1599:352j].astype(np.float32)
    naive = cv2.remap(rgb, xs, ys, cv2.INTER_LINEAR)
    for name in ('pinhole', 'plumb_bob'):
        image = rectified(MODELS[name], rgb, 352, 128)
        assert image[20:].std() < 1.3 * area.std(), name
        assert image[20:].std() < 0.5 * naive.std(), name


@settings(max_examples=20, deadline=None)
@given(
    width=st.integers(40, 2000),
    height=st.integers(40, 1200),
    out=st.tuples(st.integers(16, 800), st.integers(16, 500)),
)
def test_any_size_fills_the_output(width: int, height: int, out: tuple[int, int]) -> None:
    matrix = np.array([width * 0.8, 0, width / 2, 0, width * 0.8, height / 2, 0, 0, 1])
    model = camera_model(width, height, matrix, 'plumb_bob', [])
    assert rectified(model, np.full((height, width, 3), 77, np.uint8), *out).min() == 77


def test_lidar_and_pixels_agree_on_real_frames_however_they_travel(data_dir) -> None:
    """A JPEG decoded to a quarter shows the same picture as the full raw image."""
    folder = data_dir / 'nuscenes/scene-0103/1'
    calibration = json.loads((folder / 'frame.json').read_text())['cameras']['CAM_FRONT']
    model = camera_model(1600, 900, np.array(calibration['intrinsics']).ravel(), 'plumb_bob', [])
    data = np.fromfile(folder / 'CAM_FRONT.jpg', np.uint8)
    out = np.empty((128, 352, 3), np.uint8)
    make_rectifier(model, 352, 128).rectify(CompressedImage(data), out)
    full = cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    best = cv2.resize(full[318:], (352, 128), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(out - best).mean() < 3.0
    assert np.abs(rectified(model, full, 352, 128) - best).mean() < 3.0
