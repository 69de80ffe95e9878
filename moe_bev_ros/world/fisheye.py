"""Fisheye images out of pinhole ones: the sides of a cube around the camera are rendered, then looked up pixel by pixel.

A side's focal length is the lens's greatest number of pixels per radian, so no detail is lost; of each side only the rectangle
that the lens sees is rendered. Colours are bilinear. Depth and part come from the nearest pixel of the side; depth is turned to
the one along the fisheye's own optical axis, so it means the same as a pinhole camera's, and a wall before the camera has one
depth. Directions further out than `core.camera` follows (84 degrees, or where the polynomial folds back) stay black.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from moe_bev_ros.core.camera import MAX_TANGENT, CameraModel
from moe_bev_ros.core.se3 import Array
from moe_bev_ros.world.solids import MISS

F32 = NDArray[np.float32]
# Optical frames of a cube's sides, as columns right, down, forward in the camera's optical frame.
_SIDES = (
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
    ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
    ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
)
MARGIN = 2  # pixels around a side's rectangle, for interpolation


@dataclass(frozen=True)
class Face:
    """One pinhole view.

    Attributes:
        camera_rotation_face_33: directions of the view's optical frame to those of the fisheye's.
        pinhole_4: fx, fy, cx, cy [pixels].
        start: of its pixels in the row of all faces' pixels.
    """

    camera_rotation_face_33: Array
    pinhole_4: Array
    width: int
    height: int
    start: int

    @property
    def pixels(self) -> slice:
        """Its pixels in the row of all faces' pixels."""
        return slice(self.start, self.start + self.width * self.height)


# Fills depth, part ids and colours (H, W), (H, W), (H, W, 3) of one face.
Draw = Callable[[Face, F32, NDArray[np.int32], NDArray[np.uint8]], None]


class LensMap:
    """Which views a fisheye camera needs, and where in them each of its pixels lies; made once for a camera."""

    def __init__(self, model: CameraModel) -> None:
        rays_n3, seen_n = pixel_rays(model)
        focal = _greatest_density(model)
        side_n = _side_of(rays_n3)
        self.faces: tuple[Face, ...] = ()
        self._shape = (model.height, model.width)
        self._first_n = np.full(len(rays_n3), -1, np.int64)
        self._stride_n = np.zeros(len(rays_n3), np.int64)
        self._weights_n2 = np.zeros((len(rays_n3), 2), np.float32)
        self._forward_p = np.zeros(0, np.float32)
        for side, columns in enumerate(_SIDES):
            at = np.flatnonzero(seen_n & (side_n == side))
            if len(at):
                self._add(np.array(columns, float).T, focal, rays_n3[at], at)

    def _add(self, rotation_33: Array, focal: float, rays_k3: Array, at_k: NDArray[np.int64]) -> None:
        local = rays_k3 @ rotation_33
        u, v = focal * local[:, 0] / local[:, 2], focal * local[:, 1] / local[:, 2]
        left, top = np.floor(u.min()) - MARGIN, np.floor(v.min()) - MARGIN
        width, height = (int(np.ceil(high.max() - low)) + MARGIN for high, low in ((u, left), (v, top)))
        start = len(self._forward_p)
        face = Face(rotation_33, np.array([focal, focal, -left, -top]), width, height, start)
        x, y = u - left - 0.5, v - top - 0.5
        column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        self._first_n[at_k], self._stride_n[at_k] = start + row * width + column, width
        self._weights_n2[at_k] = np.stack([x - column, y - row], axis=1)
        across, down = np.meshgrid((np.arange(width) + 0.5 + left) / focal, (np.arange(height) + 0.5 + top) / focal)
        forward = rotation_33[2, 0] * across + rotation_33[2, 1] * down + rotation_33[2, 2]
        self._forward_p = np.concatenate([self._forward_p, forward.ravel().astype(np.float32)])
        self.faces = (*self.faces, face)

    def render(self, draw: Draw, depth_hw: F32, ids_hw: NDArray[np.int32], image_hw3: NDArray[np.uint8]) -> None:
        """Draw every face, then fill the fisheye's depth along its axis [m], part ids and colours.

        Args:
            draw: fills depth, ids and colours of one face.
        """
        num = len(self._forward_p)
        depth_p, ids_p, image_p3 = np.empty(num, np.float32), np.empty(num, np.int32), np.empty((num, 3), np.uint8)
        for face in self.faces:
            size = (face.height, face.width)
            draw(
                face,
                depth_p[face.pixels].reshape(size),
                ids_p[face.pixels].reshape(size),
                image_p3[face.pixels].reshape(*size, 3),
            )
        outputs = (depth_hw.reshape(-1), ids_hw.reshape(-1), image_hw3.reshape(-1, 3))
        _look_up(self._first_n, self._stride_n, self._weights_n2, self._forward_p, depth_p, ids_p, image_p3, *outputs)


def pixel_rays(model: CameraModel) -> tuple[Array, NDArray[np.bool_]]:
    """(N, 3) unit directions of an equidistant image's pixels, row by row, and (N,) whether the lens sees them."""
    angle_k, radius_k = _profile(model)
    k = model.matrix_33
    x, y = np.meshgrid((np.arange(model.width) + 0.5 - k[0, 2]) / k[0, 0], (np.arange(model.height) + 0.5 - k[1, 2]) / k[1, 1])
    radius = np.hypot(x, y).ravel()
    angle = np.interp(radius, radius_k, angle_k)
    aside = np.sin(angle) / np.maximum(radius, 1e-12)
    rays = np.stack([x.ravel() * aside, y.ravel() * aside, np.cos(angle)], axis=1)
    return rays, radius < radius_k[-1]


def _profile(model: CameraModel) -> tuple[Array, Array]:
    """Angle to the axis [rad] and distance from the principal point in focal lengths, up to where the lens ends."""
    angle = np.linspace(0.0, np.arctan(MAX_TANGENT), 8001)
    square, factor = np.square(angle), np.zeros_like(angle)
    for coefficient in reversed(model.coefficients):
        factor = (factor + coefficient) * square
    radius = angle * (1.0 + factor)
    folds = np.flatnonzero(np.diff(radius) <= 0.0)
    end = int(folds[0]) + 1 if folds.size else len(angle)
    return angle[:end], radius[:end]


def _greatest_density(model: CameraModel) -> float:
    """Pixels per radian where the lens has most of them."""
    angle_k, radius_k = _profile(model)
    return float(np.max(np.diff(radius_k) / np.diff(angle_k)) * max(model.matrix_33[0, 0], model.matrix_33[1, 1]))


def _side_of(rays_n3: Array) -> NDArray[np.intp]:
    """The side of the cube that a direction goes through; forwards, right, left, down, up."""
    x, y, z = rays_n3.T
    return np.argmax(np.stack([z, x, -x, y, -y]), axis=0)


@njit(cache=True, nogil=True)
def _look_up(
    first_n: NDArray[np.int64], stride_n: NDArray[np.int64], weights_n2: F32, forward_p: F32, depth_p: F32,
    ids_p: NDArray[np.int32], image_p3: NDArray[np.uint8], depth_n: F32, ids_n: NDArray[np.int32],
    image_n3: NDArray[np.uint8],
) -> None:  # fmt: skip
    for n in range(first_n.shape[0]):
        a = first_n[n]
        if a < 0:
            depth_n[n], ids_n[n] = MISS, -1
            image_n3[n, 0], image_n3[n, 1], image_n3[n, 2] = 0, 0, 0
            continue
        b, fx, fy = a + stride_n[n], weights_n2[n, 0], weights_n2[n, 1]
        near = (a if fy < 0.5 else b) + (0 if fx < 0.5 else 1)
        depth_n[n] = depth_p[near] * forward_p[near] if depth_p[near] < 0.5 * MISS else MISS
        ids_n[n] = ids_p[near]
        for i in range(3):
            top = image_p3[a, i] * (1.0 - fx) + image_p3[a + 1, i] * fx
            bottom = image_p3[b, i] * (1.0 - fx) + image_p3[b + 1, i] * fx
            image_n3[n, i] = top * (1.0 - fy) + bottom * fy + 0.5
