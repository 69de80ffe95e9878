"""Milliseconds per 1600 x 900 image on its way to the model's input, against the least that OpenCV needs for it.

The baseline is bare ``np.frombuffer`` (or ``cv2.imdecode``), a crop, one ``cv2.resize`` by area and one ``cv2.cvtColor``: what
a node would do that checks nothing. Where there is distortion it is one ``cv2.remap`` of the full image, which is quicker than
ours and aliases: it looks at four source pixels of the twenty that one of the model's covers. Both sides run on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.camera import CameraModel, camera_model
from moe_bev_ros.evaluation.bench.timing import Row, interleaved
from moe_bev_ros.perception.images import CompressedImage, RawImage
from moe_bev_ros.perception.rectify import make_rectifier

WIDTH, HEIGHT = 1600, 900
SIZES = ((352, 128), (704, 256))
MATRIX = (1252.8, 0.0, 826.6, 0.0, 1252.8, 470.0, 0.0, 0.0, 1.0)
PLUMB_BOB = (-0.28, 0.09, 0.001, -0.0005, -0.01)


def run(repeats: int) -> list[Row]:
    """Measure all encodings and sizes, one thread each."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        picture = _picture()
        rows = [row for size in SIZES for row in _rows(picture, size, repeats)]
    finally:
        cv2.setNumThreads(threads)
    return rows


def _rows(picture: NDArray[np.uint8], size: tuple[int, int], repeats: int) -> list[Row]:
    pinhole = camera_model(WIDTH, HEIGHT, MATRIX, '', ())
    distorted = camera_model(WIDTH, HEIGHT, MATRIX, 'plumb_bob', PLUMB_BOB)
    jpeg = cv2.imencode('.jpg', picture)[1].tobytes()
    bgr, bayer = picture.tobytes(), picture[..., 0].tobytes()
    resized = partial(_resized, size=size)

    def bgr_image() -> RawImage:
        return RawImage('bgr8', WIDTH, HEIGHT, 3 * WIDTH, np.frombuffer(bgr, np.uint8))

    def bayer_image() -> RawImage:
        return RawImage('bayer_rggb8', WIDTH, HEIGHT, WIDTH, np.frombuffer(bayer, np.uint8))

    def jpeg_image() -> CompressedImage:
        return CompressedImage(np.frombuffer(jpeg, np.uint8))

    def plain_bgr() -> object:
        return resized(np.frombuffer(bgr, np.uint8).reshape(HEIGHT, WIDTH, 3))

    def plain_bayer() -> object:
        grey = np.frombuffer(bayer, np.uint8).reshape(HEIGHT, WIDTH)
        return resized(cv2.cvtColor(grey, cv2.COLOR_BayerBG2BGR))

    def plain_jpeg() -> object:
        return resized(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))

    name = f'{size[0]} x {size[1]}'
    return [
        interleaved(f'bgr8 to {name}, against an area resize', _ours(pinhole, size, bgr_image), plain_bgr, repeats),
        interleaved(
            f'bgr8 undistorted to {name}, against an aliasing remap',
            _ours(distorted, size, bgr_image),
            _remapped(distorted, size, bgr),
            repeats,
        ),
        interleaved(f'bayer_rggb8 to {name}, against an area resize', _ours(pinhole, size, bayer_image), plain_bayer, repeats),
        interleaved(f'JPEG to {name}, against an area resize', _ours(pinhole, size, jpeg_image), plain_jpeg, repeats),
    ]


def _ours(model: CameraModel, size: tuple[int, int], image: Callable[[], RawImage | CompressedImage]) -> Callable[[], object]:
    rectifier = make_rectifier(model, *size)
    out_hw3 = np.empty((size[1], size[0], 3), np.uint8)
    return lambda: rectifier.rectify(image(), out_hw3)


def _resized(bgr: NDArray[np.uint8], size: tuple[int, int]) -> object:
    top = HEIGHT - round(size[1] * WIDTH / size[0])
    return cv2.cvtColor(cv2.resize(bgr[top:], size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def _remapped(model: CameraModel, size: tuple[int, int], bgr: bytes) -> Callable[[], object]:
    intrinsics = make_rectifier(model, *size).intrinsics_33.astype(float)
    coefficients = np.array(model.coefficients)
    maps = cv2.initUndistortRectifyMap(model.matrix_33, coefficients, np.eye(3), intrinsics, size, cv2.CV_16SC2)

    def call() -> object:
        image = np.frombuffer(bgr, np.uint8).reshape(HEIGHT, WIDTH, 3)
        return cv2.cvtColor(cv2.remap(image, *maps, cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)

    return call


def _picture() -> NDArray[np.uint8]:
    """Soft blobs and some grain: a JPEG of it is about as large as one of a street."""
    rng = np.random.default_rng(0)
    blobs = cv2.resize(rng.integers(0, 256, (30, 50, 3)).astype(np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0.0, 6.0, (HEIGHT, WIDTH, 1))
    return np.clip(blobs + grain, 0, 255).astype(np.uint8)
