"""All cameras of the vehicle: each one's calibration and lookup table, and one buffer that their images are written into.

OpenCV lets go of Python's lock, so a few threads share the cameras; OpenCV's own threads would only get in their way. Six JPEGs
of 1600 x 900 to 352 x 128 on two cores: 5 ms with two threads, 9 ms with one.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.camera import CameraModel
from moe_bev_ros.core.errors import InputError
from moe_bev_ros.perception.images import CompressedImage, Pixels, RawImage
from moe_bev_ros.perception.rectify import Rectifier, make_rectifier

Source = RawImage | CompressedImage


class CameraRig:
    """Turns the images of one instant into the model's input.

    Attributes:
        images_nhw3: (N, H, W, 3) uint8 RGB, overwritten by each ``fill``.
        intrinsics_n33: (N, 3, 3) float32 of these images [pixels]; identity where a calibration has not come yet.
    """

    def __init__(self, num_cameras: int, width: int, height: int, num_workers: int) -> None:
        cv2.setNumThreads(1)
        self.images_nhw3: Pixels = np.zeros((num_cameras, height, width, 3), np.uint8)
        self.intrinsics_n33: NDArray[np.float32] = np.tile(np.eye(3, dtype=np.float32), (num_cameras, 1, 1))
        self._rectifiers: list[Rectifier | None] = [None] * num_cameras
        self._pool = ThreadPoolExecutor(num_workers, thread_name_prefix='rectify')

    def calibrate(self, camera: int, model: CameraModel | None) -> None:
        """Take over a calibration; None: it is not known (any more)."""
        if model is None:
            self._rectifiers[camera] = None
            return
        _, height, width, _ = self.images_nhw3.shape
        rectifier = make_rectifier(model, width, height)
        self._rectifiers[camera] = rectifier
        self.intrinsics_n33[camera] = rectifier.intrinsics_33

    def fill(self, sources: Sequence[Source | None]) -> list[str]:
        """Decode and rectify one image per camera; None leaves it black.

        Returns:
            For each camera an empty text, or the fact for which its image could not be used and is black.
        """
        return list(self._pool.map(self._fill_one, range(len(sources)), sources))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _fill_one(self, camera: int, source: Source | None) -> str:
        out_hw3 = self.images_nhw3[camera]
        fact = ''
        try:
            if source is not None:
                self._rectifier_for(camera, source).rectify(source, out_hw3)
        except InputError as err:
            fact = str(err)
        if source is None or fact:
            out_hw3[:] = 0
        return fact

    def _rectifier_for(self, camera: int, source: Source) -> Rectifier:
        rectifier = self._rectifiers[camera]
        if rectifier is None:
            raise InputError('no calibration yet')
        width, height = (source.width, source.height) if isinstance(source, RawImage) else source.size()
        model = rectifier.model
        if (width, height) != (model.width, model.height):
            raise InputError(
                f'the image is {width} x {height}, the CameraInfo is for {model.width} x {model.height}; '
                'publish the calibration of this image size'
            )
        return rectifier
