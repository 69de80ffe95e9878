from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moe_bev_ros.core.camera import CameraModel, camera_model
from moe_bev_ros.core.errors import InputError

MATRIX = np.array([[1250.0, 0, 810.0], [0, 1245.0, 455.0], [0, 0, 1]])
SMALL = st.floats(-0.03, 0.03)


def points(limit: float = 0.5) -> np.ndarray:
    x, y = np.meshgrid(np.linspace(-limit, limit, 15), np.linspace(-limit / 2, limit / 2, 9))
    depth = np.linspace(2.0, 50.0, x.size)
    return np.stack([x.ravel() * depth, y.ravel() * depth, depth], axis=1)


def opencv(points_n3: np.ndarray, coefficients: tuple[float, ...], fisheye: bool = False) -> np.ndarray:
    zero = np.zeros(3)
    if fisheye:
        return cv2.fisheye.projectPoints(points_n3[:, None], zero, zero, MATRIX, np.array(coefficients))[0].reshape(-1, 2)
    return cv2.projectPoints(points_n3, zero, zero, MATRIX, np.array(coefficients))[0].reshape(-1, 2)


@settings(max_examples=25, deadline=None)
@given(st.lists(SMALL, min_size=8, max_size=8), st.sampled_from([4, 5, 8]))
def test_plumb_bob_and_rational_agree_with_opencv(values: list[float], num: int) -> None:
    name = 'rational_polynomial' if num == 8 else 'plumb_bob'
    model = camera_model(1600, 900, MATRIX.ravel(), name, values[:num])
    assert np.allclose(model.project(points()), opencv(points(), tuple(values[:num])), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.lists(SMALL, min_size=4, max_size=4))
def test_equidistant_agrees_with_opencv(values: list[float]) -> None:
    model = camera_model(1600, 900, MATRIX.ravel(), 'equidistant', values)
    assert np.allclose(model.project(points(1.5)), opencv(points(1.5), tuple(values), fisheye=True), atol=1e-6)


def test_a_point_on_the_axis_lands_on_the_principal_point() -> None:
    for name, num in (('plumb_bob', 5), ('rational_polynomial', 8), ('equidistant', 4)):
        model = camera_model(1600, 900, MATRIX.ravel(), name, [0.1] * num)
        assert np.allclose(model.project(np.array([[0.0, 0, 5]])), [[810, 455]])


def test_points_behind_the_camera_have_no_pixel() -> None:
    model = camera_model(1600, 900, MATRIX.ravel(), 'plumb_bob', [])
    assert np.isnan(model.project(np.array([[0.1, 0.1, -5.0], [0.0, 0.0, 0.0]]))).all()


def test_rays_beyond_the_fold_of_the_polynomial_have_no_pixel() -> None:
    model = camera_model(1600, 900, MATRIX.ravel(), 'plumb_bob', [-0.3, 0, 0, 0])
    fold = 1 / np.sqrt(0.9)
    pixels = model.project(np.array([[0.98 * fold, 0, 1], [1.02 * fold, 0, 1]]))
    assert np.isfinite(pixels[0]).all()
    assert np.isnan(pixels[1]).all()


def test_no_coefficients_mean_no_distortion() -> None:
    assert not camera_model(10, 10, MATRIX.ravel(), 'plumb_bob', []).is_distorted
    assert not camera_model(10, 10, MATRIX.ravel(), '', [0.0] * 5).is_distorted
    assert camera_model(10, 10, MATRIX.ravel(), 'fisheye', [0.0] * 4).is_distorted


@pytest.mark.parametrize(
    ('matrix', 'name', 'coefficients', 'fact'),
    [
        (np.zeros((3, 3)), 'plumb_bob', [], 'singular'),
        (np.diag([1250.0, 0.0, 1.0]), 'plumb_bob', [], 'singular'),
        (np.full((3, 3), np.nan), 'plumb_bob', [], 'not finite'),
        (MATRIX.T, 'plumb_bob', [], 'row-major'),
        (MATRIX, 'plumb_bob', [0.1] * 3, 'wants 4 or 5 coefficients, got 3'),
        (MATRIX, 'rational_polynomial', [0.1] * 5, 'wants 8 coefficients, got 5'),
        (MATRIX, 'equidistant', [], 'wants 4 coefficients, got 0'),
        (MATRIX, 'plumb_bob', [np.nan] * 5, 'must be finite'),
        (MATRIX, 'omnidirectional', [0.1], "unknown distortion model 'omnidirectional'"),
    ],
)
def test_a_calibration_that_no_camera_has_is_refused(matrix: np.ndarray, name: str, coefficients: list, fact: str) -> None:
    with pytest.raises(InputError, match=fact):
        camera_model(1600, 900, matrix.ravel(), name, coefficients)


def test_an_image_size_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match='0 x 900'):
        CameraModel(0, 900, MATRIX)
