"""Calibrated cameras: where a point of the optical frame lands in the image as the sensor delivers it.

Models and coefficient order are those of sensor_msgs/CameraInfo, hence of OpenCV's calib3d (plumb_bob, rational_polynomial)
and its fisheye module (equidistant, Kannala and Brandt 2006). Pixel centres lie at whole numbers, as in OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.errors import InputError
from moe_bev_ros.core.se3 import Array

PINHOLE = 'pinhole'
COEFFICIENTS = {
    PINHOLE: (0,),
    'plumb_bob': (4, 5),  # k1 k2 p1 p2 [k3]
    'rational_polynomial': (8,),  # k1 k2 p1 p2 k3 k4 k5 k6
    'equidistant': (4,),  # k1 k2 k3 k4
}
ALIASES = {'fisheye': 'equidistant'}
MAX_TANGENT = 10.0  # rays further than 84 degrees from the axis are not looked at: no pinhole image holds them


@dataclass(frozen=True)
class CameraModel:
    """Intrinsic calibration of one camera.

    Attributes:
        width: of the image [pixels].
        height: of the image [pixels].
        matrix_33: row-major pinhole matrix [pixels].
        distortion: one of COEFFICIENTS.
        coefficients: in the order of sensor_msgs/CameraInfo.

    Raises:
        InputError: sizes, matrix or coefficients that no camera has.
    """

    width: int
    height: int
    matrix_33: Array
    distortion: str = PINHOLE
    coefficients: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise InputError(f'calibration is for an image of {self.width} x {self.height}; publish the size of the real one')
        _check_matrix(self.matrix_33)
        if self.distortion not in COEFFICIENTS:
            known = ', '.join(sorted(COEFFICIENTS))
            raise InputError(f'unknown distortion model {self.distortion!r}; use one of {known}')
        wanted = COEFFICIENTS[self.distortion]
        if len(self.coefficients) not in wanted:
            numbers = ' or '.join(str(number) for number in wanted)
            raise InputError(f'{self.distortion} wants {numbers} coefficients, got {len(self.coefficients)}; check d')
        if not np.all(np.isfinite(self.coefficients)):
            raise InputError(f'distortion coefficients must be finite, got {list(self.coefficients)}; calibrate the camera')

    @property
    def is_distorted(self) -> bool:
        """Whether a pinhole matrix alone does not describe the image."""
        return self.distortion == 'equidistant' or any(value != 0.0 for value in self.coefficients)

    def project(self, points_n3: Array) -> Array:
        """Project points of the optical frame (z forward, x right, y down) to (N, 2) pixels u, v.

        NaN where a point is behind the camera, or so far out that the distortion polynomial folds back: there it no longer
        describes the lens, and would show a second picture of the scene at the border.
        """
        in_front = points_n3[:, 2] > 1e-9
        depth = np.where(in_front, points_n3[:, 2], 1.0)
        x, y = points_n3[:, 0] / depth, points_n3[:, 1] / depth
        radius = np.hypot(x, y)
        with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
            xd, yd = self._distort(x, y, radius)
        matrix = self.matrix_33
        pixels_n2 = np.stack([matrix[0, 0] * xd + matrix[0, 1] * yd + matrix[0, 2], matrix[1, 1] * yd + matrix[1, 2]], axis=1)
        pixels_n2[~in_front | (radius > self._max_radius())] = np.nan
        return pixels_n2

    def _distort(self, x: Array, y: Array, radius: Array) -> tuple[Array, Array]:
        scale = self._radial(radius)
        xd, yd = x * scale, y * scale
        if self.distortion in ('plumb_bob', 'rational_polynomial'):
            p1, p2 = self.coefficients[2:4]
            xd = xd + 2 * p1 * x * y + p2 * (radius**2 + 2 * x**2)
            yd = yd + p1 * (radius**2 + 2 * y**2) + 2 * p2 * x * y
        return xd, yd

    def _radial(self, radius: Array) -> Array:
        """Distorted over undistorted distance from the axis; radius is the tangent of the angle to the axis."""
        if self.distortion == PINHOLE:
            return np.ones_like(radius)
        if self.distortion == 'equidistant':
            theta = np.arctan(radius)
            distorted = theta * (1.0 + _polynomial(np.square(theta), self.coefficients))
            return np.where(radius > 1e-8, distorted / np.maximum(radius, 1e-8), 1.0)
        k1, k2, _, _, *rest = self.coefficients
        k3, k4, k5, k6 = (*rest, 0.0, 0.0, 0.0, 0.0)[:4]
        square = np.square(radius)
        return (1.0 + _polynomial(square, (k1, k2, k3))) / (1.0 + _polynomial(square, (k4, k5, k6)))

    def _max_radius(self) -> float:
        """The first radius at which a ray further out would land further in; infinite where there is none."""
        if not self.is_distorted:
            return float(np.inf)
        radius = np.linspace(0.0, MAX_TANGENT, 4001)
        with np.errstate(divide='ignore', invalid='ignore'):
            distorted = radius * self._radial(radius)
        folds = np.flatnonzero(~(np.diff(distorted) > 0.0))
        return float(radius[folds[0]]) if folds.size else MAX_TANGENT


def camera_model(
    width: int, height: int, matrix_9: Sequence[float], distortion: str, coefficients: Sequence[float]
) -> CameraModel:
    """Build a CameraModel from the fields of sensor_msgs/CameraInfo (k row-major, distortion_model, d).

    No coefficients, or all of them zero without a model's name, mean an image without distortion.

    Raises:
        InputError: values that no camera has.
    """
    name = ALIASES.get(distortion, distortion)
    values = tuple(float(value) for value in coefficients)
    if (name != 'equidistant' and not values) or (not name and not any(values)):
        name, values = PINHOLE, ()
    return CameraModel(int(width), int(height), np.asarray(matrix_9, float).reshape(3, 3), name, values)


def _check_matrix(matrix_33: Array) -> None:
    if matrix_33.shape != (3, 3):
        raise ValueError(f'matrix_33 must be (3, 3), got {matrix_33.shape}')
    fx, fy = float(matrix_33[0, 0]), float(matrix_33[1, 1])
    if not np.all(np.isfinite(matrix_33)):
        raise InputError('camera matrix k is not finite; calibrate the camera')
    if fx <= 0.0 or fy <= 0.0:
        raise InputError(f'camera matrix k is singular (fx {fx:g}, fy {fy:g}): an uncalibrated camera; calibrate it')
    if matrix_33[1, 0] != 0.0 or np.any(matrix_33[2] != (0.0, 0.0, 1.0)):
        raise InputError(f'camera matrix k must be row-major [fx s cx 0 fy cy 0 0 1], got {matrix_33.ravel().tolist()}')


def _polynomial(x: NDArray[np.float64], coefficients: Sequence[float]) -> Array:
    """c0 x + c1 x^2 + … (no constant)."""
    result = np.zeros_like(x)
    for coefficient in reversed(coefficients):
        result = (result + coefficient) * x
    return result
