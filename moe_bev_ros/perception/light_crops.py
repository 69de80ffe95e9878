"""Cuts the housings of a map's traffic lights out of the camera images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from moe_bev_ros.core.frame import CameraImages
from moe_bev_ros.core.se3 import Array, inverse, transform_points
from moe_bev_ros.core.traffic_light import LightPlace

NUM_CROPS, CROP_SIZE = 8, 24
SIDE_M, LEAST_PIXELS = 3.0, 12
REACH_M = 70.0
LEAST_FACING = 0.4  # cosine between the lamps' direction and the way to the camera
MEAN, SCALE = 0.45, 0.225  # of image values in 0..1


@dataclass(frozen=True)
class LightCrops:
    """Crops of a frame, nearest first, in a fixed number of slots.

    Attributes:
        images_l3hw: (NUM_CROPS, 3, CROP_SIZE, CROP_SIZE) float32 RGB, (x / 255 - MEAN) / SCALE; zero in empty slots and outside
            of the image.
        valid_l: which slots hold a crop.
        place_l: index of the housing; -1 in empty slots.
        distance_l: from the camera [m]; 0 in empty slots.
    """

    images_l3hw: NDArray[np.float32]
    valid_l: NDArray[np.bool_]
    place_l: NDArray[np.int64]
    distance_l: NDArray[np.float32]


@dataclass(frozen=True)
class _View:
    """A housing in the camera that sees it best."""

    place: int
    camera: int
    pixel_2: Array
    side: int
    distance_m: float


def light_crops(cameras: CameraImages | None, places: Sequence[LightPlace], map_se3_base_link: Array) -> LightCrops:
    """Crop the nearest NUM_CROPS housings whose lamps shine towards a camera that has them in its image.

    Args:
        places: in the frame that ``map_se3_base_link`` leads to.
    """
    crops = LightCrops(
        np.zeros((NUM_CROPS, 3, CROP_SIZE, CROP_SIZE), np.float32),
        np.zeros(NUM_CROPS, np.bool_),
        np.full(NUM_CROPS, -1, np.int64),
        np.zeros(NUM_CROPS, np.float32),
    )
    if cameras is None:
        return crops
    for slot, view in enumerate(_views(cameras, places, map_se3_base_link)[:NUM_CROPS]):
        crops.images_l3hw[slot] = _cut(cameras.images_nhw3[view.camera], view.pixel_2, view.side)
        crops.valid_l[slot], crops.place_l[slot], crops.distance_l[slot] = True, view.place, view.distance_m
    return crops


def _views(cameras: CameraImages, places: Sequence[LightPlace], map_se3_base_link: Array) -> list[_View]:
    if not places:
        return []
    centres_n3 = np.array([place.centre_xyz_m for place in places])
    yaws_n = np.array([place.yaw_rad for place in places])
    shine_n3 = np.stack([np.cos(yaws_n), np.sin(yaws_n), np.zeros(len(places))], axis=1)
    best: dict[int, tuple[float, _View]] = {}
    for camera in np.flatnonzero(cameras.valid_n).tolist():
        map_se3_camera = map_se3_base_link @ cameras.base_link_se3_camera_n44[camera]
        towards_n3 = map_se3_camera[:3, 3] - centres_n3
        distance_n = np.linalg.norm(towards_n3, axis=1)
        facing_n = np.sum(shine_n3 * towards_n3, axis=1) > LEAST_FACING * distance_n
        local_n3 = transform_points(inverse(map_se3_camera), centres_n3)
        for index in np.flatnonzero(facing_n & (distance_n < REACH_M) & (local_n3[:, 2] > 1.0)).tolist():
            view, room = _view(cameras, camera, index, local_n3[index], float(distance_n[index]))
            if room > 0.0 and (index not in best or room > best[index][0]):
                best[index] = (room, view)
    return sorted((view for _, view in best.values()), key=lambda view: view.distance_m)


def _view(cameras: CameraImages, camera: int, index: int, xyz_3: Array, distance_m: float) -> tuple[_View, float]:
    """A housing in a camera, and how far its centre lies within the image, in sides of the crop."""
    matrix = cameras.intrinsics_n33[camera].astype(float)
    u, v, w = matrix @ xyz_3
    height, width = cameras.images_nhw3.shape[1:3]
    side = max(LEAST_PIXELS, round(SIDE_M * float(matrix[0, 0]) / float(xyz_3[2])))
    pixel_2 = np.array([u / w, v / w])
    room = min(pixel_2[0], pixel_2[1], width - 1 - pixel_2[0], height - 1 - pixel_2[1]) / side
    return _View(index, camera, pixel_2, side, distance_m), float(room)


def _cut(image_hw3: NDArray[np.uint8], pixel_2: Array, side: int) -> NDArray[np.float32]:
    """(3, CROP_SIZE, CROP_SIZE) of the square around a pixel; zero outside of the image."""
    height, width = image_hw3.shape[:2]
    left, top = (round(float(value) - 0.5 * (side - 1)) for value in pixel_2)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    square = np.zeros((side, side, 3), np.float32)
    square[y0 - top : y1 - top, x0 - left : x1 - left] = (image_hw3[y0:y1, x0:x1].astype(np.float32) / 255.0 - MEAN) / SCALE
    how = cv2.INTER_AREA if side > CROP_SIZE else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (CROP_SIZE, CROP_SIZE), interpolation=how).transpose(2, 0, 1), np.float32)
